//! Close codes, Close frames, and how a connection ended.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::error::{ProtocolError, SendError};

/// The maximum length of the reason of a Close frame, in bytes: a control frame carries 125 bytes
/// (RFC 6455 5.5), and the code takes two of them.
pub const MAX_CLOSE_REASON: usize = 123;

/// The status code of a Close frame, which says why the connection is closed (RFC 6455 7.4).
///
/// ```
/// use sockeye_core::CloseCode;
///
/// assert_eq!(CloseCode::NORMAL.to_string(), "1000 (normal)");
/// assert!(CloseCode::from(4001).is_sendable());
/// assert!(!CloseCode::ABNORMAL.is_sendable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl CloseCode {
            $($(#[$doc])* pub const $name: CloseCode = CloseCode($code);)*

            /// Returns the name of a code that RFC 6455 or the IANA registry defines.
            fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// 1000: the purpose of the connection has been fulfilled.
    NORMAL = 1000, "normal";
    /// 1001: a server going down, or a browser leaving the page.
    GOING_AWAY = 1001, "going away";
    /// 1002: the peer broke the protocol.
    PROTOCOL_ERROR = 1002, "protocol error";
    /// 1003: data of a type that the endpoint does not accept.
    UNSUPPORTED_DATA = 1003, "unsupported data";
    /// 1005, never sent: the Close frame carried no code.
    NO_STATUS = 1005, "no status";
    /// 1006, never sent: the connection ended with no Close frame.
    ABNORMAL = 1006, "abnormal";
    /// 1007: data that does not match its type, such as text that is not UTF-8.
    INVALID_PAYLOAD = 1007, "invalid payload";
    /// 1008: a message that violates the endpoint's policy.
    POLICY_VIOLATION = 1008, "policy violation";
    /// 1009: a message too big to process.
    TOO_BIG = 1009, "too big";
    /// 1010: the server did not negotiate an extension that the client needs.
    EXTENSION_MISSING = 1010, "extension missing";
    /// 1011: an unexpected condition prevented the endpoint from fulfilling a request.
    INTERNAL_ERROR = 1011, "internal error";
    /// 1012: the service is restarting.
    SERVICE_RESTART = 1012, "service restart";
    /// 1013: the service is overloaded; try again later.
    TRY_AGAIN_LATER = 1013, "try again later";
    /// 1014: a gateway received an invalid response from upstream.
    BAD_GATEWAY = 1014, "bad gateway";
    /// 1015, never sent: the TLS handshake failed.
    TLS = 1015, "TLS failure";
}

impl CloseCode {
    /// Returns the code as a number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Returns whether a Close frame may carry this code: 1000-1003, 1007-1014 or 3000-4999
    /// (RFC 6455 7.4 and the IANA registry).
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        CloseCode(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().unwrap_or(match self.0 {
            3000..=3999 => "registered",
            4000..=4999 => "private",
            _ => "unassigned",
        });
        write!(f, "{} ({name})", self.0)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The contents of a Close frame. A frame without a payload has no code and an empty reason.
///
/// ```
/// use sockeye_core::{CloseCode, CloseFrame};
///
/// let frame = CloseFrame::new(CloseCode::GOING_AWAY, "restarting");
/// assert_eq!((frame.status(), &*frame.reason), (CloseCode::GOING_AWAY, "restarting"));
/// assert_eq!(CloseFrame::default().status(), CloseCode::NO_STATUS);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloseFrame<'a> {
    /// The status code, if the frame carries one.
    pub code: Option<CloseCode>,
    /// The reason, at most [`MAX_CLOSE_REASON`] bytes.
    pub reason: Cow<'a, str>,
}

impl<'a> CloseFrame<'a> {
    /// Creates a Close frame with a code and a reason. Sending it checks whether they are valid.
    #[must_use]
    pub fn new(code: impl Into<CloseCode>, reason: impl Into<Cow<'a, str>>) -> Self {
        CloseFrame { code: Some(code.into()), reason: reason.into() }
    }

    /// Returns the code, or 1005 for a frame without one (RFC 6455 7.1.5).
    #[must_use]
    pub fn status(&self) -> CloseCode {
        self.code.unwrap_or(CloseCode::NO_STATUS)
    }

    /// Converts to a frame that owns its reason.
    #[must_use]
    pub fn into_owned(self) -> CloseFrame<'static> {
        CloseFrame { code: self.code, reason: Cow::Owned(self.reason.into_owned()) }
    }

    /// Parses the payload of a Close frame (RFC 6455 5.5.1).
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is one byte long, the code must not be sent, or the reason
    /// is not UTF-8.
    pub fn parse(payload: Cow<'a, [u8]>) -> Result<Self, ProtocolError> {
        let code = match payload.split_first_chunk::<2>() {
            Some((code, _)) => CloseCode(u16::from_be_bytes(*code)),
            None if payload.is_empty() => return Ok(CloseFrame::default()),
            None => return Err(ProtocolError::CloseTooShort),
        };
        if !code.is_sendable() {
            return Err(ProtocolError::InvalidCloseCode(code.0));
        }
        let reason = match payload {
            Cow::Borrowed(bytes) => {
                core::str::from_utf8(bytes.get(2..).unwrap_or_default()).map(Cow::Borrowed)
            }
            Cow::Owned(bytes) => {
                core::str::from_utf8(bytes.get(2..).unwrap_or_default()).map(|s| Cow::Owned(s.to_owned()))
            }
        };
        Ok(CloseFrame { code: Some(code), reason: reason.map_err(|_| ProtocolError::InvalidCloseReason)? })
    }

    /// Encodes the payload of this frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the code must not be sent, if there is a reason but no code, or if the
    /// reason is longer than [`MAX_CLOSE_REASON`] bytes.
    pub fn payload(&self) -> Result<Vec<u8>, SendError> {
        let Some(code) = self.code else {
            // The peer would take the first two bytes of the reason for the code.
            return if self.reason.is_empty() {
                Ok(Vec::new())
            } else {
                Err(SendError::InvalidCloseCode(CloseCode::NO_STATUS))
            };
        };
        if !code.is_sendable() {
            return Err(SendError::InvalidCloseCode(code));
        }
        if self.reason.len() > MAX_CLOSE_REASON {
            return Err(SendError::CloseReasonTooLong(self.reason.len()));
        }
        Ok([code.0.to_be_bytes().as_slice(), self.reason.as_bytes()].concat())
    }
}

impl fmt::Display for CloseFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status())?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// One of the two endpoints of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This endpoint.
    Local,
    /// The other endpoint.
    Peer,
}

