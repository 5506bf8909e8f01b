//! The examples of control frames and of compression.

use sockeye_testkit::RawClient;
use sockeye_tokio::protocol::deflate::{CompressionPolicy, Deflate};
use sockeye_tokio::protocol::http::Response;
use sockeye_tokio::server::{Client, Handler, HandlerResult, Inbound, Port, Server};
use sockeye_tokio::{CloseCode, CloseFrame, Config, ConnectOptions, Frame, Message, Opcode};

use crate::examples::{compression_client, ping_client};
use crate::process::Example;
use crate::soon;

fn control(opcode: Opcode) -> Frame<'static> {
    Frame::new(opcode, b"payload".as_slice())
}

/// Checks that the server answered nothing: the next frame is the answer to a Close.
fn expect_silence(raw: &mut RawClient) {
    raw.close(1000, "");
    raw.expect_close(1000);
}

#[test]
fn close_frames_are_forwarded_and_still_answered() {
    let example = Example::start("close_frame");
    let mut raw = example.open();
    raw.text("hi");
    raw.close(4001, "done");
    raw.expect_close(4001);
    assert_eq!(example.line(), "Message received: Text(\"hi\")");
    assert_eq!(example.line(), "Close frame received: Code 4001 Reason done");
    let mut raw = example.open();
    raw.send(&Frame::close(&CloseFrame::default()).unwrap());
    assert_eq!(raw.frame().unwrap().opcode, Opcode::Close);
    assert_eq!(example.line(), "Close frame received: Code 1005 Reason ");
}

#[test]
fn pings_are_forwarded_and_the_example_answers_them() {
    let example = Example::start("ping_frame");
    let mut raw = example.open();
    raw.text("hi");
    raw.send(&control(Opcode::Ping));
    assert_eq!(raw.frame(), Some(control(Opcode::Pong)));
    assert_eq!(example.line(), "Message received: Text(\"hi\")");
    assert_eq!(example.line(), "Ping frame received: Code 9");
    expect_silence(&mut raw);
}

#[test]
fn pongs_are_forwarded() {
    let example = Example::start("pong_frame");
    let mut raw = example.open();
    raw.text("hi");
    raw.send(&control(Opcode::Pong));
    assert_eq!(example.line(), "Message received: Text(\"hi\")");
    assert_eq!(example.line(), "Pong frame received: Code 10");
    expect_silence(&mut raw);
}

#[test]
fn each_option_forwards_one_kind_of_frame() {
    for (name, printed) in [("ping_option", "Ping"), ("pong_option", "Pong")] {
        let example = Example::start(name);
        let mut raw = example.open();
        raw.send(&control(Opcode::Ping));
        raw.send(&control(Opcode::Pong));
        raw.text("last");
        assert_eq!((example.line(), example.line()), (printed.to_owned(), "Text(\"last\")".to_owned()));
        if name == "pong_option" {
            assert_eq!(raw.frame(), Some(control(Opcode::Pong)));
        }
        expect_silence(&mut raw);
    }
}

#[test]
fn the_ping_server_pings() {
    let example = Example::start("ping_server");
    let mut raw = example.open();
    raw.text("hi");
    assert_eq!(raw.frame(), Some(Frame::new(Opcode::Ping, b"".as_slice())));
}

#[tokio::test]
async fn k4_o4_the_ping_client_receives_its_pong() {
    let example = Example::start("ping_server");
    assert!(soon(ping_client::receives_its_pong(&example.url())).await.unwrap());
}

#[tokio::test]
async fn the_compressing_server_compresses_if_it_was_negotiated() {
    let example = Example::start("compression_server");
    let mut raw = example.connect();
    let answer = raw.upgrade_with("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    assert!(answer.header("Sec-WebSocket-Extensions").unwrap().starts_with("permessage-deflate"));
    raw.text("hi");
    assert!(raw.frame().unwrap().flags.rsv1);
    let mut raw = example.open();
    raw.text("hi");
    assert!(!raw.frame().unwrap().flags.rsv1);
    let options = ConnectOptions::new().compression(true);
    let (mut ws, _): (_, Response) = sockeye_tokio::connect_with(&example.url(), options).await.unwrap();
    ws.send("hi").await.unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap(), Some(Message::from("Hello Hello Hello Hello")));
}

/// A handler that echoes each message, prefixed with whether it arrived compressed.
struct Reporter;

impl Handler for Reporter {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(format!("{}: {}", message.is_compressed(), message.as_text().unwrap_or_default()))?;
        Ok(())
    }
}

#[tokio::test]
async fn the_compressing_client_compresses_if_it_was_negotiated() {
    let able = Config::new().deflate(Deflate::new().policy(CompressionPolicy::Never));
    for (config, compressed) in [(able, true), (Config::new(), false)] {
        let server =
            Server::builder().listen("127.0.0.1:0", Port::new(Reporter).config(config)).unwrap().build();
        let url = format!("ws://{}/", server.addresses()[0]);
        let serving = tokio::spawn(server.run());
        let mut ws = soon(compression_client::client(&url)).await.unwrap();
        let answer = format!("{compressed}: Hello Hello Hello Hello");
        assert_eq!(soon(ws.recv()).await.unwrap(), Some(Message::from(answer)));
        soon(ws.close(CloseCode::NORMAL, "")).await.unwrap();
        serving.abort();
    }
}
