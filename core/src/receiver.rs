//! The receiving half: bytes in, events out.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::close::CloseFrame;
use crate::config::Config;
use crate::connection::Role;
use crate::error::ProtocolError;
use crate::event::Event;
use crate::frame::{FrameHeader, MAX_HEADER, Opcode};
use crate::input::RecvBuf;
use crate::mask::{advance_key, apply_mask};
use crate::message::{MessageKind, MessageRef};
use sockeye_mask::unmask_text;

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
    Failed(ProtocolError),
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
            (MessageKind::Text, None) => match simdutf8::basic::from_utf8(payload) {
                Ok(text) => Some(MessageRef::Text(text)),
                Err(_) => {
                    self.fail(ProtocolError::InvalidUtf8);
                    None
                }
            },
        }
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
            self.step = Step::Failed(error);
        }
    }

    /// Whether the peer may still send something that counts: no Close has come, and nothing has failed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.step, Step::Closed | Step::Failed(_))
    }

    /// What the peer did wrong, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<ProtocolError> {
        match self.step {
            Step::Failed(error) => Some(error),
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
                Ok(Some(Event::Data { kind, payload, ascii, first: true, last: true }))
            }
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
        if !fits || !header.flags.finish || self.check_limits(header.len, 0, 1).is_err() {
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
                    return Err(*error);
                }
            }
        }
    }

    /// Takes the next header and checks it, unless its frame is to be left in `input` until it is whole; but a wrong one is
    /// told at once.
    fn next_header(
        &mut self,
        input: &mut RecvBuf<'_>,
        room: usize,
    ) -> Result<Option<(FrameHeader, [u8; 4])>, ProtocolError> {
        if !self.header.is_empty() {
            return self.joined_header(input);
        }
        let there = input.remaining();
        let Some((header, used)) = FrameHeader::parse(there)? else {
            return if room < MAX_HEADER { self.joined_header(input) } else { Ok(None) };
        };
        let key = self.check_header(&header)?;
        let cut = header.len > there.len().saturating_sub(used) as u64;
        if cut && header.len <= room.saturating_sub(used) as u64 {
            if !header.opcode.is_control() {
                self.check_data(&header)?;
            }
            return Ok(None);
        }
        input.take(used);
        Ok(Some((header, key)))
    }

    fn joined_header(
        &mut self,
        input: &mut RecvBuf<'_>,
    ) -> Result<Option<(FrameHeader, [u8; 4])>, ProtocolError> {
        let Some(header) = self.header.join(input)? else { return Ok(None) };
        Ok(Some((header, self.check_header(&header)?)))
    }

    /// Checks a header against the role and the extensions; gives the key to unmask with.
    #[inline]
    fn check_header(&self, header: &FrameHeader) -> Result<[u8; 4], ProtocolError> {
        // "The server MUST close the connection upon receiving a frame that is not masked." "A client MUST close
        // a connection if it detects a masked frame." (RFC 6455 5.1)
        let key = match (self.role, header.mask) {
            (Role::Server, Some(key)) => key,
            (Role::Client, None) => [0; 4],
            (Role::Server, None) => return Err(ProtocolError::UnmaskedFrame),
            (Role::Client, Some(_)) => return Err(ProtocolError::MaskedFrame),
        };
        if header.flags.compress {
            return Err(ProtocolError::ReservedBits);
        }
        Ok(key)
    }

    /// Gets ready for the payload of a frame.
    fn begin_frame(&mut self, header: &FrameHeader, key: [u8; 4]) -> Result<(), ProtocolError> {
        self.frame = FrameState { remaining: header.len, key, finish: header.flags.finish };
        self.step = if header.opcode.is_control() {
            Step::Control(header.opcode)
        } else {
            self.begin_data(header)?;
            Step::Data
        };
        Ok(())
    }

    fn begin_data(&mut self, header: &FrameHeader) -> Result<(), ProtocolError> {
        let (declared, frames) = self.check_data(header)?;
        match (first_of(header.opcode), &mut self.message) {
            (Some(kind), message) => *message = Some(MessageState { kind, declared, frames, first: true }),
            (None, Some(message)) => (message.declared, message.frames) = (declared, frames),
            (None, None) => {}
        }
        Ok(())
    }

    /// Checks the header of a data frame against the message so far and the limits; gives what the message will have
    /// declared with it, and in how many frames.
    fn check_data(&self, header: &FrameHeader) -> Result<(u64, u32), ProtocolError> {
        let (declared, frames) = match (first_of(header.opcode), &self.message) {
            (Some(_), None) => (0, 0),
            (None, Some(message)) => (message.declared, message.frames),
            (Some(_), Some(_)) => return Err(ProtocolError::ExpectedContinuation),
            (None, None) => return Err(ProtocolError::UnexpectedContinuation),
        };
        let frames = frames.saturating_add(1);
        self.check_limits(header.len, declared, frames)?;
        Ok((declared.saturating_add(header.len), frames))
    }

    /// Checks a frame of `len` bytes, the `frames`th of a message that has declared `declared` bytes before it.
    #[inline]
    fn check_limits(&self, len: u64, declared: u64, frames: u32) -> Result<(), ProtocolError> {
        let config = &*self.config;
        if len > config.max_frame_size {
            return Err(ProtocolError::FrameTooBig { size: len, limit: config.max_frame_size });
        }
        // Compared by subtraction: a sum of declared lengths could wrap.
        if len > config.max_message_size.saturating_sub(declared) {
            return Err(ProtocolError::MessageTooBig { limit: config.max_message_size });
        }
        if frames > config.max_fragments {
            return Err(ProtocolError::TooManyFragments { limit: config.max_fragments });
        }
        Ok(())
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
        let (kind, first) = (message.kind, message.first);
        if masked.is_empty() && !last && !(first && frame_ends) {
            return None;
        }
        message.first = false;
        if last {
            self.message = None;
        }
        let (payload, ascii) = self.unmask(masked, key, kind);
        Some(Event::Data { kind, payload, ascii, first, last })
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

/// What an opcode begins, if it begins a message.
#[inline]
fn first_of(opcode: Opcode) -> Option<MessageKind> {
    match opcode {
        Opcode::Text => Some(MessageKind::Text),
        Opcode::Binary => Some(MessageKind::Binary),
        _ => None,
    }
}

/// The bytes of a header that the input ended in.
#[derive(Debug, Default)]
struct CutHeader {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl CutHeader {
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts what is kept and the front of the input together.
    fn join(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<FrameHeader>, ProtocolError> {
        let kept = usize::from(self.len);
        let mut len = kept;
        for (slot, byte) in self.bytes.iter_mut().skip(kept).zip(input.remaining()) {
            *slot = *byte;
            len = len.saturating_add(1);
        }
        let (bytes, _) = self.bytes.split_at(len.min(MAX_HEADER));
        match FrameHeader::parse(bytes)? {
            Some((header, used)) => {
                input.take(used.saturating_sub(kept));
                self.len = 0;
                Ok(Some(header))
            }
            None => {
                input.take_all();
                self.len = len as u8;
                Ok(None)
            }
        }
    }
}
