//! The TLS handshake over a blocking stream.

use std::io;

use sockeye_core::Instant;
use sockeye_driver::tls::{Scratch, TlsError, TlsSession};

use crate::clock::{ReadTimeout, is_supported, is_timeout, now};
use crate::stream::Stream;
use crate::transport::{WRITE_TURN, is_resumable};

/// Shakes hands before `deadline`. A failed handshake sends its alert.
pub(super) fn shake_hands<S: Stream>(
    stream: &mut S,
    session: &mut TlsSession,
    deadline: Instant,
) -> Result<(), TlsError> {
    let mut timeout = ReadTimeout::default();
    // A blocked write returns, so that the deadline can be checked.
    is_supported(stream.set_write_timeout(Some(WRITE_TURN)))?;
    let mut failed = None;
    let mut write_error = None;
    loop {
        if write_error.is_none() {
            // The peer may have sent the reason of an error, so reading continues.
            write_error = write_all(stream, session, deadline).err();
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if !session.is_handshaking() && write_error.is_none() {
            return Ok(());
        }
        let left = deadline.since(now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        timeout.set(stream, Some(left))?;
        let (mut scratch, reserved) = (Scratch::take(), session.reserved());
        let end = match stream.read(TlsSession::space(&mut scratch, reserved, 0)?) {
            Ok(n) if n > 0 => {
                failed = session.receive(&mut scratch, reserved, n, &mut []).err();
                continue;
            }
            Ok(_) => io::ErrorKind::UnexpectedEof.into(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted || is_timeout(&error) => continue,
            Err(error) => error,
        };
        return Err(write_error.unwrap_or(end).into());
    }
}

fn write_all<S: Stream>(stream: &mut S, session: &mut TlsSession, deadline: Instant) -> io::Result<()> {
    while !session.output().is_empty() {
        match stream.write(session.output()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => session.sent(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_resumable(&error) && deadline > now() => {}
            Err(error) if is_timeout(&error) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}
