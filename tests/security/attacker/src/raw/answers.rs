//! What the peer made by hand answers on streams that the other side opens: as little as keeps it connected.

use std::{collections::HashMap, io, sync::Arc};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{core::muxing::SubstreamBox, identity::PublicKey};
use serde_json::json;

use crate::{
    hex, multistream,
    protobuf::{bytes, framed},
    report,
};

const IDENTIFY: &str = "/ipfs/id/1.0.0";
const PING: &str = "/ipfs/ping/1.0.0";
const GOSSIP: &str = "/meshsub/1.1.0";
/// By protocol.
pub(crate) type Served = HashMap<String, Vec<u8>>;
const SPOKEN: [&str; 3] = [IDENTIFY, PING, GOSSIP];
/// Frames up to this size are told whole, of longer ones only the size.
const TOLD: usize = 4096;
const LONGEST: usize = 32 * 1024 * 1024;

/// A true identify message, without any address.
pub(crate) fn identify(key: &PublicKey, agent: &str) -> Vec<u8> {
    let spoken = SPOKEN.iter().flat_map(|protocol| bytes(3, protocol.as_bytes()));
    [bytes(1, &key.encode_protobuf()), spoken.collect(), bytes(5, b"ipfs/0.1.0"), bytes(6, agent.as_bytes())].concat()
}

#[derive(Clone)]
pub(crate) struct Answers {
    link: u64,
    identify: Arc<Vec<u8>>,
    mute: bool,
    deaf: bool,
    serves: Arc<Served>,
}

impl Answers {
    pub(crate) fn new(link: u64, identify: Vec<u8>, mute: bool, deaf: bool, serves: Served) -> Self {
        Self { link, identify: Arc::new(identify), mute, deaf, serves: Arc::new(serves) }
    }

    pub(crate) async fn serve(self, mut stream: SubstreamBox) {
        // An error is the end of the stream: the other side has closed or reset it.
        let _ = self.answer(&mut stream).await;
    }

    async fn answer(&self, stream: &mut SubstreamBox) -> io::Result<()> {
        let spoken: Vec<&str> = SPOKEN.into_iter().chain(self.serves.keys().map(String::as_str)).collect();
        let protocol = multistream::accept(stream, &spoken).await?;
        report::line(&json!({"event": "asked", "link": self.link, "protocol": protocol}));
        if let Some(answer) = self.serves.get(&protocol) {
            multistream::read_framed(stream, LONGEST).await?;
            stream.write_all(&framed(answer)).await?;
            return stream.close().await;
        }
        match protocol.as_str() {
            IDENTIFY if self.mute => std::future::pending().await,
            IDENTIFY => {
                stream.write_all(&framed(&self.identify)).await?;
                stream.close().await
            }
            PING => loop {
                let mut payload = [0; 32];
                stream.read_exact(&mut payload).await?;
                stream.write_all(&payload).await?;
                stream.flush().await?;
            },
            _ if self.deaf => std::future::pending().await,
            _ => loop {
                let frame = multistream::read_framed(stream, LONGEST).await?;
                let told = (frame.len() <= TOLD).then(|| hex::encode(&frame));
                report::line(&json!({"event": "frame", "link": self.link, "bytes": frame.len(), "hex": told}));
            },
        }
    }
}
