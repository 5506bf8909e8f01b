//! Two ends of a connection over the loopback interface, and a peer that speaks by hand.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye_std::{Config, Request, Url, WebSocket};

/// Runs `serve` in a thread with the first connection that comes.
pub(crate) fn listen<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

pub(crate) fn url(address: SocketAddr) -> Url {
    Url::parse(&format!("ws://{address}/")).unwrap()
}

/// A client and a server, connected.
pub(crate) fn pair(client: Config, server: Config) -> (WebSocket, WebSocket) {
    let (address, serving) = listen(move |stream| {
        sockeye_std::accept_with(stream, Arc::new(server), |_| Ok(sockeye_std::Accept::new())).unwrap()
    });
    let url = url(address);
    let (client, _) = sockeye_std::connect_with(&url, Request::new(&url), Arc::new(client)).unwrap();
    (client, serving.join().unwrap())
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A server, and a socket at the other end of it that has done the opening handshake.
pub(crate) fn raw_pair(config: Config) -> (TcpStream, WebSocket) {
    let (address, serving) = listen(move |stream| {
        sockeye_std::accept_with(stream, Arc::new(config), |_| Ok(sockeye_std::Accept::new())).unwrap()
    });
    let mut raw = TcpStream::connect(address).unwrap();
    raw.write_all(REQUEST).unwrap();
    let head = read_head(&mut raw);
    assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    (raw, serving.join().unwrap())
}

pub(crate) fn read_head(raw: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        raw.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// A frame as a client sends it, masked with zeros; short payloads only.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(payload);
    frame
}

pub(crate) fn read_frame(raw: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    raw.read_exact(&mut head).unwrap();
    let mut payload = vec![0; usize::from(head[1])];
    raw.read_exact(&mut payload).unwrap();
    (head[0], payload)
}
