//! Errors, separated by fault.

use core::fmt;

use crate::close::CloseCode;
use crate::message::Payload;
use crate::utf8::InvalidUtf8;

/// The way in which the peer broke the protocol or exceeded a limit, so that the connection has
/// failed (RFC 6455 7.1.7).
///
/// The connection sends a Close with [`close_code`](ProtocolError::close_code), discards all
/// further input, and returns the same error from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV2 or RSV3 is set, or RSV1 on a frame that must not be compressed (RFC 6455 5.2, RFC 7692
    /// 6).
    ReservedBits,
    /// An opcode is reserved (RFC 6455 5.2).
    ReservedOpcode(u8),
    /// The client sent an unmasked frame (RFC 6455 5.1).
    UnmaskedFrame,
    /// The server sent a masked frame (RFC 6455 5.1).
    MaskedFrame,
    /// A payload length is not in its shortest form, or its top bit is set (RFC 6455 5.2).
    InvalidLength,
    /// A control frame has more than 125 bytes of payload (RFC 6455 5.5).
    ControlTooLong,
    /// A control frame is fragmented: its FIN bit is not set (RFC 6455 5.5).
    FragmentedControl,
    /// A continuation frame arrived outside a fragmented message (RFC 6455 5.4).
    UnexpectedContinuation,
    /// A new message began before the fragmented one was finished (RFC 6455 5.4).
    ExpectedContinuation,
    /// The payload of a Close frame is one byte long (RFC 6455 5.5.1).
    CloseTooShort,
    /// A Close frame has a code that must not be sent (RFC 6455 7.4).
    InvalidCloseCode(u16),
    /// The reason of a Close frame is not UTF-8 (RFC 6455 5.5.1).
    InvalidCloseReason,
    /// A text message is not UTF-8 (RFC 6455 8.1).
    InvalidUtf8,
    /// A compressed message is not a complete deflate stream (RFC 7692 7.2.2).
    InvalidDeflate,
    /// A frame is larger than [`Config::max_frame_size`](crate::Config#structfield.max_frame_size).
    FrameTooBig {
        /// The payload length in its header, in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A message is larger than
    /// [`Config::max_message_size`](crate::Config#structfield.max_message_size).
    MessageTooBig {
        /// The limit in bytes.
        limit: u64,
    },
    /// A message has more frames than
    /// [`Config::max_fragments`](crate::Config#structfield.max_fragments).
    TooManyFragments {
        /// The limit in frames.
        limit: u32,
    },
}

impl ProtocolError {
    /// Returns the code of the Close frame that the connection sends.
    #[must_use]
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidCloseReason | Self::InvalidDeflate => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } => CloseCode::TOO_BIG,
            Self::TooManyFragments { .. } => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("the peer set a reserved bit that no extension uses"),
            Self::ReservedOpcode(opcode) => write!(f, "the peer used the reserved opcode {opcode}"),
            Self::UnmaskedFrame => f.write_str("the client sent a frame without a mask"),
            Self::MaskedFrame => f.write_str("the server sent a masked frame"),
            Self::InvalidLength => f.write_str("the peer sent a length that is not in its shortest form"),
            Self::ControlTooLong => f.write_str("the peer sent a control frame of more than 125 bytes"),
            Self::FragmentedControl => f.write_str("the peer fragmented a control frame"),
            Self::UnexpectedContinuation => {
                f.write_str("the peer sent a continuation frame outside a message")
            }
            Self::ExpectedContinuation => f.write_str("the peer began a message inside a fragmented one"),
            Self::CloseTooShort => f.write_str("the peer sent a Close frame with a payload of one byte"),
            Self::InvalidCloseCode(code) => write!(f, "the peer sent the invalid close code {code}"),
            Self::InvalidCloseReason => f.write_str("the peer sent a close reason that is not UTF-8"),
            Self::InvalidUtf8 => f.write_str("the peer sent text that is not UTF-8"),
            Self::InvalidDeflate => f.write_str("the peer sent a compressed message that cannot be inflated"),
            Self::FrameTooBig { size, limit } => {
                write!(f, "the peer sent a frame of {size} bytes, above the limit of {limit}")
            }
            Self::MessageTooBig { limit } => {
                write!(f, "the peer sent a message above the limit of {limit} bytes")
            }
            Self::TooManyFragments { limit } => {
                write!(f, "the peer sent a message in more than {limit} frames")
            }
        }
    }
}

impl core::error::Error for ProtocolError {}

