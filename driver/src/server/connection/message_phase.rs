//! An open WebSocket: waiting for messages, and calling the handler with each.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::{CloseInfo, RecvBuf, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::READ;
use crate::engine::decoder::Decoded;
use crate::engine::link::ReadOutcome;
use crate::engine::reader::Reader;
use crate::engine::turn::{self, Turn};
use crate::runtime::server::Runtime;
use crate::server::api::client::Client;
use crate::server::api::handler::{Handler, HandlerResult};
use crate::server::connection::busy::{Busy, Lent, close_if_failed};
use crate::server::connection::inbox::{Inbox, Received, forwarded_frame};
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::connection::tls::ServerIo;
use crate::server::connection::upgrade::FirstEvent;
use crate::server::panics::drop_isolated;
use crate::server::registry::early_pushes::Deferred;
use crate::server::registry::flag::Flag;
use crate::server::registry::settings::Forward;

/// The state of a connection that is a WebSocket: all that its task keeps between messages.
pub(crate) struct MessagePhase<R: Runtime, H> {
    pub(super) reader: Reader,
    pub(super) link: TaskLink<ServerIo<R>, R::Clock>,
    pub(super) client: Client,
    pub(super) handler: Arc<H>,
    /// The input that arrived while a handler waited. If there is an inbox, the reader has no
    /// input: the inbox has it.
    pub(super) inbox: Option<Box<Inbox>>,
    pub(super) forward: Forward,
    /// The task has a thread to itself, which the handler may block.
    pub(super) has_own_thread: bool,
    /// Leave an incomplete frame in the input: more may arrive at once.
    pub(super) holds_partial_frames: bool,
    /// Decode before reading: the input may already hold a whole message.
    pub(super) has_undecoded_input: bool,
    /// A method of the handler has failed. From then on only [`Handler::close`] is called.
    pub(super) handler_failed: bool,
    /// What the task has done since it last waited or yielded.
    pub(super) turn: Turn,
}

/// The remains of a connection that has ended.
pub(crate) struct Ended<R: Runtime> {
    pub(crate) info: CloseInfo,
    /// The transport, if the peer has not closed its side.
    pub(crate) link: Option<TaskLink<ServerIo<R>, R::Clock>>,
}

/// The next step of the task.
pub(crate) enum Next {
    DeliverInbox,
    DeliverInput,
    CallDrained,
    End,
}

impl<R: Runtime, H: Handler> MessagePhase<R, H> {
    pub(crate) fn new(
        reader: Reader,
        link: TaskLink<ServerIo<R>, R::Clock>,
        client: Client,
        handler: Arc<H>,
    ) -> Self {
        let forward = client.entry().port.forward;
        MessagePhase {
            has_own_thread: link.has_own_thread(),
            reader,
            link,
            client,
            handler,
            inbox: None,
            forward,
            holds_partial_frames: true,
            has_undecoded_input: true,
            handler_failed: false,
            turn: Turn::default(),
        }
    }

