//! A transport that can be dropped before its connection.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use crate::runtime::io::Io;

/// The transport of an open connection, until the connection is over.
///
/// A handler, a push or a broadcast may hold the connection for a long time after its peer has
/// gone. The descriptor must not wait for that.
#[derive(Debug)]
pub(crate) struct Transport<I> {
    io: Option<I>,
    /// The bytes that were written since [`take_written`](Transport::take_written). No queue is as
    /// long as this number can be.
    written: u32,
}

impl<I> Transport<I> {
    pub(crate) fn new(io: I) -> Self {
        Transport { io: Some(io), written: 0 }
    }

    /// Drops the transport. From here on reading returns the end, and writing fails.
    pub(crate) fn release(&mut self) {
        self.io = None;
    }

    /// Returns how many bytes were written since the previous call.
    #[inline]
    pub(crate) fn take_written(&mut self) -> u32 {
        std::mem::take(&mut self.written)
    }

    #[inline]
    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = written {
            self.written = self.written.saturating_add(n as u32);
        }
        written
    }
}

impl<I: Io> Io for Transport<I> {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Some(io) => io.poll_read(cx, buffer),
            None => Poll::Ready(Ok(0)),
        }
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            Some(io) => io.poll_write(cx, slices),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.count(written)
    }

    #[inline]
    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            Some(io) => io.poll_write_now(cx, slices),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.count(written)
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().map_or(Poll::Ready(Ok(())), |io| io.poll_flush(cx))
    }

    #[inline]
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().map_or(Poll::Ready(Ok(())), |io| io.poll_close(cx))
    }
}
