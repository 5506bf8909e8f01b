//! The messages that arrive while a handler runs.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::task::{Context, Poll};

use sockeye_core::{Control, DeflatedMessage, Frame, InflatingMessage, Message, Opcode, RecvBuf, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::{READ, ReadBuffer};
use crate::engine::decoder::{DecodedForLater, Decoder, SenderAccess, Unfinished};
use crate::engine::link::ReadOutcome;
use crate::engine::turn::{self, Turn};
use crate::runtime::io::{Clock, Io};
use crate::server::api::handler::Handler;
use crate::server::connection::message_phase::MessagePhase;
use crate::server::registry::entry::Entry;
use crate::server::registry::flag::Flag;
use crate::server::registry::settings::Forward;

/// The number of bytes that each message counts in addition to its payload, so that a flood of tiny
/// messages cannot take much more memory than the limit says.
const MESSAGE_COST: usize = 64;

/// The maximum cost of the items in an inbox whose connection waits for the peer to read. It is
/// small, so that a peer that does not read takes little memory.
const UNREAD_INBOX: usize = 16 << 10;

/// The operations of a link that reading on needs.
pub(crate) trait BusyLink: LinkAccess {
    /// Runs [`LinkAccess::poll_io`] for a connection that is not idle.
    fn poll_busy_io(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut ReadBuffer,
        unfinished: Unfinished,
    ) -> Poll<ReadOutcome>;

    /// Writes what is queued, without reading. `held` is the number of received bytes that the
    /// connection holds.
    fn poll_write_only(&mut self, cx: &mut Context<'_>, held: usize);

    /// Fails the connection, because it holds too much of what it has received.
    fn shed(&mut self);

    fn state(&self) -> State;
}

/// Messages and control frames that have arrived and that the handler has not received yet.
///
/// In an async runtime, it is created when a handler first waits.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    received: VecDeque<Received>,
    /// The compressed message before those, of which a slice was inflated.
    inflating: Option<Box<InflatingMessage>>,
    /// The sum of the costs of the received items.
    cost: usize,
    /// The bytes that have been read and not decoded.
    input: ReadBuffer,
    /// The length of the message that the handler has borrowed.
    pub(crate) lent: usize,
}

/// The state that reading on needs: the decoder, and the input that has arrived.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) decoder: Decoder,
    pub(crate) inbox: Inbox,
}

impl Intake {
    pub(crate) fn new((decoder, input): (Decoder, ReadBuffer)) -> Self {
        Intake { decoder, inbox: Inbox { input, ..Inbox::default() } }
    }

    pub(crate) fn decoder_and_input(&mut self) -> (&mut Decoder, &mut ReadBuffer) {
        (&mut self.decoder, &mut self.inbox.input)
    }

    /// Returns whether there is something to decode.
    pub(crate) fn has_undecoded(&self) -> bool {
        !self.inbox.input.is_empty() || self.decoder.is_inflating()
    }

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

/// The result of [`Inbox::pop`].
#[derive(Debug)]
pub(crate) enum Popped {
    /// It is empty.
    Nothing,
    /// The next item. A compressed message is inflated.
    Received(Received),
    /// A slice of a compressed message was inflated. Call it again.
    Inflating,
    /// A compressed message was discarded, because the connection may not hold it inflated.
    TooMuch,
}

/// Something for the handler.
#[derive(Debug)]
pub(crate) enum Received {
    Message {
        message: Message,
        compressed: bool,
    },
    /// A compressed message. It is inflated when the handler receives it.
    Deflated(DeflatedMessage),
    Control(Frame<'static>),
}

impl Inbox {
    /// Creates an inbox. `unread` has been read and not decoded.
    pub(crate) fn new(unread: &[u8]) -> Self {
        Inbox { input: ReadBuffer::new(unread), ..Inbox::default() }
    }

