//! Errors, sorted by whose fault they are.

use core::fmt;

use crate::close::CloseCode;
use crate::utf8::InvalidUtf8;

/// The peer broke the protocol or passed a limit: the connection is failed (RFC 6455 7.1.7).
///
/// It is sticky: once returned, the connection sends a Close with [`close_code`](ProtocolError::close_code),
/// discards whatever else arrives, and returns the same error again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV2 or RSV3 is set, or RSV1 where no extension gives it a meaning (RFC 6455 5.2).
    ReservedBits,
    /// An opcode that RFC 6455 reserves.
    ReservedOpcode(u8),
    /// A client sent a frame without a mask (RFC 6455 5.1).
    UnmaskedFrame,
    /// A server sent a masked frame (RFC 6455 5.1).
    MaskedFrame,
    /// A length not written in its shortest form, or with its top bit set (RFC 6455 5.2).
    InvalidLength,
    /// A control frame with more than 125 bytes (RFC 6455 5.5).
    ControlTooLong,
    /// A control frame with FIN = 0 (RFC 6455 5.5).
    FragmentedControl,
    /// A continuation frame with no message to continue (RFC 6455 5.4).
    UnexpectedContinuation,
    /// A new message before the fragmented one was finished (RFC 6455 5.4).
    ExpectedContinuation,
    /// A Close frame whose payload is one byte (RFC 6455 5.5.1).
    CloseTooShort,
    /// A Close frame with a code that must not be on the wire (RFC 6455 7.4).
    InvalidCloseCode(u16),
    /// A Close frame whose reason is not UTF-8 (RFC 6455 5.5.1).
    InvalidCloseReason,
    /// Text that is not UTF-8 (RFC 6455 8.1).
    InvalidUtf8,
    /// A compressed message that is no deflate stream, or a cut one (RFC 7692 7.2.2).
    InvalidDeflate,
    /// A frame that declares more bytes than [`Config::max_frame_size`](crate::Config#structfield.max_frame_size).
    FrameTooBig {
        /// What its header declares.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A message with more bytes than [`Config::max_message_size`](crate::Config#structfield.max_message_size).
    MessageTooBig {
        /// What is allowed.
        limit: u64,
    },
    /// A message in more frames than [`Config::max_fragments`](crate::Config#structfield.max_fragments).
    TooManyFragments {
        /// What is allowed.
        limit: u32,
    },
}

impl ProtocolError {
    /// The code of the Close frame that tells the peer.
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
            Self::UnexpectedContinuation => f.write_str("the peer continued a message that was not begun"),
            Self::ExpectedContinuation => f.write_str("the peer began a message inside a fragmented one"),
            Self::CloseTooShort => f.write_str("the peer sent a Close with half a code"),
            Self::InvalidCloseCode(code) => write!(f, "the peer sent the invalid close code {code}"),
            Self::InvalidCloseReason => f.write_str("the peer sent a close reason that is not UTF-8"),
            Self::InvalidUtf8 => f.write_str("the peer sent text that is not UTF-8"),
            Self::InvalidDeflate => f.write_str("the peer sent a compressed message that cannot be inflated"),
            Self::FrameTooBig { size, limit } => {
                write!(f, "the peer sent a frame of {size} bytes, the limit is {limit}")
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

/// A send that cannot be done. Nothing was sent, and the connection goes on as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The opening handshake of the [`Session`](crate::session::Session) is not complete. Wait for
    /// [`SessionEvent::Open`](crate::session::SessionEvent::Open).
    NotOpen,
    /// The closing handshake has begun, or the connection has failed: no more can be sent.
    Closed,
    /// [`Config::high_water_mark`](crate::Config#structfield.high_water_mark) bytes or more wait to be written.
    /// Write them, then send again.
    Backpressure {
        /// How many bytes wait.
        queued: usize,
    },
    /// The message is above [`Config::max_send_size`](crate::Config#structfield.max_send_size).
    TooBig {
        /// Its size in bytes, with the fragments already sent.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A continuation with no fragmented message to continue.
    UnexpectedContinuation,
    /// A new message while a fragmented one is not finished.
    ExpectedContinuation,
    /// A text fragment that makes its message invalid UTF-8.
    InvalidUtf8,
    /// A ping, pong or Close of more than 125 bytes.
    ControlTooLong(usize),
    /// A ping, pong or Close with `finish = false`.
    FragmentedControl,
    /// A Close whose payload is not a code and a reason.
    InvalidCloseFrame,
    /// A code that must not be sent, see [`CloseCode::is_sendable`].
    InvalidCloseCode(CloseCode),
    /// A close reason of more than [`MAX_CLOSE_REASON`](crate::MAX_CLOSE_REASON) bytes.
    CloseReasonTooLong(usize),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the opening handshake is not complete yet"),
            Self::Closed => f.write_str("the connection is closing or closed"),
            Self::Backpressure { queued } => {
                write!(f, "{queued} bytes wait to be written; flush before sending more")
            }
            Self::TooBig { size, limit } => {
                write!(
                    f,
                    "a message of {size} bytes is above the limit of {limit}; raise max_send_size or split it"
                )
            }
            Self::UnexpectedContinuation => {
                f.write_str("a continuation needs a message begun with finish = false")
            }
            Self::ExpectedContinuation => f.write_str("the fragmented message must be finished first"),
            Self::InvalidUtf8 => f.write_str("text must be UTF-8; send it as binary if it is not"),
            Self::ControlTooLong(size) => write!(f, "a control frame carries at most 125 bytes, not {size}"),
            Self::FragmentedControl => f.write_str("a control frame cannot be fragmented"),
            Self::InvalidCloseFrame => {
                f.write_str("the payload of a Close frame is a code and a UTF-8 reason")
            }
            Self::InvalidCloseCode(code) => {
                write!(f, "the close code {code} cannot be sent; use 1000-1003, 1007-1014 or 3000-4999")
            }
            Self::CloseReasonTooLong(size) => {
                write!(f, "a close reason has at most {} bytes, not {size}", crate::MAX_CLOSE_REASON)
            }
        }
    }
}

impl core::error::Error for SendError {}

impl From<InvalidUtf8> for SendError {
    fn from(InvalidUtf8: InvalidUtf8) -> Self {
        SendError::InvalidUtf8
    }
}
