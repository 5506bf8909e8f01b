//! The messages that arrive while a handler runs.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::task::{Context, Poll};

use sockeye_core::{Control, Frame, Message, Opcode, RecvBuf, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::{READ, ReadBuffer};
use crate::engine::decoder::{Decoded, Decoder};
use crate::engine::link::ReadOutcome;
use crate::engine::turn::{self, Turn};
use crate::server::registry::entry::Entry;
use crate::server::registry::flag::Flag;
use crate::server::registry::settings::{Forward, Settings};

/// The number of bytes that each message counts in addition to its payload, so that a flood of tiny
/// messages cannot take much more memory than the limit says.
const MESSAGE_COST: usize = 64;

/// The operations of a link that reading on needs.
pub(crate) trait BusyLink: LinkAccess {
    /// Runs [`LinkAccess::poll_io`] for a connection that is not idle.
    fn poll_busy_io(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<ReadOutcome>;

    /// Writes what is queued, without reading.
    fn poll_write_only(&mut self, cx: &mut Context<'_>);

    fn state(&self) -> State;
}

/// Messages and control frames that have arrived and that the handler has not received yet.
///
/// In an async runtime, it is created when a handler first waits.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    received: VecDeque<Received>,
    /// The sum of the costs of the received items.
    cost: usize,
    /// The bytes that have been read and not decoded.
    input: ReadBuffer,
}

/// The state that reading on needs: the decoder, and the input that has arrived.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) decoder: Decoder,
    pub(crate) inbox: Inbox,
}

impl Intake {
    /// Runs [`Inbox::poll_read_on`].
    pub(crate) fn poll_read_on<L: BusyLink>(
        &mut self,
        link: &mut L,
        entry: &Entry,
        cx: &mut Context<'_>,
    ) -> bool {
        self.inbox.poll_read_on(&mut self.decoder, link, entry, cx)
    }
}

/// Something for the handler.
#[derive(Debug)]
pub(crate) enum Received {
    Message { message: Message, compressed: bool },
    Control(Frame<'static>),
}

impl Inbox {
    /// Creates an inbox. `unread` has been read and not decoded.
    pub(crate) fn new(unread: &[u8]) -> Self {
        Inbox::with_input(ReadBuffer::new(unread))
    }

    pub(crate) fn with_input(input: ReadBuffer) -> Self {
        Inbox { input, ..Inbox::default() }
    }

    pub(crate) fn pop(&mut self) -> Option<Received> {
        let received = self.received.pop_front()?;
        self.cost -= received.cost();
        Some(received)
    }

    /// Discards everything that a handler would receive. The input remains: it may hold the peer's
    /// Close.
    pub(crate) fn discard_received(&mut self) {
        self.received.clear();
        self.cost = 0;
    }

    /// Returns the bytes that have been read and not decoded.
    pub(crate) fn into_input(self) -> ReadBuffer {
        self.input
    }

    pub(crate) fn input_mut(&mut self) -> &mut ReadBuffer {
        &mut self.input
    }

    pub(crate) fn has_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// Reads and decodes until the peer pauses or the inbox is full, and writes and keeps the
    /// deadlines like an idle connection. Control frames are answered at once.
    ///
    /// Registers the task for the next event, whatever it is. Returns true if the task has yielded:
    /// it is woken again, and must return before it does anything else.
    pub(crate) fn poll_read_on<L: BusyLink>(
        &mut self,
        decoder: &mut Decoder,
        link: &mut L,
        entry: &Entry,
        cx: &mut Context<'_>,
    ) -> bool {
        let (mut hold, mut turn) = (READ, Turn::default());
        let has_yielded = loop {
            self.decode(decoder, hold, link, &entry.port, &mut turn);
            if turn.is_over() {
                link.yield_now(cx);
                break true;
            }
            let is_paused = entry.has_flag(Flag::Paused) && link.state() == State::Open;
            if is_paused || self.is_full(decoder, &entry.port) {
                // The peer must wait. Its unread input may show that it is alive, so its deadlines
                // are suspended.
                link.poll_write_only(cx);
                break false;
            }
            if !self.input.is_empty() {
                let len = decoder.frame_len(self.input.unread());
                self.input.limit_read_to_frame(len);
            }
            match link.poll_busy_io(cx, &mut self.input) {
                Poll::Ready(ReadOutcome::Bytes) => hold = READ,
                Poll::Ready(ReadOutcome::Yield) => break true,
                Poll::Ready(ReadOutcome::End(_)) => {
                    self.input.consume(usize::MAX);
                    if entry.port.cancel_handlers {
                        entry.store_flag(Flag::Aborted, true);
                    }
                    // Nothing is left to write, but the task must still wake for an abort.
                    link.poll_write_only(cx);
                    break false;
                }
                Poll::Pending if self.input.is_empty() => break false,
                // Decode even a part of a frame before waiting: it may already break the protocol.
                Poll::Pending => hold = 0,
            }
        };
        self.input.release();
        has_yielded
    }

    /// Decodes the input until the inbox is full or the turn is over.
    fn decode<L: LinkAccess>(
        &mut self,
        decoder: &mut Decoder,
        hold: usize,
        link: &mut L,
        port: &Settings,
        turn: &mut Turn,
    ) {
        while (!self.input.is_empty() || decoder.is_inflating()) && !self.is_full(decoder, port) {
            if turn.add_inflated(decoder, || link.now()) {
                return;
            }
            let mut view = RecvBuf::new(self.input.unread());
            let decoded = decoder.decode(&mut view, hold, link);
            turn.add(turn::cost(decoded.as_ref(), view.consumed()), || link.now());
            let needs_more = decoded.is_none();
            let received = match decoded {
                Some(Decoded::Message(message)) => {
                    let compressed = message.is_compressed();
                    Some(Received::Message { message: message.into_message(), compressed })
                }
                Some(Decoded::Control(control)) => {
                    forwarded_frame(&control, port.forward).map(|frame| Received::Control(into_owned(frame)))
                }
                Some(Decoded::Incomplete) | None => None,
            };
            let used = view.consumed();
            self.input.consume(used);
            if let Some(received) = received {
                self.cost += received.cost();
                self.received.push_back(received);
            }
            if needs_more {
                break;
            }
        }
    }

    fn is_full(&self, decoder: &Decoder, port: &Settings) -> bool {
        self.received.len() >= port.inbox_messages
            || self.cost.saturating_add(decoder.partial_len()) >= port.inbox_bytes
    }
}

impl Received {
    fn cost(&self) -> usize {
        let len = match self {
            Received::Message { message, .. } => message.len(),
            Received::Control(frame) => frame.data.len(),
        };
        len.saturating_add(MESSAGE_COST)
    }
}

/// Returns the frame for [`Handler::control`](crate::server::Handler::control), if the port
/// forwards this kind of control frame.
pub(crate) fn forwarded_frame<'c>(control: &'c Control<'_>, forward: Forward) -> Option<Frame<'c>> {
    match control {
        Control::Ping(payload) if forward.ping => Some(Frame::new(Opcode::Ping, &**payload)),
        Control::Pong(payload) if forward.pong => Some(Frame::new(Opcode::Pong, &**payload)),
        // A Close that could be received can also be encoded.
        Control::Close(frame) if forward.close => Frame::close(frame).ok(),
        _ => None,
    }
}

pub(crate) fn into_owned(frame: Frame<'_>) -> Frame<'static> {
    Frame { opcode: frame.opcode, data: Cow::Owned(frame.data.into_owned()), flags: frame.flags }
}
