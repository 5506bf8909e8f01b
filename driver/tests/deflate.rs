//! Compression: negotiating it, receiving messages whole and in parts, and skipping them, on any
//! transport.

use std::sync::Arc;

use sockeye_core::deflate::{CompressionPolicy, Deflate, Memory};
use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::Accept;
use sockeye_core::{Config, MessageKind, Payload};
use sockeye_driver::{Error, accept_with, client as open_client};
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::sim::*;

fn settings() -> Vec<Deflate> {
    let always = || Deflate::new().policy(CompressionPolicy::Always);
    vec![
        always(),
        always().memory(Memory::Compressor),
        always().peer_window_bits(9).window_bits(9),
        always().context_takeover(false).peer_context_takeover(false),
    ]
}

fn config(deflate: &Deflate) -> Arc<Config> {
    Arc::new(Config::new().deflate(deflate.clone()))
}

async fn accept(io: Pipe, time: Time, deflate: Deflate) -> Ws {
    let ws = accept_with(io, time.clock(), config(&deflate), async |_| Ok(Accept::new())).await.unwrap();
    assert!(ws.deflate().is_some());
    ws
}

async fn connect(io: Pipe, time: Time, deflate: Deflate) -> Ws {
    let url = Url::parse("ws://example.com/").unwrap();
    let (ws, response) =
        open_client(io, time.clock(), ClientRequest::new(&url), config(&deflate)).await.unwrap();
    assert!(response.headers().contains("sec-websocket-extensions") && ws.deflate().is_some());
    ws
}

/// Returns the text of message `n`.
fn text(n: usize) -> String {
    format!("message {n}, and what they all say, ").repeat(n * 40 + 4)
}

fn transports() -> [(usize, Faults); 3] {
    let first = Faults { pending: Pending::First, ..Faults::default() };
    [(1 << 20, Faults::default()), (1, first), (1 << 10, Faults { chunk: 7, ..first })]
}

/// Runs both ends on every transport with all settings.
fn over_all<S, C>(server: impl Fn(Ws) -> S, client: impl Fn(Ws) -> C)
where
    S: Future<Output = ()> + 'static,
    C: Future<Output = ()> + 'static,
{
    let (server, client) = (&server, &client);
    for (capacity, faults) in transports() {
        for deflate in settings() {
            let mut executor = Executor::new();
            let (a, b) = pipe_with(capacity, faults);
            let time = executor.time.clone();
            // Open both ends first, so that the tests get open connections.
            let (at_client, at_server) = (deflate.clone(), deflate);
            let opened_client = executor.spawn("open client", connect(a, time.clone(), at_client));
            let opened_server = executor.spawn("open server", accept(b.with(faults), time, at_server));
            executor.run();
            executor.spawn("server", server(opened_server.take()));
            executor.spawn("client", client(opened_client.take()));
            executor.run();
        }
    }
}

/// Sends five messages, one of them in parts, and closes.
async fn send_five(mut ws: Ws) {
    for n in 0..5 {
        if n == 3 {
            let text = text(n);
            let (a, b) = text.split_at(100);
            let mut message = ws.begin(MessageKind::Text);
            message.write(a.as_bytes()).await.unwrap();
            message.finish_with(b).await.unwrap();
        } else {
            ws.send(text(n)).await.unwrap();
        }
    }
    assert!(ws.close(sockeye_core::CloseCode::NORMAL, "").await.unwrap().clean);
}

#[test]
fn compressed_messages_arrive_over_any_transport() {
    over_all(
        |ws| async {
            let (messages, end) = receive_all(ws).await;
            assert!(end.is_ok());
            assert_eq!(messages, (0..5).map(|n| text(n).into()).collect::<Vec<_>>());
        },
        send_five,
    );
}

#[test]
fn parts_are_inflated_and_add_up_to_the_message() {
    over_all(send_five, |mut ws| async move {
        let (mut messages, mut bytes) = (Vec::new(), Vec::new());
        while let Some(part) = ws.recv_part().await.unwrap() {
            assert!(part.compressed && part.kind == MessageKind::Text);
            assert_eq!(part.first, bytes.is_empty(), "every part but the last holds data");
            bytes.extend_from_slice(&part.data);
            if part.last {
                messages.push(String::from_utf8(std::mem::take(&mut bytes)).unwrap());
            }
        }
        assert_eq!(messages, (0..5).map(text).collect::<Vec<_>>());
    });
}

