//! The one task of the gate: it has jobs done when they are due, and reports.

use std::{future::pending, sync::Arc, time::Instant};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    select,
    time::{self, sleep_until},
};

use super::{GateEvent, jobs::run, now, shared::Shared, state::State};

/// However the task ends, by a panic or with its runtime too: nobody is admitted without it.
struct CloseAtEnd(Arc<Shared>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.update(State::close);
    }
}

pub(super) async fn drive(shared: Arc<Shared>) {
    let _close = CloseAtEnd(Arc::clone(&shared));
    let mut jobs = FuturesUnordered::new();
    loop {
        let turn = shared.update(|state| state.turn(now()));
        if turn.closed {
            return tracing::info!("the gate has stopped reading its registries");
        }
        jobs.extend(turn.jobs.into_iter().map(|job| run(&shared, job)));
        for event in turn.events {
            if let GateEvent::Readmitted(wallets) = &event {
                shared.forget(wallets);
            }
            // Waits for room: a lost revocation would leave a connection open. It fails when nobody listens any more.
            _ = shared.events.send(event).await;
        }
        select! {
            () = shared.wake.notified() => {}
            Some(ended) = jobs.next() => shared.update(|state| state.ended(ended, now())),
            () = reached(turn.deadline) => {}
        }
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(time::Instant::from_std(at)).await,
        None => pending().await,
    }
}
