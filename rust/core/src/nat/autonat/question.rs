//! One question of `AutoNAT` v2 at a time on one connection: can you connect to this address of mine?

use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt, FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, Stream, StreamProtocol,
    core::upgrade::{DeniedUpgrade, ReadyUpgrade},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedOutbound},
    },
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::nat::autonat::messages::{
    Body, DialDataRequest, DialDataResponse, DialRequest, DialResponse, DialStatus, ResponseStatus, invalid, receive,
    send,
};

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");

/// A server dials for ten seconds at most, after up to three that it may wait, and answers.
const LIMIT: Duration = Duration::from_secs(15);
/// What a server may ask for before it dials another host than the one that asks, and the largest piece of it.
const LEAST_DATA: usize = 30_000;
const MOST_DATA: usize = 100_000;
const PIECE: usize = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It connected, and was sent away.
    Connected,
    /// It could not connect.
    NotConnected,
    /// It does not say how far it came: whether it stood at our door is for us to know.
    Unclear,
    /// It did not try, or did not answer.
    Failed,
}

/// Serves nothing: what a server says on a connection of its own is not heard, see `rounds.rs`.
#[derive(Default)]
pub(crate) struct Handler {
    wanted: Option<Multiaddr>,
    answer: Option<BoxFuture<'static, Answer>>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Multiaddr;
    type ToBehaviour = Answer;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Multiaddr;

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade, ()> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Multiaddr, Answer>> {
        if let Some(address) = self.wanted.take() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), address);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        let Some(answer) = &mut self.answer else { return Poll::Pending };
        let answer = ready!(answer.poll_unpin(cx));
        self.answer = None;
        Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(answer))
    }

    fn on_behaviour_event(&mut self, address: Multiaddr) {
        self.wanted = Some(address);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, DeniedUpgrade, ReadyUpgrade<StreamProtocol>, (), Multiaddr>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                self.answer = Some(ask(protocol, info).boxed());
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                tracing::debug!(%error, "a peer takes no question whether we can be reached");
                self.answer = Some(std::future::ready(Answer::Failed).boxed());
            }
            _ => {}
        }
    }
}

async fn ask(mut stream: Stream, address: Multiaddr) -> Answer {
    match timeout(LIMIT, converse(&mut stream, &address)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "no answer to whether we can be reached");
            Answer::Failed
        }
        Err(_) => Answer::Failed,
    }
}

async fn converse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), address: &Multiaddr) -> io::Result<Answer> {
    // Nobody sees it again, as no server comes so far as to say it.
    let nonce = Uuid::new_v4().as_u64_pair().0;
    send(stream, Body::Request(DialRequest { addresses: vec![address.to_vec()], nonce })).await?;
    let mut body = receive(stream).await?;
    if let Body::DataRequest(DialDataRequest { bytes, .. }) = body {
        let Some(bytes) = usize::try_from(bytes).ok().filter(|bytes| (LEAST_DATA..=MOST_DATA).contains(bytes)) else {
            return Err(invalid("a demand for more or less data than the protocol allows"));
        };
        for sent in (0..bytes).step_by(PIECE) {
            let data = vec![0; PIECE.min(bytes - sent)];
            send(stream, Body::DataResponse(DialDataResponse { data })).await?;
        }
        body = receive(stream).await?;
    }
    let Body::Response(response) = body else { return Err(invalid("no answer to the question")) };
    // The other side may have closed it already.
    _ = stream.close().await;
    Ok(read(&response))
}

fn read(response: &DialResponse) -> Answer {
    match (ResponseStatus::try_from(response.status), DialStatus::try_from(response.dial_status)) {
        // There was one address.
        _ if response.address != 0 => Answer::Failed,
        (Ok(ResponseStatus::Ok), Ok(DialStatus::DialBackError)) => Answer::Connected,
        (Ok(ResponseStatus::Ok), Ok(DialStatus::DialError)) => Answer::NotConnected,
        // rust-libp2p's server takes the end of its connection for a fault of its own.
        (Ok(ResponseStatus::Ok), Ok(DialStatus::Ok)) | (Ok(ResponseStatus::InternalError), _) => Answer::Unclear,
        _ => Answer::Failed,
    }
}

#[cfg(test)]
mod tests;
