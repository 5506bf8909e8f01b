//! The receiving half: bytes in, events out.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::Config;
use crate::deflate::Inflater;
use crate::error::ProtocolError;
use crate::event::{Data, Event};
use crate::frame::{FrameHeader, Opcode};
use crate::input::RecvBuf;
use crate::message::{MessageKind, MessageRef};
use crate::role::Role;
use crate::utf8::check_text;

mod header;
mod inflating;
mod payload;
mod progress;

use header::{PartialHeader, message_kind};
pub use progress::Progress;

/// The receiving half of a connection.
///
/// It decodes frames and messages, and enforces the rules of RFC 6455 5 and the limits of
/// [`Config`].
///
/// It returns the payload of messages as it arrives, unmasked in place, and stores none of it.
/// Between calls it keeps at most a partial header or a partial control frame (139 bytes).
///
/// It cannot answer. Its caller must pass every control frame to
/// [`Sender::react`](crate::Sender::react) and every error to
/// [`Sender::fail`](crate::Sender::fail), which [`Connection`](crate::Connection) does.
///
/// ```
/// # use std::sync::Arc;
/// use sockeye_core::{Config, Data, Event, MessageKind, Receiver, RecvBuf, Role};
///
/// let mut receiver = Receiver::new(Role::Client, Arc::new(Config::new()));
/// let mut bytes = *b"\x81\x02hi";
/// let event = receiver.poll_event(&mut RecvBuf::new(&mut bytes))?;
/// assert_eq!(event, Some(Event::Data(Data::new(MessageKind::Text, b"hi"))));
/// # Ok::<(), sockeye_core::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Receiver {
    config: Arc<Config>,
    role: Role,
    step: Step,
    /// The start of a header whose rest has not arrived.
    header: PartialHeader,
    frame: FrameState,
    message: Option<MessageState>,
    inflater: Option<Box<Inflater>>,
}

/// The part of a frame that the receiver reads next.
#[derive(Debug)]
enum Step {
    Header,
    Data,
    Control(Opcode),
    /// The rest of a control frame's payload. The vector holds the part that has arrived.
    #[expect(clippy::box_collection, reason = "rare, and a third of the size")]
    PartialControl(Opcode, Box<Vec<u8>>),
    /// Nothing until the rest of a compressed payload is inflated.
    Inflate,
    /// Nothing: the peer sent a Close.
    Closed,
    /// Nothing: the peer broke the protocol. The error is boxed to keep the receiver small.
    Failed(Box<ProtocolError>),
}

/// The frame whose payload is being read.
#[derive(Debug, Default)]
struct FrameState {
    remaining: u64,
    key: [u8; 4],
    finish: bool,
    /// The number of messages that have begun, except those that were whole in the input. It wraps.
    messages: u16,
}

/// The message that is being read.
#[derive(Debug)]
struct MessageState {
    kind: MessageKind,
    /// The sum of the payload lengths in its headers so far.
    declared: u64,
    frames: u32,
    compressed: bool,
    /// No event of the message has been returned yet.
    first: bool,
}

impl Receiver {
    /// Creates the receiving half of the endpoint with this role, for use after the opening
    /// handshake.
    #[must_use]
    pub fn new(role: Role, config: Arc<Config>) -> Self {
        Receiver {
            config,
            role,
            step: Step::Header,
            header: PartialHeader::default(),
            frame: FrameState::default(),
            message: None,
            inflater: None,
        }
    }

