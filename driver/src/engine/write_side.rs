//! The write side of a transport.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use sockeye_core::Sender;

use crate::runtime::io::{self as runtime, Io};
use crate::tuning::WRITE_SLICES;

/// The state of the transport's write side.
#[derive(Debug, Default)]
pub(crate) struct WriteSide {
    /// The transport has accepted bytes since its last flush.
    needs_flush: bool,
    /// This end has closed its side.
    is_closed: bool,
    /// The latest write found the transport blocked. The transport will wake the task that wrote.
    is_blocked: bool,
    /// The reason why queued bytes were lost. Both halves of a connection report it.
    error: Option<io::ErrorKind>,
}

impl WriteSide {
    /// Writes everything that `sender` has queued with `write`, and flushes the transport.
    ///
    /// `write` is [`Io::poll_write`] or [`Io::poll_write_now`]. After an error nothing more is
    /// written, and the queue is emptied.
    pub(crate) fn poll_write<I: Io>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
        sender: &mut Sender,
        write: impl Fn(&mut I, &mut Context<'_>, &[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let result = self.poll_write_and_flush(io, cx, sender, write);
        if let Poll::Ready(result) = &result {
            self.needs_flush = false;
            if let Err(error) = result {
                self.error = Some(error.kind());
                sender.handle_write_error();
            }
        }
        result
    }

    fn poll_write_and_flush<I: Io>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
        sender: &mut Sender,
        write: impl Fn(&mut I, &mut Context<'_>, &[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while let Some(transmit) = sender.poll_transmit() {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
            let mut count = 0;
            for (slot, slice) in slices.iter_mut().zip(transmit.slices()) {
                *slot = IoSlice::new(slice);
                count += 1;
            }
            match write(io, cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.needs_flush = true;
                    self.is_blocked = false;
                    sender.transmitted(n);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.is_blocked = true;
                    return Poll::Pending;
                }
            }
        }
        runtime::poll_flush(io, cx)
    }

    /// Returns whether the transport has nothing to flush, or writing has ended with an error.
    pub(crate) fn is_idle(&self) -> bool {
        !self.needs_flush || self.error.is_some()
    }

    /// Returns whether the latest write found the transport blocked.
    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Returns whether this end has closed its side.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Returns the error that ended writing, if one did.
    pub(crate) fn result(&self) -> io::Result<()> {
        self.error.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Records that queued bytes were lost.
    pub(crate) fn set_error(&mut self, kind: io::ErrorKind) {
        self.error = Some(kind);
    }

    /// Stops flushing, because the connection is closed. Returns the error that ended writing.
    pub(crate) fn abandon(&mut self) -> io::Error {
        self.needs_flush = false;
        (*self.error.get_or_insert(io::ErrorKind::NotConnected)).into()
    }

    /// Closes this end's side of the transport, unless it is closed.
    pub(crate) fn poll_close<I: Io>(&mut self, io: &mut I, cx: &mut Context<'_>) {
        if !self.is_closed {
            self.is_closed = runtime::poll_close(io, cx).is_ready();
        }
    }
}
