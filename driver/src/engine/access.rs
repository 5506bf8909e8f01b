//! Access to a link that one task owns or several tasks share.

use std::task::{Context, Poll};

use sockeye_core::{Instant, Sender};

use crate::engine::buffer::ReadBuffer;
use crate::engine::decoder::{SenderAccess, Unfinished};
use crate::engine::link::{Link, ReadOutcome};
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::sync::Mutex;

/// Access to a [`Link`], locked first if it is shared.
pub(crate) trait LinkAccess: SenderAccess {
    type Io: Io;
    type Clock: Clock;

    /// Calls `f` with the link. `f` must not block.
    fn with_link<R>(&mut self, f: impl FnOnce(&mut Link<Self::Io, Self::Clock>) -> R) -> R;

    /// Returns the current time.
    fn now(&mut self) -> Instant {
        self.with_link(|link| Link::now(link))
    }

    /// Runs [`Clock::yield_now`].
    fn yield_now(&mut self, cx: &mut Context<'_>) {
        self.with_link(|link| link.yield_now(cx));
    }

    /// Runs [`Link::poll_io`], and decides when the connection is over for its user.
    ///
    /// This default serves a user that drops the transport after the end. Once the closing
    /// handshake is complete and this end's side is closed, it does not wait until the peer closes
    /// its side.
    fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut ReadBuffer,
        unfinished: Unfinished,
    ) -> Poll<ReadOutcome> {
        self.with_link(|link| match link.poll_io(cx, input, unfinished.progress) {
            // `Pending`: everything that has arrived is read. Dropping a socket with unread input
            // would reset the connection, and the peer might lose this end's Close. For the same
            // reason a failed connection, whose peer may still be sending, waits.
            Poll::Pending if link.is_finished(input) && link.is_clean() => Poll::Ready(link.end()),
            outcome => outcome,
        })
    }
}

impl<I: Io, C: Clock> LinkAccess for Link<I, C> {
    type Io = I;
    type Clock = C;

    #[inline]
    fn with_link<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(self)
    }
}

impl<I: Io, C: Clock> LinkAccess for &Mutex<Link<I, C>> {
    type Io = I;
    type Clock = C;

    fn with_link<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(&mut lock(self))
    }
}

impl<I: Io, C: Clock> SenderAccess for Link<I, C> {
    #[inline]
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender)) {
        f(self.sender_with_buffer());
    }
}

impl<I: Io, C: Clock> SenderAccess for &Mutex<Link<I, C>> {
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender)) {
        f(lock(self).sender_with_buffer());
    }
}
