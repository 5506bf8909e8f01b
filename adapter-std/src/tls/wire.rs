//! TLS over a blocking stream.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockeye_driver::tls::{Scratch, TlsInfo, TlsSession};

use crate::stream::Stream;
use crate::transport::is_resumable;

/// A stream that may have TLS over it.
///
/// Two threads can use it at once, like the stream itself: no thread holds the lock of the session
/// while it waits for the stream. At most one thread writes, as [`Shared`](crate::shared::Shared)
/// ensures, so records keep their order.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    tls: Option<Box<Mutex<TlsSession>>>,
}

/// Uses a stream as it is.
pub(crate) fn plain<S>(stream: S) -> Wire<S> {
    Wire { stream, tls: None }
}

/// Returns the stream. If it has TLS over it, it is the stream beneath.
pub(crate) fn inner<S>(wire: &Wire<S>) -> &S {
    &wire.stream
}

impl<S> Wire<S> {
    /// Uses a stream over which the TLS handshake is complete.
    pub(crate) fn with_tls(stream: S, session: TlsSession) -> Self {
        Wire { stream, tls: Some(Box::new(Mutex::new(session))) }
    }

    /// Returns what the TLS handshake has agreed on; `None` without TLS.
    pub(crate) fn tls(&self) -> Option<TlsInfo> {
        self.tls.as_deref().map(|session| lock(session).info())
    }
}

/// Ignores poisoning: a panic leaves nothing half done that the session would not report.
fn lock(session: &Mutex<TlsSession>) -> MutexGuard<'_, TlsSession> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads once. Fails with [`Interrupted`](io::ErrorKind::Interrupted) if that completes no record:
/// the caller must check its deadlines before it reads again.
fn read(stream: &mut impl Read, session: &Mutex<TlsSession>, buffer: &mut [u8]) -> io::Result<usize> {
    let reserved = {
        let mut session = lock(session);
        let n = session.read_buffered(buffer);
        if n > 0 || session.is_peer_closed() {
            return Ok(n);
        }
        session.reserved()
    };
    let mut scratch = Scratch::take();
    let n = stream.read(TlsSession::space(&mut scratch, reserved, buffer.len())?)?;
    if n == 0 {
        let text = "the peer closed the connection without the TLS alert close_notify";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    let mut session = lock(session);
    match session.receive(&mut scratch, reserved, n, buffer)? {
        0 if !session.is_peer_closed() => Err(io::ErrorKind::Interrupted.into()),
        n => Ok(n),
    }
}

/// Writes all records that are queued.
fn write_output(stream: &mut impl Write, session: &Mutex<TlsSession>) -> io::Result<()> {
    loop {
        // A copy, so that the other thread can read while this one waits for room.
        let records = lock(session).output().to_vec();
        if records.is_empty() {
            return Ok(());
        }
        match stream.write(&records) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => lock(session).sent(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn write(stream: &mut impl Write, session: &Mutex<TlsSession>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    write_output(stream, session)?;
    let n = lock(session).send(slices)?;
    match write_output(stream, session) {
        // The bytes are taken. The next write, or a flush, writes the rest of their records.
        Err(error) if is_resumable(&error) => Ok(n),
        result => result.map(|()| n),
    }
}

fn flush(stream: &mut impl Write, session: &Mutex<TlsSession>) -> io::Result<()> {
    write_output(stream, session)?;
    stream.flush()
}

/// Sends the alert `close_notify`. If it cannot be written, the stream is closed nevertheless.
fn close(stream: &mut impl Write, session: &Mutex<TlsSession>) {
    lock(session).close();
    let _ = write_output(stream, session);
}

impl<S: Stream> Read for Wire<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.stream.read(buffer),
            Some(session) => read(&mut self.stream, session, buffer),
        }
    }
}

impl<S: Stream> Write for Wire<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.stream.write(bytes),
            Some(session) => write(&mut self.stream, session, &[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            None => self.stream.write_vectored(slices),
            Some(session) => write(&mut self.stream, session, slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.tls {
            None => self.stream.flush(),
            Some(session) => flush(&mut self.stream, session),
        }
    }
}

impl<S: Stream> Stream for Wire<S> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        if let Some(session) = &self.tls {
            close(&mut self.stream, session);
        }
        self.stream.shutdown_write()
    }
}

/// A shared reference to a wire, which is a stream if the stream is one by reference.
///
/// It is a type of its own: an implementation for `&Wire<S>` would let the compiler look for
/// streams without end where it infers `S`.
pub(crate) struct WireRef<'w, S>(&'w Wire<S>);

/// Uses a wire through a shared reference.
pub(crate) fn by_ref<S>(wire: &Wire<S>) -> WireRef<'_, S> {
    WireRef(wire)
}

impl<'w, S> Read for WireRef<'w, S>
where
    &'w S: Stream,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = &self.0.stream;
        match &self.0.tls {
            None => stream.read(buffer),
            Some(session) => read(&mut stream, session, buffer),
        }
    }
}

impl<'w, S> Write for WireRef<'w, S>
where
    &'w S: Stream,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = &self.0.stream;
        match &self.0.tls {
            None => stream.write(bytes),
            Some(session) => write(&mut stream, session, &[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = &self.0.stream;
        match &self.0.tls {
            None => stream.write_vectored(slices),
            Some(session) => write(&mut stream, session, slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stream = &self.0.stream;
        match &self.0.tls {
            None => stream.flush(),
            Some(session) => flush(&mut stream, session),
        }
    }
}

impl<'w, S> Stream for WireRef<'w, S>
where
    &'w S: Stream,
{
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Stream::set_read_timeout(&&self.0.stream, timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Stream::set_write_timeout(&&self.0.stream, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let mut stream = &self.0.stream;
        if let Some(session) = &self.0.tls {
            close(&mut stream, session);
        }
        Stream::shutdown_write(&mut stream)
    }
}
