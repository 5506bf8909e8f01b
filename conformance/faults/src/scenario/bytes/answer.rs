//! Converts answers to text, as lines of ASCII without the date.

use std::fmt::Write;

use crate::peer::{CLOSE, parse};

/// The answer to the usual upgrade request. The text of a script that sends `{upgrade}` abbreviates
/// this answer to `{101}`.
const USUAL_101: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The line that stands for any date.
pub(super) const DATE_LINE: &str = "< Date: *\\r\\n\n";

/// Returns a `<` line for each line of a head or body and for each frame, and a `*` line for `end`.
pub(super) fn to_text(received: &[u8], end: &str, abbreviate: bool) -> String {
    let mut text = String::new();
    let (head, frames) = split_frames(received);
    if abbreviate && head == USUAL_101.as_bytes() {
        text.push_str("< {101}\n");
    } else {
        for line in head.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b"Date: ") {
                text.push_str(DATE_LINE);
            } else {
                let _ = writeln!(text, "< {}", escape(line));
            }
        }
    }
    let mut rest = frames;
    while let Ok(Some((_, _, used))) = parse(rest) {
        let (frame, after) = rest.split_at(used);
        let _ = writeln!(text, "< {}", escape(frame));
        rest = after;
    }
    if !rest.is_empty() {
        let _ = writeln!(text, "< {}", escape(rest));
    }
    let _ = writeln!(text, "* {end}");
    text
}

/// Returns the payload of the first Close among the received frames.
pub(super) fn close_payload(received: &[u8]) -> Option<&[u8]> {
    let (_, mut rest) = split_frames(received);
    while let Ok(Some((opcode, payload, used))) = parse(rest) {
        if opcode == CLOSE {
            return Some(payload);
        }
        rest = rest.get(used..)?;
    }
    None
}

/// Splits the bytes at the end of a 101 response, after which frames follow.
fn split_frames(received: &[u8]) -> (&[u8], &[u8]) {
    let find = |what: &[u8], from: usize| {
        let rest = received.get(from..)?;
        rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
    };
    let end = find(b"HTTP/1.1 101 ", 0).and_then(|start| find(b"\r\n\r\n", start));
    received.split_at(end.map_or(received.len(), |end| end + 4))
}

/// Escapes bytes as ASCII. `{30*x}` stands for a run of 30 equal bytes.
fn escape(bytes: &[u8]) -> String {
    let mut line = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        let byte = run[0].escape_ascii().to_string();
        match run.len() {
            len @ 21.. => {
                let _ = write!(line, "{{{len}*{byte}}}");
            }
            len => line.push_str(&byte.repeat(len)),
        }
    }
    line
}
