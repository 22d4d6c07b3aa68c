//! The threads of the network: one tokio runtime for all nodes of the process, there as long as a node is.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, ErrorKind};

/// Signing happens in the task of the swarm, encryption in those of the connections: two workers keep both going. Where
/// the process has one core to itself, two would only take turns on it.
const WORKERS: usize = 2;

/// What is still running when the last node goes gets this long; then its threads are left behind.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// They are started within milliseconds, or not at all.
const START: Duration = Duration::from_secs(3);

/// The process that has started nodes; 0 while there is none. It is never taken back: the locks of the threads that a fork
/// left behind may have been copied in any state, those of libraries too.
static PROCESS: AtomicU32 = AtomicU32::new(0);

static CURRENT: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// A share of the runtime. When the last one is dropped the threads end.
#[derive(Clone)]
pub(crate) struct Share(Arc<Shared>);

struct Shared {
    runtime: Option<Runtime>,
}

/// Fails in a process that was forked from one that had started nodes.
pub fn check_process() -> Result<(), Error> {
    let process = PROCESS.load(Ordering::Relaxed);
    if process == 0 || process == std::process::id() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::ForkedProcess,
        "this process was forked from one that had started nodes, and cannot have nodes of its own: start it by \
         spawn, or fork before the first node starts",
    ))
}

/// In a thread of its own: where there are no more threads tokio panics, and waits without end for those that it had started.
fn built() -> Result<Runtime, Error> {
    let failed = |why: String| Error::new(ErrorKind::Core, format!("the network threads cannot be started: {why}"));
    let (tell, told) = mpsc::sync_channel(1);
    let build = move || {
        let workers = thread::available_parallelism().map_or(WORKERS, NonZeroUsize::get).min(WORKERS);
        let mut builder = Builder::new_multi_thread();
        // Dropped where nobody waits any more.
        _ = tell.send(builder.worker_threads(workers).thread_name("depinmesh-net").enable_all().build());
    };
    let thread = thread::Builder::new().name("depinmesh-start".to_owned()).spawn(build);
    thread.map_err(|error| failed(error.to_string()))?;
    let built = told.recv_timeout(START).map_err(|_| failed("the process may have no more threads".to_owned()))?;
    built.map_err(|error| failed(error.to_string()))
}

impl Share {
    pub(crate) fn get() -> Result<Self, Error> {
        check_process()?;
        PROCESS.store(std::process::id(), Ordering::Relaxed);
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = current.upgrade() {
            return Ok(Self(shared));
        }
        let runtime = built()?;
        let shared = Arc::new(Shared { runtime: Some(runtime) });
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
        if check_process().is_err() {
            std::mem::forget(runtime);
        } else if Handle::try_current().is_ok() {
            // A runtime must not wait for itself: this is one of its own threads.
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(SHUTDOWN);
        }
    }
}
