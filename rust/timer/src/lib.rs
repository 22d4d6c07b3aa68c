//! The timers of rust-libp2p, on those of tokio.
//!
//! rust-libp2p asks the crate `futures-timer` for its timers. That one has a thread of its own, which every timer that is
//! made and every one that is dropped wakes. GossipSub makes one for each message to each peer, so that a message that
//! waits too long is dropped: the wakes were a sixth to a fifth of what publishing cost. Here a timer that is never polled costs
//! nothing, and one that is polled a place in the wheel of the runtime, whose worker is awake anyway.
//!
//! It has what rust-libp2p uses of that crate, under the same names. A timer has to be polled inside a tokio runtime, as
//! everything of rust-libp2p here is.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// As good as never, and far from the end of the clock, where tokio cannot round up.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A future that is ready when its time has passed.
pub struct Delay {
    at: Instant,
    /// From the first poll on that came too early.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Delay {
    /// Is ready after so long, to the next millisecond.
    pub fn new(after: Duration) -> Self {
        Self { at: from_now(after), sleep: None }
    }

    /// Starts anew, also when it has been ready. Who polled it last is woken at the new time.
    pub fn reset(&mut self, after: Duration) {
        self.at = from_now(after);
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(self.at);
        }
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { at, sleep } = self.get_mut();
        if sleep.is_none() && Instant::now() >= *at {
            return Poll::Ready(());
        }
        sleep.get_or_insert_with(|| Box::pin(sleep_until(*at))).as_mut().poll(cx)
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delay").finish_non_exhaustive()
    }
}

fn from_now(after: Duration) -> Instant {
    Instant::now() + after.min(FAR)
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::Waker,
        time::Instant,
    };

    use futures::task::{ArcWake, waker};
    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(10);

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl ArcWake for Woken {
        fn wake_by_ref(woken: &Arc<Self>) {
            woken.0.store(true, Ordering::SeqCst);
        }
    }

    async fn eventually(what: impl Fn() -> bool) {
        let wait = async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap();
    }

    #[tokio::test]
    async fn it_is_ready_when_its_time_has_passed_and_stays_so() {
        let began = Instant::now();
        let mut delay = Delay::new(SHORT);
        timeout(PATIENCE, &mut delay).await.unwrap();
        assert!(began.elapsed() >= SHORT);
        assert_eq!(poll_fn(|cx| Poll::Ready(Pin::new(&mut delay).poll(cx))).await, Poll::Ready(()));
    }

    #[tokio::test]
    async fn it_starts_anew_before_and_after_it_was_ready() {
        let mut delay = Delay::new(Duration::ZERO);
        for polled in [false, true] {
            let began = Instant::now();
            delay.reset(SHORT);
            timeout(PATIENCE, &mut delay).await.unwrap();
            assert!(began.elapsed() >= SHORT, "polled before: {polled}");
        }
    }

    #[tokio::test]
    async fn a_reset_wakes_who_polled_it_before_also_when_it_was_ready_then() {
        let woken = Arc::new(Woken::default());
        let waker = waker(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut delay = Delay::new(SHORT);
        assert!(Pin::new(&mut delay).poll(&mut cx).is_pending());
        eventually(|| woken.0.swap(false, Ordering::SeqCst)).await;
        assert!(Pin::new(&mut delay).poll(&mut cx).is_ready());
        delay.reset(SHORT);
        eventually(|| woken.0.swap(false, Ordering::SeqCst)).await;
        assert!(Pin::new(&mut delay).poll(&mut cx).is_ready());
    }

    #[tokio::test]
    async fn what_is_further_away_than_the_clock_reaches_never_comes() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut delay = Delay::new(Duration::MAX);
        assert!(Pin::new(&mut delay).poll(&mut cx).is_pending());
        delay.reset(Duration::MAX);
        assert!(Pin::new(&mut delay).poll(&mut cx).is_pending());
        delay.reset(Duration::ZERO);
        timeout(PATIENCE, delay).await.unwrap();
    }

    #[test]
    fn one_that_is_not_polled_needs_no_runtime() {
        let mut delay = Delay::new(SHORT);
        delay.reset(SHORT);
        assert_eq!(format!("{delay:?}"), "Delay { .. }");
    }
}
