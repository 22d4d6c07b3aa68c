//! Over real sockets, of which loopback's take some megabytes before they stand still.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::poll_fn, stream::FuturesUnordered};
use libp2p::{
    core::{
        Endpoint,
        muxing::StreamMuxerExt,
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
        upgrade::Version,
    },
    identity::Keypair,
    noise, tcp, yamux,
};

use super::*;

/// Each may hold a quarter of a megabyte that nobody has read.
const STREAMS: usize = 40;
const CHUNK: usize = 64 * 1024;
/// Longer than anything here takes that does not stand still.
const PATIENCE: Duration = Duration::from_secs(2);

fn transport() -> Boxed<(PeerId, StreamMuxerBox)> {
    let key = Keypair::generate_ed25519();
    tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&key).expect("a key"))
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed()
}

/// Both ends of a connection; ours is watched.
async fn connection() -> (StreamMuxerBox, StreamMuxerBox) {
    let mut listening = transport();
    listening.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("a listener");
    let TransportEvent::NewAddress { listen_addr, .. } = listening.select_next_some().await else {
        panic!("no address")
    };
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dialled = watched(transport(), Arc::default(), Arc::default()).dial(listen_addr, options).expect("a dial");
    let accepted = async {
        match listening.select_next_some().await {
            TransportEvent::Incoming { upgrade, .. } => upgrade.await.expect("a handshake").1,
            event => panic!("{event:?}"),
        }
    };
    let (ours, theirs) = futures::join!(dialled, accepted);
    (ours.expect("a connection").1, theirs)
}

/// Writes so many pieces to each stream, or until nothing passes any more; the connection works meanwhile. `true`: all of it.
async fn write(muxer: &mut StreamMuxerBox, pieces: usize, within: Duration) -> bool {
    let mut writing = FuturesUnordered::new();
    for _ in 0..STREAMS {
        let mut stream = poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.expect("a stream");
        writing.push(async move {
            let chunk = vec![7; CHUNK];
            for _ in 0..pieces {
                stream.write_all(&chunk).await?;
            }
            stream.flush().await
        });
    }
    let work = poll_fn(|cx| {
        assert!(muxer.poll_unpin(cx).is_pending());
        while ready!(writing.poll_next_unpin(cx)).is_some() {}
        Poll::Ready(())
    });
    tokio::time::timeout(within, work).await.is_ok()
}

async fn close(muxer: &mut StreamMuxerBox) -> Result<io::Result<()>, tokio::time::error::Elapsed> {
    tokio::time::timeout(PATIENCE, poll_fn(|cx| muxer.poll_close_unpin(cx))).await
}

#[tokio::test]
async fn a_connection_that_the_other_side_does_not_read_is_closed_all_the_same() {
    let (mut ours, _theirs) = connection().await;
    assert!(!write(&mut ours, 8, PATIENCE).await, "somebody reads it");
    let began = Instant::now();
    let error = close(&mut ours).await.expect("it ends").expect_err("it was not in order");
    assert!(error.to_string().contains("timed out"), "{error}");
    assert!(began.elapsed() >= CLOSE_LIMIT);
}

#[tokio::test]
async fn a_connection_that_is_read_is_closed_in_order() {
    let (mut ours, mut theirs) = connection().await;
    let reading = tokio::spawn(async move {
        let mut streams = FuturesUnordered::new();
        poll_fn(|cx| {
            while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
            match ready!(theirs.poll_inbound_unpin(cx)) {
                Ok(mut stream) => {
                    streams.push(async move { _ = stream.read_to_end(&mut Vec::new()).await });
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Err(_) => Poll::Ready(()),
            }
        })
        .await;
    });
    assert!(write(&mut ours, 2, PATIENCE * 10).await, "nobody reads it");
    assert!(close(&mut ours).await.expect("it ends").is_ok());
    reading.abort();
}

/// A stream of which so much passes in each fifth of a second.
struct Drip {
    bytes: usize,
    next: Pin<Box<Sleep>>,
}

impl AsyncRead for Drip {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Drip {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(tokio::time::sleep(LIMIT / 25));
        Poll::Ready(Ok(bytes.len().min(self.bytes)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Writes for a while longer than a stream may stand still; `Err`: it has not ended.
async fn written(bytes: usize, size: usize) -> Result<io::Result<()>, tokio::time::error::Elapsed> {
    let inner = SubstreamBox::new(Drip { bytes, next: Box::pin(tokio::time::sleep(Duration::ZERO)) });
    let mut stream = Stream {
        inner: Shared::new(inner),
        unread: Arc::new(AtomicBool::new(false)),
        outflow: Arc::default(),
        farewell: Arc::default(),
        opening: Some(Opening::default()),
        gossip: false,
        incoming: None,
        blocked_since: None,
        passed: 0,
    };
    let all = async {
        stream.write_all(b"\x13/multistream/1.0.0\n\x0f/meshsub/1.1.0\n").await?;
        loop {
            stream.write_all(&vec![7; size]).await?;
            stream.flush().await?;
        }
    };
    tokio::time::timeout(LIMIT + PATIENCE, all).await
}

#[tokio::test]
async fn a_little_now_and_then_is_no_reading_unless_it_is_all_there_is() {
    let (drip, enough, small) =
        futures::join!(written(PROGRESS / 50, 1 << 20), written(PROGRESS / 10, 1 << 20), written(PROGRESS / 50, 600));
    assert!(drip.expect("it ends").is_err());
    assert!(enough.is_err(), "it goes on");
    assert!(small.is_err(), "each message has left before the next one");
}

#[test]
fn a_stream_is_known_by_the_first_protocol_that_is_named() {
    fn line(text: &str) -> Vec<u8> {
        let (low, high) = ((text.len() + 1) % 0x80, (text.len() + 1) / 0x80);
        let size = [low, high].map(|digit| u8::try_from(digit).expect("seven bits"));
        let size = if high == 0 { vec![size[0]] } else { vec![size[0] | 0x80, size[1]] };
        [&size, text.as_bytes(), b"\n"].concat()
    }

    let (greeting, na) = (line("/multistream/1.0.0"), line("na"));
    let list = line(&format!("\x0f{}\n", "/ipfs/id/1.0.0".repeat(20)));
    let before = [greeting, na.repeat(100), list].concat();
    let lines = [("/meshsub/1.2.0", true), ("/floodsub/1.0.0", true), ("/ipfs/kad/1.0.0", false), ("/a", false)];
    for (name, gossip) in lines {
        let bytes = [before.clone(), line(name)].concat();
        assert_eq!(Opening::default().is_gossip(&before), None);
        assert_eq!(Opening::default().is_gossip(&bytes), Some(gossip), "{name}");
        let mut opening = Opening::default();
        assert_eq!(bytes.iter().find_map(|byte| opening.is_gossip(&[*byte])), Some(gossip), "{name}, by bytes");
    }
}
