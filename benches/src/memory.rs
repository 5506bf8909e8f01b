//! A transport in memory, whose reads cycle through the traffic and whose writes are counted.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Traffic;

/// The stream that every library reads and writes.
///
/// Each read copies from the traffic, like a read from a socket, so readers can unmask in place. It
/// fills the reader's buffer.
#[derive(Debug)]
pub struct Memory<'t> {
    traffic: &'t Traffic,
    at: usize,
    /// The end of the bytes that can be read before the reader must wait.
    window: usize,
    /// The number of messages that the window has passed in this lap.
    shown: usize,
    batch: Option<usize>,
    waited: bool,
    written: u64,
    kept: Option<&'t RefCell<Vec<u8>>>,
}

impl<'t> Memory<'t> {
    /// Creates a stream that repeats the traffic without a pause.
    #[must_use]
    pub fn new(traffic: &'t Traffic) -> Self {
        Self::with_batches(traffic, None)
    }

    /// Creates a stream of `batch` messages at a time. After each batch the reader must wait once,
    /// as if no more had arrived.
    #[must_use]
    pub fn in_batches(traffic: &'t Traffic, batch: usize) -> Self {
        Self::with_batches(traffic, Some(batch))
    }

    fn with_batches(traffic: &'t Traffic, batch: Option<usize>) -> Self {
        let mut memory =
            Memory { traffic, at: 0, window: 0, shown: 0, batch, waited: false, written: 0, kept: None };
        memory.open_window();
        memory
    }

    /// Keeps a copy of the written bytes.
    #[must_use]
    pub fn keep(mut self, kept: &'t RefCell<Vec<u8>>) -> Self {
        self.kept = Some(kept);
        self
    }

    /// Returns another writer into the same copy.
    pub(crate) fn spare(&self) -> Self {
        let spare = Memory::new(self.traffic);
        Memory { kept: self.kept, ..spare }
    }

    /// Returns the traffic that is read.
    #[must_use]
    pub fn traffic(&self) -> &'t Traffic {
        self.traffic
    }

    fn open_window(&mut self) {
        let count = self.traffic.ends.len();
        if self.shown == count {
            (self.shown, self.at) = (0, 0);
        }
        self.shown = self.batch.map_or(count, |batch| count.min(self.shown + batch));
        self.window = self.traffic.ends[self.shown - 1];
    }

    /// Copies the next bytes into `buffer`. Returns `None` if the reader must wait.
    #[inline]
    fn next(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let part = self.part(buffer.len())?;
        buffer[..part.len()].copy_from_slice(part);
        Some(part.len())
    }

    #[inline]
    fn part(&mut self, most: usize) -> Option<&'t [u8]> {
        if self.at == self.window {
            if self.batch.is_some() && !self.waited {
                self.waited = true;
                return None;
            }
            self.waited = false;
            self.open_window();
        }
        let part = &self.traffic.wire[self.traffic.start..][self.at..self.window];
        let part = &part[..part.len().min(most)];
        self.at += part.len();
        Some(part)
    }

    #[inline]
    fn take(&mut self, slice: &[u8]) -> usize {
        self.written += slice.len() as u64;
        std::hint::black_box(slice);
        if let Some(kept) = self.kept {
            kept.borrow_mut().extend_from_slice(slice);
        }
        slice.len()
    }

    #[inline]
    fn take_all(&mut self, slices: &[IoSlice<'_>]) -> usize {
        slices.iter().map(|slice| self.take(slice)).sum()
    }
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).ok_or(io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, slice: &[u8]) -> io::Result<usize> {
        Ok(self.take(slice))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.take_all(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(part) = self.get_mut().part(buffer.remaining()) else { return Poll::Pending };
        buffer.put_slice(part);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, slice: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.get_mut().take(slice)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.get_mut().take_all(slices)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl sockeye_driver::Io for Memory<'_> {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.next(buffer).map_or(Poll::Pending, |n| Poll::Ready(Ok(n)))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.take_all(slices)))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
