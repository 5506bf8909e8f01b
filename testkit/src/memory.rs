//! An allocator that counts bytes, to test how much memory a connection takes.
//!
//! ```
//! use sockeye_testkit::memory::{self, CountingAllocator};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator::new();
//!
//! let (live, peak, bytes) = memory::measure(|| {
//!     drop(vec![0u8; 1000]);
//!     vec![0u8; 10]
//! });
//! assert_eq!((live, peak, bytes.len()), (10, 1000, 10));
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

static LIVE_IN_PROCESS: AtomicIsize = AtomicIsize::new(0);

/// An allocator that counts the live bytes of each thread and of the process, and uses the system's
/// allocator.
#[derive(Debug)]
pub struct CountingAllocator {
    grows_in_place: bool,
}

impl CountingAllocator {
    /// Creates an allocator that counts the old and the new block while a growing block is copied,
    /// which is the worst case.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a static needs a const fn")]
    pub const fn new() -> Self {
        CountingAllocator { grows_in_place: false }
    }

    /// Creates an allocator that counts a growing block once.
    #[must_use]
    pub const fn growing_in_place() -> Self {
        CountingAllocator { grows_in_place: true }
    }
}

/// Returns the live bytes that this thread allocated.
#[must_use]
pub fn live() -> isize {
    LIVE.get()
}

/// Returns how often this thread has allocated a block or changed the size of one.
#[must_use]
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Returns the largest number of live bytes of this thread since [`reset_peak`].
#[must_use]
pub fn peak() -> isize {
    PEAK.get()
}

/// Resets the peak to the number of bytes that are live now.
pub fn reset_peak() {
    PEAK.set(LIVE.get());
}

/// Returns the live bytes of all threads.
#[must_use]
pub fn live_in_process() -> isize {
    LIVE_IN_PROCESS.load(Ordering::Relaxed)
}

/// Runs `work` and returns three values: how many bytes it left live, how many were live at the
/// peak, and its result. Bytes that were live before do not count.
pub fn measure<T>(work: impl FnOnce() -> T) -> (isize, isize, T) {
    let before = live();
    reset_peak();
    let result = work();
    (live() - before, peak() - before, result)
}

fn count_allocation() {
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

fn count(bytes: isize) {
    // A thread frees memory even while its thread-locals are destroyed.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
    LIVE_IN_PROCESS.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call is forwarded to the system's allocator unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count_allocation();
        let (old, new) = (layout.size() as isize, new_size as isize);
        if self.grows_in_place {
            count(new - old);
        } else {
            count(new);
            count(-old);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
