//! Calling handlers on a thread that they may block.
//!
//! While a handler runs, its connection's link holds the intake, so that the
//! [keeper](crate::server::registry::keeper) can read on if the handler takes long. Passing it there
//! and back takes a lock. So whole messages that arrived together are decoded first, and the
//! intake is passed once for all of them.
//!
//! The undecoded input goes with the intake. So the handlers can borrow their messages from the
//! input only if nothing follows them there. Otherwise the messages are copied out, which is cheaper
//! than to copy what follows.

use std::future::{Future, poll_fn};
use std::iter;
use std::pin::pin;
use std::task::{Context, Poll};

use sockeye_core::{Frame, Instant, MessageRef, RecvBuf, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::READ;
use crate::engine::decoder::Decoded;
use crate::runtime::io::{Clock, Io};
use crate::server::api::client::Client;
use crate::server::api::handler::{Failure, Handler, HandlerResult};
use crate::server::api::inbound::Inbound;
use crate::server::connection::busy::{Lent, close_if_failed, wait_for_room};
use crate::server::connection::guard::Guarded;
use crate::server::connection::inbox::{Intake, Popped, Received, forwarded_frame, into_owned};
use crate::server::connection::limiter::{Admit, Limiting, wait};
use crate::server::connection::message_phase::MessagePhase;
use crate::server::connection::run::{Copies, decode_run};
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::registry::counters::ReceivedTally;
use crate::server::registry::flag::Flag;
use crate::server::registry::settings::Forward;

impl<I: Io, C: Clock, H: Handler> MessagePhase<I, C, H> {
    /// Calls the handler with every message in the inbox and in the input, one after the other.
    pub(crate) async fn deliver_on_thread(&mut self) {
        let hold = if self.holds_partial_frames { READ } else { 0 };
        let forward = self.forward;
        let mut calls = self.begin_calls();
        let is_paused = calls.deliver(hold, forward).await;
        calls.end();
        self.has_undecoded_input |= is_paused;
    }

    /// Runs a method of the handler that receives nothing of the input.
    pub(super) async fn run_on_thread<F: Future<Output = HandlerResult>>(
        &mut self,
        method: impl FnOnce() -> F,
    ) {
        let mut calls = self.begin_calls();
        calls.run(method).await;
        calls.end();
        // The keeper may have read something and yielded before it was decoded.
        self.has_undecoded_input = true;
    }

    /// Lets the keeper look for this connection.
    fn begin_calls(&mut self) -> Calls<'_, I, C, H> {
        let MessagePhase { link, client, handler, intake, handler_failed, .. } = self;
        client.entry().begin_busy();
        client.hub().keeper.ensure_awake();
        let (tally, limiting) = (ReceivedTally::new(client.entry()), Limiting::begin(client.entry()));
        Calls { link, client, handler: &**handler, intake, limiting, handler_failed, tally }
    }
}

/// A connection while methods of the handler run on its thread.
struct Calls<'p, I, C, H> {
    link: &'p mut TaskLink<I, C>,
    client: &'p Client,
    handler: &'p H,
    /// `None` while the link holds it.
    intake: &'p mut Option<Box<Intake>>,
    limiting: Limiting<'p>,
    handler_failed: &'p mut bool,
    tally: ReceivedTally<'p>,
}

