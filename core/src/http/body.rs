//! Reading the body of a message (RFC 9112 6 and 7).

use core::fmt;

use super::BodyLength;
use super::grammar::{is_field_byte, is_tchar};
use crate::RecvBuf;

/// The limit in bytes on all chunk extensions of one body. They are unused in practice, and without
/// a limit a peer could send them forever.
const MAX_EXTENSIONS: u16 = 1024;
/// The limit in bytes on trailer fields, which are validated and skipped.
const MAX_TRAILERS: u16 = 8192;
/// The limit on trailer fields, like the default of
/// [`Config::max_headers`](crate::Config#structfield.max_headers).
const MAX_TRAILER_FIELDS: u8 = 100;

/// A reader for the body of one message. It reads the bytes that follow the head, and stops where
/// the body ends.
///
/// ```
/// use sockeye_core::RecvBuf;
/// use sockeye_core::http::{BodyEvent, BodyLength, BodyReader};
///
/// let mut bytes = *b"3\r\nfoo\r\n3\r\nbar\r\n0\r\n\r\nGET /next";
/// let mut input = RecvBuf::new(&mut bytes);
/// let mut reader = BodyReader::new(BodyLength::Chunked, 1000);
/// let mut body = Vec::new();
/// // `None` would mean that more bytes are needed.
/// while let Some(BodyEvent::Data(part)) = reader.poll_event(&mut input)? {
///     body.extend_from_slice(part);
/// }
/// assert_eq!(body, b"foobar");
/// assert_eq!(input.remaining(), b"GET /next");
/// # Ok::<(), sockeye_core::http::BodyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
    /// The bytes of body that may still arrive.
    remaining: u64,
    limit: u64,
    extensions: u16,
    trailers: u16,
    trailer_fields: u8,
}

/// A step in reading a body.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyEvent<'a> {
    /// The next bytes of the body, at least one.
    Data(&'a mut [u8]),
    /// The body is complete. Every further poll returns this again.
    End,
}

/// The reason why a body cannot be read. The end of the body is then unknown, so the connection
/// must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The body, or the length that its head announces, is above the limit.
    TooBig {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A chunk does not begin with 1 to 16 hexadecimal digits and CR LF (RFC 9112 7.1).
    ChunkSize,
    /// The chunk extensions are too long or have control characters (RFC 9112 7.1.1).
    ChunkExtension,
    /// A chunk is not followed by CR LF.
    ChunkEnd,
    /// The trailer fields are too many, too long, or malformed (RFC 9112 5, 7.1.2). They follow
    /// the rules for header fields: no folded line, no whitespace before the colon.
    Trailer,
    /// The connection ended before the body did (RFC 9112 8).
    Eof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Chunk {
        left: u64,
    },
    ChunkCr,
    ChunkLf,
    /// At the beginning of a trailer field, or of the empty line that ends the body.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
    Failed(BodyError),
}

