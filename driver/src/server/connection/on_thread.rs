//! Calling handlers on a thread that they may block.
//!
//! While a handler runs, its connection's link holds the state that reading on needs, so that the
//! [keeper](crate::server::registry::keeper) can read on if the handler takes long. The undecoded
//! input goes there too, so the handler can borrow a message only if that is the last in the input.
//! Messages before the last are copied out, which is cheaper than to copy what follows them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use sockeye_core::{MessageRef, RecvBuf, State};

use crate::engine::buffer::READ;
use crate::engine::decoder::Decoded;
use crate::runtime::io::{Clock, Io};
use crate::runtime::server::Runtime;
use crate::server::api::client::Client;
use crate::server::api::handler::{Failure, Handler, HandlerResult};
use crate::server::api::inbound::Inbound;
use crate::server::connection::busy::{Lent, close_if_failed, wait_for_room};
use crate::server::connection::guard::Guarded;
use crate::server::connection::inbox::{Inbox, Intake, Received, forwarded_frame, into_owned};
use crate::server::connection::message_phase::MessagePhase;
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::registry::flag::Flag;

impl<R: Runtime, H: Handler> MessagePhase<R, H> {
    /// Calls the handler with every message in the inbox and in the input, one after the other.
    pub(crate) async fn deliver_on_thread(&mut self) {
        let mut intake = Some(self.begin_busy());
        self.deliver_intake(&mut intake).await;
        self.end_busy(intake);
    }

    /// Runs a method of the handler that receives nothing of the input.
    pub(super) async fn run_on_thread<F: Future<Output = HandlerResult>>(
        &mut self,
        method: impl FnOnce() -> F,
    ) {
        let mut intake = Some(self.begin_busy());
        let MessagePhase { link, client, handler, handler_failed, .. } = self;
        let outcome = Busy { link, client, intake: &mut intake }.run(method).await;
        close_if_failed(&**handler, client, link, handler_failed, outcome);
        self.end_busy(intake);
        // The keeper may have read something and yielded before it was decoded.
        self.has_undecoded_input = true;
    }

    /// Takes the intake out of the reader, and lets the keeper look for this connection.
    fn begin_busy(&mut self) -> Box<Intake> {
        let entry = self.client.entry();
        let (decoder, input) = self.reader.take(&entry.port.config);
        let inbox = self.inbox.take().map_or_else(|| Inbox::with_input(input), |inbox| *inbox);
        entry.begin_busy();
        self.client.hub().keeper.ensure_awake();
        Box::new(Intake { decoder, inbox })
    }

    fn end_busy(&mut self, intake: Option<Box<Intake>>) {
        self.client.entry().store_flag(Flag::Busy, false);
        let Some(intake) = intake else { return };
        let Intake { decoder, mut inbox } = *intake;
        if inbox.has_received() {
            self.reader.put_back(decoder, Default::default());
            self.inbox = Some(Box::new(inbox));
        } else {
            self.reader.put_back(decoder, std::mem::take(inbox.input_mut()));
        }
    }

    async fn deliver_intake(&mut self, slot: &mut Option<Box<Intake>>) {
        let hold = if self.holds_partial_frames { READ } else { 0 };
        let MessagePhase { link, client, handler, forward, has_undecoded_input, handler_failed, .. } = self;
        let entry = client.entry();
        let mut copy = Copy::default();
        loop {
            // A peer that sends requests and does not read the answers must wait.
            if entry.has_flag(Flag::Full) {
                Busy { link, client, intake: slot }.wait_for_room().await;
            }
            let Some(intake) = slot else { return };
            let Intake { decoder, inbox } = &mut **intake;
            if entry.has_flag(Flag::Aborted) {
                inbox.discard_received(decoder, link);
                return;
            }
            if entry.has_flag(Flag::Paused) && link.state() == State::Open {
                *has_undecoded_input = true;
                return;
            }
            if *handler_failed {
                inbox.discard_received(decoder, link);
            }
            let received = match inbox.pop(decoder, link) {
                Some(received) => received,
                None => {
                    let mut input = std::mem::take(intake.inbox.input_mut());
                    let mut view = RecvBuf::new(input.unread());
                    let decoded = intake.decoder.decode(&mut view, hold, link);
                    let needs_more = decoded.is_none();
                    let received = match decoded {
                        Some(Decoded::Message(message)) => {
                            let compressed = message.is_compressed();
                            match message.in_input() {
                                None => {
                                    Some(Received::Message { message: message.into_message(), compressed })
                                }
                                Some(message) if view.is_empty() => {
                                    let mut busy = Busy { link, client, intake: slot };
                                    let inbound = Inbound { message, owned: None, compressed };
                                    busy.call_message(&**handler, inbound, handler_failed).await;
                                    input.consume_and_release(usize::MAX);
                                    continue;
                                }
                                Some(message) => {
                                    let message = copy.take(message);
                                    let used = view.consumed();
                                    input.consume(used);
                                    *intake.inbox.input_mut() = input;
                                    let mut busy = Busy { link, client, intake: slot };
                                    let inbound = Inbound { message, owned: None, compressed };
                                    busy.call_message(&**handler, inbound, handler_failed).await;
                                    continue;
                                }
                            }
                        }
                        Some(Decoded::Control(control)) => forwarded_frame(&control, *forward)
                            .map(|frame| Received::Control(into_owned(frame))),
                        Some(Decoded::Incomplete) | None => None,
                    };
                    let used = view.consumed();
                    input.consume(used);
                    *intake.inbox.input_mut() = input;
                    match received.filter(|_| !*handler_failed) {
                        Some(received) => received,
                        None if needs_more => return,
                        None => continue,
                    }
                }
            };
            let mut busy = Busy { link, client, intake: slot };
            match received {
                Received::Message { message, compressed } => {
                    let lent = Lent::Owned(message);
                    busy.call_message(&**handler, lent.inbound(compressed), handler_failed).await;
                    lent.release();
                }
                // A message leaves the inbox inflated.
                Received::Deflated(_) => {}
                Received::Control(frame) => {
                    let outcome = busy.run(|| handler.control(client, &frame)).await;
                    close_if_failed(&**handler, client, link, handler_failed, outcome);
                }
            }
        }
    }
}