impl From<InvalidUtf8> for ProtocolError {
    fn from(InvalidUtf8: InvalidUtf8) -> Self {
        ProtocolError::InvalidUtf8
    }
}

/// A message or frame that cannot be sent. Nothing was sent, and the connection is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The opening handshake of the [`Session`](crate::session::Session) is not complete. Wait for
    /// [`SessionEvent::Open`](crate::session::SessionEvent::Open).
    NotOpen,
    /// The connection is closing or closed, so nothing more can be sent.
    Closed,
    /// The queue is full: it has reached
    /// [`Config::high_water_mark`](crate::Config#structfield.high_water_mark). Write some of it,
    /// then send again. [`Connection::try_send`](crate::Connection::try_send) returns the payload.
    Backpressure {
        /// The length of the queue in bytes.
        queued: usize,
    },
    /// The message is larger than
    /// [`Config::max_send_size`](crate::Config#structfield.max_send_size).
    TooBig {
        /// The size in bytes, including the fragments that have already been sent.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A continuation was sent outside a fragmented message.
    UnexpectedContinuation,
    /// A new message was sent before the fragmented one was finished.
    ExpectedContinuation,
    /// The text is not UTF-8, together with the fragments before it.
    InvalidUtf8,
    /// The payload of a ping, pong or Close is longer than 125 bytes. The value is its length in
    /// bytes.
    ControlTooLong(usize),
    /// A ping, pong or Close has `finish = false`.
    FragmentedControl,
    /// RSV1 is set on a frame that must not be compressed: a continuation, a control frame, or any
    /// frame without negotiated compression (RFC 6455 5.2, RFC 7692 6).
    ReservedBits,
    /// The payload of a Close is not a code and a UTF-8 reason.
    InvalidCloseFrame,
    /// The code must not be sent, see [`CloseCode::is_sendable`].
    InvalidCloseCode(CloseCode),
    /// The close reason is longer than [`MAX_CLOSE_REASON`](crate::MAX_CLOSE_REASON) bytes. The
    /// value is its length in bytes.
    CloseReasonTooLong(usize),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the opening handshake is not complete yet"),
            Self::Closed => f.write_str("the connection is closing or closed"),
            Self::Backpressure { queued } => {
                write!(f, "the queue is full with {queued} bytes; flush before sending more")
            }
            Self::TooBig { size, limit } => {
                write!(
                    f,
                    "a message of {size} bytes is above the limit of {limit}; raise max_send_size or split it"
                )
            }
            Self::UnexpectedContinuation => {
                f.write_str("a continuation needs a first frame with finish = false before it")
            }
            Self::ExpectedContinuation => {
                f.write_str("finish the fragmented message before beginning another")
            }
            Self::InvalidUtf8 => f.write_str("the text is not UTF-8; send it as binary"),
            Self::ControlTooLong(size) => write!(f, "a control frame carries at most 125 bytes, not {size}"),
            Self::FragmentedControl => f.write_str("a control frame cannot be fragmented"),
            Self::ReservedBits => f.write_str(
                "RSV1 marks the first frame of a compressed message, and only if compression was negotiated",
            ),
            Self::InvalidCloseFrame => {
                f.write_str("the payload of a Close frame must be a code and a UTF-8 reason")
            }
            Self::InvalidCloseCode(code) => {
                write!(f, "the close code {code} cannot be sent; use 1000-1003, 1007-1014 or 3000-4999")
            }
            Self::CloseReasonTooLong(size) => {
                write!(f, "a close reason carries at most {} bytes, not {size}", crate::MAX_CLOSE_REASON)
            }
        }
    }
}

impl core::error::Error for SendError {}

/// A message that cannot be sent, and the reason. See
/// [`Connection::try_send`](crate::Connection::try_send).
#[derive(Debug, Clone)]
pub struct TrySendError<'p> {
    pub(crate) error: SendError,
    pub(crate) payload: Payload<'p>,
}

impl<'p> TrySendError<'p> {
    /// Returns the reason.
    #[must_use]
    pub fn error(&self) -> SendError {
        self.error
    }

    /// Converts to the payload that was not sent.
    #[must_use]
    pub fn into_payload(self) -> Payload<'p> {
        self.payload
    }
}

impl fmt::Display for TrySendError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for TrySendError<'_> {}

impl From<TrySendError<'_>> for SendError {
    fn from(refused: TrySendError<'_>) -> Self {
        refused.error
    }
}

impl From<InvalidUtf8> for SendError {
    fn from(InvalidUtf8: InvalidUtf8) -> Self {
        SendError::InvalidUtf8
    }
}