impl BodyReader {
    /// Creates a reader for a body of this length, with a limit in bytes on its data.
    #[must_use]
    pub fn new(length: BodyLength, limit: u64) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::End,
            // The announced length alone is reason to refuse, before any byte is read.
            BodyLength::Length(length) if length > limit => State::Failed(BodyError::TooBig { limit }),
            BodyLength::Length(length) => State::Length(length),
            BodyLength::Chunked => State::Size { size: 0, digits: 0 },
            BodyLength::UntilClose => State::UntilClose,
        };
        BodyReader { state, remaining: limit, limit, extensions: 0, trailers: 0, trailer_fields: 0 }
    }

    /// Returns the next event, whose data borrows from `input`, or `None` if more bytes are needed.
    /// Bytes after the body stay in `input`.
    ///
    /// # Errors
    ///
    /// Returns a [`BodyError`] if the body is malformed or too big, and the same one on every
    /// further call.
    pub fn poll_event<'a>(&mut self, input: &mut RecvBuf<'a>) -> Result<Option<BodyEvent<'a>>, BodyError> {
        loop {
            match self.state {
                State::End => return Ok(Some(BodyEvent::End)),
                State::Failed(error) => return Err(error),
                _ if input.is_empty() => return Ok(None),
                State::Length(left) => return self.take_data(input, left, State::Length).map(Some),
                State::Chunk { left } => {
                    return self.take_data(input, left, |left| State::Chunk { left }).map(Some);
                }
                State::UntilClose => return self.take_data(input, u64::MAX, |_| State::UntilClose).map(Some),
                state => {
                    let next = match input.take(1) {
                        [byte] => self.step(state, *byte),
                        _ => return Ok(None),
                    };
                    self.state = next.unwrap_or_else(State::Failed);
                }
            }
        }
    }

    /// Handles the end of the stream.
    ///
    /// # Errors
    ///
    /// Returns [`BodyError::Eof`] if the body is incomplete, or the error that has ended it before.
    pub fn handle_eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::End | State::UntilClose => self.state = State::End,
            State::Failed(_) => {}
            _ => self.state = State::Failed(BodyError::Eof),
        }
        match self.state {
            State::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns up to `left` bytes, and continues in the state that `rest` returns for the remaining
    /// count.
    fn take_data<'a>(
        &mut self,
        input: &mut RecvBuf<'a>,
        left: u64,
        rest: impl FnOnce(u64) -> State,
    ) -> Result<BodyEvent<'a>, BodyError> {
        let data = input.take(usize::try_from(left).unwrap_or(usize::MAX));
        let taken = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let Some(remaining) = self.remaining.checked_sub(taken) else {
            let error = BodyError::TooBig { limit: self.limit };
            self.state = State::Failed(error);
            return Err(error);
        };
        self.remaining = remaining;
        self.state = match rest(left.saturating_sub(taken)) {
            State::Length(0) => State::End,
            State::Chunk { left: 0 } => State::ChunkCr,
            state => state,
        };
        Ok(BodyEvent::Data(data))
    }

    /// Advances by one byte of chunked framing (RFC 9112 7.1).
    fn step(&mut self, state: State, byte: u8) -> Result<State, BodyError> {
        match (state, byte) {
            (State::Size { size, digits: 1.. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Size { size, digits: 1.. }, b';') => Ok(State::Extension { size }),
            (State::Size { size, digits }, _) => {
                // RFC 9112 7.1: "recipients MUST anticipate potentially large hexadecimal numerals
                // and prevent parsing errors due to integer conversion overflows". 16 digits cannot
                // overflow.
                let digit = char::from(byte).to_digit(16).filter(|_| digits < 16);
                let digit = digit.ok_or(BodyError::ChunkSize)?;
                Ok(State::Size { size: (size << 4) | u64::from(digit), digits: digits.saturating_add(1) })
            }
            (State::Extension { size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { .. }, _) => {
                self.extensions = self.extensions.saturating_add(1);
                let is_valid = is_field_byte(byte) && self.extensions <= MAX_EXTENSIONS;
                if is_valid { Ok(state) } else { Err(BodyError::ChunkExtension) }
            }
            (State::SizeLf { size: 0 }, b'\n') => Ok(State::Trailer),
            (State::SizeLf { size }, b'\n') if size > self.remaining => {
                Err(BodyError::TooBig { limit: self.limit })
            }
            (State::SizeLf { size }, b'\n') => Ok(State::Chunk { left: size }),
            (State::SizeLf { .. }, _) => Err(BodyError::ChunkSize),
            (State::ChunkCr, b'\r') => Ok(State::ChunkLf),
            (State::ChunkLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::ChunkCr | State::ChunkLf, _) => Err(BodyError::ChunkEnd),
            (
                State::Trailer | State::TrailerName | State::TrailerValue | State::TrailerLf | State::EndLf,
                _,
            ) => self.step_trailer(state, byte),
            (state, _) => Ok(state),
        }
    }

    /// Advances by one byte of the trailer section (RFC 9112 7.1.2), whose fields have the syntax
    /// of header fields.
    fn step_trailer(&mut self, state: State, byte: u8) -> Result<State, BodyError> {
        self.trailers = self.trailers.saturating_add(1);
        if self.trailers > MAX_TRAILERS {
            return Err(BodyError::Trailer);
        }
        match (state, byte) {
            (State::Trailer, b'\r') => Ok(State::EndLf),
            (State::EndLf, b'\n') => Ok(State::End),
            // RFC 9112 5.2: a line that begins with whitespace is folded, which is refused.
            (State::Trailer, _) if is_tchar(byte) && self.trailer_fields < MAX_TRAILER_FIELDS => {
                self.trailer_fields = self.trailer_fields.saturating_add(1);
                Ok(State::TrailerName)
            }
            // RFC 9112 5.1: "No whitespace is allowed between the field name and colon."
            (State::TrailerName, _) if is_tchar(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_field_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::Trailer),
            _ => Err(BodyError::Trailer),
        }
    }
}

impl BodyError {
    /// Returns the status for a server's response: 413 above the limit, otherwise 400.
    #[must_use]
    pub fn status(self) -> u16 {
        if matches!(self, BodyError::TooBig { .. }) { 413 } else { 400 }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::TooBig { limit } => return write!(f, "the body is longer than {limit} bytes"),
            BodyError::ChunkSize => "a chunk must begin with its size in hexadecimal, followed by CR LF",
            BodyError::ChunkExtension => "the chunk extensions are too long or malformed",
            BodyError::ChunkEnd => "a chunk must end with CR LF",
            BodyError::Trailer => "the trailer fields are too long or malformed",
            BodyError::Eof => "the connection ended before the body was complete",
        })
    }
}

impl core::error::Error for BodyError {}
