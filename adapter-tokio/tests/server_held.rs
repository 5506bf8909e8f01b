//! The memory that one hostile client of each kind makes a server hold (T10, T14, T15, T42 of
//! docs/requirements.md).
//!
//! The rule: a server holds at most twice what the client has sent, and 32 KiB more. A client that
//! sends without reading makes it hold 64 KiB at most.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sockeye_core::Connection;
use sockeye_core::deflate::Deflate;
use sockeye_testkit::deflate::agree;
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::memory::{CountingAllocator, live_in_process};
use sockeye_tokio::server::{
    BoxError, Client, Handler, HandlerResult, HttpRequest, Inbound, ListenOptions, Port, Server, ServerHandle,
};
use sockeye_tokio::{Config, Response};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// The number of clients of each kind that are measured together.
const COUNT: usize = 2;
const ATTEMPTS: usize = 4;
/// The part of the rule that does not depend on what was sent.
const CONSTANT: usize = 32 << 10;
const LARGEST: usize = 2 << 20;
/// The bytes after which a client that sends without end is measured. It is more than the buffers
/// of the system take.
const ENDLESS: usize = 6 << 20;
/// The read buffer from which a handler borrows its message.
const BORROWED: usize = (64 << 10) + 64;
/// The default limit of an inbox.
const INBOX: usize = 64 << 10;

/// Echoes messages, but sleeps forever at a message that begins with `sleep`.
struct Sleepy;

impl Handler for Sleepy {
    async fn request(&self, _: &Client, request: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        request.body().await?;
        Ok(Some(Response::text(200, "read\n")))
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        if message.as_bytes().starts_with(b"sleep") {
            std::future::pending::<()>().await;
        }
        let _ = client.push(message);
        Ok(())
    }
}

/// A kind of client: its name, the bytes that it sends, and the most that the server may hold.
struct Kind {
    name: &'static str,
    opens: bool,
    wire: Vec<u8>,
    /// Send `wire` again and again, until the server reads no more.
    endless: bool,
    /// The bytes that may be held because a handler sleeps.
    asleep: usize,
}

impl Kind {
    fn new(name: &'static str, wire: Vec<u8>) -> Self {
        Kind { name, opens: true, wire, endless: false, asleep: 0 }
    }

    fn http(name: &'static str, wire: impl Into<Vec<u8>>) -> Self {
        Kind { opens: false, ..Kind::new(name, wire.into()) }
    }

    fn endless(name: &'static str, wire: Vec<u8>) -> Self {
        Kind { endless: true, ..Kind::new(name, wire) }
    }
}

/// Returns a message as one compressed payload that refers to no other message.
fn compressed(message: &[u8]) -> Vec<u8> {
    let settings = Deflate::new();
    let mut sender = Connection::server(Config::new().deflate(settings.clone()).into());
    sender.enable_deflate(&agree(&settings, &settings).0);
    sender.send(message).unwrap();
    let wire: Vec<u8> = sender.poll_transmit().unwrap().slices().flatten().copied().collect();
    read_frames(&wire).remove(0).payload
}

fn kinds() -> Vec<Kind> {
    let noise: Vec<u8> = (0..LARGEST as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let begun = |opcode, payload: &[u8], sent: usize| {
        let mut wire = frame(true, opcode, payload);
        wire.truncate(wire.len() - payload.len() + sent);
        wire
    };
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ".to_owned() + &"x".repeat(15_900);
    let body = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 1 << 20);
    let body = [body.as_bytes(), &noise[1..1 << 20]].concat();
    let fragments: Vec<u8> = (0..16_000)
        .flat_map(|n| frame(true, if n == 0 { BINARY_START } else { CONTINUATION }, b"x"))
        .collect();
    let bomb = compressed(&[0; LARGEST]);
    let sleep = frame(true, TEXT, "sleep");
    let small = frame(true, BINARY, [7; 1000]);
    let bombs = [&sleep[..], &frame(true, BINARY | RSV1, &bomb).repeat(8)].concat();
    let letters: Vec<u8> = noise[..200_000].iter().map(|byte| b'a' + byte % 16).collect();
    let letters = compressed(&letters);
    let half = begun(BINARY | RSV1, &letters, letters.len() / 2);
    vec![
        Kind::new("idle", Vec::new()),
        Kind::http("silent", Vec::new()),
        Kind::http("15.9 kB of a head", head),
        Kind::http("a body but for one byte", body),
        Kind::new("a header that declares 2 MiB", begun(BINARY, &noise, 0)),
        Kind::new("16,000 fragments of one byte", fragments),
        Kind::new("2 MiB but for one byte", begun(BINARY, &noise, LARGEST - 1)),
        Kind::new("17 kB of a message", begun(BINARY, &noise, 17_000)),
        Kind::new("half of a compressed message", half),
        Kind::new("2 kB that would inflate to 2 MiB", frame(true, BINARY_START | RSV1, &bomb)),
        Kind {
            asleep: BORROWED + INBOX,
            ..Kind::endless("messages behind a handler", [&sleep[..], &small.repeat(64)].concat())
        },
        Kind { asleep: BORROWED, ..Kind::new("eight bombs behind a handler", bombs) },
        Kind::endless("pings, never read", frame(true, PING, [7; 125]).repeat(64)),
        Kind::endless("echoes of 1 kB, never read", small.repeat(16)),
        Kind::endless("echoes of 10 bytes, never read", frame(true, TEXT, "ten bytes!").repeat(256)),
    ]
}

