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
#[cfg(feature = "_tls")]
use crate::tls::MaybeTls;

#[cfg(feature = "server")]
mod listener;
#[cfg(feature = "rand")]
mod network;
#[cfg(feature = "_tls")]
mod tls;
mod yielding;

pub use async_io::block_on;
#[cfg(feature = "server")]
pub use listener::{AsyncIoListener, AsyncIoStream};
#[cfg(feature = "rand")]
pub use network::{connect, connect_over};
#[cfg(feature = "_tls")]
pub use tls::accept_tls_with;
#[cfg(all(feature = "_tls", feature = "rand"))]
pub use tls::client_tls;

/// Any stream with the I/O traits of `futures`: a `TcpStream` or `UnixStream` of smol, or a TLS
/// stream over one. With the feature `rustls` it may have TLS of its own, over the stream.
#[derive(Debug)]
pub struct FuturesIo<S>(Transport<S>);

#[cfg(feature = "_tls")]
type Transport<S> = MaybeTls<Raw<S>>;
#[cfg(not(feature = "_tls"))]
type Transport<S> = Raw<S>;

impl<S> FuturesIo<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self::from_raw(Raw(stream))
    }

    fn from_raw(raw: Raw<S>) -> Self {
        #[cfg(feature = "_tls")]
        return FuturesIo(MaybeTls::Plain(raw));
        #[cfg(not(feature = "_tls"))]
        return FuturesIo(raw);
    }

    /// Returns the stream. If this end has TLS, it is the stream beneath.
    pub fn get_ref(&self) -> &S {
        #[cfg(feature = "_tls")]
        return &self.0.get_ref().0;
        #[cfg(not(feature = "_tls"))]
        return &self.0.0;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io for FuturesIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}

/// A stream as it is, without TLS.
#[derive(Debug)]
struct Raw<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Io for Raw<S> {
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

    fn yield_now(&mut self, cx: &mut Context<'_>) {
        yielding::wake_after_io(cx.waker());
    }
}

impl fmt::Debug for AsyncIoClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIoClock").field("armed", &self.timer.is_some()).finish()
    }
}
