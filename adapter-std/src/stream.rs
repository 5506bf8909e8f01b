//! The trait of blocking streams.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A blocking byte stream: a socket, or TLS over one.
///
/// The read timeout is the timer of a connection, so a stream should support it if it can. For
/// streams that cannot, use [`Untimed`]. To [split](crate::WebSocket::split) a connection, `&S`
/// must be a `Stream` too, as `&TcpStream` is.
///
/// A stream of your own passes the timeouts on to its socket:
///
/// ```
/// use std::io::{self, Read, Write};
/// use std::net::TcpStream;
/// use std::time::Duration;
///
/// struct Counted {
///     socket: TcpStream,
///     received: usize,
/// }
///
/// impl sockeye_std::Stream for Counted {
///     fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
///         self.socket.set_read_timeout(timeout)
///     }
///     fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
///         self.socket.set_write_timeout(timeout)
///     }
///     fn shutdown_write(&mut self) -> io::Result<()> {
///         self.socket.shutdown(std::net::Shutdown::Write)
///     }
/// }
/// # impl Read for Counted {
/// #     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
/// #         self.socket.read(buffer).inspect(|n| self.received += n)
/// #     }
/// # }
/// # impl Write for Counted {
/// #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { self.socket.write(bytes) }
/// #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// # }
/// ```
pub trait Stream: Read + Write {
    /// Sets how long a read may wait for bytes. After that it must fail with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut). `None`
    /// means forever. The timeout is never zero.
    ///
    /// # Errors
    ///
    /// Returns [`Unsupported`](io::ErrorKind::Unsupported) if the stream has no timeouts;
    /// [`Untimed`] describes the consequences. Any other error breaks the connection.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sets how long a write may wait for room. A write that has written some bytes when the time
    /// is over must return their number, or keep them and write them later.
    ///
    /// # Errors
    ///
    /// Returns [`Unsupported`](io::ErrorKind::Unsupported) if the stream has no timeouts. Any other
    /// error breaks the connection.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Closes this end's side of the stream. Reads must still work.
    ///
    /// # Errors
    ///
    /// Returns an error if the stream breaks.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

macro_rules! stream_for_socket {
    ($($socket:ty),*) => {$(
        impl Stream for $socket {
            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_write_timeout(self, timeout)
            }

            fn shutdown_write(&mut self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }

        impl Stream for &$socket {
            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_write_timeout(self, timeout)
            }

            fn shutdown_write(&mut self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    )*};
}

stream_for_socket!(TcpStream);
#[cfg(unix)]
stream_for_socket!(UnixStream);

impl<S: Stream + ?Sized> Stream for Box<S> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        (**self).shutdown_write()
    }
}

/// A [`Stream`] without timeouts, around anything that reads and writes.
///
/// Deadlines are checked only when a read or a write returns. So a receive from a silent peer waits
/// forever, even with [`recv_timeout`](crate::WebSocket::recv_timeout), and a write to a peer that
/// does not read blocks forever.
///
/// This end's side cannot be closed on its own. The connection ends as soon as both Closes are
/// exchanged, and dropping it closes the stream.
#[derive(Debug)]
pub struct Untimed<S>(S);

impl<S> Untimed<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Untimed(stream)
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S: Read> Read for Untimed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for Untimed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Stream for Untimed<S> {
    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}
