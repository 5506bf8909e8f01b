//! Sockets and timers of [`async-io`](https://docs.rs/async-io), for `sockeye-smol` and the servers
//! of `sockeye-std`. They run on any executor, because async-io has its own thread for I/O.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant as StdInstant;

use async_io::Timer;
use futures_io::{AsyncRead, AsyncWrite};
use sockeye_core::Instant;

use crate::runtime::clock::{to_core_instant, to_std_instant};
use crate::runtime::io::{Clock, Io};

#[cfg(feature = "server")]
mod listener;

pub use async_io::block_on;
#[cfg(feature = "server")]
pub use listener::{AsyncIoListener, AsyncIoStream};

/// Any stream with the I/O traits of `futures`: a `TcpStream` or `UnixStream` of smol, or a TLS
/// stream over one.
#[derive(Debug)]
pub struct FuturesIo<S>(S);

impl<S> FuturesIo<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        FuturesIo(stream)
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io for FuturesIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        match slices {
            [slice] => stream.poll_write(cx, slice),
            slices => stream.poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// The clock of the standard library, with a timer of `async-io` that exists only while a deadline
/// is set.
#[derive(Default)]
pub struct AsyncIoClock {
    // Boxed, because most connections have no deadline most of the time.
    timer: Option<Box<DeadlineTimer>>,
}

struct DeadlineTimer {
    deadline: Instant,
    timer: Timer,
}

impl Clock for AsyncIoClock {
    fn now(&self) -> Instant {
        to_core_instant(StdInstant::now())
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let new = || DeadlineTimer { deadline, timer: Timer::at(to_std_instant(deadline)) };
        let current = self.timer.get_or_insert_with(|| Box::new(new()));
        if current.deadline != deadline {
            **current = new();
        }
        if Pin::new(&mut current.timer).poll(cx).is_ready() {
            // A timer that has fired never wakes again.
            self.timer = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn cancel(&mut self) {
        self.timer = None;
    }
}

impl fmt::Debug for AsyncIoClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIoClock").field("armed", &self.timer.is_some()).finish()
    }
}
