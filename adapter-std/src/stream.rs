//! What a transport must be able to do.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A blocking byte stream: a socket, or TLS over one.
///
/// A read timeout is the timer of a connection, so a stream that can should have one; [`Untimed`] is for those that cannot.
/// To [split](crate::WebSocket::split) a connection `&S` has to be a `Stream` too, as `&TcpStream` is.
///
/// A transport of your own passes the timeouts on to the socket below:
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
    /// Sets how long a read may wait for bytes before it fails with [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut); `None` is for ever. The timeout is never zero.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) if it cannot be done, with the consequences told at [`Untimed`]. Any other
    /// error breaks the connection.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// The same for how long a write may wait for room. What was written before it failed must be told, or kept.
    ///
    /// # Errors
    ///
    /// As [`set_read_timeout`](Stream::set_read_timeout).
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Closes this end's side of the stream. Reading goes on.
    ///
    /// # Errors
    ///
    /// The stream broke.
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

/// Makes a [`Stream`] of anything that reads and writes, but has no timeouts.
///
/// Deadlines are then looked at only when a read or a write has come back: a peer that says nothing is waited for without
/// end, in a [`recv_timeout`](crate::WebSocket::recv_timeout) too, and one that does not read blocks a write without end.
/// Nor can one side of it be closed: when both ends have said Close the connection is over at once, and dropping it closes
/// the stream.
#[derive(Debug)]
pub struct Untimed<S>(S);

impl<S> Untimed<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Untimed(stream)
    }

    /// The stream.
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
