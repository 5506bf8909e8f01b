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
use crate::server::connection::guard::{guarded, report};
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
    pub(crate) room: usize,
    /// There may be messages in what has been read already.
    pub(crate) more: bool,
    /// The handler has failed: it is told of nothing more but the end.
    pub(crate) handler_failed: bool,
}

/// What is to be done next.
pub(crate) enum Next {
    Batch,
    Drained,
    End,
}

impl<R: Runtime, H: Handler> MessagePhase<R, H> {
    /// Waits for something to do. While nothing is, no memory is held.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if std::mem::take(&mut self.link.drained) {
            return Poll::Ready(Next::Drained);
        }
        if self.client.entry().is(Flag::Paused) && self.link.state() == State::Open {
            // A flag that is set behind this look wakes the task.
            self.link.poll_write_only(cx);
            if self.link.drained {
                return self.poll_next(cx);
            }
            if self.client.entry().is(Flag::Paused) && self.link.state() == State::Open {
                return Poll::Pending;
            }
        }
        if std::mem::take(&mut self.more) {
            return Poll::Ready(Next::Batch);
        }
        self.reader.limit_read_to_frame();
        match self.reader.poll_input(&mut self.link, cx) {
            Poll::Ready(Ok(ReadOutcome::Bytes)) => {
                self.room = READ;
                Poll::Ready(Next::Batch)
            }
            // How it ended is in its close info.
            Poll::Ready(Ok(ReadOutcome::End(_)) | Err(_)) => Poll::Ready(Next::End),
            Poll::Ready(Ok(ReadOutcome::Yield)) => {
                self.reader.release();
                Poll::Pending
            }
            Poll::Pending if self.link.drained => self.poll_next(cx),
            Poll::Pending if self.reader.has_unread_input() => {
                self.room = 0;
                Poll::Ready(Next::Batch)
            }
            Poll::Pending => {
                self.reader.release();
                Poll::Pending
            }
        }
    }

    /// Hands out all messages of what was read, each when the one before it has been handled.
    pub(crate) async fn batch(&mut self) {
        let MessagePhase { reader, link, client, handler, forward, room, more, handler_failed } = self;
        let entry = client.entry();
        let (decoder, input) = reader.decoder_and_input();
        let len = decoder.frame_len(input.unread());
        input.release_if_whole(len);
        let mut view = RecvBuf::new(input.unread());
        while !view.is_empty() {
            // A peer that asks and does not read is not listened to either.
            if entry.is(Flag::Full) {
                poll_fn(|cx| link.poll_room(cx)).await;
            }
            if entry.is(Flag::Aborted) {
                break;
            }
            if entry.is(Flag::Paused) && link.state() == State::Open {
                *more = true;
                break;
            }
            let message = match decoder.decode(&mut view, *room, link) {
                None => break,
                Some(Decoded::Message(message)) => message,
                Some(Decoded::Control(event)) => {
                    if let Some(frame) = control(&event, *forward).filter(|_| !*handler_failed) {
                        let outcome = attend(link, client, || handler.control(client, &frame)).await;
                        settle(&**handler, client, link, handler_failed, outcome);
                    }
                    continue;
                }
                Some(Decoded::Incomplete) => continue,
            };
            if *handler_failed {
                continue;
            }
            let inbound = Inbound { message: message.as_ref(), compressed: message.is_compressed() };
            let outcome = attend(link, client, || handler.message(client, inbound)).await;
            settle(&**handler, client, link, handler_failed, outcome);
        }
        let used = view.consumed();
        input.consume(used);
    }

    /// Behind the 101.
    pub(crate) async fn begin(&mut self, request: Option<Request>, deferred: Vec<Deferred>) {
        let MessagePhase { link, client, handler, handler_failed, .. } = self;
        let opening = || async {
            deferred.into_iter().for_each(|deferred| deferred());
            match &request {
                Some(request) => handler.open(client, request).await,
                None => Ok(()),
            }
        };
        let outcome = attend(link, client, opening).await;
        settle(&**handler, client, link, handler_failed, outcome);
    }

    pub(crate) async fn drained(&mut self) {
        let MessagePhase { link, client, handler, handler_failed, .. } = self;
        if *handler_failed {
            return;
        }
        let outcome = attend(link, client, || handler.drained(client)).await;
        settle(&**handler, client, link, handler_failed, outcome);
    }
}

/// Runs a method of the handler; what is pushed meanwhile is written. `None` if the connection was aborted first.
async fn attend<I: Io, C: Clock, F: Future<Output = HandlerResult>>(
    link: &mut TaskLink<I, C>,
    client: &Client,
    method: impl FnOnce() -> F,
) -> Option<Result<(), Failure>> {
    let beside = |cx: &mut Context<'_>| {
        link.poll_write_only(cx);
        if client.entry().is(Flag::Aborted) { Poll::Ready(()) } else { Poll::Pending }
    };
    guarded(method, beside).await
}

/// Does what follows from how a method of the handler ended.
fn settle<I: Io, C: Clock, H: Handler>(
    handler: &H,
    client: &Client,
    link: &TaskLink<I, C>,
    handler_failed: &mut bool,
    outcome: Option<Result<(), Failure>>,
) {
    if let Some(Err(failure)) = outcome {
        *handler_failed = true;
        if is_closing(&failure) && link.state() != State::Open {
            // It could not be answered any more: that is nobody's fault.
            return;
        }
        // It may be closing already; then that is its end.
        link.close(&CloseFrame::new(CloseCode::INTERNAL_ERROR, ""));
        report(handler, client, &failure);
    }
}

fn is_closing(failure: &Failure) -> bool {
    let Failure::Error(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(PushError::Closing))
}

/// A control frame that the handler is told of.
fn control<'e>(event: &'e Event<'_>, forward: Forward) -> Option<Frame<'e>> {
    match event {
        Event::Ping(payload) if forward.ping => Some(Frame::new(Opcode::Ping, &**payload)),
        Event::Pong(payload) if forward.pong => Some(Frame::new(Opcode::Pong, &**payload)),
        // It was valid when it came, so it can be written again.
        Event::Close(frame) if forward.close => Frame::close(frame).ok(),
        _ => None,
    }
}