/// Connects a client of this kind. Returns it with the number of bytes that it sent.
fn connect(address: SocketAddr, kind: &Kind) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    if kind.opens {
        let extension = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
        stream.write_all(upgrade_request("/", extension).as_bytes()).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
    }
    if !kind.endless {
        stream.write_all(&kind.wire).unwrap();
        return (stream, kind.wire.len());
    }
    // The kernel's buffers take some megabytes before the server's reading shows.
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut sent, mut at) = (0, 0);
    loop {
        match stream.write(&kind.wire[at..]) {
            // The server reads pings as fast as they come.
            Ok(_) if sent > ENDLESS => break,
            Ok(n) => {
                sent += n;
                at = (at + n) % kind.wire.len();
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
    }
    (stream, sent)
}

/// Waits until the server holds the same for a while, and returns the bytes allocated.
fn settled(handle: &ServerHandle, connections: usize) -> isize {
    let mut last = (0, 0);
    for _ in 0..2000 {
        std::thread::sleep(Duration::from_millis(20));
        let live = live_in_process();
        last = if last.0 == live { (live, last.1 + 1) } else { (live, 0) };
        if last.1 >= 10 && handle.connections().len() == connections {
            return live;
        }
    }
    panic!("{} connections of {connections}, {last:?}", handle.connections().len());
}

#[test]
fn t10_t14_t15_t42_what_a_hostile_client_makes_the_server_hold_is_in_proportion_to_what_it_sent() {
    let kinds = kinds();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // No deadline ends a client while another one is measured.
    let long = Duration::from_secs(600);
    let config = Config::new().deflate(true).handshake_timeout(long).message_timeout(long);
    // A small send buffer soon shows that a client does not read.
    let options = ListenOptions::new().send_buffer(16 << 10);
    let port = Port::new(Sleepy).config(config).body_timeout(long).without_keepalive();
    let port = port.listen_options(options);
    let server = runtime.block_on(async { Server::builder().listen("127.0.0.1:0", port).unwrap().build() });
    let (handle, address) = (server.handle(), server.addresses()[0].as_inet().unwrap());
    let running = runtime.spawn(server.run());
    // The first of each kind fills the buffers of the threads.
    let mut clients: Vec<TcpStream> = kinds.iter().map(|kind| connect(address, kind).0).collect();
    clients.reserve_exact(kinds.len() * COUNT * ATTEMPTS);
    let mut violations = Vec::new();
    for kind in &kinds {
        let most = |sent: usize| if kind.endless { 64 << 10 } else { 2 * sent + CONSTANT } + kind.asleep;
        // On a busy machine, the clients before may not have settled. So the least of some attempts
        // counts.
        let is_within = (0..ATTEMPTS).any(|_| {
            let before = settled(&handle, clients.len());
            let mut sent = 0;
            for _ in 0..COUNT {
                let (client, n) = connect(address, kind);
                clients.push(client);
                sent += n / COUNT;
            }
            let held = (settled(&handle, clients.len()) - before).max(0) as usize / COUNT;
            println!("{:34} sent {sent:9} held {held:9} at most {:9}", kind.name, most(sent));
            held <= most(sent)
        });
        if !is_within {
            violations.push(kind.name);
        }
    }
    drop(clients);
    handle.shutdown(Duration::ZERO);
    runtime.block_on(running).unwrap().unwrap();
    assert!(violations.is_empty(), "{violations:?}");
}
