//! An open WebSocket: waiting for messages, and calling the handler with each.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::http::Request;
use sockeye_core::{CloseCode, CloseFrame, Event, Frame, Opcode, RecvBuf, State};

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

/// An open connection.
pub(crate) struct MessagePhase<R: Runtime, H> {
    pub(crate) reader: Reader,
    pub(crate) link: TaskLink<R::Io, R::Clock>,
    pub(crate) client: Client,
    pub(crate) handler: Arc<H>,
    pub(crate) forward: Forward,
    /// As in [`Reader::poll_message`](crate::engine::reader::Reader::poll_message).
    pub(crate) hold: usize,
    /// There may be messages in what has been read already.
    pub(crate) has_undecoded_input: bool,
    /// The handler has failed: it is told of nothing more but the end.
    pub(crate) handler_failed: bool,
}

/// What is to be done next.
pub(crate) enum Next {
    DeliverBatch,
    CallDrained,
    End,
}

impl<R: Runtime, H: Handler> MessagePhase<R, H> {
    /// Waits for something to do. While nothing is, no memory is held.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if std::mem::take(&mut self.link.drained) {
            return Poll::Ready(Next::CallDrained);
        }
        if self.client.entry().has_flag(Flag::Paused) && self.link.state() == State::Open {
            // A flag that is set behind this look wakes the task.
            self.link.poll_write_only(cx);
            if self.link.drained {
                return self.poll_next(cx);
            }
            if self.client.entry().has_flag(Flag::Paused) && self.link.state() == State::Open {
                return Poll::Pending;
            }
        }
        if std::mem::take(&mut self.has_undecoded_input) {
            return Poll::Ready(Next::DeliverBatch);
        }
        self.reader.limit_read_to_frame();
        match self.reader.poll_input(&mut self.link, cx) {
            Poll::Ready(Ok(ReadOutcome::Bytes)) => {
                self.hold = READ;
                Poll::Ready(Next::DeliverBatch)
            }
            // How it ended is in its close info.
            Poll::Ready(Ok(ReadOutcome::End(_)) | Err(_)) => Poll::Ready(Next::End),
            Poll::Ready(Ok(ReadOutcome::Yield)) => {
                self.reader.release();
                Poll::Pending
            }
            Poll::Pending if self.link.drained => self.poll_next(cx),
            Poll::Pending if self.reader.has_unread_input() => {
                self.hold = 0;
                Poll::Ready(Next::DeliverBatch)
            }
            Poll::Pending => {
                self.reader.release();
                Poll::Pending
            }
        }
    }

    /// Hands out all messages of what was read, each when the one before it has been handled.
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
            // A peer that asks and does not read is not listened to either.
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
                Some(Decoded::Control(event)) => {
                    if let Some(frame) = forwarded_frame(&event, *forward).filter(|_| !*handler_failed) {
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

    /// Behind the 101.
    pub(crate) async fn call_open(&mut self, request: Option<Request>, deferred: Vec<Deferred>) {
        let MessagePhase { link, client, handler, handler_failed, .. } = self;
        let opening = || async {
            deferred.into_iter().for_each(|deferred| deferred());
            match &request {
                Some(request) => handler.open(client, request).await,
                None => Ok(()),
            }
        };
        let outcome = run_handler(link, client, opening).await;
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
}

/// Runs a method of the handler; what is pushed meanwhile is written. `None` if the connection was aborted first.
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

/// Does what follows from how a method of the handler ended.
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
            // It could not be answered any more: that is nobody's fault.
            return;
        }
        // It may be closing already; then that is its end.
        link.close(&CloseFrame::new(CloseCode::INTERNAL_ERROR, ""));
        report_failure(handler, client, &failure);
    }
}

fn is_closing_error(failure: &Failure) -> bool {
    let Failure::Error(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(PushError::Closing))
}

/// A control frame that the handler is told of.
fn forwarded_frame<'e>(event: &'e Event<'_>, forward: Forward) -> Option<Frame<'e>> {
    match event {
        Event::Ping(payload) if forward.ping => Some(Frame::new(Opcode::Ping, &**payload)),
        Event::Pong(payload) if forward.pong => Some(Frame::new(Opcode::Pong, &**payload)),
        // It was valid when it came, so it can be written again.
        Event::Close(frame) if forward.close => Frame::close(frame).ok(),
        _ => None,
    }
}
