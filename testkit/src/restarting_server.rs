//! A server that is killed and restarted while messages flow.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye_core::Opcode;
use sockeye_core::handshake::accept_key;

use crate::frames::{read_frame, server_frame};

/// A blocking server for one client at a time, which it sends numbers, one in each message. It is
/// killed many times, after some messages in both directions, and refuses two attempts after each
/// time. It does not depend on the code under test, except for the accept key.
///
/// The port stays bound, so that no other program gets it in between.
#[derive(Debug)]
pub struct RestartingServer {
    address: SocketAddr,
    running: JoinHandle<Vec<String>>,
}

/// The number of messages to the client before the server is killed.
const SENT: usize = 50;
/// The number of messages of the client before the server is killed.
const RECEIVED: usize = 5;

impl RestartingServer {
    /// Starts a server that is killed this many times, and then serves until the client closes.
    ///
    /// # Panics
    ///
    /// Panics if no port can be bound.
    #[must_use]
    pub fn start(kills: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        RestartingServer { address, running: thread::spawn(move || run(&listener, kills)) }
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Waits until a client has closed the connection. Returns all texts that the server has
    /// received.
    ///
    /// # Panics
    ///
    /// Panics if the server has panicked.
    #[must_use]
    pub fn finish(self) -> Vec<String> {
        self.running.join().unwrap()
    }
}

fn run(listener: &TcpListener, kills: usize) -> Vec<String> {
    let (mut number, mut received) = (0, Vec::new());
    for life in 0..=kills {
        let stream = listener.accept().unwrap().0;
        received.extend(serve(stream, &mut number, life == kills));
        if life < kills {
            for _ in 0..2 {
                drop(listener.accept().unwrap());
            }
        }
    }
    received
}

/// Serves one connection until the server is killed or, on its last life, until the client closes.
fn serve(mut stream: TcpStream, number: &mut usize, is_last: bool) -> Vec<String> {
    stream.set_nodelay(true).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let (_, key) = lines.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")).unwrap();
    let accept = accept_key(key);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes()).unwrap();
    let (count, is_closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let reader = {
        let (stream, count, is_closed) = (stream.try_clone().unwrap(), count.clone(), is_closed.clone());
        thread::spawn(move || read(stream, &count, &is_closed))
    };
    for sent in 0.. {
        let is_killed = sent >= SENT && count.load(Ordering::SeqCst) >= RECEIVED && !is_last;
        if is_killed || is_closed.load(Ordering::SeqCst) {
            break;
        }
        *number += 1;
        if stream.write_all(&server_frame(Opcode::Text, number.to_string().as_bytes())).is_err() {
            break;
        }
        if sent >= SENT {
            thread::sleep(Duration::from_micros(200));
        }
    }
    if is_last {
        let _ = stream.write_all(&server_frame(Opcode::Close, &1000_u16.to_be_bytes()));
    }
    // Messages that have arrived and were not read are lost, as when a process is killed.
    let _ = stream.shutdown(Shutdown::Both);
    reader.join().unwrap()
}

/// Reads the client's texts until the connection ends.
fn read(mut stream: TcpStream, count: &AtomicUsize, is_closed: &AtomicBool) -> Vec<String> {
    let (mut texts, mut bytes, mut buffer) = (Vec::new(), Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..n]);
        while let Some((frame, rest)) = read_frame(&bytes) {
            let used = bytes.len() - rest.len();
            bytes.drain(..used);
            match frame.first & 15 {
                1 => texts.push(String::from_utf8(frame.payload).unwrap()),
                8 => is_closed.store(true, Ordering::SeqCst),
                _ => {}
            }
            count.store(texts.len(), Ordering::SeqCst);
        }
    }
    is_closed.store(true, Ordering::SeqCst);
    texts
}

/// Checks what a client of a [`RestartingServer`] reports.
#[derive(Debug, Default)]
pub struct GapCheck {
    latest: u64,
    /// A gap was reported since the latest message.
    may_skip: bool,
    is_connected: bool,
    /// The waits that the client has chosen since the latest connection.
    waits: Vec<Duration>,
    /// The connections that were lost.
    pub lost: usize,
    /// The attempts that have failed.
    pub failed: usize,
    /// The messages that have arrived.
    pub messages: usize,
}

impl GapCheck {
    /// Checks a message of the server: it is the next one, unless a gap was reported.
    ///
    /// # Panics
    ///
    /// Panics if messages are missing without a gap, or if one arrives twice.
    pub fn message(&mut self, text: &str) {
        let number: u64 = text.parse().unwrap();
        assert!(self.is_connected);
        if self.may_skip {
            assert!(number > self.latest, "{number} follows {}", self.latest);
        } else {
            assert_eq!(number, self.latest + 1, "a gap was not reported");
        }
        (self.latest, self.may_skip) = (number, false);
        self.messages += 1;
    }

    /// Checks that a connection follows a gap.
    ///
    /// # Panics
    ///
    /// Panics if there was a connection already, or if the count differs.
    pub fn connected(&mut self, reconnects: u64) {
        assert!(!std::mem::replace(&mut self.is_connected, true));
        assert_eq!(reconnects, self.lost as u64);
    }

    /// Checks the wait after a lost connection.
    ///
    /// # Panics
    ///
    /// Panics if there was no connection.
    pub fn lost(&mut self, wait: Duration) {
        assert!(std::mem::replace(&mut self.is_connected, false));
        self.lost += 1;
        self.may_skip = true;
        self.waits = vec![wait];
    }

    /// Checks the wait after a failed attempt: at most the double of the longest one before it.
    ///
    /// # Panics
    ///
    /// Panics if there was a connection, or if the wait is too long.
    pub fn failed(&mut self, wait: Duration, base: Duration, cap: Duration) {
        assert!(!self.is_connected);
        self.failed += 1;
        self.waits.push(wait);
        assert!(wait <= cap, "{:?} with a base of {base:?}", self.waits);
    }
}

/// Checks that the server has received numbers in order, none of them twice.
///
/// # Panics
///
/// Panics if it has not.
pub fn assert_each_once(received: &[String]) {
    let numbers: Vec<u64> = received.iter().map(|text| text.parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "twice or out of order: {numbers:?}");
}