    /// Waits for something to do. Frees all memory that an idle connection does not need.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.turn.is_over() && !self.has_own_thread {
            // The peer never pauses, or the handler takes long: let other tasks run.
            self.turn.restart();
            self.reader.release();
            self.link.yield_now(cx);
            return Poll::Pending;
        }
        let next = self.poll_turn(cx);
        if next.is_pending() {
            self.turn.restart();
        }
        next
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if std::mem::take(&mut self.link.drained) {
            return Poll::Ready(Next::CallDrained);
        }
        if self.client.entry().has_any([Flag::Paused, Flag::Draining, Flag::Shed]) {
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
        self.close_if_draining();
        if self.is_paused() {
            // A flag that is set after this check wakes the task.
            self.link.poll_write_only(cx, self.reader.held());
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
        if self.forward.close {
            // The handler has received any Close of the peer. Answer it, if the handler has not.
            self.link.answer_close();
        }
        self.reader.limit_read_to_frame();
        match self.reader.poll_input(&mut self.link, cx) {
            Poll::Ready(Ok(ReadOutcome::Bytes)) => {
                self.holds_partial_frames = true;
                Poll::Ready(Next::DeliverInput)
            }
            // The link's close info says how it ended.
            Poll::Ready(Ok(ReadOutcome::End(_)) | Err(_)) => Poll::Ready(Next::End),
            Poll::Ready(Ok(ReadOutcome::Yield)) => {
                self.reader.release();
                Poll::Pending
            }
            Poll::Pending if self.link.drained => self.poll_turn(cx),
            // Decode even a part of a frame before waiting: it may already break the protocol.
            Poll::Pending if self.reader.has_unread_input() => {
                self.holds_partial_frames = false;
                Poll::Ready(Next::DeliverInput)
            }
            // The flag was set before the task began to wait.
            Poll::Pending if self.close_if_draining() => self.poll_turn(cx),
            Poll::Pending => {
                self.reader.release();
                self.client.hub().balance_received();
                Poll::Pending
            }
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

    /// Calls the handler with every message in the input, one after the other, until the turn is
    /// over. If the handler waits, the rest of the input is in the inbox afterwards.
    pub(crate) async fn deliver_input(&mut self) {
        let MessagePhase {
            reader,
            link,
            client,
            handler,
            inbox,
            forward,
            holds_partial_frames,
            has_undecoded_input,
            handler_failed,
            turn,
            ..
        } = self;
        let hold = if *holds_partial_frames { READ } else { 0 };
        let entry = client.entry();
        let (decoder, input) = reader.decoder_and_input();
        let len = decoder.frame_len(input.unread());
        input.release_if_whole(len);
        let mut view = RecvBuf::new(input.unread());
        turn.begin(|| link.now());
        while !view.is_empty() || (decoder.is_inflating() && inbox.is_none()) {
            // A peer that sends requests and does not read the answers must wait.
            if entry.has_flag(Flag::Full) && !link.clear_full_flag() {
                // It waits with the rest in an inbox, without the read buffer.
                *inbox = Some(Box::new(Inbox::new(view.take_all())));
                break;
            }
            if entry.has_flag(Flag::Aborted) {
                break;
            }
            if entry.has_flag(Flag::Paused) && link.state() == State::Open {
                *has_undecoded_input = true;
                break;
            }
            let before = view.consumed();
            let decoded = decoder.decode(&mut view, hold, link);
            let cost = turn::cost(decoded.as_ref(), view.consumed() - before);
            let (lent, compressed) = match decoded {
                None => break,
                Some(Decoded::Message(message)) => {
                    let compressed = message.is_compressed();
                    match message.in_input() {
                        Some(message) => (Lent::Input(message), compressed),
                        // The decoder must be free to decode what arrives meanwhile.
                        None => (Lent::Owned(message.into_message()), compressed),
                    }
                }
                Some(Decoded::Control(control)) => {
                    if let Some(frame) = forwarded_frame(&control, *forward).filter(|_| !*handler_failed) {
                        let busy = Busy { link, client, decoder, rest: &mut view, inbox, lent: 0, turn };
                        let outcome = busy.run(|| handler.control(client, &frame)).await;
                        close_if_failed(&**handler, client, link, handler_failed, outcome);
                    }
                    if turn.add(cost, || link.now()) {
                        *has_undecoded_input = true;
                        break;
                    }
                    continue;
                }
                Some(Decoded::Incomplete) => {
                    if turn.add(cost, || link.now()) || turn.add_inflated(decoder, || link.now()) {
                        *has_undecoded_input = true;
                        break;
                    }
                    continue;
                }
            };
            if !*handler_failed {
                let busy = Busy { link, client, decoder, rest: &mut view, inbox, lent: lent.len(), turn };
                let outcome = busy.run(|| handler.message(client, lent.inbound(compressed))).await;
                lent.release();
                close_if_failed(&**handler, client, link, handler_failed, outcome);
            }
            if turn.add(cost, || link.now()) || (compressed && turn.add_inflated(decoder, || link.now())) {
                *has_undecoded_input = true;
                break;
            }
        }
        let used = view.consumed();
        input.consume(used);
        if inbox.is_some() {
            input.release();
        }
    }

    /// Calls the handler with everything in the inbox, then moves the rest of the input to the
    /// reader. Returns before that if the connection is paused or aborted, or the turn is over.
    pub(crate) async fn deliver_inbox(&mut self) {
        let MessagePhase {
            reader,
            link,
            client,
            handler,
            inbox,
            has_undecoded_input,
            handler_failed,
            turn,
            ..
        } = self;
        let entry = client.entry();
        let (decoder, input) = reader.decoder_and_input();
        let rest = &mut RecvBuf::default();
        loop {
            turn.begin(|| link.now());
            if turn.is_over() {
                return;
            }
            if entry.has_flag(Flag::Full) {
                Busy { link, client, decoder, rest, inbox, lent: 0, turn }.wait_for_room().await;
            }
            if entry.has_flag(Flag::Aborted) {
                *inbox = None;
                return;
            }
            if entry.has_flag(Flag::Paused) && link.state() == State::Open {
                return;
            }
            if let Some(inbox) = inbox.as_mut().filter(|_| *handler_failed) {
                inbox.discard_received(decoder, link);
            }
            let mut cost = turn::MESSAGE;
            let outcome = match inbox.as_mut().and_then(|inbox| inbox.pop(decoder, link)) {
                // A message leaves the inbox inflated.
                None | Some(Received::Deflated(_)) => break,
                Some(Received::Message { message, compressed }) => {
                    cost = cost.saturating_add(turn::bytes(message.len()));
                    let lent = Lent::Owned(message);
                    let busy = Busy { link, client, decoder, rest, inbox, lent: lent.len(), turn };
                    let outcome = busy.run(|| handler.message(client, lent.inbound(compressed))).await;
                    lent.release();
                    outcome
                }
                Some(Received::Control(frame)) => {
                    let busy = Busy { link, client, decoder, rest, inbox, lent: 0, turn };
                    busy.run(|| handler.control(client, &frame)).await
                }
            };
            close_if_failed(&**handler, client, link, handler_failed, outcome);
            turn.add(cost, || link.now());
            turn.add_inflated(decoder, || link.now());
        }
        if let Some(inbox) = inbox.take() {
            *input = inbox.into_input();
            *has_undecoded_input = true;
        }
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
        if self.has_own_thread {
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
    pub(crate) fn end(self) -> Ended<R> {
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
