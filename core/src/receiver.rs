//! The receiving half: bytes in, events out.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::close::CloseFrame;
use crate::config::Config;
use crate::deflate::Inflater;
use crate::error::ProtocolError;
use crate::event::Event;
use crate::frame::{FrameHeader, Opcode};
use crate::input::RecvBuf;
use crate::mask::{advance_key, apply_mask};
use crate::message::{MessageKind, MessageRef};
use crate::role::Role;
use crate::utf8::check_text;
use sockeye_mask::unmask_text;

mod header;

use header::{CutHeader, first_of};

/// Decodes what the peer sends: frames, fragments and the rules between them (RFC 6455 5), and the limits.
///
/// It holds no payload: what has arrived is handed out at once, unmasked in place. Between calls it keeps a cut header
/// or a cut control frame (139 bytes at most).
///
/// It cannot answer: whoever drives it gives each event to [`Sender::react`](crate::Sender::react), and an error to
/// [`Sender::fail`](crate::Sender::fail). [`Connection`](crate::Connection) does both.
#[derive(Debug)]
pub struct Receiver {
    config: Arc<Config>,
    role: Role,
    step: Step,
    /// A header that the input ended in.
    header: CutHeader,
    frame: FrameState,
    message: Option<MessageState>,
    inflater: Option<Box<Inflater>>,
}

/// What the next bytes are.
#[derive(Debug)]
enum Step {
    Header,
    Data,
    Control(Opcode),
    /// A control frame's payload that the input ended in.
    #[expect(clippy::box_collection, reason = "rare, and a third of the size of every other step")]
    CutControl(Opcode, Box<Vec<u8>>),
    /// "the connection is closed for reading": the peer's Close was the last thing that counts.
    Closed,
    /// In a box, to keep every other step small.
    Failed(Box<ProtocolError>),
}

/// The payload being read.
#[derive(Debug, Default)]
struct FrameState {
    remaining: u64,
    key: [u8; 4],
    finish: bool,
}

/// The message being read.
#[derive(Debug)]
struct MessageState {
    kind: MessageKind,
    /// Bytes that its frames have declared so far.
    declared: u64,
    frames: u32,
    compressed: bool,
    /// Whether nothing of it has been handed out yet.
    first: bool,
}

impl Receiver {
    /// A receiver for the end of the connection that is `role`, behind the opening handshake.
    #[must_use]
    pub fn new(role: Role, config: Arc<Config>) -> Self {
        Receiver {
            config,
            role,
            step: Step::Header,
            header: CutHeader::default(),
            frame: FrameState::default(),
            message: None,
            inflater: None,
        }
    }

