//! The future of a push that waits for room.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::push_target::{Command, Flusher};
use crate::server::registry::pushed::Pushed;

/// Waits until the peer has read enough, then queues a command.
///
/// Deregisters its waker when it is dropped.
#[derive(Debug)]
pub(crate) struct SendFuture<'a> {
    entry: &'a Entry,
    command: Command<'a>,
    flusher: Flusher,
    /// The waker that is registered with the connection.
    waker: Option<Waker>,
}

impl<'a> SendFuture<'a> {
    pub(crate) fn new(entry: &'a Entry, command: Command<'a>, flusher: Flusher) -> Self {
        SendFuture { entry, command, flusher, waker: None }
    }
}

impl Future for SendFuture<'_> {
    type Output = Result<Pushed, PushError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloning a payload is cheap: it clones a reference to the bytes.
        let polled = self.entry.poll_dispatch(cx, self.command.clone(), self.flusher);
        self.waker = polled.is_pending().then(|| cx.waker().clone());
        polled.map_ok(|()| Pushed::Queued)
    }
}

impl Drop for SendFuture<'_> {
    fn drop(&mut self) {
        if let Some(waker) = &self.waker {
            self.entry.deregister_waiter(waker);
        }
    }
}