    /// Takes the next event out of `input`. Returns `None` when all of `input` has been taken and
    /// more is needed.
    ///
    /// # Errors
    ///
    /// Returns an error if the peer broke the protocol or exceeded a limit. From then on every call
    /// discards its input and returns the same error.
    #[inline]
    pub fn poll_event<'a>(&mut self, input: &mut RecvBuf<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        self.poll(input, 0)
    }

    /// Takes the next event out of `input`, but leaves an incomplete frame there if it has at most
    /// `hold` bytes, header included.
    ///
    /// This is for callers that can append the rest of the frame to `input`, so that its payload is
    /// contiguous. When no more can be appended, call [`poll_event`](Receiver::poll_event), which
    /// takes the incomplete frame too.
    ///
    /// # Errors
    ///
    /// Returns an error in the same cases as [`poll_event`](Receiver::poll_event): for an invalid
    /// header as soon as it has arrived, for an invalid payload when it is taken.
    #[inline]
    pub fn poll_whole_event<'a>(
        &mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.poll(input, hold)
    }

    /// Takes a message that is whole in one frame at the front of `input`, its text checked.
    ///
    /// This is the fast path for nearly every message: it needs no [`Event`] and no
    /// [`Assembler`](crate::Assembler). `None` means that `input` starts with anything else, valid
    /// or not; call [`poll_event`](Receiver::poll_event) to process it.
    #[inline(always)]
    pub fn poll_message<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<MessageRef<'a>> {
        let (kind, payload, ascii) = self.whole_message(input)?;
        match (kind, ascii) {
            (MessageKind::Binary, _) => Some(MessageRef::Binary(payload)),
            (MessageKind::Text, Some(text)) => Some(MessageRef::Text(text)),
            (MessageKind::Text, None) => match check_text(payload) {
                Ok(text) => Some(MessageRef::Text(text)),
                Err(error) => {
                    self.fail(error.into());
                    None
                }
            },
        }
    }

    pub(crate) fn set_inflater(&mut self, inflater: Option<Box<Inflater>>) {
        self.inflater = inflater;
    }

    pub(crate) fn inflater(&mut self) -> Option<&mut Inflater> {
        self.inflater.as_deref_mut()
    }

    /// Returns the length of the frame at the front of `input`, header included; `None` if `input`
    /// does not start with a complete header. Callers of
    /// [`poll_whole_event`](Receiver::poll_whole_event) can use it to read just the rest of the
    /// frame.
    #[must_use]
    pub fn frame_len(&self, input: &[u8]) -> Option<u64> {
        match (&self.step, FrameHeader::parse(input)) {
            (Step::Header, Ok(Some((header, used)))) if self.header.is_empty() => {
                Some(header.len.saturating_add(used as u64))
            }
            _ => None,
        }
    }

    /// Fails the connection: all further input is discarded, and
    /// [`poll_event`](Receiver::poll_event) returns `error`.
    pub fn fail(&mut self, error: ProtocolError) {
        if !matches!(self.step, Step::Failed(_)) {
            self.step = Step::Failed(Box::new(error));
        }
    }

    /// Returns whether input is still processed: the peer has sent no Close, and the connection has
    /// not failed.
    #[must_use]
    #[inline]
    pub fn is_open(&self) -> bool {
        !matches!(self.step, Step::Closed | Step::Failed(_))
    }

    /// Returns the error that the connection failed with, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<ProtocolError> {
        match &self.step {
            Step::Failed(error) => Some(**error),
            _ => None,
        }
    }

    /// Returns whether the input so far ended between two messages: no frame and no message is
    /// incomplete.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        matches!(self.step, Step::Header) && self.header.is_empty() && self.message.is_none()
    }

    #[inline(always)]
    fn poll<'a>(&mut self, input: &mut RecvBuf<'a>, hold: usize) -> Result<Option<Event<'a>>, ProtocolError> {
        match self.whole_message(input) {
            Some((kind, payload, ascii)) => Ok(Some(Event::Data(Data { ascii, ..Data::new(kind, payload) }))),
            // Every read ends like this, so it is checked before the slow path.
            None if input.is_empty() && self.is_open() => Ok(None),
            None => self.step_or_fail(input, hold),
        }
    }

    /// Takes a message that is whole in one frame, which nearly every message is. Leaves anything
    /// else, valid or not, to [`step`](Receiver::step).
    #[inline(always)]
    fn whole_message<'a>(&self, input: &mut RecvBuf<'a>) -> Option<(MessageKind, &'a [u8], Option<&'a str>)> {
        if !matches!(self.step, Step::Header) || !self.header.is_empty() || self.message.is_some() {
            return None;
        }
        let bytes = input.remaining();
        let (header, used) = FrameHeader::parse(bytes).ok()??;
        let kind = message_kind(header.opcode)?;
        let fits = header.len <= bytes.len().saturating_sub(used) as u64;
        if !fits
            || !header.flags.finish
            || header.flags.rsv1
            || self.check_limits(header.len, 0, 1, false).is_err()
        {
            return None;
        }
        let key = self.check_header(&header).ok()?;
        input.take(used);
        let (payload, ascii) = self.unmask(input.take(header.len as usize), key, kind);
        Some((kind, payload, ascii))
    }

    #[inline(never)]
    fn step_or_fail<'a>(
        &mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let result = self.step(input, hold);
        if let Err(error) = result {
            self.fail(error);
        }
        result
    }

    fn step<'a>(&mut self, input: &mut RecvBuf<'a>, hold: usize) -> Result<Option<Event<'a>>, ProtocolError> {
        loop {
            match &mut self.step {
                Step::Header => {
                    let Some((header, key)) = self.next_header(input, hold)? else { return Ok(None) };
                    self.begin_frame(&header, key)?;
                }
                Step::Data => {
                    if let Some(event) = self.read_data(input) {
                        return Ok(Some(event));
                    }
                    // An empty fragment in the middle of a message is not an event.
                    if !matches!(self.step, Step::Header) {
                        return Ok(None);
                    }
                }
                Step::Inflate => return Ok(None),
                Step::Control(_) | Step::PartialControl(..) => {
                    let Some((opcode, payload)) = self.read_control(input) else { return Ok(None) };
                    return self.control_event(opcode, payload).map(Some);
                }
                // "any data received after the Close frame is ignored" and "after failing, MUST NOT
                // continue to attempt to process data" (RFC 6455 1.4, 7.1.7)
                Step::Closed => {
                    input.take_all();
                    return Ok(None);
                }
                Step::Failed(error) => {
                    input.take_all();
                    return Err(**error);
                }
            }
        }
    }
}
