//! What the standard library does not reach: shared memory, the raw monotonic clock, the use of the processor.

use std::{fs::File, io, mem::MaybeUninit, os::fd::AsRawFd as _, ptr, sync::atomic::AtomicU64};

pub(crate) const NANOS: u64 = 1_000_000_000;

/// Maps the first eight bytes of the file, for the rest of the process.
pub(crate) fn map_counter(file: &File) -> io::Result<&'static AtomicU64> {
    const LENGTH: usize = size_of::<AtomicU64>();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
    let start = unsafe { libc::mmap(ptr::null_mut(), LENGTH, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is page aligned, at least eight bytes long, never unmapped, and only reached through atomics here;
    // every bit pattern is a valid counter, whatever another process writes.
    Ok(unsafe { AtomicU64::from_ptr(start.cast()) })
}

/// `CLOCK_MONOTONIC`, the same for all processes of the machine.
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is valid for writes; with this clock the call always succeeds and fills the structure.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr());
        now.assume_init()
    };
    now.tv_sec.unsigned_abs() * NANOS + now.tv_nsec.unsigned_abs()
}

/// Takes the slack off the timers of this thread: the kernel may otherwise be 50 us late, a fifth of what is measured.
pub(crate) fn exact_timers() {
    // SAFETY: this option takes one integer and no pointer. Should it fail, timers are only less exact.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}

pub(crate) fn sleep_until(monotonic_ns: u64) {
    let signed = |value| i64::try_from(value).unwrap_or(i64::MAX);
    let until = libc::timespec { tv_sec: signed(monotonic_ns / NANOS), tv_nsec: signed(monotonic_ns % NANOS) };
    // SAFETY: `until` is a valid structure, and a null pointer for the rest is allowed with an absolute time.
    while unsafe {
        libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const until, ptr::null_mut())
    } == libc::EINTR
    {}
}

/// What this process has used so far, all its threads.
pub(crate) fn resources() -> libc::rusage {
    let mut used = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is valid for writes; for the own process the call always succeeds and fills the structure.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, used.as_mut_ptr());
        used.assume_init()
    }
}