    /// Takes the next item, or inflates a slice of it. A message that cannot be inflated fails the
    /// connection, and is discarded with everything after it.
    ///
    /// `may_hold` says whether the connection may hold so many bytes. It is asked before and after
    /// each slice: until then, a message counts with its compressed length.
    pub(crate) fn pop<A: SenderAccess>(
        &mut self,
        decoder: &mut Decoder,
        sender: &mut A,
        may_hold: impl Fn(usize) -> bool,
    ) -> Popped {
        let mut inflating = match self.inflating.take() {
            Some(inflating) => inflating,
            None => {
                let Some(received) = self.received.pop_front() else { return Popped::Nothing };
                self.cost -= received.cost();
                let Received::Deflated(message) = received else { return Popped::Received(received) };
                Box::new(InflatingMessage::from(message))
            }
        };
        if !may_hold(self.held(decoder).saturating_add(inflating.held())) {
            return Popped::TooMuch;
        }
        match decoder.inflate_slice(&mut inflating, sender) {
            Ok(whole) => {
                let len = whole.as_ref().map_or_else(|| inflating.held(), Message::len);
                match whole {
                    _ if !may_hold(self.held(decoder).saturating_add(len)) => Popped::TooMuch,
                    Some(message) => Popped::Received(Received::Message { message, compressed: true }),
                    None => {
                        self.inflating = Some(inflating);
                        Popped::Inflating
                    }
                }
            }
            Err(_) => {
                self.discard_received();
                Popped::Nothing
            }
        }
    }

    /// Puts back messages that the handler has not received, in front of those that have arrived
    /// since.
    pub(crate) fn put_back(&mut self, messages: impl DoubleEndedIterator<Item = Message>) {
        for message in messages.rev() {
            let received = Received::Message { message, compressed: false };
            self.cost += received.cost();
            self.received.push_front(received);
        }
    }

    /// Returns the bytes that have been read and not decoded.
    pub(crate) fn into_input(self) -> ReadBuffer {
        self.input
    }

    /// Takes the input to decode it. [`return_input`](Inbox::return_input) returns the rest.
    pub(crate) fn take_input(&mut self) -> ReadBuffer {
        std::mem::take(&mut self.input)
    }

    pub(crate) fn return_input(&mut self, mut input: ReadBuffer, used: usize) {
        input.consume(used);
        self.input = input;
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
        if entry.has_flag(Flag::Shed) {
            self.shed(decoder, link);
        }
        let (mut hold, mut turn) = (READ, Turn::default());
        let has_yielded = loop {
            self.decode(decoder, hold, link, entry, &mut turn);
            if turn.is_over() {
                link.yield_now(cx);
                break true;
            }
            let is_paused = entry.has_flag(Flag::Paused) && link.state() == State::Open;
            if is_paused || self.is_full(decoder, entry) {
                // The peer must wait. Its unread input may show that it is alive, so its deadlines
                // are suspended.
                link.poll_write_only(cx, self.held(decoder) + self.input.len());
                break false;
            }
            if !self.input.is_empty() {
                let len = decoder.frame_len(self.input.unread());
                self.input.limit_read_to_frame(len);
            }
            let unfinished = Unfinished { held: self.held(decoder), ..decoder.unfinished() };
            match link.poll_busy_io(cx, &mut self.input, unfinished) {
                Poll::Ready(ReadOutcome::Bytes) => hold = READ,
                Poll::Ready(ReadOutcome::Yield) => break true,
                Poll::Ready(ReadOutcome::End(_)) => {
                    self.input.consume(usize::MAX);
                    if entry.port.cancel_handlers {
                        entry.store_flag(Flag::Aborted, true);
                    }
                    // Nothing is left to write, but the task must still wake for an abort.
                    link.poll_write_only(cx, self.held(decoder));
                    break false;
                }
                Poll::Pending if self.input.is_empty() => break false,
                // Decode even a part of a frame before waiting: it may already break the protocol.
                Poll::Pending => hold = 0,
            }
        };
        self.input.release_waiting();
        has_yielded
    }

