//! Pushes and broadcasts (M1 to M3, M9, O5).

use std::sync::mpsc;

use sockeye_core::deflate::{CompressionPolicy, Deflate};
use sockeye_core::{CloseCode, Config, Flags, Frame, Opcode, Payload, Prepared, SendError};
use sockeye_driver::server::{
    Callbacks, Client, ConnectionId, Handler, HandlerResult, Inbound, Port, PushError,
};
use sockeye_testkit::{RawClient, eventually};

use super::{Echo, TestServer, await_open};

/// Starts an echo server with one open connection.
fn start(config: Config) -> (TestServer, RawClient, Client) {
    let (opened, has_opened) = mpsc::channel();
    let server = TestServer::port(Port::new(Echo(opened)).config(config));
    let raw = server.open();
    let client = has_opened.recv().unwrap();
    (server, raw, client)
}

#[test]
fn m1_pushes_from_the_handler_and_from_another_thread_arrive_in_order() {
    let (server, mut raw, client) = start(Config::new());
    raw.text("asked");
    raw.expect_text("asked");
    let handle = server.handle.clone();
    let pusher = std::thread::spawn(move || {
        for n in 0..1000 {
            handle.push(client.id(), format!("{n}")).unwrap();
        }
    });
    for n in 0..1000 {
        raw.expect_text(&format!("{n}"));
    }
    pusher.join().unwrap();
    raw.close(1000, "");
    raw.expect_close(1000);
}

#[test]
fn m1_each_invalid_push_returns_its_own_error_and_sends_nothing() {
    let (server, mut raw, client) = start(Config::new());
    let (handle, id) = (&server.handle, client.id());
    let mut plain = server.connect();
    plain.write("GET ");
    eventually("the second connection", || handle.connections().len() == 2);
    let other = handle.connections().into_iter().find(|known| *known != id).unwrap();
    assert_eq!(handle.push(other, "x"), Err(PushError::NotWebSocket));
    let push = |frame: &Frame<'_>| handle.push_frame(id, frame);
    assert_eq!(
        push(&Frame::new(Opcode::Continuation, b"x".as_slice())),
        Err(PushError::UnexpectedContinuation)
    );
    assert_eq!(push(&Frame::new(Opcode::Text, b"\xff".as_slice())), Err(PushError::InvalidUtf8));
    assert_eq!(
        push(&Frame::new(Opcode::Ping, vec![0; 126])),
        Err(PushError::InvalidControl(SendError::ControlTooLong(126)))
    );
    assert_eq!(
        push(&Frame::new(Opcode::Pong, b"".as_slice()).finish(false)),
        Err(PushError::InvalidControl(SendError::FragmentedControl))
    );
    // A reserved opcode has no `Opcode`, so no frame can have one.
    assert_eq!(Opcode::try_from(3).map_err(PushError::from), Err(PushError::InvalidOpcode(3)));
    raw.text("the only message");
    raw.expect_text("the only message");
    handle.disconnect(id, CloseCode::NORMAL, "").unwrap();
    assert_eq!(handle.push(id, "late"), Err(PushError::Closing));
    raw.expect_close(1000);
    drop(plain);
    eventually("every connection to end", || handle.connections().is_empty());
    assert_eq!(handle.push(id, "later"), Err(PushError::UnknownConnection));
    assert_eq!(client.push("later"), Err(PushError::Closing));
    assert_eq!(handle.push(other, "later"), Err(PushError::UnknownConnection));
}

#[test]
fn m2_only_control_frames_are_accepted_inside_a_fragmented_message() {
    let (_server, mut raw, client) = start(Config::new());
    client.push_frame(&Frame::text("a").finish(false)).unwrap();
    assert_eq!(client.push("b"), Err(PushError::ExpectedContinuation));
    assert_eq!(client.push_frame(&Frame::text("b")), Err(PushError::ExpectedContinuation));
    client.ping(b"between").unwrap();
    client.push_frame(&Frame::new(Opcode::Continuation, b"c".as_slice())).unwrap();
    client.push("d").unwrap();
    let frames: Vec<_> = (0..4).map(|_| raw.frame().unwrap()).collect();
    let seen: Vec<_> = frames.iter().map(|frame| (frame.opcode, &*frame.data, frame.flags.finish)).collect();
    assert_eq!(
        seen,
        [
            (Opcode::Text, &b"a"[..], false),
            (Opcode::Ping, b"between", true),
            (Opcode::Continuation, b"c", true),
            (Opcode::Text, b"d", true),
        ]
    );
}

