//! The form of the messages between nodes.
//!
//! A message is a header and a body. All numbers are in network byte order:
//!
//! | Bytes | Content |
//! |---|---|
//! | 1 | the version, 1 |
//! | 1 | the tag of the body |
//! | 8 | the node that publishes |
//! | 4 | its stream: a publisher that has forgotten its position begins a new one |
//! | 8 | the position in the stream, from 1 |
//! | rest | the body |
//!
//! Decoding borrows from the input. It allocates nothing, and never panics.

use sockeye_core::MessageKind;

use crate::id::NodeId;

const VERSION: u8 = 1;
const HEADER: usize = 22;

/// A message between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) origin: NodeId,
    pub(crate) position: Position,
    pub(crate) body: Body<'a>,
}

/// The place of a message among those of its publisher to one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) stream: u32,
    pub(crate) sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// For the subscribers of a topic.
    Publish { topic: &'a str, message: Content<'a> },
    /// For all connections.
    Broadcast { message: Content<'a> },
    /// For one connection of the receiving node.
    Push { connection: u64, message: Content<'a> },
    /// Close one connection of the receiving node.
    Disconnect { connection: u64, code: u16, reason: &'a str },
    /// The node is alive.
    Heartbeat,
    /// The node ends.
    Leave,
    /// A question, which the receiving nodes answer.
    Ask { request: u64, question: Question<'a> },
    /// An answer. Only that of the presence has more than one part.
    Answer { request: u64, answer: Answer<'a> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content<'a> {
    pub(crate) kind: MessageKind,
    /// UTF-8 if the kind is text.
    pub(crate) payload: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question<'a> {
    Presence { topic: &'a str },
    Count { topic: &'a str },
    Info { connection: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    Presence { is_last: bool, members: Members<'a> },
    Count(u64),
    Unknown,
    Info { is_established: bool, age_millis: u64, queued: u64, peer: &'a str },
}

/// Encoded pairs of a connection and its information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Members<'a>(&'a [u8]);

/// An error in a message of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireError {
    /// Another version, or a body that this version does not know.
    Unsupported,
    /// The message ends early, or contains something invalid.
    Malformed,
}

impl Envelope<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, size) = self.body.tag_and_size();
        let mut out = Vec::with_capacity(HEADER + size);
        out.push(VERSION);
        out.push(tag);
        out.extend(self.origin.as_u64().to_be_bytes());
        out.extend(self.position.stream.to_be_bytes());
        out.extend(self.position.sequence.to_be_bytes());
        self.body.encode(&mut out);
        out
    }
}

impl<'a> Envelope<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut input = Input(bytes);
        if input.u8()? != VERSION {
            return Err(WireError::Unsupported);
        }
        let tag = input.u8()?;
        let origin = NodeId::from_u64(input.u64()?);
        let position = Position { stream: input.u32()?, sequence: input.u64()? };
        Ok(Envelope { origin, position, body: Body::decode(tag, input)? })
    }
}

impl<'a> Body<'a> {
    fn tag_and_size(&self) -> (u8, usize) {
        match self {
            Body::Publish { topic, message } => (message.tag(1), 2 + topic.len() + message.payload.len()),
            Body::Broadcast { message } => (message.tag(3), message.payload.len()),
            Body::Push { message, .. } => (message.tag(5), 8 + message.payload.len()),
            Body::Disconnect { reason, .. } => (7, 10 + reason.len()),
            Body::Heartbeat => (8, 0),
            Body::Leave => (9, 0),
            Body::Ask { question: Question::Presence { topic }, .. } => (10, 8 + topic.len()),
            Body::Ask { question: Question::Count { topic }, .. } => (11, 8 + topic.len()),
            Body::Ask { question: Question::Info { .. }, .. } => (12, 16),
            Body::Answer { answer: Answer::Presence { members, .. }, .. } => (13, 9 + members.0.len()),
            Body::Answer { answer: Answer::Count(_), .. } => (14, 16),
            Body::Answer { answer: Answer::Unknown, .. } => (15, 8),
            Body::Answer { answer: Answer::Info { peer, .. }, .. } => (16, 25 + peer.len()),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Body::Publish { topic, message } => {
                debug_assert!(topic.len() <= usize::from(u16::MAX), "publish checks the length of topics");
                out.extend((topic.len() as u16).to_be_bytes());
                out.extend(topic.as_bytes());
                out.extend(message.payload);
            }
            Body::Broadcast { message } => out.extend(message.payload),
            Body::Push { connection, message } => {
                out.extend(connection.to_be_bytes());
                out.extend(message.payload);
            }
            Body::Disconnect { connection, code, reason } => {
                out.extend(connection.to_be_bytes());
                out.extend(code.to_be_bytes());
                out.extend(reason.as_bytes());
            }
            Body::Heartbeat | Body::Leave => {}
            Body::Ask { request, question } => {
                out.extend(request.to_be_bytes());
                match question {
                    Question::Presence { topic } | Question::Count { topic } => out.extend(topic.as_bytes()),
                    Question::Info { connection } => out.extend(connection.to_be_bytes()),
                }
            }
            Body::Answer { request, answer } => {
                out.extend(request.to_be_bytes());
                answer.encode(out);
            }
        }
    }

    fn decode(tag: u8, mut input: Input<'a>) -> Result<Self, WireError> {
        Ok(match tag {
            1 | 2 => {
                let length = usize::from(input.u16()?);
                Body::Publish { topic: text(input.take(length)?)?, message: input.content(tag == 1)? }
            }
            3 | 4 => Body::Broadcast { message: input.content(tag == 3)? },
            5 | 6 => Body::Push { connection: input.u64()?, message: input.content(tag == 5)? },
            7 => {
                Body::Disconnect { connection: input.u64()?, code: input.u16()?, reason: text(input.rest())? }
            }
            8 => Body::Heartbeat,
            9 => Body::Leave,
            10 => {
                let request = input.u64()?;
                Body::Ask { request, question: Question::Presence { topic: text(input.rest())? } }
            }
            11 => {
                let request = input.u64()?;
                Body::Ask { request, question: Question::Count { topic: text(input.rest())? } }
            }
            12 => Body::Ask { request: input.u64()?, question: Question::Info { connection: input.u64()? } },
            13..=16 => Body::Answer { request: input.u64()?, answer: Answer::decode(tag, input)? },
            _ => return Err(WireError::Unsupported),
        })
    }
}

impl<'a> Answer<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Answer::Presence { is_last, members } => {
                out.push(u8::from(*is_last));
                out.extend(members.0);
            }
            Answer::Count(count) => out.extend(count.to_be_bytes()),
            Answer::Unknown => {}
            Answer::Info { is_established, age_millis, queued, peer } => {
                out.push(u8::from(*is_established));
                out.extend(age_millis.to_be_bytes());
                out.extend(queued.to_be_bytes());
                out.extend(peer.as_bytes());
            }
        }
    }

    fn decode(tag: u8, mut input: Input<'a>) -> Result<Self, WireError> {
        Ok(match tag {
            13 => {
                let is_last = input.u8()? != 0;
                let members = Members(input.rest());
                members.check()?;
                Answer::Presence { is_last, members }
            }
            14 => Answer::Count(input.u64()?),
            15 => Answer::Unknown,
            _ => Answer::Info {
                is_established: input.u8()? != 0,
                age_millis: input.u64()?,
                queued: input.u64()?,
                peer: text(input.rest())?,
            },
        })
    }
}

