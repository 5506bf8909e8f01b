//! An open WebSocket: waiting for something to do, and the calls that receive no message.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::{CloseCode, CloseInfo, RecvBuf, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::{self, ReadBuffer};
use crate::engine::decoder::Decoder;
use crate::engine::link::ReadOutcome;
use crate::engine::reader::Reader;
use crate::engine::turn::Turn;
use crate::runtime::io::{Clock, Io};
use crate::server::api::client::Client;
use crate::server::api::handler::{Handler, HandlerResult};
use crate::server::connection::busy::{Busy, close_if_failed};
use crate::server::connection::inbox::{Inbox, Intake};
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::connection::upgrade::FirstEvent;
use crate::server::panics::drop_isolated;
use crate::server::registry::early_pushes::Deferred;
use crate::server::registry::flag::Flag;
use crate::server::registry::settings::Forward;

/// The state of a connection that is a WebSocket: all that its task keeps between messages.
pub(crate) struct MessagePhase<I, C, H> {
    pub(super) reader: Reader,
    pub(super) link: TaskLink<I, C>,
    pub(super) client: Client,
    pub(super) handler: Arc<H>,
    /// The input that arrived while a handler waited. If there is an inbox, the reader has no
    /// input: the inbox has it.
    pub(super) inbox: Option<Box<Inbox>>,
    /// Takes the place of the reader and the inbox if the task has a thread to itself, which the
    /// handler may block.
    pub(super) intake: Option<Box<Intake>>,
    pub(super) forward: Forward,
    /// The task answers a Close of the peer that has no answer when the handler has returned.
    pub(super) answers_close: bool,
    /// Leave an incomplete frame in the input: more may arrive at once.
    pub(super) holds_partial_frames: bool,
    /// Decode before reading: the input may already hold a whole message.
    pub(super) has_undecoded_input: bool,
    /// A method of the handler has failed. From then on only [`Handler::close`] is called.
    pub(super) handler_failed: bool,
    /// Counts the work of the task since it last waited or yielded.
    pub(super) turn: Turn,
}

/// The remains of a connection that has ended.
pub(crate) struct Ended<I, C> {
    pub(crate) info: CloseInfo,
    /// The transport, if the peer has not closed its side.
    pub(crate) link: Option<TaskLink<I, C>>,
}

/// The next step of the task.
pub(crate) enum Next {
    DeliverInbox,
    DeliverInput,
    CallDrained,
    End,
}

impl<I: Io, C: Clock, H: Handler> MessagePhase<I, C, H> {
    pub(crate) fn new(mut reader: Reader, link: TaskLink<I, C>, client: Client, handler: Arc<H>) -> Self {
        let port = &client.entry().port;
        let forward = port.forward;
        let answers_close = forward.close || !port.config.auto_close;
        let intake = link.has_own_thread().then(|| Box::new(Intake::new(reader.take(&port.config))));
        MessagePhase {
            reader,
            link,
            client,
            handler,
            inbox: None,
            intake,
            forward,
            answers_close,
            holds_partial_frames: true,
            has_undecoded_input: true,
            handler_failed: false,
            turn: Turn::default(),
        }
    }

