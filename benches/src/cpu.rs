//! The CPU time of the thread, which does not include the time of other processes.

use std::time::Duration;

/// Returns the CPU time of this thread, or the monotonic time on platforms without it.
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

/// Returns the time that `work` takes.
pub fn measure<R>(work: impl FnOnce() -> R) -> Duration {
    let start = cpu_time();
    std::hint::black_box(work());
    cpu_time().saturating_sub(start)
}

/// Makes the allocator keep freed memory. Call it first.
///
/// If it returned the memory to the system and asked for it again, that could cost the next library
/// several times the measured work. The allocator of glibc learns from the largest freed block;
/// other allocators ignore it.
pub fn settle_allocator() {
    drop(std::hint::black_box(vec![1_u8; 30 << 20]));
}
