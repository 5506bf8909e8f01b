//! Connections over the loopback interface: between two WebSockets, or with a peer that writes
//! bytes.

#![allow(dead_code, reason = "not every test file uses every helper")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye_std::{Config, Url, WebSocket};
use sockeye_testkit::handshake::{SAMPLE_ACCEPT, UPGRADE_REQUEST};

/// Listens, and runs `serve` on a thread with the first connection.
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

/// Connects a client and a server.
pub(crate) fn pair(client: Config, server: Config) -> (WebSocket, WebSocket) {
    let (address, serving) = listen(move |stream| {
        sockeye_std::accept_with(stream, Arc::new(server), |_| Ok(sockeye_std::Accept::new())).unwrap()
    });
    let url = url(address);
    let (client, _) = sockeye_std::connect_with(&url, Arc::new(client)).unwrap();
    (client, serving.join().unwrap())
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Connects a socket to a server and performs the opening handshake by hand.
pub(crate) fn raw_pair(config: Config) -> (TcpStream, WebSocket) {
    let (address, serving) = listen(move |stream| {
        sockeye_std::accept_with(stream, Arc::new(config), |_| Ok(sockeye_std::Accept::new())).unwrap()
    });
    let mut raw = TcpStream::connect(address).unwrap();
    raw.write_all(UPGRADE_REQUEST).unwrap();
    let head = read_head(&mut raw);
    assert!(head.contains(&format!("\r\nSec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n")), "{head}");
    (raw, serving.join().unwrap())
}

/// Reads an HTTP head up to its empty line.
pub(crate) fn read_head(raw: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        raw.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// Reads the first byte and the payload of a frame. Its payload must be short.
pub(crate) fn read_frame(raw: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    raw.read_exact(&mut head).unwrap();
    let mut payload = vec![0; usize::from(head[1])];
    raw.read_exact(&mut payload).unwrap();
    (head[0], payload)
}
