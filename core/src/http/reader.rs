//! Finding the end of a head that arrives in pieces of any size.

use alloc::vec::Vec;

use super::grammar::is_tchar;
use super::parse::{parse_request, parse_response};
use super::{HeadError, Request, Response};
use crate::{Config, RecvBuf};

/// RFC 9112 2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at
/// least one empty line (CRLF) received prior to the request-line". Old clients send one after a
/// body; the reader accepts a few.
const MAX_EMPTY_LINES: u8 = 4;

/// A reader for one head. It stops after the empty line that ends the head, and leaves later bytes
/// in the input.
///
/// ```text
///   read 1        read 2              read 3
///   GET / HT      TP/1.1\r\nHost: a   \r\n\r\n|frames
///   scanned ──▶   scanned ──────────▶ ──────▶ ^ end: one httparse pass over all
/// ```
///
/// The scan examines each byte once, when it arrives, and the parser once more. A head that arrives
/// in one read is copied once.
#[derive(Debug)]
pub(crate) struct HeadReader {
    buffered: Vec<u8>,
    scan: Scan,
    /// The number of bytes that the scan and the parser have examined together.
    #[cfg(test)]
    pub(crate) examined: usize,
}

/// The kind of message whose head is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadKind {
    Request,
    Response,
}

impl HeadReader {
    pub(crate) fn new(kind: HeadKind) -> Self {
        HeadReader {
            buffered: Vec::new(),
            scan: Scan::new(kind),
            #[cfg(test)]
            examined: 0,
        }
    }

    /// Returns the number of bytes of the incomplete head.
    pub(crate) fn received(&self) -> usize {
        self.buffered.len()
    }

    pub(crate) fn poll_request(
        &mut self,
        input: &mut RecvBuf<'_>,
        config: &Config,
    ) -> Result<Option<Request>, HeadError> {
        let head = self.poll_head(input, config)?;
        head.map(|head| parse_request(head, self.scan.fields())).transpose()
    }

    pub(crate) fn poll_response(
        &mut self,
        input: &mut RecvBuf<'_>,
        config: &Config,
    ) -> Result<Option<Response>, HeadError> {
        let head = self.poll_head(input, config)?;
        head.map(|head| parse_response(head, self.scan.fields())).transpose()
    }

    fn poll_head(&mut self, input: &mut RecvBuf<'_>, config: &Config) -> Result<Option<Vec<u8>>, HeadError> {
        // The index into a head has offsets of 32 bits.
        let limit = config.max_head_size.min(u32::MAX as usize);
        let room = limit.saturating_sub(self.buffered.len());
        let new = input.remaining();
        let new = new.get(..room).unwrap_or(new);
        let (arrived, end) = (new.len(), self.scan.advance(new, config.max_headers)?);
        #[cfg(test)]
        {
            self.examined += end.unwrap_or(arrived) + if end.is_some() { self.buffered.len() } else { 0 };
            self.examined += end.unwrap_or(0);
        }
        match end {
            Some(end) if self.buffered.is_empty() => Ok(Some(input.take(end).to_vec())),
            Some(end) => {
                self.buffered.extend_from_slice(input.take(end));
                // The head may live as long as its connection, so spare capacity is freed.
                self.buffered.shrink_to_fit();
                Ok(Some(core::mem::take(&mut self.buffered)))
            }
            // The limit is reached, and the head has not ended.
            None if arrived == room => Err(HeadError::TooBig { limit }),
            None => {
                self.buffered.extend_from_slice(input.take(arrived));
                Ok(None)
            }
        }
    }
}

/// The progress of the search for the end of the head. It examines no byte twice, so a peer gains
/// nothing by sending single bytes.
#[derive(Debug)]
struct Scan {
    phase: Phase,
    /// The bytes of the current line so far.
    line_len: usize,
    /// The byte examined last.
    previous: u8,
    /// The number of complete lines, including the start line.
    lines: usize,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Before a request line, after this many empty lines.
    Empty(u8),
    Method,
    /// In the fixed first bytes of a status line.
    StatusLine,
    /// After the bytes that identify HTTP. From here on only line ends matter.
    Lines,
}

