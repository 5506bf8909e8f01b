//! Time that this thread has spent on a processor: what other processes take away is not counted.

use std::time::Duration;

/// The CPU time of this thread; the monotonic clock where there is no such thing.
#[must_use]
pub fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    {
        use std::sync::OnceLock;
        use std::time::Instant;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// How long `work` takes.
pub fn measure<R>(work: impl FnOnce() -> R) -> Duration {
    let start = cpu_time();
    std::hint::black_box(work());
    cpu_time().saturating_sub(start)
}

/// Has the allocator keep what is freed instead of giving it back to the system and asking for it again, which would cost
/// whoever comes behind the wrong neighbour several times what is to be measured. Call it first.
///
/// The allocator of glibc learns from the largest block that was freed; others do not mind.
pub fn settle_allocator() {
    drop(std::hint::black_box(vec![1_u8; 30 << 20]));
}