impl<I: Io, C: Clock, H: Handler> Calls<'_, I, C, H> {
    /// Delivers the inbox and the input. Returns true if the connection is paused before the end.
    async fn deliver(&mut self, hold: usize, forward: Forward) -> bool {
        let entry = self.client.entry();
        let mut copies = None;
        loop {
            if entry.has_any([Flag::Full, Flag::Aborted, Flag::Paused]) {
                // A peer that sends requests and does not read the answers must wait.
                if entry.has_flag(Flag::Full) {
                    // That may take long, and the memory of the copies does not count.
                    copies = None;
                    wait_for_room(self, |calls| calls.link.clear_full_flag(), Self::read_on).await;
                }
                if entry.has_flag(Flag::Paused) && self.link.state() == State::Open {
                    return !entry.has_flag(Flag::Aborted);
                }
            }
            if let Some(until) = self.wait_until() {
                copies = None;
                // Boxed, because few connections wait.
                Box::pin(wait(until, self, entry, |calls| &mut *calls.link, Self::read_on)).await;
            }
            if entry.has_flag(Flag::TooFast) {
                return false;
            }
            let Some(intake) = self.intake else { return false };
            let Intake { decoder, inbox } = &mut **intake;
            if entry.has_flag(Flag::Aborted) {
                inbox.discard_received();
                return false;
            }
            match inbox.pop(decoder, self.link, |held| self.client.hub().may_hold(entry, held)) {
                Popped::Nothing => {}
                Popped::Inflating => continue,
                Popped::TooMuch => return false,
                Popped::Received(received) => {
                    self.call_with_received(received).await;
                    continue;
                }
            }
            if !intake.has_undecoded() {
                return false;
            }
            let mut input = intake.inbox.take_input();
            let mut view = RecvBuf::new(input.unread());
            if let Some(first) = intake.decoder.decode_whole(&mut view) {
                if view.is_empty() {
                    intake.inbox.lent = first.as_bytes().len();
                    self.call_with_each(iter::once(first)).await;
                    input.consume_and_release(usize::MAX);
                    continue;
                }
                let run = decode_run(first, &mut intake.decoder, &mut view);
                intake.inbox.lent = run.iter().map(|message| message.as_bytes().len()).sum();
                if view.is_empty() {
                    self.call_with_each(run.into_iter()).await;
                    input.consume_and_release(usize::MAX);
                } else {
                    let copies: &mut Copies = copies.get_or_insert_default();
                    copies.fill(&run);
                    let used = view.consumed();
                    intake.inbox.return_input(input, used);
                    self.call_with_each(copies.iter()).await;
                }
                continue;
            }
            let decoded = loop {
                if intake.decoder.is_inflating() {
                    let held = intake.decoder.partial_len() + view.remaining().len();
                    if !self.client.hub().may_hold(entry, held) {
                        return false;
                    }
                }
                match intake.decoder.decode_event_inlined(&mut view, hold, self.link) {
                    Some(Decoded::Incomplete) => {}
                    decoded => break decoded,
                }
            };
            match decoded {
                Some(Decoded::Message(message)) => {
                    let (compressed, lent) = (message.is_compressed(), Lent::new(message));
                    let used = view.consumed();
                    intake.inbox.return_input(input, used);
                    if compressed && !self.client.hub().may_lend(entry, lent.len()) {
                        return false;
                    }
                    self.call_with_lent(lent, compressed).await;
                }
                Some(Decoded::Control(control)) => {
                    let frame = forwarded_frame(&control, forward).map(into_owned);
                    let used = view.consumed();
                    intake.inbox.return_input(input, used);
                    if let Some(frame) = frame {
                        self.call_with_control(&frame).await;
                    }
                }
                Some(Decoded::Incomplete) | None => {
                    let used = view.consumed();
                    intake.inbox.return_input(input, used);
                    return false;
                }
            }
        }
    }

    async fn call_with_received(&mut self, received: Received) {
        match received {
            Received::Message { message, compressed } => {
                self.call_with_lent(Lent::Owned(message), compressed).await;
            }
            // A message leaves the inbox inflated.
            Received::Deflated(_) => {}
            Received::Control(frame) => self.call_with_control(&frame).await,
        }
    }

    async fn call_with_lent(&mut self, lent: Lent, compressed: bool) {
        let (handler, client) = (self.handler, self.client);
        if let Some(intake) = self.intake {
            intake.inbox.lent = lent.len();
        }
        if !*self.handler_failed && self.limiting.admit(lent.len(), || self.link.now()) == Admit::Deliver {
            self.tally.add(lent.len(), compressed);
            self.run(|| handler.message(client, lent.inbound(compressed))).await;
            self.take_back();
        }
        if let Some(intake) = self.intake {
            intake.inbox.lent = 0;
            lent.release(&mut intake.decoder);
        }
    }

    async fn call_with_control(&mut self, frame: &Frame<'_>) {
        let (handler, client) = (self.handler, self.client);
        if !*self.handler_failed {
            self.run(|| handler.control(client, frame)).await;
            self.take_back();
        }
    }

    /// Calls [`Handler::message`] with each message. Puts the rest of them into the inbox if the
    /// connection must wait, pause or end.
    async fn call_with_each<'m>(&mut self, mut messages: impl DoubleEndedIterator<Item = MessageRef<'m>>) {
        let (handler, client) = (self.handler, self.client);
        while !*self.handler_failed {
            let Some(message) = messages.next() else { break };
            let len = message.as_bytes().len();
            match self.limiting.admit(len, || self.link.now()) {
                Admit::Deliver => {}
                Admit::Skip => continue,
                Admit::End => break,
            }
            self.tally.add(len, false);
            self.run(|| handler.message(client, Inbound::whole(message))).await;
            if client.entry().has_any([Flag::Full, Flag::Aborted, Flag::Paused])
                || self.wait_until().is_some()
            {
                break;
            }
        }
        self.take_back();
        if let Some(intake) = self.intake {
            intake.inbox.lent = 0;
            if !*self.handler_failed {
                intake.inbox.put_back(messages.map(MessageRef::to_message));
            }
        }
    }

    /// Runs a method of the handler, and closes the connection if it fails. Leaves the intake with
    /// the link, unless the connection is aborted, which drops the method.
    ///
    /// Whenever the method waits, this task reads on itself.
    #[inline]
    async fn run<F: Future<Output = HandlerResult>>(&mut self, method: impl FnOnce() -> F) {
        // A method that is not an `async fn` may do its work before it returns a future.
        let method = pin!(Some(async { method().await }));
        let mut method = Guarded::new(method);
        let outcome = poll_fn(|cx| {
            if self.intake.is_some() {
                self.link.swap_intake(self.intake);
            }
            match method.poll(cx) {
                Ok(Poll::Ready(result)) => Poll::Ready(Some(result.map_err(Failure::Error))),
                Err(failure) => Poll::Ready(Some(Err(failure))),
                Ok(Poll::Pending) => {
                    self.take_back();
                    self.read_on(cx);
                    if self.client.entry().has_flag(Flag::Aborted) {
                        Poll::Ready(None)
                    } else {
                        Poll::Pending
                    }
                }
            }
        })
        .await;
        close_if_failed(self.handler, self.client, self.link, self.handler_failed, outcome);
    }

    /// Returns the time until which the rate limit makes the next message wait.
    #[inline(always)]
    fn wait_until(&mut self) -> Option<Instant> {
        self.limiting.wait_until(|| self.link.now())
    }

    fn take_back(&mut self) {
        if self.intake.is_none() {
            self.link.swap_intake(self.intake);
        }
    }

    fn read_on(&mut self, cx: &mut Context<'_>) -> bool {
        let entry = self.client.entry();
        let intake = self.intake.as_mut();
        let has_yielded = intake.is_some_and(|intake| intake.poll_read_on(self.link, entry, cx));
        self.client.hub().balance_received();
        has_yielded
    }

    fn end(mut self) {
        self.take_back();
        self.client.entry().store_flag(Flag::Busy, false);
    }
}