#[test]
fn m3_a_push_above_the_limit_fails_and_the_connection_stays_open() {
    let (_server, mut raw, client) = start(Config::new());
    let limit = 2 << 20;
    assert_eq!(
        client.push(vec![0; limit + 1]),
        Err(PushError::TooBig { size: limit as u64 + 1, limit: limit as u64 })
    );
    client.push(vec![7; limit]).unwrap();
    assert_eq!(raw.frame().unwrap().data.len(), limit);
    client.push("still here").unwrap();
    raw.expect_text("still here");
}

#[test]
fn m9_a_broadcast_reaches_the_connections_that_the_filter_selects() {
    let handler = Callbacks::on_message(|client: Client, message| async move {
        let (server, from) = (client.server(), client.id());
        let report = server.broadcast(|id| id != from, &message);
        client.push(format!("{}", report.queued))
    });
    let server = TestServer::handler(handler);
    let mut all: Vec<RawClient> = (0..20).map(|_| server.open()).collect();
    let _plain = server.connect();
    await_open(&server.handle, 20);
    all[0].text("hello");
    all[0].expect_text("19");
    all[1..].iter_mut().for_each(|raw| raw.expect_text("hello"));
    // The report counts every connection that the filter selects.
    let ids: Vec<ConnectionId> = server.handle.connections();
    let report = server.handle.broadcast_prepared(|id| ids.contains(&id), &Prepared::new("again"));
    assert_eq!((report.queued, report.slow, report.failed), (20, 0, 0));
    all.iter_mut().for_each(|raw| raw.expect_text("again"));
    let report = server.handle.broadcast(|_| false, "to none");
    assert_eq!(report, Default::default());
}

#[test]
fn m9_o5_a_broadcast_is_compressed_for_the_connections_that_negotiated_it() {
    let deflate = Deflate::new().policy(CompressionPolicy::OnRequest);
    let (opened, has_opened) = mpsc::channel();
    let server = TestServer::port(Port::new(Echo(opened)).config(Config::new().deflate(deflate)));
    let mut plain = server.open();
    let mut compressing = server.connect();
    let answer = compressing.upgrade_with("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    assert!(answer.header("Sec-WebSocket-Extensions").unwrap().starts_with("permessage-deflate"));
    let clients = [has_opened.recv().unwrap(), has_opened.recv().unwrap()];
    let text = "again and again and ".repeat(20);
    assert_eq!(server.handle.broadcast(|_| true, Payload::from(&text).compress(true)).queued, 2);
    plain.expect_text(&text);
    let frame = compressing.frame().unwrap();
    assert!(frame.flags.rsv1 && frame.data.len() < text.len() / 4, "{}", frame.data.len());
    // Without the flag the message is not compressed.
    assert_eq!(server.handle.broadcast(|_| true, &text).queued, 2);
    plain.expect_text(&text);
    let frame = compressing.frame().unwrap();
    assert_eq!((frame.flags.rsv1, frame.data.len()), (false, text.len()));
    let compressed: Vec<bool> = clients.iter().map(|client| client.info().compression.is_some()).collect();
    assert_eq!(compressed.iter().filter(|compressed| **compressed).count(), 1);
    assert_eq!(frame.flags, Flags { finish: true, rsv1: false });
}

#[test]
fn e2_o5_a_message_says_whether_it_arrived_compressed() {
    struct Describe;
    impl Handler for Describe {
        async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
            client.push(format!("{} {}", message.is_compressed(), message.as_text().unwrap_or_default()))?;
            Ok(())
        }
    }
    let deflate = Deflate::new().policy(CompressionPolicy::Never);
    let server = TestServer::port(Port::new(Describe).config(Config::new().deflate(deflate)));
    let mut raw = server.connect();
    raw.upgrade_with("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    raw.text("Hello");
    raw.expect_text("false Hello");
    // "Hello", from RFC 7692 section 7.2.3.1.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut frame = Frame::new(Opcode::Text, hello.as_slice());
    frame.flags.rsv1 = true;
    raw.send(&frame);
    raw.expect_text("true Hello");
}
