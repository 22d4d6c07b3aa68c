//! How the core wakes the event loop of the host language, without ever calling into it.
//!
//! A descriptor is watched by the loop itself (`loop.add_reader`). Where a loop cannot watch one, as on Windows, a
//! thread of the host language waits on a condition variable. The mailbox wakes once for each arming, so neither
//! needs to count: both only remember that somebody woke them.

use std::{
    fmt, io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};
#[cfg(unix)]
use std::{
    fs::File,
    io::{ErrorKind as IoErrorKind, Read, Write},
    os::fd::AsRawFd,
};

use depinmesh_mailbox::Wake;

use crate::error::Error;
#[cfg(unix)]
use crate::error::ErrorKind;

/// The option `waker`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakerChoice {
    /// A descriptor where the platform has one that event loops can watch, otherwise a thread.
    Auto,
    Thread,
}

/// The waking end goes to the mailbox ([`Waker::wake`]), the waiting end stays with the host language.
#[derive(Clone)]
pub enum Waker {
    #[cfg(unix)]
    Descriptor(Arc<Descriptor>),
    Thread(Arc<ThreadWaker>),
}

impl Waker {
    pub fn new(choice: WakerChoice) -> Result<Self, Error> {
        match choice {
            WakerChoice::Thread => Ok(Self::Thread(Arc::default())),
            #[cfg(unix)]
            WakerChoice::Auto => Descriptor::new()
                .map(|descriptor| Self::Descriptor(Arc::new(descriptor)))
                .map_err(|error| Error::new(ErrorKind::Core, format!("no descriptor to wake the event loop: {error}"))),
            #[cfg(not(unix))]
            WakerChoice::Auto => Ok(Self::Thread(Arc::default())),
        }
    }

    pub fn wake(&self) -> Arc<dyn Wake> {
        match self {
            #[cfg(unix)]
            Self::Descriptor(descriptor) => Arc::<Descriptor>::clone(descriptor),
            Self::Thread(thread) => Arc::<ThreadWaker>::clone(thread),
        }
    }

    /// The descriptor to watch for reading; it stays open as long as this waker. `None`: a thread calls [`Waker::wait`].
    pub fn descriptor(&self) -> Option<i32> {
        match self {
            #[cfg(unix)]
            Self::Descriptor(descriptor) => Some(descriptor.reader.as_raw_fd()),
            Self::Thread(_) => None,
        }
    }

    /// Makes the descriptor unreadable again and says whether it was readable. From here on whoever called this has
    /// to drain until the mailbox is parked: it is not armed, so no other wake comes.
    pub fn clear(&self) -> bool {
        match self {
            #[cfg(unix)]
            Self::Descriptor(descriptor) => descriptor.clear(),
            Self::Thread(thread) => thread.wait(Duration::ZERO),
        }
    }

    /// Waits for a wake, which is taken. `None`: this waker is a descriptor, which is watched, not waited for.
    pub fn wait(&self, timeout: Duration) -> Option<bool> {
        match self {
            #[cfg(unix)]
            Self::Descriptor(_) => None,
            Self::Thread(thread) => Some(thread.wait(timeout)),
        }
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.descriptor() {
            Some(descriptor) => write!(f, "Waker(descriptor {descriptor})"),
            None => f.write_str("Waker(thread)"),
        }
    }
}

/// An eventfd on Linux, elsewhere a pair of sockets, which the standard library makes non-blocking without help
/// (it is also what asyncio wakes itself with).
#[cfg(unix)]
pub struct Descriptor {
    reader: File,
    /// `None`: an eventfd is both ends.
    writer: Option<File>,
}

#[cfg(unix)]
impl Descriptor {
    #[cfg(target_os = "linux")]
    fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};

        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { reader: File::from(descriptor), writer: None })
    }

    #[cfg(not(target_os = "linux"))]
    fn new() -> io::Result<Self> {
        Self::pair()
    }

    #[cfg(any(test, not(target_os = "linux")))]
    fn pair() -> io::Result<Self> {
        use std::os::{fd::OwnedFd, unix::net::UnixStream};

        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self { reader: File::from(OwnedFd::from(reader)), writer: Some(File::from(OwnedFd::from(writer))) })
    }

    fn clear(&self) -> bool {
        let mut woken = false;
        let mut buffer = [0; 64];
        loop {
            match (&self.reader).read(&mut buffer) {
                // An eventfd is empty after one read, and a socket when it gives less than it could.
                Ok(read) if read < buffer.len() => return woken || read > 0,
                Ok(_) => woken = true,
                Err(error) if error.kind() == IoErrorKind::Interrupted => {}
                Err(_) => return woken,
            }
        }
    }
}

#[cfg(unix)]
impl Wake for Descriptor {
    fn wake(&self) {
        let mut end = self.writer.as_ref().unwrap_or(&self.reader);
        // Eight bytes: an eventfd takes nothing else. A full one is readable already, so only an interrupted write
        // is tried again: a wake that is lost is a loop that hangs.
        while let Err(error) = end.write(&1_u64.to_ne_bytes()) {
            if error.kind() != IoErrorKind::Interrupted {
                break;
            }
        }
    }
}

/// A flag under a lock that is held for nanoseconds, and somebody who waits for it.
#[derive(Default)]
pub struct ThreadWaker {
    woken: Mutex<bool>,
    condition: Condvar,
}

impl ThreadWaker {
    /// Waits until somebody wakes and takes the wake; `false`: nobody did within `timeout`.
    pub fn wait(&self, timeout: Duration) -> bool {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut woken, _) =
            self.condition.wait_timeout_while(woken, timeout, |woken| !*woken).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *woken)
    }
}

impl Wake for ThreadWaker {
    fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn remembers_one_wake(waker: &Waker) {
        assert!(!waker.clear(), "nobody woke");
        waker.wake().wake();
        waker.wake().wake();
        assert!(waker.clear(), "two wakes are one");
        assert!(!waker.clear(), "cleared");
    }

    #[cfg(unix)]
    #[test]
    fn a_descriptor_is_readable_until_it_is_cleared() {
        let waker = Waker::new(WakerChoice::Auto).unwrap();
        assert!(waker.descriptor().unwrap() >= 0);
        assert_eq!(waker.wait(Duration::from_secs(60)), None, "a descriptor is not waited for");
        remembers_one_wake(&waker);
    }

    #[cfg(unix)]
    #[test]
    fn a_pair_takes_more_wakes_than_its_buffer_holds() {
        let pair = Waker::Descriptor(Arc::new(Descriptor::pair().unwrap()));
        remembers_one_wake(&pair);
        for _ in 0..100_000 {
            pair.wake().wake();
        }
        remembers_one_wake_after_clearing(&pair);
    }

    #[cfg(unix)]
    fn remembers_one_wake_after_clearing(waker: &Waker) {
        assert!(waker.clear());
        remembers_one_wake(waker);
    }

    #[test]
    fn a_thread_waits_for_the_wake_or_the_timeout() {
        let waker = Waker::new(WakerChoice::Thread).unwrap();
        assert_eq!(waker.descriptor(), None);
        remembers_one_wake(&waker);
        assert_eq!(waker.wait(Duration::from_millis(1)), Some(false));

        let wake = waker.wake();
        let other = thread::spawn(move || wake.wake());
        assert_eq!(waker.wait(Duration::from_secs(60)), Some(true));
        other.join().unwrap();
    }
}
