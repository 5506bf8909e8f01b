//! The transport for an HTTP service.

use std::io::{self, IoSlice, Read};
use std::task::{Context, Poll};

use crate::engine::buffer::ReadBuffer;
use crate::runtime::io::Io;
use crate::server::connection::tls::PortIo;

/// The transport of a connection for an [`HttpService`](crate::server::HttpService), after its TLS
/// handshake. It first returns the bytes that the server has read.
#[derive(Debug)]
pub struct HttpIo<I> {
    io: PortIo<I>,
    /// The bytes that were read already.
    unread: Vec<u8>,
    start: usize,
}

impl<I> HttpIo<I> {
    pub(super) fn new(io: PortIo<I>, mut input: ReadBuffer) -> Self {
        let unread = input.unread().to_vec();
        input.consume_and_release(usize::MAX);
        HttpIo { io, unread, start: 0 }
    }

    /// Returns the bytes that the server has read and that [`poll_read`](Io::poll_read) has not
    /// returned.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.unread[self.start..]
    }

    /// Returns the transport of the runtime, and the bytes that were read from it, if the
    /// connection has no TLS.
    ///
    /// # Errors
    ///
    /// Returns the value itself if the connection has TLS.
    pub fn into_plain(self) -> Result<(I, Vec<u8>), Self> {
        let HttpIo { io, mut unread, start } = self;
        #[cfg(feature = "_tls")]
        let io = match io {
            crate::tls::MaybeTls::Plain(io) => io,
            io => return Err(HttpIo { io, unread, start }),
        };
        unread.drain(..start);
        Ok((io, unread))
    }
}

impl<I: Io> Io for HttpIo<I> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.start < self.unread.len() {
            let n = (&self.unread[self.start..]).read(buffer)?;
            self.start += n;
            if self.start == self.unread.len() {
                (self.unread, self.start) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(n));
        }
        self.io.poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.io.poll_write(cx, slices)
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.io.poll_write_now(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_close(cx)
    }
}
