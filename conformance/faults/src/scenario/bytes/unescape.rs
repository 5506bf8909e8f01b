//! The notation for bytes in the scripts.
//!
//! - `\r`, `\n`, `\\`, `\xNN` are single bytes.
//! - `{20*a}` is twenty of `a`, which may be longer than a byte.
//! - `{upgrade}` is the usual request for an upgrade.
//! - `{text hi}` is a masked frame with FIN and this payload; so are `binary`, `continuation`,
//!   `close`, `ping` and `pong`.
//! - `{text+ hi}` is the same without FIN.
//! - `{\xc1 hi}` is a masked frame with this first byte.
//! - `{masked hi}` is a masking key and the masked payload. It follows a header that is written
//!   byte by byte because it is invalid.

use sockeye_testkit::frames::xor;
use sockeye_testkit::handshake::UPGRADE_REQUEST;

use crate::peer::{MASKING_KEY, masked_with_first_byte};

pub(super) const UPGRADE: &str = "{upgrade}";

/// Returns the bytes of a line, or `None` if the line is malformed.
pub(super) fn unescape(mut line: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(first) = line.chars().next() {
        let rest = line.get(first.len_utf8()..)?;
        match first {
            '{' => {
                let (inside, after) = rest.split_at_checked(closing_brace(rest)?)?;
                bytes.extend(expand(inside)?);
                line = after.strip_prefix('}')?;
            }
            '\\' => {
                let (byte, len) = escaped_byte(rest)?;
                bytes.push(byte);
                line = rest.get(len..)?;
            }
            _ => {
                bytes.extend(first.to_string().into_bytes());
                line = rest;
            }
        }
    }
    Some(bytes)
}

/// Returns the index of the brace that closes the one before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, char)| {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        None
    })
}

/// Returns the bytes that the text between braces stands for.
fn expand(inside: &str) -> Option<Vec<u8>> {
    if inside == "upgrade" {
        return Some(UPGRADE_REQUEST.to_vec());
    }
    let (name, payload) = inside.split_once(' ').unwrap_or((inside, ""));
    if let Some((count, bytes)) = inside.split_once('*')
        && let Ok(count) = count.parse()
    {
        return Some(unescape(bytes)?.repeat(count));
    }
    let payload = unescape(payload)?;
    if name == "masked" {
        return Some([&MASKING_KEY[..], &xor(&payload, MASKING_KEY)].concat());
    }
    let (name, fin) = name.strip_suffix('+').map_or((name, 0x80), |name| (name, 0));
    let opcode = match name {
        "continuation" => 0,
        "text" => 1,
        "binary" => 2,
        "close" => 8,
        "ping" => 9,
        "pong" => 10,
        _ => match *unescape(name)? {
            [first] => return Some(masked_with_first_byte(first, &payload)),
            _ => return None,
        },
    };
    Some(masked_with_first_byte(fin | opcode, &payload))
}

/// Returns the byte that the text after a backslash stands for, and the length of that text.
fn escaped_byte(text: &str) -> Option<(u8, usize)> {
    match text.as_bytes().first()? {
        b'r' => Some((b'\r', 1)),
        b'n' => Some((b'\n', 1)),
        b'\\' => Some((b'\\', 1)),
        b'x' => Some((u8::from_str_radix(text.get(1..3)?, 16).ok()?, 3)),
        _ => None,
    }
}
