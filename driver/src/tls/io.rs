//! TLS over an async transport.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use super::buffers::Scratch;
use super::error::TlsError;
use super::info::TlsInfo;
use super::session::TlsSession;
use crate::runtime::io::Io;

/// A TLS connection over a transport, after its handshake.
///
/// It encrypts everything that one write passes to it into as few records as possible, and writes
/// them together. While it is idle it owns no buffers.
///
/// If the peer closes the transport without the alert `close_notify`, a read returns
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): an attacker may have cut the stream.
#[derive(Debug)]
pub struct TlsIo<I> {
    io: I,
    session: TlsSession,
    /// Reading must write what the handshake or a read has queued. A write takes that over.
    read_owes_write: bool,
    /// The error that has ended reading.
    error: Option<TlsError>,
}

/// How to write to the transport: [`Io::poll_write`] or [`Io::poll_write_now`].
type Write<I> = fn(&mut I, &mut Context<'_>, &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

impl<I: Io> TlsIo<I> {
    pub(super) fn new(io: I, session: TlsSession) -> Self {
        // The handshake may have left the tickets of the server.
        TlsIo { io, session, read_owes_write: true, error: None }
    }

    /// Returns the transport beneath.
    pub fn get_ref(&self) -> &I {
        &self.io
    }

    /// Returns what the handshake has agreed on.
    #[must_use]
    pub fn info(&self) -> TlsInfo {
        self.session.info()
    }

    /// Writes all records that are queued.
    fn poll_output(&mut self, cx: &mut Context<'_>, write: Write<I>) -> Poll<io::Result<()>> {
        poll_output(&mut self.io, &mut self.session, cx, write)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        write: Write<I>,
    ) -> Poll<io::Result<usize>> {
        self.read_owes_write = false;
        ready!(self.poll_output(cx, write))?;
        let n = self.session.send(slices)?;
        // The bytes are taken, even if the transport has no room for all of their records.
        match self.poll_output(cx, write) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(n)),
        }
    }

    /// Writes the records that reading has queued, such as an alert.
    fn write_replies(&mut self, cx: &mut Context<'_>) {
        if self.read_owes_write {
            let mut written = self.poll_output(cx, I::poll_write);
            if let Poll::Ready(Ok(())) = written {
                written = self.io.poll_flush(cx);
            }
            // Ignore an error here: the next read reports it.
            self.read_owes_write = written.is_pending();
        }
    }

    fn fail(&mut self, error: TlsError) -> Poll<io::Result<usize>> {
        self.error = Some(error.clone());
        Poll::Ready(Err(error.into()))
    }
}

/// Writes all records that are queued.
pub(super) fn poll_output<I: Io>(
    io: &mut I,
    session: &mut TlsSession,
    cx: &mut Context<'_>,
    write: Write<I>,
) -> Poll<io::Result<()>> {
    while !session.output().is_empty() {
        match ready!(write(io, cx, &[IoSlice::new(session.output())])) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => session.sent(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

impl<I: Io> Io for TlsIo<I> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            self.write_replies(cx);
            let n = self.session.read_buffered(buffer);
            if n > 0 || self.session.is_peer_closed() {
                return Poll::Ready(Ok(n));
            }
            if let Some(error) = &self.error {
                return Poll::Ready(Err(error.clone().into()));
            }
            let has_output = !self.session.output().is_empty();
            let (mut scratch, reserved) = (Scratch::take(), self.session.reserved());
            let space = match TlsSession::space(&mut scratch, reserved, buffer.len()) {
                Ok(space) => space,
                Err(error) => return self.fail(error),
            };
            let n = ready!(self.io.poll_read(cx, space))?;
            if n == 0 {
                let text = "the peer closed the connection without the TLS alert close_notify";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            let read = self.session.receive(&mut scratch, reserved, n, buffer);
            // While a write is blocked, that write sends the replies: the transport must wake its task
            // and not this one.
            self.read_owes_write |= !has_output && !self.session.output().is_empty();
            self.write_replies(cx);
            match read {
                Ok(0) => {}
                Ok(n) => return Poll::Ready(Ok(n)),
                Err(error) => return self.fail(error),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, slices, I::poll_write)
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, slices, I::poll_write_now)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.read_owes_write = false;
        ready!(self.poll_output(cx, I::poll_write))?;
        self.io.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.read_owes_write = false;
        self.session.close();
        // If the alert cannot be written, close the transport nevertheless.
        let written = ready!(self.poll_output(cx, I::poll_write));
        ready!(self.io.poll_close(cx))?;
        Poll::Ready(written)
    }
}

/// A transport that may have TLS.
#[derive(Debug)]
pub enum MaybeTls<I> {
    /// Without TLS.
    Plain(I),
    /// With TLS.
    Tls(Box<TlsIo<I>>),
}

impl<I> MaybeTls<I> {
    /// Returns the transport beneath.
    pub fn get_ref(&self) -> &I {
        match self {
            MaybeTls::Plain(io) => io,
            MaybeTls::Tls(tls) => &tls.io,
        }
    }

    /// Returns what the TLS handshake has agreed on; `None` without TLS.
    #[must_use]
    pub fn tls(&self) -> Option<TlsInfo> {
        match self {
            MaybeTls::Plain(_) => None,
            MaybeTls::Tls(tls) => Some(tls.session.info()),
        }
    }
}

impl<I> From<TlsIo<I>> for MaybeTls<I> {
    fn from(tls: TlsIo<I>) -> Self {
        MaybeTls::Tls(Box::new(tls))
    }
}

macro_rules! either {
    ($self:expr, $io:ident => $call:expr) => {
        match $self {
            MaybeTls::Plain($io) => $call,
            MaybeTls::Tls($io) => $call,
        }
    };
}

impl<I: Io> Io for MaybeTls<I> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_read(cx, buffer))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write(cx, slices))
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write_now(cx, slices))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_flush(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_close(cx))
    }
}
