//! The TLS handshake over an async transport.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use sockeye_core::Instant;

use super::buffers::Scratch;
use super::config::{ClientTls, ServerTls};
use super::error::TlsError;
use super::io::{TlsIo, poll_output};
use super::session::TlsSession;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{self as runtime, Clock, Io};

/// Begins TLS as a client over a connected transport, before `deadline`. Sends nothing of the
/// application.
///
/// `host` is the name that the server's certificate must have, unless [`ClientTls::server_name`]
/// has set another.
///
/// # Errors
///
/// Returns an error if the server cannot be authenticated, does not speak TLS, refuses the client or
/// is late, or if the transport breaks.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
pub async fn connect_tls<I: Io, C: Clock>(
    io: I,
    clock: &mut C,
    tls: &ClientTls,
    host: &str,
    deadline: Instant,
) -> Result<TlsIo<I>, TlsError> {
    connect_tls_after(io, clock, tls, host, deadline, &[]).await
}

/// Begins TLS as a client like [`connect_tls`], over a transport of which `unread` has been read.
pub(crate) async fn connect_tls_after<I: Io, C: Clock>(
    mut io: I,
    clock: &mut C,
    tls: &ClientTls,
    host: &str,
    deadline: Instant,
    unread: &[u8],
) -> Result<TlsIo<I>, TlsError> {
    let mut session = TlsSession::client(tls, tls.name_for(host)?)?;
    session.receive_unread(unread)?;
    shake_hands(&mut io, &mut session, clock, deadline).await?;
    Ok(TlsIo::new(io, session))
}

/// Begins TLS as a server over an accepted transport, before `deadline`.
///
/// # Errors
///
/// Returns an error if the client does not speak TLS, refuses the server's certificate, lacks one
/// that the configuration requires, or is late, or if the transport breaks. The error comes with the
/// transport, for instance to answer a client of plain HTTP.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
pub async fn accept_tls<I: Io, C: Clock>(
    io: I,
    clock: &mut C,
    tls: &ServerTls,
    deadline: Instant,
) -> Result<TlsIo<I>, (TlsError, I)> {
    accept_tls_after(io, clock, tls, deadline, &[]).await
}

/// Begins TLS as a server like [`accept_tls`], over a transport of which `unread` has been read.
pub(crate) async fn accept_tls_after<I: Io, C: Clock>(
    mut io: I,
    clock: &mut C,
    tls: &ServerTls,
    deadline: Instant,
    unread: &[u8],
) -> Result<TlsIo<I>, (TlsError, I)> {
    let mut session = match TlsSession::server(tls) {
        Ok(session) => session,
        Err(error) => return Err((error, io)),
    };
    let received = session.receive_unread(unread);
    let shaken = async {
        received?;
        shake_hands(&mut io, &mut session, clock, deadline).await
    };
    match shaken.await {
        Ok(()) => Ok(TlsIo::new(io, session)),
        Err(error) => Err((error, io)),
    }
}

async fn shake_hands<I: Io, C: Clock>(
    io: &mut I,
    session: &mut TlsSession,
    clock: &mut C,
    deadline: Instant,
) -> Result<(), TlsError> {
    let mut handshake = Handshake { io, session, needs_flush: false, error: None, write_error: None };
    poll_fn(|cx| {
        if let Poll::Ready(result) = handshake.poll(cx) {
            return Poll::Ready(result);
        }
        ready!(poll_deadline(clock, cx, deadline));
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    })
    .await?;
    clock.cancel();
    Ok(())
}

struct Handshake<'h, I> {
    io: &'h mut I,
    session: &'h mut TlsSession,
    needs_flush: bool,
    /// The reason why the handshake has failed. The peer is sent an alert before it is returned.
    error: Option<TlsError>,
    /// The error that ended writing. The peer may have sent the reason before, so reading continues.
    write_error: Option<io::Error>,
}

impl<I: Io> Handshake<'_, I> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TlsError>> {
        loop {
            let written = self.poll_write(cx);
            if self.error.is_some() {
                ready!(written);
                return Poll::Ready(self.error.take().map_or(Ok(()), Err));
            }
            if !self.session.is_handshaking() && self.write_error.is_none() {
                if self.session.is_client() {
                    ready!(written);
                }
                // A server may have tickets left to write. The client need not read them yet.
                return Poll::Ready(Ok(()));
            }
            let (mut scratch, reserved) = (Scratch::take(), self.session.reserved());
            let space = TlsSession::space(&mut scratch, reserved, 0)?;
            let end = match ready!(self.io.poll_read(cx, space)) {
                Ok(n) if n > 0 => {
                    self.error = self.session.receive(&mut scratch, reserved, n, &mut []).err();
                    self.needs_flush = true;
                    continue;
                }
                Ok(_) => io::ErrorKind::UnexpectedEof.into(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Poll::Ready(Err(self.write_error.take().unwrap_or(end).into()));
        }
    }

    /// Writes and flushes what is queued. Keeps an error in `write_error`.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.write_error.is_some() {
            return Poll::Ready(());
        }
        self.needs_flush |= !self.session.output().is_empty();
        let mut result = ready!(poll_output(self.io, self.session, cx, I::poll_write));
        if result.is_ok() && self.needs_flush {
            result = ready!(runtime::poll_flush(self.io, cx));
            self.needs_flush = false;
        }
        self.write_error = result.err();
        Poll::Ready(())
    }
}
