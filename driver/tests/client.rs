//! A client's mask keys, and how it answers a server's frames (K2, K4 of docs/requirements.md).

use std::collections::HashSet;
use std::sync::Arc;

use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::{CloseCode, Config, Message, Opcode};
use sockeye_driver::{Entropy, client_with, mask_keys, nonce};
use sockeye_testkit::frames::{FrameWriter, parse_frames, put_frame};
use sockeye_testkit::handshake::{SAMPLE_ACCEPT, SAMPLE_KEY, SAMPLE_NONCE};
use sockeye_testkit::sim::*;

/// Of 100,000 random keys about one pair is equal, and each bit is set in about half of them.
#[test]
fn k2_t21_mask_keys_are_fresh_and_uniform() {
    const KEYS: usize = 100_000;
    let mut draw = mask_keys();
    let keys: Vec<u32> = (0..KEYS).map(|_| u32::from_be_bytes(draw())).collect();
    let distinct = keys.iter().collect::<HashSet<_>>().len();
    assert!(distinct >= KEYS - 20, "{distinct} keys of {KEYS}");
    for bit in 0..32 {
        let set = keys.iter().filter(|&&key| key >> bit & 1 == 1).count();
        // The bound is ten standard deviations, of 158 each.
        assert!(set.abs_diff(KEYS / 2) < 1600, "bit {bit} is set in {set} keys of {KEYS}");
    }
}

#[test]
fn k2_two_connections_and_two_handshakes_share_no_randomness() {
    let (mut one, mut other) = (mask_keys(), mask_keys());
    let draw = |keys: &mut sockeye_core::MaskKeys| (0..16).map(|_| keys()).collect::<Vec<_>>();
    assert_ne!(draw(&mut one), draw(&mut other));
    assert_ne!(nonce(), nonce());
}

/// The request carries the caller's nonce, and every frame one of the caller's keys.
#[test]
fn k2_a_caller_may_supply_the_nonce_and_the_mask_keys() {
    let mut executor = Executor::new();
    let (near, far) = pipe(1 << 20);
    let url = Url::parse("ws://example.com/").unwrap();
    let mut key = 0;
    let mask_keys = Box::new(move || {
        key += 1;
        [key; 4]
    });
    let opening = client_with(
        near,
        executor.time.clock(),
        ClientRequest::new(&url),
        Arc::default(),
        Entropy::new(SAMPLE_NONCE, mask_keys),
    );
    executor.spawn("client", async move {
        let (mut ws, _) = opening.await.unwrap();
        ws.send("one").await.unwrap();
        ws.send("two").await.unwrap();
    });
    executor.run_until_idle();
    let request = String::from_utf8(far.take_all()).unwrap();
    assert!(request.contains(&format!("Sec-WebSocket-Key: {SAMPLE_KEY}\r\n")), "{request}");
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n\r\n"
    );
    far.push(response.as_bytes());
    executor.run();
    let mut expected = Vec::new();
    put_frame(&mut expected, 0x81, Some([1; 4]), b"one");
    put_frame(&mut expected, 0x81, Some([2; 4]), b"two");
    assert_eq!(far.take_all(), expected);
}

/// Returns a server's frames: a message in three fragments with a ping and a pong in between, and
/// its Close.
fn said() -> Vec<u8> {
    let wire = FrameWriter::to(false);
    [
        wire.frame(Opcode::Text, false, b"one "),
        wire.ping(b"there?"),
        wire.frame(Opcode::Continuation, false, b"two "),
        wire.frame(Opcode::Pong, true, b"unasked"),
        wire.frame(Opcode::Continuation, true, b"three"),
        wire.close(CloseCode::GOING_AWAY, "bye"),
    ]
    .concat()
}

#[test]
fn k4_a_client_merges_fragments_answers_pings_drops_pongs_and_answers_a_close() {
    for auto_pong in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let ws = client(io, &executor.time, Config::new().auto_pong(auto_pong));
        peer.push(&said());
        executor.spawn("client", async move {
            let (messages, end) = receive_all(ws).await;
            assert_eq!(messages, [Message::Text("one two three".into())]);
            assert!(end.is_ok(), "{end:?}");
        });
        executor.run_until_idle();
        let log = peer.take_all();
        drop(peer);
        executor.run();
        let sent: Vec<_> =
            parse_frames(&log).iter().map(|frame| (frame.opcode, frame.data.to_vec())).collect();
        let pong = auto_pong.then(|| (Opcode::Pong, b"there?".to_vec()));
        let close = (Opcode::Close, b"\x03\xe9bye".to_vec());
        assert_eq!(sent, pong.into_iter().chain([close]).collect::<Vec<_>>());
        assert_ne!(log[1] & 0x80, 0, "a client masks its frames");
    }
}
