//! The examples of the handshake.

use sockeye_testkit::RawClient;
use sockeye_testkit::handshake::{SAMPLE_KEY, upgrade_request};
use sockeye_tokio::{Message, Opcode};
use tokio::net::TcpListener;

use crate::examples::pack;
use crate::process::Example;
use crate::soon;

#[test]
fn a_custom_handshake_accepts_one_offered_subprotocol() {
    let example = Example::start("handshake");
    let answer = example.connect().upgrade_with("/", "Sec-WebSocket-Protocol: chat, soap\r\n");
    assert_eq!(example.line(), SAMPLE_KEY);
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), Some("chat"));
    assert_eq!(answer.header("Sec-WebSocket-Version"), None);
    let answer = example.connect().upgrade("/");
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), None);
}

#[test]
fn a_custom_handshake_can_refuse_and_is_not_called_for_invalid_requests() {
    let example = Example::start("handshake");
    let refused = |head: String| {
        let mut raw = example.connect();
        raw.write(head);
        let answer = raw.answer();
        raw.expect_end();
        answer
    };
    let answer = refused(upgrade_request("/private", ""));
    assert_eq!((answer.status(), answer.text()), (403, "not for you\n"));
    assert_eq!(refused(upgrade_request("/", "Origin: https://evil.example\r\n")).status(), 403);
    assert_eq!(refused(upgrade_request("/", "").replace("dGhl", "short")).status(), 400);
    assert_eq!(refused(upgrade_request("/", "").replace("Version: 13", "Version: 8")).status(), 426);
    // The handler printed no key for any of them.
    example.connect().upgrade("/");
    example.line();
}

#[test]
fn deferred_closures_run_after_the_101() {
    let example = Example::start("defer");
    let mut raw = example.open();
    raw.expect_text("hello, welcome\n");
    assert_eq!(example.line(), "Client connected");
}

#[tokio::test]
async fn a_packed_frame_can_be_written_by_hand() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(pack::serve(listener));
    let mut ws = sockeye_tokio::connect(&format!("ws://{address}/")).await.unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap(), Some(Message::from("hello world\n")));
    let bytes = tokio::task::spawn_blocking(move || {
        let mut raw = RawClient::connect(address);
        raw.upgrade("/");
        raw.frame().unwrap()
    });
    let frame = bytes.await.unwrap();
    assert_eq!((frame.opcode, frame.flags.finish), (Opcode::Text, true));
    serving.abort();
}

#[test]
fn the_101_names_the_subprotocol_only_if_it_was_offered() {
    let example = Example::start("subprotocol");
    let answer = example.connect().upgrade_with("/", "Sec-WebSocket-Protocol: soap, chat\r\n");
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), Some("chat"));
    let answer = example.connect().upgrade_with("/", "Sec-WebSocket-Protocol: soap\r\n");
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), None);
    let answer = example.connect().upgrade("/");
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), None);
}
