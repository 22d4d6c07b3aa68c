//! Dials that end: each within a limit of time, and with an error where the library panics.
//!
//! libp2p-dns panics when a name server has put the address of a name beside the answers, in the additional section alone,
//! which hickory lets pass. The swarm would never hear of the end of such a dial: it would be under way for good, and the
//! peer could not be dialled any more.

use std::{
    io,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use tokio::time::timeout;

pub(super) struct Bounded<T> {
    inner: T,
    limit: Duration,
}

impl<T> Bounded<T> {
    pub(super) const fn new(inner: T, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

impl<T> Transport for Bounded<T>
where
    T: Transport<Error = io::Error> + Unpin + 'static,
    T::Dial: Send,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<T::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        // What has panicked is dropped, and shares nothing with other dials that it could have left half done.
        let dial = AssertUnwindSafe(self.inner.dial(address, options)?).catch_unwind();
        let limit = self.limit;
        let bounded = async move {
            // From the first poll on: of several addresses of a peer the later ones wait for their turn.
            let Ok(ended) = timeout(limit, dial).await else {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody answered at the address in time"));
            };
            ended.unwrap_or_else(|_| {
                let text = "the network library failed at it: a name server may have answered without an address";
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            })
        };
        Ok(bounded.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<T::ListenerUpgrade, io::Error>> {
        Transport::poll(Pin::new(&mut self.inner), cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::future;
    use libp2p::core::{Endpoint, transport::PortUse};
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    type Dial = BoxFuture<'static, io::Result<()>>;

    /// All its dials end like this.
    struct Below(fn() -> Dial);

    impl Transport for Below {
        type Output = ();
        type Error = io::Error;
        type ListenerUpgrade = Dial;
        type Dial = Dial;

        fn listen_on(&mut self, _: ListenerId, _: Multiaddr) -> Result<(), TransportError<io::Error>> {
            Ok(())
        }

        fn remove_listener(&mut self, _: ListenerId) -> bool {
            false
        }

        fn dial(&mut self, _: Multiaddr, _: DialOpts) -> Result<Dial, TransportError<io::Error>> {
            Ok((self.0)())
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Dial, io::Error>> {
            Poll::Pending
        }
    }

    fn dial(below: fn() -> Dial) -> Dial {
        let address: Multiaddr = "/dns4/node.example.com/tcp/1".parse().unwrap();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
        Bounded::new(Below(below), LIMIT).dial(address, options).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_has_its_time_from_its_turn_on_and_no_more() {
        let waiting = dial(|| future::pending().boxed());
        sleep(LIMIT).await;
        let begun = Instant::now();
        assert_eq!(waiting.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= LIMIT && begun.elapsed() < LIMIT * 2);
    }

    #[tokio::test]
    async fn a_panic_ends_the_dial_with_an_error() {
        let panics = dial(|| future::lazy(|_| -> io::Result<()> { panic!("there are no results") }).boxed());
        assert_eq!(panics.await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn how_a_dial_ends_in_time_is_told_as_it_is() {
        dial(|| future::ready(Ok(())).boxed()).await.unwrap();
        let refused = dial(|| future::ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused))).boxed());
        assert_eq!(refused.await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