/// Memory for the copies of messages, one at a time.
#[derive(Default)]
struct Copy {
    text: String,
    bytes: Vec<u8>,
}

impl Copy {
    fn take(&mut self, message: MessageRef<'_>) -> MessageRef<'_> {
        match message {
            MessageRef::Text(text) => {
                self.text.clear();
                self.text.push_str(text);
                MessageRef::Text(&self.text)
            }
            MessageRef::Binary(bytes) => {
                self.bytes.clear();
                self.bytes.extend_from_slice(bytes);
                MessageRef::Binary(&self.bytes)
            }
        }
    }
}

/// A connection while a method of the handler runs on its thread.
struct Busy<'p, I, C> {
    link: &'p mut TaskLink<I, C>,
    client: &'p Client,
    /// `None` while the link holds it.
    intake: &'p mut Option<Box<Intake>>,
}

impl<I: Io, C: Clock> Busy<'_, I, C> {
    /// Calls [`Handler::message`], unless a method of the handler has failed.
    async fn call_message<H: Handler>(
        &mut self,
        handler: &H,
        message: Inbound<'_>,
        handler_failed: &mut bool,
    ) {
        if *handler_failed {
            return;
        }
        let client = self.client;
        self.set_lent(message.message.as_bytes().len());
        let outcome = self.run(|| handler.message(client, message)).await;
        self.set_lent(0);
        close_if_failed(handler, client, self.link, handler_failed, outcome);
    }

    /// Notes the length of the message that the handler borrows.
    fn set_lent(&mut self, len: usize) {
        if let Some(intake) = self.intake {
            intake.inbox.lent = len;
        }
    }

    /// Runs a method of the handler. While it runs, the link holds the intake; while it waits, this
    /// task reads on. Drops the method and returns `None` if the connection is aborted.
    async fn run<F: Future<Output = HandlerResult>>(
        &mut self,
        method: impl FnOnce() -> F,
    ) -> Option<Result<(), Failure>> {
        // A method that is not an `async fn` may do its work before it returns a future.
        let method = pin!(Some(async { method().await }));
        let mut method = Guarded::new(method);
        poll_fn(|cx| {
            self.link.swap_intake(self.intake);
            let polled = method.poll(cx);
            self.link.swap_intake(self.intake);
            match polled {
                Ok(Poll::Ready(result)) => Poll::Ready(Some(result.map_err(Failure::Error))),
                Err(failure) => Poll::Ready(Some(Err(failure))),
                Ok(Poll::Pending) => {
                    self.read_on(cx);
                    if self.client.entry().has_flag(Flag::Aborted) {
                        Poll::Ready(None)
                    } else {
                        Poll::Pending
                    }
                }
            }
        })
        .await
    }

    /// Waits until the queue is below its high-water mark, or the connection is no longer open.
    async fn wait_for_room(mut self) {
        wait_for_room(&mut self, |busy| busy.link.clear_full_flag(), Self::read_on).await;
    }

    fn read_on(&mut self, cx: &mut Context<'_>) -> bool {
        let entry = self.client.entry();
        let intake = self.intake.as_mut();
        let has_yielded = intake.is_some_and(|intake| intake.poll_read_on(self.link, entry, cx));
        self.client.hub().balance_received();
        has_yielded
    }
}
