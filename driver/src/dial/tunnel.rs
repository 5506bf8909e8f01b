//! A tunnel through a proxy, over a transport.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use sockeye_core::dial::Tunnel;
use sockeye_core::{Instant, RecvBuf};

use super::error::late_proxy;
use crate::handshake::connect::ConnectError;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io, poll_flush, poll_read};

/// The size of one read. Answers of proxies are short.
const READ: usize = 2048;

/// Opens a tunnel before `deadline`. Returns the bytes of the server that arrived with the proxy's
/// answer.
pub(super) async fn open_tunnel<I: Io, C: Clock>(
    io: &mut I,
    clock: &mut C,
    tunnel: Tunnel,
    deadline: Instant,
) -> Result<Vec<u8>, ConnectError> {
    let mut opening = OpeningTunnel { io, tunnel, needs_flush: false, buffer: vec![0; READ] };
    let opened = poll_fn(|cx| {
        if let Poll::Ready(opened) = opening.poll(cx) {
            return Poll::Ready(opened);
        }
        poll_deadline(clock, cx, deadline).map(|_| Err(late_proxy().into()))
    })
    .await;
    clock.cancel();
    opened
}

struct OpeningTunnel<'io, I> {
    io: &'io mut I,
    tunnel: Tunnel,
    needs_flush: bool,
    buffer: Vec<u8>,
}

impl<I: Io> OpeningTunnel<'_, I> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, ConnectError>> {
        loop {
            ready!(self.poll_write(cx))?;
            let n = match ready!(poll_read(self.io, cx, &mut self.buffer)) {
                Ok(0) => return Poll::Ready(Err(self.tunnel.handle_eof().into())),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Poll::Ready(Err(error.into())),
            };
            let mut input = RecvBuf::new(&mut self.buffer[..n]);
            if self.tunnel.poll_open(&mut input)? {
                return Poll::Ready(Ok(input.remaining().to_vec()));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.tunnel.poll_transmit() {
            match ready!(self.io.poll_write(cx, &[IoSlice::new(bytes)])) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => self.tunnel.transmitted(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.needs_flush = true;
        }
        if self.needs_flush {
            ready!(poll_flush(self.io, cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}