    /// Takes the next event out of `input`; `None` when all of it has been taken and more is needed.
    ///
    /// # Errors
    ///
    /// What the peer did wrong. From then on every call discards its input and returns the same error.
    #[inline]
    pub fn poll_event<'a>(&mut self, input: &mut RecvBuf<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        self.poll(input, 0)
    }

    /// Like [`poll_event`](Receiver::poll_event), but leaves a frame in `input` that is not all there, if it has at most
    /// `room` bytes, header and all: for callers who can read the rest of it behind what they have, so that it comes out
    /// as one piece. When no more can be read, they call `poll_event`, which takes what there is. What is wrong with a
    /// header is told at once all the same; what is wrong with a payload when it is taken.
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn poll_whole_event<'a>(
        &mut self,
        input: &mut RecvBuf<'a>,
        room: usize,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.poll(input, room)
    }

    /// The short way to a message that lies whole in one frame at the front of `input`, its text checked, with no
    /// [`Event`] made of it and no [`Assembler`](crate::Assembler) needed. `None` says nothing: it may be anything else,
    /// right or wrong, which [`poll_event`](Receiver::poll_event) tells.
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

    /// As [`Connection::inflate`](crate::Connection::inflate), but the error is the caller's to give to
    /// [`Sender::fail`](crate::Sender::fail).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn inflate(
        &mut self,
        payload: &[u8],
        last: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        // Without an agreement nothing comes compressed.
        let Some(inflater) = &mut self.inflater else { return sink(payload) };
        let inflated = inflater.push(payload, last, self.config.max_message_size, &mut sink);
        inflated.inspect_err(|error| self.fail(*error))
    }

    /// Whether messages may come compressed.
    #[must_use]
    pub fn inflates(&self) -> bool {
        self.inflater.is_some()
    }

    pub(crate) fn set_inflater(&mut self, inflater: Option<Box<Inflater>>) {
        self.inflater = inflater;
    }

    pub(crate) fn inflater(&mut self) -> Option<&mut Inflater> {
        self.inflater.as_deref_mut()
    }

    /// How long the frame at the front of `input` is, header and all, if its header is there: for callers of
    /// [`poll_whole_event`](Receiver::poll_whole_event) who want to read just the rest of it.
    #[must_use]
    pub fn frame_len(&self, input: &[u8]) -> Option<u64> {
        match (&self.step, FrameHeader::parse(input)) {
            (Step::Header, Ok(Some((header, used)))) if self.header.is_empty() => {
                Some(header.len.saturating_add(used as u64))
            }
            _ => None,
        }
    }

    /// Discards whatever arrives from now on.
    pub fn fail(&mut self, error: ProtocolError) {
        if !matches!(self.step, Step::Failed(_)) {
            self.step = Step::Failed(Box::new(error));
        }
    }

    /// Whether the peer may still send something that counts: no Close has come, and nothing has failed.
    #[must_use]
    #[inline]
    pub fn is_open(&self) -> bool {
        !matches!(self.step, Step::Closed | Step::Failed(_))
    }

    /// What the peer did wrong, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<ProtocolError> {
        match &self.step {
            Step::Failed(error) => Some(**error),
            _ => None,
        }
    }

    /// Whether everything received so far has been handed out and no message is half done.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        matches!(self.step, Step::Header) && self.header.is_empty() && self.message.is_none()
    }

    #[inline(always)]
    fn poll<'a>(&mut self, input: &mut RecvBuf<'a>, room: usize) -> Result<Option<Event<'a>>, ProtocolError> {
        match self.whole_message(input) {
            Some((kind, payload, ascii)) => {
                Ok(Some(Event::Data { kind, payload, ascii, compressed: false, first: true, last: true }))
            }
            // What every read ends with need not take the long way.
            None if input.is_empty() && self.is_open() => Ok(None),
            None => self.step_or_fail(input, room),
        }
    }

    /// The short way for what is nearly everything: a message in one frame that is all there. Whatever else it is, right or
    /// wrong, is left to the long way.
    #[inline(always)]
    fn whole_message<'a>(&self, input: &mut RecvBuf<'a>) -> Option<(MessageKind, &'a [u8], Option<&'a str>)> {
        if !matches!(self.step, Step::Header) || !self.header.is_empty() || self.message.is_some() {
            return None;
        }
        let there = input.remaining();
        let (header, used) = FrameHeader::parse(there).ok()??;
        let kind = first_of(header.opcode)?;
        let fits = header.len <= there.len().saturating_sub(used) as u64;
        if !fits
            || !header.flags.finish
            || header.flags.compress
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
        room: usize,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let result = self.step(input, room);
        if let Err(error) = result {
            self.fail(error);
        }
        result
    }

    fn step<'a>(&mut self, input: &mut RecvBuf<'a>, room: usize) -> Result<Option<Event<'a>>, ProtocolError> {
        loop {
            match &mut self.step {
                Step::Header => {
                    let Some((header, key)) = self.next_header(input, room)? else { return Ok(None) };
                    self.begin_frame(&header, key)?;
                }
                Step::Data => {
                    if let Some(event) = self.read_data(input) {
                        return Ok(Some(event));
                    }
                    // A fragment that is neither begin nor end and carries nothing is no event.
                    if !matches!(self.step, Step::Header) {
                        return Ok(None);
                    }
                }
                Step::Control(_) | Step::CutControl(..) => {
                    let Some((opcode, payload)) = self.read_control(input) else { return Ok(None) };
                    return self.control_event(opcode, payload).map(Some);
                }
                // "any data received after the Close frame is ignored" and "after failing, MUST NOT continue to
                // attempt to process data" (RFC 6455 1.4, 7.1.7)
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

    /// Hands out what there is of the frame's payload.
    #[inline]
    fn read_data<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<Event<'a>> {
        let (masked, key) = self.take_payload(input);
        let frame_ends = self.frame.remaining == 0;
        let last = frame_ends && self.frame.finish;
        if frame_ends {
            self.step = Step::Header;
        }
        let message = self.message.as_mut()?;
        let (kind, compressed, first) = (message.kind, message.compressed, message.first);
        if masked.is_empty() && !last && !(first && frame_ends) {
            return None;
        }
        message.first = false;
        if last {
            self.message = None;
        }
        let (payload, ascii) = self.unmask(masked, key, kind);
        Some(Event::Data { kind, payload, ascii, compressed, first, last })
    }

    /// Collects a control frame's payload; borrowed when it is all there, as it nearly always is.
    fn read_control<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<(Opcode, Cow<'a, [u8]>)> {
        let (part, key) = self.take_payload(input);
        let (part, _) = self.unmask(part, key, MessageKind::Binary);
        let complete = self.frame.remaining == 0;
        match &mut self.step {
            Step::Control(opcode) => {
                let opcode = *opcode;
                if complete {
                    return Some((opcode, Cow::Borrowed(part)));
                }
                self.step = Step::CutControl(opcode, Box::new(part.to_vec()));
                None
            }
            Step::CutControl(opcode, payload) => {
                payload.extend_from_slice(part);
                complete.then(|| (*opcode, Cow::Owned(core::mem::take(&mut **payload))))
            }
            _ => None,
        }
    }

    fn control_event<'a>(
        &mut self,
        opcode: Opcode,
        payload: Cow<'a, [u8]>,
    ) -> Result<Event<'a>, ProtocolError> {
        self.step = Step::Header;
        Ok(match opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            _ => {
                let close = CloseFrame::parse(payload)?;
                self.step = Step::Closed;
                Event::Close(close)
            }
        })
    }

    /// Takes what there is of the payload, with the key that it begins with.
    #[inline]
    fn take_payload<'a>(&mut self, input: &mut RecvBuf<'a>) -> (&'a mut [u8], [u8; 4]) {
        let frame = &mut self.frame;
        let payload = input.take(usize::try_from(frame.remaining).unwrap_or(usize::MAX));
        frame.remaining = frame.remaining.saturating_sub(payload.len() as u64);
        let key = frame.key;
        frame.key = advance_key(key, payload.len());
        (payload, key)
    }

    /// Unmasks a payload if it comes from a client; text is looked at for ASCII in the same pass.
    #[inline(always)]
    fn unmask<'a>(
        &self,
        payload: &'a mut [u8],
        key: [u8; 4],
        kind: MessageKind,
    ) -> (&'a [u8], Option<&'a str>) {
        match (self.role, kind) {
            (Role::Client, _) => (payload, None),
            (Role::Server, MessageKind::Binary) => {
                apply_mask(payload, key);
                (payload, None)
            }
            (Role::Server, MessageKind::Text) => match unmask_text(payload, key) {
                Ok(text) => (text.as_bytes(), Some(text)),
                Err(bytes) => (bytes, None),
            },
        }
    }
}