/// The way in which a connection ended, or is ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseInfo {
    /// The endpoint that ended the connection: it sent its Close first, failed the connection, or
    /// vanished.
    pub by: Side,
    /// The code of that endpoint's Close; 1005 if its Close had no code, 1006 if it sent no Close.
    pub code: CloseCode,
    /// The reason in that endpoint's Close.
    pub reason: String,
    /// Whether both endpoints have sent a Close and neither failed (RFC 6455 7.1.4). This is final
    /// when the state is [`State::Closed`](crate::State::Closed).
    pub clean: bool,
    /// The other endpoint's Close, if there was one: its answer, or a Close that it sent at the
    /// same time.
    pub answer: Option<CloseFrame<'static>>,
}

impl CloseInfo {
    /// Returns the info for a connection that recorded none: the peer vanished (1006).
    ///
    /// A closed connection always has its own [`CloseInfo`]. Use this in place of a panic where the
    /// type system cannot show that.
    ///
    /// ```
    /// use sockeye_core::{CloseCode, CloseInfo, Config, Connection};
    ///
    /// let connection = Connection::server(Config::new().into());
    /// let info = connection.close_info().cloned().unwrap_or_else(CloseInfo::unknown);
    /// assert_eq!(info.code, CloseCode::ABNORMAL);
    /// ```
    #[must_use]
    pub fn unknown() -> Self {
        CloseInfo {
            by: Side::Peer,
            code: CloseCode::ABNORMAL,
            reason: String::new(),
            clean: false,
            answer: None,
        }
    }

    /// Returns the first Close, with the code and reason of this info.
    pub(crate) fn frame(&self) -> CloseFrame<'static> {
        if self.code == CloseCode::NO_STATUS {
            return CloseFrame::default();
        }
        CloseFrame::new(self.code, self.reason.clone())
    }
}

impl fmt::Display for CloseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            Side::Local => "this end",
            Side::Peer => "the peer",
        };
        write!(f, "closed by {by}, {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}