    /// Waits for something to do. Frees all memory that an idle connection does not need.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.turn.is_over() && self.intake.is_none() {
            // The peer never pauses, or the handler takes long: let other tasks run.
            self.turn.restart();
            self.reader.release();
            self.count_turn();
            self.link.yield_now(cx);
            return Poll::Pending;
        }
        let next = self.poll_turn(cx);
        if next.is_pending() {
            self.turn.restart();
            if self.intake.is_some() {
                buffer::trim_thread();
            }
        }
        next
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if std::mem::take(&mut self.link.drained) {
            return Poll::Ready(Next::CallDrained);
        }
        if self.client.entry().has_any([Flag::Paused, Flag::Draining, Flag::Shed, Flag::TooFast]) {
            return self.poll_flagged(cx);
        }
        self.poll_input(cx)
    }

    /// Acts on flags, then continues like [`poll_turn`](MessagePhase::poll_turn).
    #[cold]
    fn poll_flagged(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.client.entry().has_flag(Flag::Shed) {
            self.shed();
        }
        if self.client.entry().has_flag(Flag::TooFast) {
            self.client.entry().store_flag(Flag::TooFast, false);
            self.discard_received();
            self.link.fail(CloseCode::POLICY_VIOLATION, "sends too fast");
        }
        self.close_if_draining();
        if self.is_paused() {
            // A flag that is set after this check wakes the task.
            self.link.poll_write_only(cx, self.held());
            self.client.hub().balance_received();
            if self.link.drained {
                return self.poll_turn(cx);
            }
            if self.is_paused() && !self.close_if_draining() {
                return Poll::Pending;
            }
        }
        self.poll_input(cx)
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.inbox.is_some() {
            return Poll::Ready(Next::DeliverInbox);
        }
        if std::mem::take(&mut self.has_undecoded_input) {
            return Poll::Ready(Next::DeliverInput);
        }
        if self.answers_close {
            // The handler has received any Close of the peer, if it asked for that. Answer the Close,
            // if the handler has not.
            self.link.answer_close();
        }
        match self.poll_read(cx) {
            Poll::Ready(ReadOutcome::Bytes) => {
                self.holds_partial_frames = true;
                Poll::Ready(Next::DeliverInput)
            }
            // The link's close info says how it ended.
            Poll::Ready(ReadOutcome::End(_)) => Poll::Ready(Next::End),
            Poll::Ready(ReadOutcome::Yield) => {
                self.client.hub().balance_received();
                Poll::Pending
            }
            Poll::Pending if self.link.drained => self.poll_turn(cx),
            // Decode even a part of a frame before waiting: it may already break the protocol.
            Poll::Pending if !self.decoder_and_input().1.is_empty() => {
                self.holds_partial_frames = false;
                Poll::Ready(Next::DeliverInput)
            }
            // The flag was set before the task began to wait.
            Poll::Pending if self.close_if_draining() => self.poll_turn(cx),
            Poll::Pending => {
                self.client.hub().balance_received();
                Poll::Pending
            }
        }
    }

    /// Waits for bytes or for the end of the connection. Frees the buffers before the task waits.
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<ReadOutcome> {
        let (decoder, input) = match &mut self.intake {
            None => self.reader.decoder_and_input(),
            Some(intake) => intake.decoder_and_input(),
        };
        if !input.is_empty() {
            let len = decoder.frame_len(input.unread());
            input.limit_read_to_frame(len);
        }
        let outcome = self.link.poll_io(cx, input, decoder.unfinished());
        match &outcome {
            Poll::Ready(ReadOutcome::Bytes) => {}
            // The bytes will be decoded at once.
            Poll::Pending if !input.is_empty() => {}
            Poll::Ready(ReadOutcome::End(_) | ReadOutcome::Yield) | Poll::Pending => {
                input.release();
                decoder.release();
            }
        }
        outcome
    }

    fn decoder_and_input(&mut self) -> (&mut Decoder, &mut ReadBuffer) {
        match &mut self.intake {
            None => self.reader.decoder_and_input(),
            Some(intake) => intake.decoder_and_input(),
        }
    }

    /// Sends the Close of a shutdown if it is due. Messages that were received before have been
    /// handled. Later ones that precede the peer's Close are handled, too, but cannot be answered.
    fn close_if_draining(&mut self) -> bool {
        let entry = self.client.entry();
        if !entry.has_flag(Flag::Draining) || self.link.state() != State::Open {
            return false;
        }
        // Handle received messages first, unless the application has paused the connection.
        if (self.has_undecoded_input || self.inbox.is_some()) && !entry.has_flag(Flag::Paused) {
            return false;
        }
        entry.store_flag(Flag::Draining, false);
        if let Some(drain) = self.client.hub().drain() {
            self.link.close(&drain.frame());
        }
        true
    }

    fn is_paused(&self) -> bool {
        self.client.entry().has_flag(Flag::Paused) && self.link.state() == State::Open
    }

    /// Runs the deferred functions, then [`Handler::open`] if there is a request for it.
    pub(crate) async fn call_open(&mut self, first: Box<FirstEvent>) {
        let FirstEvent { request, deferred } = *first;
        let handler = self.handler.clone();
        let client = self.client.clone();
        let open = || async {
            deferred.into_iter().filter_map(Deferred::into_inner).for_each(|deferred| deferred());
            match &request {
                Some(request) => handler.open(&client, request).await,
                None => Ok(()),
            }
        };
        self.run_handler(open).await;
    }

    pub(crate) async fn call_drained(&mut self) {
        if self.handler_failed {
            return;
        }
        let handler = self.handler.clone();
        let client = self.client.clone();
        self.run_handler(|| handler.drained(&client)).await;
    }

    /// Runs a method of the handler that receives nothing of the input.
    async fn run_handler<F: Future<Output = HandlerResult>>(&mut self, method: impl FnOnce() -> F) {
        if self.intake.is_some() {
            return self.run_on_thread(method).await;
        }
        let MessagePhase { reader, link, client, handler, inbox, handler_failed, turn, .. } = self;
        let (decoder, input) = reader.decoder_and_input();
        let mut view = RecvBuf::new(input.unread());
        let outcome = Busy { link, client, decoder, rest: &mut view, inbox, lent: 0, turn }.run(method).await;
        close_if_failed(&**handler, client, link, handler_failed, outcome);
        let used = view.consumed();
        input.consume(used);
    }

    /// Returns how the connection ended, and the transport if the peer has not closed its side.
    ///
    /// Otherwise drops the transport, so that it does not stay open during [`Handler::close`].
    pub(crate) fn end(self) -> Ended<I, C> {
        let MessagePhase { link, client, .. } = self;
        let info = link.close_info().unwrap_or_else(CloseInfo::unknown);
        client.entry().end();
        let link = if link.state() == State::Closed {
            drop_isolated(link);
            None
        } else {
            Some(link)
        };
        Ended { info, link }
    }
}
