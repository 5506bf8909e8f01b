//! The transport of a WebSocket: the connection that hyper hands over.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::rt::{Read, ReadBuf, Write};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo as HyperStream;
use hyper_util::server::conn::auto;
use sockeye_driver::Io;
use sockeye_tokio::TokioIo;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// The most bytes that one write passes to a stream of HTTP/2. hyper copies them and holds up to three
/// such writes while the window is closed, so a long message must not be copied at once.
const MAX_WRITE: usize = 32 << 10;

/// The transport of a [`WebSocket`](crate::WebSocket): the connection that hyper has handed over
/// after the opening handshake.
///
/// Over HTTP/1.1 without TLS it is the socket itself, if the server or the client has passed a
/// `TcpStream` or a `UnixStream` to hyper in hyper-util's `TokioIo`, as `axum::serve` does. Nothing
/// of hyper remains between the WebSocket and that socket, and `TCP_NODELAY` is set. Any other
/// connection, such as one with TLS, stays inside hyper's [`Upgraded`].
///
/// # HTTP/2
///
/// A WebSocket is one stream of an HTTP/2 connection (RFC 8441).
///
/// - The windows of HTTP/2 are the backpressure. A WebSocket that is not read stops its peer, and a
///   write to a closed window waits, like one to a full socket. One unread stream stops all others
///   if its window is as large as that of the connection, and both have 1 MiB on hyper's servers: set
///   `initial_stream_window_size` of hyper's `http2::Builder` to 64 KiB, for example.
/// - After the closing handshake this end sends END_STREAM, which takes the place of the end of a
///   TCP connection.
/// - A stream or connection that ends without a Close frame is an unclean end, with the code 1006
///   like a broken TCP connection. A reset with CANCEL or NO_ERROR reads as the end of the stream,
///   and other resets, a GOAWAY with an error and a lost connection as errors.
/// - Dropping the WebSocket ends the stream. If the window of the peer is closed at that time, hyper
///   keeps up to 96 KiB that were written until the peer opens the window or resets the stream, or
///   the connection ends. Set `keep_alive_interval` of hyper's `http2::Builder` so that a dead
///   connection ends.
#[derive(Debug)]
pub struct HyperIo(Transport);

#[derive(Debug)]
enum Transport {
    Tcp(TokioIo<TcpStream>),
    #[cfg(unix)]
    Unix(TokioIo<UnixStream>),
    /// A stream of HTTP/2, or a connection of another type.
    Upgraded(Upgraded),
}

impl HyperIo {
    /// Takes over a connection from hyper. Returns the transport, and the bytes that hyper has read
    /// after the head and that the transport does not return.
    #[must_use]
    pub fn new(upgraded: Upgraded) -> (Self, Bytes) {
        let upgraded = match take_out::<TcpStream>(upgraded) {
            Ok((stream, unread)) => {
                // If the option cannot be set, the socket is broken and the first read reports it.
                let _ = stream.set_nodelay(true);
                return (HyperIo(Transport::Tcp(TokioIo::new(stream))), unread);
            }
            Err(upgraded) => upgraded,
        };
        #[cfg(unix)]
        let upgraded = match take_out::<UnixStream>(upgraded) {
            Ok((stream, unread)) => return (HyperIo(Transport::Unix(TokioIo::new(stream))), unread),
            Err(upgraded) => upgraded,
        };
        (HyperIo(Transport::Upgraded(upgraded)), Bytes::new())
    }

    /// Returns the socket, if the connection is HTTP/1.1 over a plain `TcpStream`.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Transport::Tcp(io) => Some(io.get_ref()),
            _ => None,
        }
    }
}

/// Takes a stream out of hyper, with the bytes that were read ahead. It is there as hyper got it, or
/// as hyper-util's `auto::Builder` wraps it.
fn take_out<S>(upgraded: Upgraded) -> Result<(S, Bytes), Upgraded>
where
    HyperStream<S>: Read + Write + Unpin + 'static,
{
    let upgraded = match upgraded.downcast::<HyperStream<S>>() {
        Ok(parts) => return Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<HyperStream<S>>(upgraded)?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

macro_rules! dispatch {
    ($self:ident, $io:ident => $call:expr, $upgraded:ident => $other:expr) => {
        match &mut $self.0 {
            Transport::Tcp($io) => $call,
            #[cfg(unix)]
            Transport::Unix($io) => $call,
            Transport::Upgraded($upgraded) => $other,
        }
    };
}

impl Io for HyperIo {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        dispatch!(self, io => io.poll_read(cx, buffer), upgraded => {
            let mut buffer = ReadBuf::new(buffer);
            Pin::new(upgraded).poll_read(cx, buffer.unfilled()).map_ok(|()| buffer.filled().len())
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        dispatch!(self, io => io.poll_write(cx, slices), upgraded => write(upgraded, cx, slices))
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        dispatch!(self, io => io.poll_write_now(cx, slices), upgraded => {
            // A stream of tokio may be inside, which returns `Pending` to a task that has used up
            // its budget, however much room there is.
            let write = poll_fn(|cx| write(upgraded, cx, slices));
            pin!(tokio::task::unconstrained(write)).poll(cx)
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        dispatch!(self, io => io.poll_flush(cx), upgraded => Pin::new(upgraded).poll_flush(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        dispatch!(self, io => io.poll_close(cx), upgraded => Pin::new(upgraded).poll_shutdown(cx))
    }
}

/// Writes to a stream inside hyper. One of HTTP/2 takes a single slice, copies it, and wakes a task for
/// it, so several slices are put together.
fn write(upgraded: &mut Upgraded, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    if upgraded.is_write_vectored() {
        return Pin::new(upgraded).poll_write_vectored(cx, slices);
    }
    match slices {
        [first, _, ..] if first.len() < MAX_WRITE => Pin::new(upgraded).poll_write(cx, &gather(slices)),
        [first, ..] => Pin::new(upgraded).poll_write(cx, first.get(..MAX_WRITE).unwrap_or(first)),
        [] => Poll::Ready(Ok(0)),
    }
}

/// Copies the first [`MAX_WRITE`] bytes of the slices.
fn gather(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let length: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut together = Vec::with_capacity(length.min(MAX_WRITE));
    for slice in slices {
        let room = MAX_WRITE - together.len();
        together.extend_from_slice(slice.get(..room).unwrap_or(slice));
    }
    together
}
