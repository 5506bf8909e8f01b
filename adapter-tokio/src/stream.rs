//! Byte streams of tokio.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use sockeye_driver::Io;
#[cfg(feature = "_tls")]
use sockeye_driver::tls::{MaybeTls, TlsInfo, TlsIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Any tokio stream, such as a `TcpStream`, a `UnixStream`, a TLS stream or a `DuplexStream`. With
/// the feature `rustls` it may have TLS of its own, over the stream.
#[derive(Debug)]
pub struct TokioIo<S>(Transport<S>);

#[cfg(feature = "_tls")]
type Transport<S> = MaybeTls<Raw<S>>;
#[cfg(not(feature = "_tls"))]
type Transport<S> = Raw<S>;

impl<S> TokioIo<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self::from_raw(Raw(stream))
    }

    pub(crate) fn from_raw(raw: Raw<S>) -> Self {
        #[cfg(feature = "_tls")]
        return TokioIo(MaybeTls::Plain(raw));
        #[cfg(not(feature = "_tls"))]
        return TokioIo(raw);
    }

    /// Returns the stream. If this end has TLS, it is the stream beneath.
    pub fn get_ref(&self) -> &S {
        #[cfg(feature = "_tls")]
        return &self.0.get_ref().0;
        #[cfg(not(feature = "_tls"))]
        return &self.0.0;
    }
}

#[cfg(feature = "_tls")]
impl<S> TokioIo<S> {
    pub(crate) fn with_tls(tls: TlsIo<Raw<S>>) -> Self {
        TokioIo(tls.into())
    }

    /// Returns what the TLS handshake has agreed on, with the certificates of the peer; `None`
    /// without TLS, or if the stream itself is a TLS stream.
    #[must_use]
    pub fn tls(&self) -> Option<TlsInfo> {
        self.0.tls()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io for TokioIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write_now(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}

/// A stream as it is, without TLS.
#[derive(Debug)]
pub(crate) struct Raw<S>(pub(crate) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Io for Raw<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(&mut self.0).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        match slices {
            [slice] => stream.poll_write(cx, slice),
            slices => stream.poll_write_vectored(cx, slices),
        }
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // Otherwise a task that has used up its budget gets `Pending`, however much room the socket
        // has.
        let write = poll_fn(|cx| self.poll_write(cx, slices));
        pin!(tokio::task::unconstrained(write)).poll(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
