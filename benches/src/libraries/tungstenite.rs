//! tungstenite over a non-blocking stream.

use std::hint::black_box;
use std::io::ErrorKind::WouldBlock;

use sockeye_core::Role;
use tungstenite::protocol;
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

use super::{BATCH, Encode, Library};
use crate::Memory;

/// `tungstenite` without its adapter for a runtime, which costs extra.
#[derive(Debug)]
pub struct Tungstenite;

fn server(memory: Memory<'_>) -> WebSocket<Memory<'_>> {
    WebSocket::from_raw_socket(memory, protocol::Role::Server, None)
}

impl Library for Tungstenite {
    const NAME: &'static str = "tungstenite";

    fn decode(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = server(memory);
        let mut bytes = 0;
        for _ in 0..count {
            let message = ws.read().expect("valid frames");
            bytes += message.len() as u64;
            black_box(&message);
        }
        bytes
    }

    fn echo(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = server(memory);
        let (mut messages, mut bytes) = (0, 0);
        while messages < count {
            match ws.read() {
                Ok(message) => {
                    messages += 1;
                    bytes += message.len() as u64;
                    ws.write(message).expect("open");
                }
                Err(Error::Io(error)) if error.kind() == WouldBlock => ws.flush().expect("open"),
                Err(error) => panic!("{error}"),
            }
        }
        ws.flush().expect("open");
        bytes
    }

    fn encode(memory: Memory<'_>, encode: &Encode, count: u64) -> Option<u64> {
        if encode.fragment.is_some() || encode.prepared {
            return None;
        }
        let role = match encode.role {
            Role::Server => protocol::Role::Server,
            Role::Client => protocol::Role::Client,
        };
        let mut ws = WebSocket::from_raw_socket(memory, role, None);
        let message = if encode.kind.is_text() {
            Message::Text(Utf8Bytes::try_from(encode.payload.clone()).expect("text"))
        } else {
            Message::Binary(encode.payload.clone())
        };
        for i in 1..=count {
            ws.write(message.clone()).expect("open");
            if i % BATCH == 0 || i == count {
                ws.flush().expect("open");
            }
        }
        Some(count * encode.payload.len() as u64)
    }
}
