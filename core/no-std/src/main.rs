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

use sockeye_core::deflate::Deflate;
use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::{Accept, ServerHandshake, Upgrade};
use sockeye_core::{Assembler, Config, Connection, Incoming, Instant, RecvBuf, State};

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
struct Wire;

impl Wire {
    fn read<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let n = core::hint::black_box(0).min(buffer.len());
        &mut buffer[..n]
    }

    fn write(&self, bytes: &[u8]) -> usize {
        core::hint::black_box(bytes).len()
    }

    fn time(&self) -> Instant {
        Instant::from_nanos(core::hint::black_box(1))
    }
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let config = Arc::new(Config::new().deflate(Deflate::new()));
    if let Some(connection) = accept(&Wire, &config) {
        echo(&Wire, connection);
    }
    if let Some(connection) = connect(&Wire, &config) {
        echo(&Wire, connection);
    }
    loop {}
}

fn accept(wire: &Wire, config: &Arc<Config>) -> Option<Connection> {
    let mut handshake = ServerHandshake::new(config.clone());
    let mut buffer = [0; 512];
    loop {
        handshake.handle_timeout(wire.time()).ok()?;
        let mut input = RecvBuf::new(wire.read(&mut buffer));
        if let Some(request) = handshake.poll_request(&mut input).ok()? {
            let upgrade = Upgrade::new(request).ok()?;
            return Some(upgrade.accept(&Accept::new(), config.clone()).ok()?.connection);
        }
    }
}

fn connect(wire: &Wire, config: &Arc<Config>) -> Option<Connection> {
    let url = Url::parse("ws://192.0.2.1/device").ok()?;
    // A real device takes these from its random generator.
    let masks = Box::new(|| core::hint::black_box([1, 2, 3, 4]));
    let mut handshake = ClientRequest::new(&url).start([7; 16], masks, config.clone());
    let mut buffer = [0; 512];
    loop {
        while let Some(bytes) = handshake.poll_transmit() {
            let written = wire.write(bytes);
            handshake.transmitted(written);
        }
        handshake.handle_timeout(wire.time()).ok()?;
        let mut input = RecvBuf::new(wire.read(&mut buffer));
        if let Some(established) = handshake.poll_response(&mut input).ok()? {
            return Some(established.connection);
        }
    }
}

fn echo(wire: &Wire, mut connection: Connection) {
    let (mut assembler, mut buffer) = (Assembler::new(), [0; 512]);
    while connection.state() != State::Closed {
        while let Some(transmit) = connection.poll_transmit() {
            let written = wire.write(transmit.first());
            connection.transmitted(written);
        }
        if connection.poll_timeout().is_some_and(|at| at <= wire.time()) {
            connection.handle_timeout(wire.time());
        }
        let mut input = RecvBuf::new(wire.read(&mut buffer));
        while let Ok(Some(incoming)) = assembler.poll(&mut connection, &mut input) {
            if let Incoming::Message(message) = incoming {
                let _ = connection.send(message.as_ref());
            }
        }
    }
}
