//! A connection without a swarm: nothing opens a stream or ends it but what this peer is told to.

use std::{collections::VecDeque, future::poll_fn, io, task::Poll, time::Duration};

use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox},
        transport::{DialOpts, PortUse},
    },
};
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{Result, multistream, raw::answers::Answers, report, transport::Connections};

const PATIENCE: Duration = Duration::from_secs(10);

type Wish = oneshot::Sender<SubstreamBox>;

/// Ends with this.
pub(crate) struct Link(mpsc::Sender<Wish>);

impl Link {
    pub(crate) async fn dial(
        number: u64,
        mut transport: Connections,
        address: Multiaddr,
        answers: Answers,
    ) -> Result<(PeerId, Self)> {
        let dial = transport.dial(address, DialOpts { role: Endpoint::Dialer, port_use: PortUse::New })?;
        let (peer, muxer) = timeout(PATIENCE, dial).await??;
        let (wishes, wished) = mpsc::channel(1);
        tokio::spawn(async move {
            let cause = drive(muxer, wished, &answers).await;
            report::line(&json!({"event": "ended", "link": number, "cause": cause}));
        });
        Ok((peer, Self(wishes)))
    }

    pub(crate) async fn open(&self, protocol: &str) -> Result<SubstreamBox> {
        let (wish, granted) = oneshot::channel();
        self.0.send(wish).await?;
        let mut stream = timeout(PATIENCE, granted).await??;
        if !timeout(PATIENCE, multistream::propose(&mut stream, protocol)).await?? {
            return Err("refused".into());
        }
        Ok(stream)
    }
}

/// Runs the connection until either side ends it; says why.
async fn drive(mut muxer: StreamMuxerBox, mut wished: mpsc::Receiver<Wish>, answers: &Answers) -> String {
    let mut waiting = VecDeque::new();
    let ended = poll_fn(|cx| {
        loop {
            match wished.poll_recv(cx) {
                Poll::Ready(Some(wish)) => waiting.push_back(wish),
                Poll::Ready(None) => return Poll::Ready(io::Error::other("hung up by the attacker")),
                Poll::Pending => break,
            }
        }
        loop {
            let mut moved = false;
            match muxer.poll_unpin(cx) {
                Poll::Ready(Ok(_)) => moved = true,
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => {}
            }
            match muxer.poll_inbound_unpin(cx) {
                Poll::Ready(Ok(stream)) => {
                    tokio::spawn(answers.clone().serve(stream));
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => {}
            }
            if let Some(wish) = waiting.pop_front() {
                match muxer.poll_outbound_unpin(cx) {
                    Poll::Ready(Ok(stream)) => {
                        // `Err`: it does not wait for it any more.
                        let _ = wish.send(stream);
                        moved = true;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(error),
                    Poll::Pending => waiting.push_front(wish),
                }
            }
            if !moved {
                return Poll::Pending;
            }
        }
    });
    report::describe(&ended.await)
}