    /// Decodes the input until the inbox is full or the turn is over.
    fn decode<L: LinkAccess>(
        &mut self,
        decoder: &mut Decoder,
        hold: usize,
        link: &mut L,
        entry: &Entry,
        turn: &mut Turn,
    ) {
        while (!self.input.is_empty() || decoder.is_inflating()) && !self.is_full(decoder, entry) {
            if turn.add_inflated(decoder, || link.now()) {
                return;
            }
            let mut view = RecvBuf::new(self.input.unread());
            let decoded = decoder.decode_for_later(&mut view, hold, link);
            let cost = decoded.as_ref().map_or(0, |decoded| turn::cost_for_later(decoded, view.consumed()));
            turn.add(cost, || link.now());
            let needs_more = decoded.is_none();
            let received = match decoded {
                Some(DecodedForLater::Message { message, compressed }) => {
                    Some(Received::Message { message, compressed })
                }
                Some(DecodedForLater::Deflated(message)) => Some(Received::Deflated(message)),
                Some(DecodedForLater::Control(control)) => forwarded_frame(&control, entry.port.forward)
                    .map(|frame| Received::Control(into_owned(frame))),
                Some(DecodedForLater::Incomplete) | None => None,
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

    /// Discards everything, because the connection holds too much.
    fn shed<L: BusyLink>(&mut self, decoder: &mut Decoder, link: &mut L) {
        self.discard_all(decoder);
        link.shed();
    }

    /// Discards everything that a handler would receive, because it receives nothing more.
    pub(crate) fn discard_received(&mut self) {
        self.inflating = None;
        self.received.clear();
        self.cost = 0;
    }

    fn discard_all(&mut self, decoder: &mut Decoder) {
        self.discard_received();
        self.input.consume(usize::MAX);
        self.input.release();
        decoder.discard();
    }

    /// Returns the number of received bytes that are held, except those of the input.
    fn held(&self, decoder: &Decoder) -> usize {
        self.kept(decoder).saturating_add(self.lent)
    }

    /// Returns how many of these bytes wait for the handler, or for the rest of their message.
    fn kept(&self, decoder: &Decoder) -> usize {
        let inflating = self.inflating.as_ref().map_or(0, |inflating| inflating.held());
        self.cost.saturating_add(inflating).saturating_add(decoder.partial_len())
    }

    fn is_full(&self, decoder: &Decoder, entry: &Entry) -> bool {
        let port = &entry.port;
        let is_unread = entry.has_flag(Flag::Full);
        let bytes = if is_unread { port.inbox_bytes.min(UNREAD_INBOX) } else { port.inbox_bytes };
        self.received.len() >= port.inbox_messages || self.kept(decoder) >= bytes
    }
}

impl<I: Io, C: Clock, H: Handler> MessagePhase<I, C, H> {
    /// Returns how many received bytes wait to be decoded or to become a whole message.
    pub(super) fn held(&self) -> usize {
        match &self.intake {
            None => self.inbox.as_ref().map_or_else(
                || self.reader.held(),
                |inbox| inbox.held(self.reader.decoder()) + inbox.input.len(),
            ),
            Some(intake) => intake.inbox.held(&intake.decoder) + intake.inbox.input.len(),
        }
    }

    /// Counts what the connection holds at the end of a turn.
    pub(super) fn count_turn(&mut self) {
        let (hub, entry, held) = (self.client.hub(), self.client.entry(), self.held());
        if !self.reader.decoder().is_inflating() {
            hub.count_received(entry, held);
            hub.balance_received();
        } else if !hub.may_hold(entry, held) {
            // Others inflate before this task runs again, so free the memory now.
            self.shed();
        }
    }

    /// Fails the connection and discards what it has received, because it holds too much.
    pub(super) fn shed(&mut self) {
        self.discard_received();
        self.link.shed();
    }

    /// Discards what has been received and not been delivered.
    pub(super) fn discard_received(&mut self) {
        self.inbox = None;
        self.has_undecoded_input = false;
        self.reader.discard();
        if let Some(intake) = &mut self.intake {
            intake.inbox.discard_all(&mut intake.decoder);
        }
    }
}

impl Received {
    fn cost(&self) -> usize {
        let len = match self {
            Received::Message { message, .. } => message.len(),
            Received::Deflated(message) => message.len(),
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
