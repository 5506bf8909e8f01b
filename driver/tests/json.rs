//! Messages in JSON (K9 of docs/requirements.md).

use std::collections::HashMap;
use std::error::Error as _;

use serde::{Deserialize, Serialize};
use sockeye_core::{Config, Message, MessageKind, Opcode, SendError};
use sockeye_driver::Error;
use sockeye_driver::json::{JsonError, MessageJson};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    name: String,
    cents: u64,
}

fn price() -> Price {
    Price { name: "λ \"x\"\n".into(), cents: 7 }
}

/// A map whose keys are not strings cannot be written as JSON.
fn unwritable() -> HashMap<Vec<u8>, u8> {
    HashMap::from([(vec![1], 1)])
}

#[test]
fn k9_json_is_sent_as_text_and_read_from_text_and_binary() {
    let (near, far) = pipe(1 << 20);
    let time = Time::new();
    let (mut server, mut client) = (server(near, &time, Config::new()), client(far, &time, Config::new()));
    poll_once(client.send_json(&price())).unwrap().unwrap();
    let message = poll_once(server.recv()).unwrap().unwrap().unwrap();
    assert_eq!(message.as_text(), Some(r#"{"name":"λ \"x\"\n","cents":7}"#));
    assert_eq!(message.json::<Price>().unwrap(), price());
    poll_once(server.send(message.clone())).unwrap().unwrap();
    poll_once(server.send(Message::binary(message.into_bytes()))).unwrap().unwrap();
    poll_once(server.send_json("a str")).unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(poll_once(client.recv_json::<Price>()).unwrap().unwrap(), Some(price()));
    }
    assert_eq!(poll_once(client.recv_json::<String>()).unwrap().unwrap().as_deref(), Some("a str"));
    let (mut send, mut recv) = client.split();
    poll_once(send.send_json(&price())).unwrap().unwrap();
    assert_eq!(poll_once(server.recv_json()).unwrap().unwrap(), Some(price()));
    poll_once(server.send_json(&[1, 2])).unwrap().unwrap();
    assert_eq!(poll_once(recv.recv_json()).unwrap().unwrap(), Some([1, 2]));
    poll_once(server.close(1000, ""));
    assert!(poll_once(recv.recv_json::<u8>()).is_none(), "the transport is still open");
    poll_once(server.close(1000, ""));
    drop(server);
    assert_eq!(poll_once(recv.recv_json::<u8>()).unwrap().unwrap(), None);
}

#[test]
fn k9_a_message_that_is_not_the_expected_json_is_returned_and_the_connection_continues() {
    let (io, peer) = pipe(1 << 20);
    let mut ws = client(io, &Time::new(), Config::new());
    for (opcode, bytes, text) in [
        (
            Opcode::Text,
            "",
            "a text message of 0 bytes is not the expected JSON: EOF while parsing a value at line 1 column 0",
        ),
        (
            Opcode::Text,
            r#"{"name":"a"}"#,
            "a text message of 12 bytes is not the expected JSON: missing field `cents` at line 1 column 12",
        ),
        (
            Opcode::Binary,
            r#"{"name":"a","cents":-1}"#,
            "a binary message of 23 bytes is not the expected JSON: invalid value: integer `-1`, expected u64 at line 1 column 22",
        ),
        (
            Opcode::Text,
            r#"{"name":"a","cents":1} x"#,
            "a text message of 24 bytes is not the expected JSON: trailing characters at line 1 column 24",
        ),
        (
            Opcode::Binary,
            "hello",
            "a binary message of 5 bytes is not the expected JSON: expected value at line 1 column 1",
        ),
    ] {
        peer.push(&server_frame(opcode, bytes.as_bytes()));
        let error = poll_once(ws.recv_json::<Price>()).unwrap().unwrap_err();
        assert!(error.is_recoverable() && error.source().is_none());
        assert_eq!(error.to_string(), text);
        let JsonError::Received(invalid) = error else { panic!() };
        assert_eq!(invalid.message().as_bytes(), bytes.as_bytes());
        let is_text = invalid.into_message().kind() == MessageKind::Text;
        assert_eq!(is_text, opcode == Opcode::Text);
        peer.push(&server_frame(Opcode::Text, br#"{"cents":7,"name":"\u03bb \"x\"\n"}"#));
        assert_eq!(poll_once(ws.recv_json()).unwrap().unwrap(), Some(price()));
    }
    // Bytes that are not UTF-8 are not JSON.
    peer.push(&server_frame(Opcode::Binary, b"\"\xff\""));
    assert!(matches!(poll_once(ws.recv_json::<String>()), Some(Err(JsonError::Received(_)))));
    // Deep nesting neither overflows the stack nor passes.
    peer.push(&server_frame(Opcode::Text, "[".repeat(1000).as_bytes()));
    assert!(matches!(poll_once(ws.recv_json::<serde_json::Value>()), Some(Err(JsonError::Received(_)))));
}

#[test]
fn k9_a_value_that_cannot_be_written_sends_nothing() {
    let (io, peer) = pipe(1 << 20);
    let mut ws = client(io, &Time::new(), Config::new().max_send_size(10_u64));
    let error = poll_once(ws.send_json(&unwritable())).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the value cannot be sent as JSON: key must be a string");
    assert!(matches!(&error, JsonError::Value(_)) && error.is_recoverable());
    let error = poll_once(ws.send_json(&price())).unwrap().unwrap_err();
    assert!(matches!(&error, JsonError::Connection(Error::Send(SendError::TooBig { .. }))));
    assert!(error.is_recoverable());
    assert!(peer.take_all().is_empty());
    poll_once(ws.send_json(&[1])).unwrap().unwrap();
    assert_eq!(read_frames(&peer.take_all())[0].payload, b"[1]");
    peer.reset();
    let error = poll_once(ws.recv_json::<u8>()).unwrap().unwrap_err();
    assert!(matches!(&error, JsonError::Connection(Error::Io(_))) && !error.is_recoverable());
    assert!(poll_once(ws.recv_json::<u8>()).unwrap().unwrap().is_none());
}

#[test]
fn k9_a_cancelled_receive_loses_no_message() {
    let (io, peer) = pipe(1 << 20);
    let mut ws = client(io, &Time::new(), Config::new());
    let mut numbers = Vec::new();
    for number in 0..20_u32 {
        let text = format!("[{number}, \"{}\"]", "x".repeat(number as usize * 7));
        for byte in server_frame(Opcode::Text, text.as_bytes()) {
            peer.push(&[byte]);
            // Each poll belongs to a new future.
            if let Some(received) = poll_once(ws.recv_json::<(u32, String)>()) {
                numbers.push(received.unwrap().unwrap().0);
            }
        }
    }
    assert!(numbers.into_iter().eq(0..20));
}
