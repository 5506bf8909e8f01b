//! The transport of a port, as a stream of tokio.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sockeye_driver::Io;
use sockeye_driver::server::HttpIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that one read takes. The buffer is zeroed before.
const MAX_READ: usize = 16 << 10;

/// The transport of a port, as hyper gets it.
pub(super) struct PortStream<I>(pub(super) HttpIo<I>);

impl<I: Io + Unpin> AsyncRead for PortStream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let space = buffer.initialize_unfilled_to(buffer.remaining().min(MAX_READ));
        let n = match ready!(self.0.poll_read(cx, space)) {
            // TLS ends like this without `close_notify`.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            result => result?,
        };
        buffer.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<I: Io + Unpin> AsyncWrite for PortStream<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A driver's transport never gets an empty slice.
        let is_filled = |slice: &&IoSlice<'_>| !slice.is_empty();
        let mut filled = slices.iter().filter(is_filled).map(|slice| IoSlice::new(slice));
        let few: [Option<IoSlice<'_>>; 2] = [filled.next(), filled.next()];
        match few {
            [None, _] => Poll::Ready(Ok(0)),
            [Some(first), None] => self.0.poll_write(cx, &[first]),
            [Some(first), Some(second)] => self.0.poll_write(cx, &[first, second]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}
