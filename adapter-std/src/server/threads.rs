//! The runtime of servers: a thread for each task.

use std::future::Future;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::ThreadId;

use sockeye_core::Instant;
use sockeye_core::deflate::{CodecPool, shared_codec_pool};
use sockeye_driver::async_io::{AsyncIoClock, AsyncIoListener, AsyncIoStream, block_on};
use sockeye_driver::server::{Accepted, Listener, Runtime};
use sockeye_driver::{Clock, Io};

/// The threads of a server: one for each connection and one for each port.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    stack_size: Option<usize>,
}

impl Threads {
    /// Returns threads with the default stack size of the standard library.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the stack size of each thread, in bytes.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }
}

impl Runtime for Threads {
    type Io = ThreadIo;
    type Clock = ThreadClock;
    type Listener = ThreadListener;

    fn clock(&self) -> ThreadClock {
        ThreadClock::default()
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let mut thread = std::thread::Builder::new().name("sockeye".to_owned());
        if let Some(bytes) = self.stack_size {
            thread = thread.stack_size(bytes);
        }
        // Boxed, because passing it to the thread moves it.
        let future = Box::pin(future);
        thread.spawn(move || block_on(future)).map(drop)
    }

    fn own_thread(&self) -> Option<ThreadId> {
        Some(std::thread::current().id())
    }

    fn listen(&self, socket: std::net::TcpListener) -> io::Result<ThreadListener> {
        AsyncIoListener::tcp(socket).map(ThreadListener)
    }

    #[cfg(unix)]
    fn listen_unix(&self, socket: std::os::unix::net::UnixListener) -> io::Result<ThreadListener> {
        AsyncIoListener::unix(socket).map(ThreadListener)
    }

    fn codec_pool(&self) -> Arc<dyn CodecPool> {
        shared_codec_pool()
    }
}

/// A connection of a server.
#[derive(Debug)]
pub struct ThreadIo(AsyncIoStream);

impl Io for ThreadIo {
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

/// The clock of a connection.
#[derive(Debug, Default)]
pub struct ThreadClock(AsyncIoClock);

impl Clock for ThreadClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.0.poll_until(cx, deadline)
    }

    fn cancel(&mut self) {
        self.0.cancel();
    }
}

/// A listening socket of a server.
#[derive(Debug)]
pub struct ThreadListener(AsyncIoListener);

impl Listener for ThreadListener {
    type Io = ThreadIo;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<ThreadIo>>> {
        let accepted = self.0.poll_accept(cx);
        accepted.map_ok(|Accepted { io, peer, local }| Accepted { io: ThreadIo(io), peer, local })
    }
}
