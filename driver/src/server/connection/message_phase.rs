//! An open WebSocket: waiting for messages, and calling the handler with each.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::http::Request;
use sockeye_core::{CloseCode, CloseFrame, CloseInfo, Control, Frame, Opcode, RecvBuf, State};

use crate::engine::buffer::READ;
use crate::engine::decoder::Decoded;
use crate::engine::link::ReadOutcome;
use crate::engine::reader::Reader;
use crate::runtime::io::{Clock, Io};
use crate::runtime::server::Runtime;
use crate::server::api::client::Client;
use crate::server::api::handler::{Failure, Handler, HandlerResult, Inbound};
use crate::server::connection::guard::{guarded_while, report_failure};
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::registry::early_pushes::Deferred;
use crate::server::registry::entry::Flag;
use crate::server::registry::error::PushError;
use crate::server::registry::settings::Forward;

/// The state of a connection that is a WebSocket: all that its task keeps between messages.
pub(crate) struct MessagePhase<R: Runtime, H> {
    reader: Reader,
    link: TaskLink<R::Io, R::Clock>,
    client: Client,
    handler: Arc<H>,
    forward: Forward,
    /// The `hold` of [`Decoder::decode`](crate::engine::decoder::Decoder::decode).
    hold: usize,
    /// Decode before reading: the input may already hold a whole message.
    has_undecoded_input: bool,
    /// A method of the handler has failed. From then on only [`Handler::close`] is called.
    handler_failed: bool,
}

/// What is left of a connection that is over.
pub(crate) struct Ended<R: Runtime, H> {
    pub(crate) info: CloseInfo,
    pub(crate) handler: Arc<H>,
    /// The transport, if the peer has not closed its side.
    pub(crate) link: Option<TaskLink<R::Io, R::Clock>>,
}

/// The next step of the task.
pub(crate) enum Next {
    DeliverBatch,
    CallDrained,
    End,
}

impl<R: Runtime, H: Handler> MessagePhase<R, H> {
    pub(crate) fn new(
        reader: Reader,
        link: TaskLink<R::Io, R::Clock>,
        client: Client,
        handler: Arc<H>,
    ) -> Self {
        let forward = client.entry().port.forward;
        MessagePhase {
            reader,
            link,
            client,
            handler,
            forward,
            hold: READ,
            has_undecoded_input: true,
            handler_failed: false,
        }
    }

