//! An echo server and client on bare metal: without an operating system or the standard library,
//! and with a fixed array as the heap.
//!
//! The program is only linked, never run: `cargo build --release --target thumbv7em-none-eabi`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::session::Session;
use sockeye_core::{Config, Instant};

use self::drive::{Wire, WouldBlock, drive};

mod drive;

/// The size of the heap. Compression takes some 400 KiB; a device with less memory turns it off.
const HEAP: usize = 512 << 10;

/// An allocator that never frees, which is enough to link against.
struct Bump {
    memory: UnsafeCell<[u8; HEAP]>,
    used: AtomicUsize,
}

// SAFETY: every piece of the memory is allocated only once.
unsafe impl Sync for Bump {}

// SAFETY: the pieces are aligned, inside the memory, and do not overlap.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size() + layout.align();
        let start = self.used.fetch_add(size, Ordering::Relaxed);
        if start + size > HEAP {
            return core::ptr::null_mut();
        }
        let memory = self.memory.get().cast::<u8>();
        // SAFETY: `start + size` is within the memory.
        unsafe {
            let piece = memory.add(start);
            piece.add(piece.align_offset(layout.align()))
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { memory: UnsafeCell::new([0; HEAP]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// A stand-in for the network of a device.
struct Nothing;

impl Wire for Nothing {
    fn read(&mut self, space: &mut [u8]) -> Result<usize, WouldBlock> {
        core::hint::black_box(space);
        core::hint::black_box(Err(WouldBlock))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, WouldBlock> {
        Ok(core::hint::black_box(bytes).len())
    }

    fn shutdown(&mut self) {}

    fn now(&self) -> Instant {
        Instant::from_nanos(core::hint::black_box(1))
    }

    fn sleep(&mut self) {}
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let config = Config::new();
    #[cfg(feature = "deflate")]
    let config = config.deflate(sockeye_core::deflate::Deflate::new());
    let config = Arc::new(config);
    drive(&mut Nothing, Session::server(config.clone()));
    if let Ok(url) = Url::parse("ws://192.0.2.1/device") {
        // A real device takes these from its random generator.
        let masks = Box::new(|| core::hint::black_box([1, 2, 3, 4]));
        drive(&mut Nothing, Session::client(ClientRequest::new(&url), [7; 16], masks, config));
    }
    loop {}
}