impl Scan {
    fn new(kind: HeadKind) -> Self {
        let phase = if kind == HeadKind::Request { Phase::Empty(0) } else { Phase::StatusLine };
        Scan { phase, line_len: 0, previous: 0, lines: 0 }
    }

    fn fields(&self) -> usize {
        self.lines.saturating_sub(1)
    }

    /// Scans new bytes; returns how many of them belong to the head once it has ended.
    fn advance(&mut self, bytes: &[u8], max_fields: usize) -> Result<Option<usize>, HeadError> {
        let mut rest = bytes;
        while let [byte, tail @ ..] = rest {
            if matches!(self.phase, Phase::Lines) {
                let Some(at) = rest.iter().position(|&b| b == b'\n') else {
                    self.line_len = self.line_len.saturating_add(rest.len());
                    self.previous = rest.last().copied().unwrap_or(self.previous);
                    return Ok(None);
                };
                let (line, tail) = rest.split_at_checked(at.saturating_add(1)).unwrap_or((rest, &[]));
                rest = tail;
                if self.end_line(line, max_fields)? {
                    return Ok(Some(bytes.len().saturating_sub(rest.len())));
                }
            } else {
                self.start_line(*byte, tail.first().copied())?;
                rest = tail;
            }
        }
        Ok(None)
    }

    /// Advances by one byte before the first space. Input that can never become HTTP is refused
    /// here, at its first wrong byte rather than at the deadline.
    fn start_line(&mut self, byte: u8, next: Option<u8>) -> Result<(), HeadError> {
        match self.phase {
            Phase::Empty(lines) if self.line_len == 0 && byte == b'\r' => {
                if lines == MAX_EMPTY_LINES {
                    return Err(HeadError::EmptyLines);
                }
                self.line_len = 1;
                return Ok(());
            }
            Phase::Empty(lines) if self.line_len == 1 => {
                if byte != b'\n' {
                    return Err(HeadError::BareCr);
                }
                self.phase = Phase::Empty(lines.saturating_add(1));
                self.line_len = 0;
                return Ok(());
            }
            Phase::Empty(_) => match byte {
                // RFC 8446 5.1: a record of type handshake (22), legacy version 3.x.
                0x16 if matches!(next, None | Some(3)) => return Err(HeadError::LooksLikeTls),
                // The signature of version 2 begins with two empty lines and a zero byte.
                0 if matches!(self.phase, Phase::Empty(2)) => return Err(HeadError::LooksLikeProxyProtocol),
                b'\n' => return Err(HeadError::BareLf),
                _ if is_tchar(byte) => self.phase = Phase::Method,
                _ => return Err(HeadError::Method),
            },
            Phase::Method if byte == b' ' => self.phase = Phase::Lines,
            Phase::Method if !is_tchar(byte) => return Err(HeadError::Method),
            Phase::StatusLine => {
                const START: &[u8] = b"HTTP/1.";
                // RFC 8446 5.1: a record of type alert (21).
                if self.line_len == 0 && byte == 0x15 {
                    return Err(HeadError::TlsAlert);
                }
                if START.get(self.line_len) != Some(&byte) {
                    return Err(HeadError::StatusLine);
                }
                if self.line_len.saturating_add(1) == START.len() {
                    self.phase = Phase::Lines;
                }
            }
            Phase::Method | Phase::Lines => {}
        }
        self.line_len = self.line_len.saturating_add(1);
        self.previous = byte;
        Ok(())
    }

    /// Advances by the rest of a line, up to its LF. Returns true if the line is the empty one that
    /// ends the head.
    fn end_line(&mut self, line: &[u8], max_fields: usize) -> Result<bool, HeadError> {
        let before = match line {
            [.., before, _] => *before,
            _ => self.previous,
        };
        // RFC 9112 2.2: "a recipient MAY recognize a single LF as a line terminator". This reader
        // does not: two recipients that differ in this make request smuggling possible.
        if before != b'\r' {
            return Err(HeadError::BareLf);
        }
        let is_empty = self.line_len.saturating_add(line.len()) == b"\r\n".len();
        (self.line_len, self.previous) = (0, b'\n');
        if !is_empty {
            self.lines = self.lines.saturating_add(1);
            if self.fields() > max_fields {
                return Err(HeadError::TooManyFields { limit: max_fields });
            }
        }
        Ok(is_empty)
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
