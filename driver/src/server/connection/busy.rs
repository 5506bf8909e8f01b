//! Running a method of the handler while its connection reads on.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use sockeye_core::{
    Assembled, CloseCode, CloseFrame, Detached, Instant, MergedMessage, Message, RecvBuf, State,
};

use crate::engine::buffer;
use crate::engine::decoder::Decoder;
use crate::engine::turn::Turn;
use crate::runtime::io::{Clock, Io};
use crate::server::api::client::Client;
use crate::server::api::handler::{Failure, Handler, HandlerResult};
use crate::server::api::inbound::Inbound;
use crate::server::connection::guard::{guarded_while, report_failure};
use crate::server::connection::inbox::Inbox;
use crate::server::connection::limiter::wait;
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::registry::error::PushError;
use crate::server::registry::flag::Flag;

/// A merged message of at least this many bytes is converted to a [`Message`] before the handler
/// receives it, so that [`Inbound::into_message`] need not copy it. That costs an allocation.
const SHARE: usize = 4 << 10;

/// A message that was merged or inflated, or that arrived while the handler ran. It does not borrow
/// the decoder, which must be free to decode what arrives while the handler has the message.
pub(super) enum Lent {
    Merged(MergedMessage),
    Owned(Message),
}

impl Lent {
    #[inline]
    pub(super) fn new(message: Assembled<'_, '_>) -> Self {
        match message.detach() {
            Detached::Merged(merged) if merged.as_ref().as_bytes().len() < SHARE => Lent::Merged(merged),
            Detached::Merged(merged) => Lent::Owned(merged.into_message()),
            Detached::Input(message) => Lent::Owned(message.to_message()),
        }
    }

    #[inline]
    pub(super) fn inbound(&self, compressed: bool) -> Inbound<'_> {
        match self {
            Lent::Merged(merged) => Inbound { message: merged.as_ref(), owned: None, compressed },
            Lent::Owned(message) => Inbound { message: message.as_ref(), owned: Some(message), compressed },
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Lent::Merged(merged) => merged.as_ref().as_bytes().len(),
            Lent::Owned(message) => message.len(),
        }
    }

    /// Returns the memory of the message to the decoder or to the thread.
    #[inline]
    pub(super) fn release(self, decoder: &mut Decoder) {
        match self {
            Lent::Merged(merged) => decoder.reuse(merged.into_memory()),
            Lent::Owned(message) => buffer::give_message_memory(message),
        }
    }
}

/// A connection while a method of the handler runs.
pub(super) struct Busy<'p, 'i, I, C> {
    pub(super) link: &'p mut TaskLink<I, C>,
    pub(super) client: &'p Client,
    pub(super) decoder: &'p mut Decoder,
    /// The input that has not been decoded.
    pub(super) rest: &'p mut RecvBuf<'i>,
    pub(super) inbox: &'p mut Option<Box<Inbox>>,
    /// Restarted whenever the method waits.
    pub(super) turn: &'p mut Turn,
    /// The length of the message that the handler has borrowed.
    pub(super) lent: usize,
}

impl<I: Io, C: Clock> Busy<'_, '_, I, C> {
    /// Runs a method of the handler. Whenever it waits, reads on and writes the queue. Drops the
    /// method and returns `None` if the connection is aborted.
    pub(super) async fn run<F: Future<Output = HandlerResult>>(
        mut self,
        method: impl FnOnce() -> F,
    ) -> Option<Result<(), Failure>> {
        let meanwhile = |cx: &mut Context<'_>| {
            self.turn.restart();
            self.read_on(cx);
            if self.client.entry().has_flag(Flag::Aborted) { Poll::Ready(()) } else { Poll::Pending }
        };
        guarded_while(method, meanwhile).await
    }

    /// Waits until the queue is below its high-water mark, or the connection is no longer open.
    /// Reads on: the peer may close instead of reading.
    pub(super) async fn wait_for_room(mut self) {
        if wait_for_room(&mut self, |busy| busy.link.clear_full_flag(), Self::read_on).await {
            self.turn.restart();
        }
    }

    /// Waits until the rate limit allows the next message, or the connection ends. Reads on.
    pub(super) async fn wait_for_rate(mut self, until: Instant) {
        let entry = self.client.entry();
        wait(until, &mut self, entry, |busy| &mut *busy.link, Self::read_on).await;
        self.turn.restart();
    }

    fn read_on(&mut self, cx: &mut Context<'_>) -> bool {
        // The input belongs to the message that the handler borrows.
        let inbox = self.inbox.get_or_insert_with(|| Box::new(Inbox::new(self.rest.take_all())));
        inbox.lent = self.lent;
        let has_yielded = inbox.poll_read_on(self.decoder, self.link, self.client.entry(), cx);
        self.client.hub().balance_received();
        has_yielded
    }
}

/// Calls `read_on` until `has_room` returns true. Returns whether the task had to wait or to yield,
/// of which `read_on` returns the latter.
pub(super) async fn wait_for_room<B>(
    busy: &mut B,
    has_room: impl Fn(&mut B) -> bool,
    read_on: impl Fn(&mut B, &mut Context<'_>) -> bool,
) -> bool {
    let mut has_waited = false;
    poll_fn(|cx| {
        if has_room(busy) {
            return Poll::Ready(());
        }
        let has_yielded = read_on(busy, cx);
        if !has_yielded && has_room(busy) {
            return Poll::Ready(());
        }
        has_waited = true;
        Poll::Pending
    })
    .await;
    has_waited
}

/// Closes the connection with 1011 if a method of the handler has failed, and reports the failure.
#[inline(always)]
pub(super) fn close_if_failed<I: Io, C: Clock, H: Handler>(
    handler: &H,
    client: &Client,
    link: &TaskLink<I, C>,
    handler_failed: &mut bool,
    outcome: Option<Result<(), Failure>>,
) {
    if let Some(Err(failure)) = outcome {
        *handler_failed |= close_after_failure(handler, client, link, failure);
    }
}

/// Returns false if the method has only noticed that the connection is closing.
#[cold]
fn close_after_failure<I: Io, C: Clock, H: Handler>(
    handler: &H,
    client: &Client,
    link: &TaskLink<I, C>,
    failure: Failure,
) -> bool {
    if is_closing_error(&failure) && link.state() != State::Open {
        // The connection closed before the handler could answer, which is not a failure.
        return false;
    }
    link.close(&CloseFrame::new(CloseCode::INTERNAL_ERROR, ""));
    report_failure(handler, client, failure);
    true
}

fn is_closing_error(failure: &Failure) -> bool {
    let Failure::Error(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(PushError::Closing))
}
