//! Waiting for the first bytes of a client. Until they arrive, a connection has no session, so that
//! silent clients take little memory.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};

use sockeye_core::Instant;

use crate::engine::buffer::ReadBuffer;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};

/// Waits until `input` holds bytes, the transport has ended, or `deadline` has passed. Returns
/// whether the transport has ended.
pub(crate) fn read_first_bytes<I: Io, C: Clock>(
    io: &mut I,
    clock: &mut C,
    input: &mut ReadBuffer,
    deadline: Instant,
) -> impl Future<Output = io::Result<bool>> {
    poll_fn(move |cx| poll_first_bytes(cx, io, clock, input, deadline))
}

fn poll_first_bytes<I: Io, C: Clock>(
    cx: &mut Context<'_>,
    io: &mut I,
    clock: &mut C,
    input: &mut ReadBuffer,
    deadline: Instant,
) -> Poll<io::Result<bool>> {
    if !input.is_empty() {
        return Poll::Ready(Ok(false));
    }
    loop {
        match io.poll_read(cx, input.space()) {
            Poll::Ready(Ok(n)) => {
                input.filled(n);
                return Poll::Ready(Ok(n == 0));
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                input.release();
                return poll_deadline(clock, cx, deadline).map(|_| Ok(false));
            }
        }
    }
}