    /// Waits for something to do. Frees all memory that an idle connection does not need.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if std::mem::take(&mut self.link.drained) {
            return Poll::Ready(Next::CallDrained);
        }
        if self.client.entry().has_either(Flag::Paused, Flag::Draining) {
            return self.poll_flagged(cx);
        }
        self.poll_input(cx)
    }

    /// Acts on flags, then continues like [`poll_next`](MessagePhase::poll_next).
    #[cold]
    fn poll_flagged(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.close_if_draining();
        if self.is_paused() {
            // A flag that is set after this check wakes the task.
            self.link.poll_write_only(cx);
            if self.link.drained {
                return self.poll_next(cx);
            }
            if self.is_paused() && !self.close_if_draining() {
                return Poll::Pending;
            }
        }
        self.poll_input(cx)
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if std::mem::take(&mut self.has_undecoded_input) {
            return Poll::Ready(Next::DeliverBatch);
        }
        if self.forward.close {
            // The handler has received the peer's Close, if there is one. Answer unless it has.
            self.link.answer_close();
        }
        self.reader.limit_read_to_frame();
        match self.reader.poll_input(&mut self.link, cx) {
            Poll::Ready(Ok(ReadOutcome::Bytes)) => {
                self.hold = READ;
                Poll::Ready(Next::DeliverBatch)
            }
            // The link's close info says how it ended.
            Poll::Ready(Ok(ReadOutcome::End(_)) | Err(_)) => Poll::Ready(Next::End),
            Poll::Ready(Ok(ReadOutcome::Yield)) => {
                self.reader.release();
                Poll::Pending
            }
            Poll::Pending if self.link.drained => self.poll_next(cx),
            // Decode even a part of a frame before waiting: it may already break the protocol.
            Poll::Pending if self.reader.has_unread_input() => {
                self.hold = 0;
                Poll::Ready(Next::DeliverBatch)
            }
            // The flag was set before the task began to wait.
            Poll::Pending if self.close_if_draining() => self.poll_next(cx),
            Poll::Pending => {
                self.reader.release();
                Poll::Pending
            }
        }
    }

    /// Sends the Close of a shutdown if it is due. Messages that were received before have been
    /// handled. Those that arrive before the peer's Close still are, but cannot be answered.
    fn close_if_draining(&mut self) -> bool {
        let entry = self.client.entry();
        if !entry.has_flag(Flag::Draining) || self.link.state() != State::Open {
            return false;
        }
        // A batch that has not been decoded is handled first, unless the application paused it.
        if self.has_undecoded_input && !entry.has_flag(Flag::Paused) {
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

    /// Calls the handler with every message in the input, one after the other.
    pub(crate) async fn deliver_batch(&mut self) {
        let MessagePhase {
            reader,
            link,
            client,
            handler,
            forward,
            hold,
            has_undecoded_input,
            handler_failed,
        } = self;
        let entry = client.entry();
        let (decoder, input) = reader.decoder_and_input();
        let len = decoder.frame_len(input.unread());
        input.release_if_whole(len);
        let mut view = RecvBuf::new(input.unread());
        while !view.is_empty() {
            // A peer that sends requests and does not read the answers must wait.
            if entry.has_flag(Flag::Full) {
                poll_fn(|cx| link.poll_room(cx)).await;
            }
            if entry.has_flag(Flag::Aborted) {
                break;
            }
            if entry.has_flag(Flag::Paused) && link.state() == State::Open {
                *has_undecoded_input = true;
                break;
            }
            let message = match decoder.decode(&mut view, *hold, link) {
                None => break,
                Some(Decoded::Message(message)) => message,
                Some(Decoded::Control(control)) => {
                    if let Some(frame) = forwarded_frame(&control, *forward).filter(|_| !*handler_failed) {
                        let outcome = run_handler(link, client, || handler.control(client, &frame)).await;
                        close_if_failed(&**handler, client, link, handler_failed, outcome);
                    }
                    continue;
                }
                Some(Decoded::Incomplete) => continue,
            };
            if *handler_failed {
                continue;
            }
            let inbound = Inbound { message: message.as_ref(), compressed: message.is_compressed() };
            let outcome = run_handler(link, client, || handler.message(client, inbound)).await;
            close_if_failed(&**handler, client, link, handler_failed, outcome);
        }
        let used = view.consumed();
        input.consume(used);
    }

    /// Runs the deferred functions, then [`Handler::open`] if there is a request for it.
    pub(crate) async fn call_open(&mut self, request: Option<Request>, deferred: Vec<Deferred>) {
        let MessagePhase { link, client, handler, handler_failed, .. } = self;
        let open = || async {
            deferred.into_iter().for_each(|deferred| deferred());
            match &request {
                Some(request) => handler.open(client, request).await,
                None => Ok(()),
            }
        };
        let outcome = run_handler(link, client, open).await;
        close_if_failed(&**handler, client, link, handler_failed, outcome);
    }

    pub(crate) async fn call_drained(&mut self) {
        let MessagePhase { link, client, handler, handler_failed, .. } = self;
        if *handler_failed {
            return;
        }
        let outcome = run_handler(link, client, || handler.drained(client)).await;
        close_if_failed(&**handler, client, link, handler_failed, outcome);
    }

    /// Returns how the connection ended, and the transport if the peer has not closed its side.
    ///
    /// Otherwise drops the transport, so that it does not stay open during [`Handler::close`].
    pub(crate) fn end(self) -> Ended<R, H> {
        let MessagePhase { link, client, handler, .. } = self;
        let info = link.close_info().unwrap_or_else(CloseInfo::unknown);
        client.entry().end();
        let link = Some(link).filter(|link| link.state() != State::Closed);
        Ended { info, handler, link }
    }
}

/// Runs a method of the handler, and writes what is pushed meanwhile. Drops the method and returns
/// `None` if the connection is aborted.
async fn run_handler<I: Io, C: Clock, F: Future<Output = HandlerResult>>(
    link: &mut TaskLink<I, C>,
    client: &Client,
    method: impl FnOnce() -> F,
) -> Option<Result<(), Failure>> {
    let meanwhile = |cx: &mut Context<'_>| {
        link.poll_write_only(cx);
        if client.entry().has_flag(Flag::Aborted) { Poll::Ready(()) } else { Poll::Pending }
    };
    guarded_while(method, meanwhile).await
}

/// Closes the connection with 1011 if a method of the handler has failed, and reports the failure.
fn close_if_failed<I: Io, C: Clock, H: Handler>(
    handler: &H,
    client: &Client,
    link: &TaskLink<I, C>,
    handler_failed: &mut bool,
    outcome: Option<Result<(), Failure>>,
) {
    if let Some(Err(failure)) = outcome {
        *handler_failed = true;
        if is_closing_error(&failure) && link.state() != State::Open {
            // The connection closed before the handler could answer, which is not a failure.
            return;
        }
        link.close(&CloseFrame::new(CloseCode::INTERNAL_ERROR, ""));
        report_failure(handler, client, &failure);
    }
}

fn is_closing_error(failure: &Failure) -> bool {
    let Failure::Error(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(PushError::Closing))
}

/// Returns the frame for [`Handler::control`], if the port forwards this kind of control frame.
fn forwarded_frame<'c>(control: &'c Control<'_>, forward: Forward) -> Option<Frame<'c>> {
    match control {
        Control::Ping(payload) if forward.ping => Some(Frame::new(Opcode::Ping, &**payload)),
        Control::Pong(payload) if forward.pong => Some(Frame::new(Opcode::Pong, &**payload)),
        // A Close that could be received can also be encoded.
        Control::Close(frame) if forward.close => Frame::close(frame).ok(),
        _ => None,
    }
}
