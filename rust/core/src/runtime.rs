//! The threads of the network: one tokio runtime for all nodes of the process, there as long as a node is.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, ErrorKind};

/// Signing happens in the task of the swarm, encryption in those of the connections: two workers keep both going.
const WORKERS: usize = 2;

/// What is still running when the last node goes gets this long; then its threads are left behind.
const SHUTDOWN: Duration = Duration::from_secs(1);

static CURRENT: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// A share of the runtime. When the last one is dropped the threads end.
#[derive(Clone)]
pub(crate) struct Share(Arc<Shared>);

struct Shared {
    runtime: Option<Runtime>,
    /// Threads do not survive a fork: a child makes its own.
    pid: u32,
}

impl Share {
    pub(crate) fn get() -> Result<Self, Error> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = current.upgrade() {
            if shared.pid == std::process::id() {
                return Ok(Self(shared));
            }
            std::mem::forget(shared);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("depinmesh-net")
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Core, format!("the network threads cannot be started: {error}")))?;
        let shared = Arc::new(Shared { runtime: Some(runtime), pid: std::process::id() });
        *current = Arc::downgrade(&shared);
        Ok(Self(shared))
    }

    pub(crate) fn handle(&self) -> Handle {
        // Taken out only in `drop`, when no share is left.
        self.0.runtime.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        if self.pid != std::process::id() {
            std::mem::forget(runtime);
        } else if Handle::try_current().is_ok() {
            // A runtime must not wait for itself: this is one of its own threads.
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(SHUTDOWN);
        }
    }
}
