//! The echo server of the documentation, over loopback.
#![allow(clippy::unwrap_used, dead_code, reason = "a test fails by panicking, and `main` is not called")]

include!("../examples/echo.rs");

use std::time::Duration;

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Sends the handshake and `frames` in one write, and returns what the server sends after the 101
/// until it closes. Panics if the server takes longer than the deadlines of a connection.
fn exchange(frames: &[u8], config: Config) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let server = thread::spawn(move || echo(stream, Arc::new(config)));
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.write_all(&[HANDSHAKE, frames].concat()).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).expect("the server closes within 5 s");
    drop(client);
    server.join().unwrap().unwrap();
    let head = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    assert!(received.starts_with(b"HTTP/1.1 101 "), "{}", received.escape_ascii());
    received.split_off(head + 4)
}

#[test]
fn messages_above_the_high_water_mark_are_echoed_and_a_close_of_the_client_is_answered() {
    let long = vec![0; 70_000];
    let frames =
        [b"\x82\xff\0\0\0\0\0\x01\x11\x70\0\0\0\0", &long[..], b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0"]
            .concat();
    let expected = [b"\x82\x7f\0\0\0\0\0\x01\x11\x70", &long[..], b"\x81\x02hi\x88\x00"].concat();
    assert!(exchange(&frames, Config::new()) == expected);
}

#[test]
fn the_server_closes_when_it_is_asked_to_and_the_client_answers() {
    let close = b"\x88\x82\0\0\0\0\x03\xe8";
    let frames = [b"\x81\x83\0\0\0\0bye", &close[..]].concat();
    assert_eq!(exchange(&frames, Config::new()), b"\x88\x05\x03\xe8bye");
}

#[test]
fn a_silent_client_meets_the_idle_timeout() {
    let config =
        Config::new().idle_timeout(Duration::from_millis(200)).close_timeout(Duration::from_millis(200));
    assert!(exchange(b"", config).starts_with(b"\x88"));
}

#[test]
fn the_readmes_show_a_function_of_this_program() {
    let program = include_str!("../examples/echo.rs");
    for readme in [include_str!("../README.md"), include_str!("../../README.md")] {
        let (_, after) = readme.split_once("/// Takes all events").unwrap();
        let (shown, _) = after.split_once("```").unwrap();
        assert!(program.contains(shown), "{shown}");
    }
}