#[test]
fn later_messages_may_refer_back_to_the_skipped_rest_of_a_message() {
    over_all(send_five, |mut ws| async move {
        // Take one part of the fourth message, then receive whole messages.
        for n in 0..3 {
            assert_eq!(ws.recv().await.unwrap(), Some(text(n).into()));
        }
        assert!(ws.recv_part().await.unwrap().unwrap().first);
        let next = ws.recv().await.unwrap();
        assert!(next == Some(text(4).into()), "{}", next.is_some());
        assert!(ws.recv().await.unwrap().is_none());
    });
}

#[test]
fn a_dropped_receive_loses_no_inflated_bytes() {
    for polls in 1..60 {
        let mut executor = Executor::new();
        let faults = Faults { pending: Pending::First, chunk: 5, ..Faults::default() };
        let (a, b) = pipe_with(16, faults);
        let (time, deflate) = (executor.time.clone(), settings().remove(0));
        let opened_client = executor.spawn("client", connect(a, time.clone(), deflate.clone()));
        let opened_server = executor.spawn("server", accept(b.with(faults), time, deflate));
        executor.run();
        executor.spawn("sends", send_five(opened_client.take()));
        let mut ws = opened_server.take();
        executor.spawn("receives", async move {
            for n in 0..5 {
                let early = poll_at_most(polls, ws.recv()).await;
                if let Some(message) = early {
                    assert_eq!(message.unwrap(), Some(text(n).into()));
                    continue;
                }
                // Take the message in parts. The first contains what the dropped receive had.
                let mut bytes = Vec::new();
                loop {
                    let part = ws.recv_part().await.unwrap().unwrap();
                    bytes.extend_from_slice(&part.data);
                    if part.last {
                        break;
                    }
                }
                assert_eq!(String::from_utf8(bytes).unwrap(), text(n));
            }
            assert!(ws.recv().await.unwrap().is_none());
        });
        executor.run();
    }
}

#[test]
fn a_message_with_no_part_returned_yet_is_received_whole() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let opened = executor.spawn("server", {
        let time = executor.time.clone();
        accept(io, time, settings().remove(0))
    });
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    peer.push(upgrade_request("/", offer).as_bytes());
    executor.run_until_idle();
    let mut ws = opened.take();
    // "Hello" of RFC 7692 7.2.3.1, masked with zeros. The first byte inflates to nothing yet.
    let frames: [&[u8]; 2] =
        [&[0x41, 0x81, 0, 0, 0, 0, 0xf2], &[0x80, 0x86, 0, 0, 0, 0, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0]];
    peer.push(frames[0]);
    let received = executor.spawn("receives", async move {
        assert!(poll_at_most(1, ws.recv_part()).await.is_none());
        ws.recv().await.unwrap()
    });
    executor.run_until_idle();
    peer.push(frames[1]);
    executor.run_until_idle();
    assert_eq!(received.take(), Some("Hello".into()));
}

#[test]
fn a_part_is_bounded_however_much_its_input_inflates_to() {
    let mut executor = Executor::new();
    let (a, b) = pipe(1 << 20);
    let (time, deflate) = (executor.time.clone(), settings().remove(0));
    let big = Config::new().max_send_size(u64::MAX).max_message_size(u64::MAX).deflate(deflate);
    let big = Arc::new(big);
    let (config_a, config_b, times) = (big.clone(), big, time.clone());
    let opened_client = executor.spawn("client", async move {
        let url = Url::parse("ws://example.com/").unwrap();
        open_client(a, times.clock(), ClientRequest::new(&url), config_a).await.unwrap().0
    });
    let opened_server = executor.spawn("server", async move {
        accept_with(b, time.clock(), config_b, async |_| Ok(Accept::new())).await.unwrap()
    });
    executor.run();
    let (mut client, mut ws) = (opened_client.take(), opened_server.take());
    let size = 24 << 20;
    executor.spawn("sends", async move {
        client.send(Payload::from(vec![0u8; size])).await.unwrap();
        client.recv().await.unwrap();
    });
    executor.spawn("receives", async move {
        let mut total = 0;
        loop {
            let part = ws.recv_part().await.unwrap().unwrap();
            assert!(part.data.len() <= (1 << 20) + (1 << 16), "{}", part.data.len());
            assert!(part.data.iter().all(|&byte| byte == 0));
            total += part.data.len();
            if part.last {
                break;
            }
        }
        assert_eq!(total, size);
        let end: Result<_, Error> = ws.close(sockeye_core::CloseCode::NORMAL, "").await;
        assert!(end.unwrap().clean);
    });
    executor.run();
}
