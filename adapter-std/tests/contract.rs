//! The streams and the clock of a server's threads keep the contracts of the driver.
#![cfg(feature = "server")]

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_driver::async_io::block_on;
use sockeye_driver::conformance::{check_clock, check_io, check_yield};
use sockeye_std::server::{Io, Listener, Runtime, ThreadIo, Threads};

/// A socket in non-blocking mode whose task polls it again and again.
struct Polled(TcpStream);

impl Polled {
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        operation: impl FnOnce(&mut TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        match operation(&mut self.0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl Io for Polled {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |stream| stream.read(buffer))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll(cx, |stream| stream.write_vectored(slices))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |stream| stream.shutdown(Shutdown::Write))
    }
}

/// Accepts a connection of a server. Also returns the client's end.
async fn accepted() -> (ThreadIo, Polled) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut listener = Threads::new().listen(socket).unwrap();
    (poll_fn(|cx| listener.poll_accept(cx)).await.unwrap().io, Polled(stream))
}

async fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

#[test]
fn a_connection_keeps_the_contract() {
    block_on(check_io(accepted, sleep)).unwrap();
}

#[test]
fn the_clock_keeps_the_contract() {
    block_on(check_clock(|| Threads::new().clock(), sleep)).unwrap();
}

#[test]
fn t44_a_task_that_yields_lets_timers_run() {
    // Another thread runs the timers, and a busy machine may not run that at once.
    let is_kept = (0..20).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        block_on(check_yield(|| Threads::new().clock())).is_ok()
    });
    assert!(is_kept);
}
