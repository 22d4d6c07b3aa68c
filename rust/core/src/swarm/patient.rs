//! The handler of a connection that opens no stream before the other side has said who it is, and that can be retired.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol, handler::ConnectionEvent};
use tokio::time::{Sleep, sleep};

/// A retiring connection looks for something to do so long after it was woken. Its handler takes messages from the same
/// queue as those of the others, which were woken as well and have emptied it by then.
const LAG: Duration = Duration::from_millis(15);
/// It does so while the other side may still send over it, and then hardly ever: a look may take a message after all, and
/// the connection may be closed at any moment with what it took. [`Pace::LastLook`] is for what came last.
const AT_FIRST: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(5);
/// The handler of a new connection asks for a stream when it is polled while something waits, and nothing wakes it then.
const NUDGE: Duration = Duration::from_millis(10);
const NUDGED_FOR: Duration = Duration::from_secs(3);

/// How a connection takes part in sending, when its peer has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It is the one that stays.
    Prompt,
    /// It will be closed: it receives, and sends only what nobody else has taken.
    Retiring,
    /// It receives once more, after this time. Nothing may wait to be sent then.
    LastLook(Duration),
}

/// What a handler is told.
#[derive(Debug)]
pub(crate) enum Told<E> {
    Inner(E),
    Pace(Pace),
}

/// Keeps the first wish for a stream until the other side has answered identify on this connection.
pub(crate) struct Patient<H: ConnectionHandler> {
    inner: H,
    identified: bool,
    wish: Option<SubstreamProtocol<H::OutboundProtocol, H::OutboundOpenInfo>>,
    pace: Pace,
    /// Until it opens a stream, but no longer than this.
    nudged_until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Of a retiring connection.
    retired: Retired,
}

struct Retired {
    since: Instant,
    /// Something has happened that will be looked at then.
    look_at: Option<Instant>,
    /// It is being looked at, until nothing is left.
    looks: bool,
}

impl Retired {
    fn now() -> Self {
        Self { since: Instant::now(), look_at: None, looks: false }
    }

    /// Something has happened, or the time has come. `Some`: nothing is looked at before this time.
    fn look_at(&mut self, now: Instant) -> Option<Instant> {
        if self.looks || self.look_at.is_some_and(|at| at <= now) {
            (self.look_at, self.looks) = (None, true);
            return None;
        }
        let since = self.since;
        Some(*self.look_at.get_or_insert_with(|| match now.duration_since(since) {
            retired if retired < AT_FIRST => now + LAG,
            _ => now + SELDOM,
        }))
    }
}

impl<H: ConnectionHandler> Patient<H> {
    pub(super) fn new(inner: H) -> Self {
        Self {
            inner,
            identified: false,
            wish: None,
            pace: Pace::Prompt,
            nudged_until: None,
            timer: None,
            retired: Retired::now(),
        }
    }

    /// Pending: the handler within is left alone for the moment.
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pace == Pace::Retiring {
            let Some(at) = self.retired.look_at(Instant::now()) else { return Poll::Ready(()) };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(LAG)));
            timer.as_mut().reset(at.into());
            if timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        if let Some(until) = self.nudged_until {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(NUDGE)));
            if timer.as_mut().poll(cx).is_ready() {
                self.timer = None;
                if Instant::now() < until {
                    cx.waker().wake_by_ref();
                } else {
                    self.nudged_until = None;
                }
            }
        }
        Poll::Ready(())
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Event<H>> {
        let polled = self.inner.poll(cx);
        match &polled {
            Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { .. }) => self.nudged_until = None,
            Poll::Pending => self.retired.looks = false,
            Poll::Ready(_) => {}
        }
        polled
    }
}

type Event<H> = ConnectionHandlerEvent<
    <H as ConnectionHandler>::OutboundProtocol,
    <H as ConnectionHandler>::OutboundOpenInfo,
    <H as ConnectionHandler>::ToBehaviour,
>;

impl<H: ConnectionHandler> ConnectionHandler for Patient<H> {
    type FromBehaviour = Told<H::FromBehaviour>;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event<H>> {
        if self.identified
            && let Some(protocol) = self.wish.take()
        {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if self.rest(cx).is_pending() {
            return Poll::Pending;
        }
        match self.poll_inner(cx) {
            Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
                if !self.identified && self.wish.is_none() =>
            {
                self.wish = Some(protocol);
                self.poll_inner(cx)
            }
            polled => polled,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {
            Told::Inner(event) => self.inner.on_behaviour_event(event),
            Told::Pace(Pace::LastLook(after)) => {
                if self.pace == Pace::Retiring {
                    self.retired.look_at = Some(Instant::now() + after);
                }
            }
            Told::Pace(pace) => {
                (self.pace, self.timer, self.retired) = (pace, None, Retired::now());
                self.nudged_until = (pace == Pace::Prompt).then(|| Instant::now() + NUDGED_FOR);
            }
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        // Only identify reports what the other side speaks.
        if matches!(event, ConnectionEvent::RemoteProtocolsChange(_)) {
            self.identified = true;
        }
        self.inner.on_connection_event(event);
    }
}
