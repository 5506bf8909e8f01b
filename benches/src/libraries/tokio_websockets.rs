//! tokio-websockets, configured as in its own echo server: without limits on frames and messages.

use std::hint::black_box;

use futures_util::{FutureExt, SinkExt, StreamExt};
use sockeye_core::Role;
use tokio_websockets::{ClientBuilder, Config, Limits, Message, ServerBuilder, WebSocketStream};

use super::{BATCH, Encode, Library, spin};
use crate::Memory;

/// `tokio-websockets`.
#[derive(Debug)]
pub struct TokioWebSockets;

fn config() -> Config {
    Config::default().frame_size(usize::MAX)
}

fn server(memory: Memory<'_>) -> WebSocketStream<Memory<'_>> {
    ServerBuilder::new().config(config()).limits(Limits::unlimited()).serve(memory)
}

impl Library for TokioWebSockets {
    const NAME: &'static str = "tokio-websockets";

    fn decode(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = server(memory);
        spin(async {
            let mut bytes = 0;
            for _ in 0..count {
                let message = ws.next().await.expect("the stream does not end").expect("valid frames");
                bytes += message.as_payload().len() as u64;
                black_box(&message);
            }
            bytes
        })
    }

    fn echo(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = server(memory);
        spin(async {
            let (mut messages, mut bytes) = (0, 0);
            while messages < count {
                match ws.next().now_or_never() {
                    Some(received) => {
                        let message = received.expect("the stream does not end").expect("valid frames");
                        messages += 1;
                        bytes += message.as_payload().len() as u64;
                        ws.feed(message).await.expect("open");
                    }
                    None => ws.flush().await.expect("open"),
                }
            }
            ws.flush().await.expect("open");
            bytes
        })
    }

    fn encode(memory: Memory<'_>, encode: &Encode, count: u64) -> Option<u64> {
        if encode.prepared {
            return None;
        }
        let config = Config::default().frame_size(encode.fragment.unwrap_or(usize::MAX));
        let mut ws = match encode.role {
            Role::Server => ServerBuilder::new().config(config).serve(memory),
            Role::Client => ClientBuilder::new().config(config).take_over(memory),
        };
        let message = match encode.text() {
            Some(text) => Message::text(text.to_owned()),
            None => Message::binary(encode.payload.clone()),
        };
        spin(async {
            for i in 1..=count {
                ws.feed(message.clone()).await.expect("open");
                if i % BATCH == 0 || i == count {
                    ws.flush().await.expect("open");
                }
            }
        });
        Some(count * encode.payload.len() as u64)
    }
}
