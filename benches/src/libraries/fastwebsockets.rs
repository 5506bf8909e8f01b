//! fastwebsockets, which cannot combine several messages into one write.

use std::hint::black_box;

use fastwebsockets::{FragmentCollector, Frame, Payload, Role as Side, WebSocket};
use sockeye_core::Role;

use super::{Encode, Library, spin};
use crate::Memory;

/// `fastwebsockets` with its `FragmentCollector`, which merges fragments.
#[derive(Debug)]
pub struct FastWebSockets;

fn server(memory: Memory<'_>) -> FragmentCollector<Memory<'_>> {
    FragmentCollector::new(WebSocket::after_handshake(memory, Side::Server))
}

impl Library for FastWebSockets {
    const NAME: &'static str = "fastwebsockets";

    fn decode(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = server(memory);
        spin(async {
            let mut bytes = 0;
            for _ in 0..count {
                let frame = ws.read_frame().await.expect("valid frames");
                bytes += frame.payload.len() as u64;
                black_box(&frame.payload);
            }
            bytes
        })
    }

    fn echo(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = server(memory);
        spin(async {
            let mut bytes = 0;
            for _ in 0..count {
                let frame = ws.read_frame().await.expect("valid frames");
                bytes += frame.payload.len() as u64;
                ws.write_frame(frame).await.expect("open");
            }
            bytes
        })
    }

    fn encode(memory: Memory<'_>, encode: &Encode, count: u64) -> Option<u64> {
        if encode.fragment.is_some() || encode.prepared {
            return None;
        }
        let side = match encode.role {
            Role::Server => Side::Server,
            Role::Client => Side::Client,
        };
        let mut ws = WebSocket::after_handshake(memory, side);
        spin(async {
            for _ in 0..count {
                let payload = Payload::Borrowed(&encode.payload);
                let frame = if encode.kind.is_text() { Frame::text(payload) } else { Frame::binary(payload) };
                ws.write_frame(frame).await.expect("open");
            }
        });
        Some(count * encode.payload.len() as u64)
    }
}