impl Content<'_> {
    fn tag(&self, text: u8) -> u8 {
        if self.kind == MessageKind::Text { text } else { text + 1 }
    }
}

impl<'a> Members<'a> {
    pub(crate) fn from_encoded(encoded: &'a [u8]) -> Self {
        Members(encoded)
    }

    /// Appends a member to `out`, for [`from_encoded`](Members::from_encoded).
    pub(crate) fn encode(out: &mut Vec<u8>, connection: u64, info: &[u8]) {
        let length = u32::try_from(info.len()).unwrap_or(0);
        out.extend(connection.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(&info[..length as usize]);
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let mut input = Input(self.0);
        std::iter::from_fn(move || input.member().ok())
    }

    fn check(self) -> Result<(), WireError> {
        let mut input = Input(self.0);
        while !input.0.is_empty() {
            input.member()?;
        }
        Ok(())
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_| WireError::Malformed)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn content(&mut self, is_text: bool) -> Result<Content<'a>, WireError> {
        let payload = self.rest();
        if is_text {
            text(payload)?;
        }
        Ok(Content { kind: if is_text { MessageKind::Text } else { MessageKind::Binary }, payload })
    }

    fn member(&mut self) -> Result<(u64, &'a [u8]), WireError> {
        let connection = self.u64()?;
        let length = self.u32()?;
        Ok((connection, self.take(length as usize)?))
    }
}

fn text(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Malformed)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
