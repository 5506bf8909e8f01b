//! The bytes that a client sends: a part of them built, so that the fuzzer need not find them.

use flate2::{Compress, Compression, FlushCompress};
use sockeye_testkit::frames::{MASK_KEY, put_frame};
use sockeye_testkit::handshake::upgrade_request;

use crate::input::Input;

const PATHS: [&str; 10] =
    ["/", "/gate", "/deny", "/fail", "/early", "/greet", "/slow", "/error", "/none", "/impatient"];

fn path(choice: u8) -> &'static str {
    PATHS[usize::from(choice & 0xf) % PATHS.len()]
}

/// Reads something that a client sends. `kind` chooses what.
pub(super) fn read_bytes(kind: u8, input: &mut Input<'_>) -> Vec<u8> {
    match kind % 12 {
        0 => input.bytes().to_vec(),
        1 => upgrade(input.byte()),
        2 => request(input.byte(), input.size()),
        3 => proxy_header(input.byte()),
        4 => many(input),
        5 => large(input),
        6 => compressed(input),
        7 => begun(input),
        _ => frame(input.byte(), input.bytes()),
    }
}

fn upgrade(choice: u8) -> Vec<u8> {
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let lines = match choice >> 4 & 3 {
        0 => "",
        1 => deflate,
        2 => "X-Forwarded-For: 192.0.2.9\r\n",
        _ => "Sec-WebSocket-Protocol: chat\r\n",
    };
    upgrade_request(path(choice), lines).into_bytes()
}

fn request(choice: u8, len: usize) -> Vec<u8> {
    let path = path(choice);
    let body = vec![b'b'; len];
    let head = match choice >> 4 & 7 {
        0 => return format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
        1 => return format!("GET {path} HTTP/1.0\r\n\r\n").into_bytes(),
        2 => format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n"),
        3 => format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {len}\r\n\r\n"
        ),
        4 => format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n"),
        5 => format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", len + 9),
        _ => format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n"),
    };
    let end: &[u8] = if choice >> 4 & 7 == 2 { b"\r\n0\r\n\r\n" } else { b"" };
    [head.as_bytes(), &body, end].concat()
}

fn proxy_header(choice: u8) -> Vec<u8> {
    let address = choice >> 4;
    match choice & 3 {
        0 | 1 => format!("PROXY TCP4 203.0.113.{address} 192.0.2.1 56324 443\r\n").into_bytes(),
        2 => b"PROXY UNKNOWN\r\n".to_vec(),
        _ => {
            let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71".to_vec();
            header.extend_from_slice(&[address, 192, 0, 2, 1, 0xdc, 4, 1, 0xbb]);
            header
        }
    }
}

/// A frame whose first byte the fuzzer chooses. Most choices are valid.
fn frame(choice: u8, payload: &[u8]) -> Vec<u8> {
    let first = match choice & 15 {
        0..4 => 0x82,
        4 => 0x81,
        5 => 0x01,
        6 => 0x02,
        7 => 0x00,
        8 => 0x80,
        9 => 0x89,
        10 => 0x8a,
        11 => 0x88,
        12 => 0xc2,
        13 => 0x42,
        _ => choice,
    };
    let mut wire = Vec::new();
    put_frame(&mut wire, first, Some(MASK_KEY), payload);
    wire
}

/// Several frames of a few bytes.
fn many(input: &mut Input<'_>) -> Vec<u8> {
    let (count, choice, payload) = (usize::from(input.byte()), input.byte(), input.bytes());
    frame(choice, payload).repeat(count.min(4000 / (payload.len() + 6)))
}

/// A long message.
fn large(input: &mut Input<'_>) -> Vec<u8> {
    let (action, len) = (input.byte(), input.size());
    frame(0, &[&[action], &*vec![b'l'; len]].concat())
}

/// A compressed message of equal bytes, whole or a fragment.
fn compressed(input: &mut Input<'_>) -> Vec<u8> {
    let (choice, action, len) = (input.byte(), input.byte(), input.size() * 16);
    let mut plain = vec![action; 1 + len];
    plain[0] = action;
    let mut payload = Vec::with_capacity(1000 + len / 100);
    let mut deflate = Compress::new_with_window_bits(Compression::fast(), false, 9);
    deflate.compress_vec(&plain, &mut payload, FlushCompress::Sync).expect("deflated");
    payload.truncate(payload.len() - 4);
    frame(if choice & 7 == 0 { 13 } else { 12 }, &payload)
}

/// A part of a long frame.
fn begun(input: &mut Input<'_>) -> Vec<u8> {
    let (first, sent) = (input.byte(), input.size());
    let whole = frame(first & 7, &vec![b'p'; sent + 100]);
    whole[..whole.len() - 100].to_vec()
}
