//! The heap memory of TLS connections. The allocator counts what the test's thread holds.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::zip;
use sockeye_core::{Config, Connection};
use sockeye_driver::WebSocket;
use sockeye_driver::tls::{ClientTls, ServerTls, TlsIo, accept_tls, connect_tls};
use sockeye_testkit::frames::mask_keys;
use sockeye_testkit::memory::{CountingAllocator, live};
use sockeye_testkit::sim::*;
use sockeye_testkit::tls::*;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

type Ws = WebSocket<TlsIo<Pipe>, TestClock>;

/// Opens a connection. Returns the client's end and the server's.
fn open(time: &Time, tls: &ClientTls, server_tls: &ServerTls) -> (Ws, Ws) {
    let (near, far) = pipe(1 << 20);
    let (mut clock, mut server_clock) = (time.clock(), time.clock());
    let deadline = time.now() + Duration::from_secs(60);
    let ends = zip(
        connect_tls(near, &mut clock, tls, "localhost", deadline),
        accept_tls(far, &mut server_clock, server_tls, deadline),
    );
    let (client, server) = futures_lite::future::block_on(ends);
    let (client, server) = (client.unwrap(), server.map_err(|(error, _)| error).unwrap());
    let config = Arc::new(Config::new());
    let connection = Connection::client(config.clone(), mask_keys());
    (
        WebSocket::new(connection, &[], client, time.clock()),
        WebSocket::new(Connection::server(config), &[], server, time.clock()),
    )
}

fn exchange(client: &mut Ws, server: &mut Ws, len: usize) {
    let message = payload(len, len);
    poll_once(client.send(message.clone())).unwrap().unwrap();
    let received = poll_once(server.recv()).unwrap().unwrap().unwrap();
    poll_once(server.send(received)).unwrap().unwrap();
    let echo = poll_once(client.recv()).unwrap().unwrap().unwrap();
    assert_eq!(echo.as_bytes(), message);
    // A receive that waits returns all memory.
    assert!(poll_once(server.recv()).is_none() && poll_once(client.recv()).is_none());
}

#[test]
fn k7_an_idle_tls_connection_owns_no_buffers_after_any_traffic() {
    let time = Time::new();
    let tls = ClientTls::with_ca_pem(CA).unwrap();
    let server_tls = ServerTls::from_pem(SERVER.certificate, SERVER.key).unwrap();
    // The first connection fills the caches and the buffers of the thread.
    let (mut client, mut server) = open(&time, &tls, &server_tls);
    exchange(&mut client, &mut server, 60_000);
    let mut pairs = Vec::with_capacity(20);
    let before = live();
    for _ in 0..20 {
        let (mut client, mut server) = open(&time, &tls, &server_tls);
        exchange(&mut client, &mut server, 5);
        let pipes = [client.io().get_ref(), server.io().get_ref()];
        pipes.into_iter().for_each(Pipe::release_memory);
        pairs.push((client, server));
    }
    let small = live() - before;
    for (client, server) in &mut pairs {
        exchange(client, server, 60_000);
        let pipes = [client.io().get_ref(), server.io().get_ref()];
        pipes.into_iter().for_each(Pipe::release_memory);
    }
    let large = live() - before;
    println!("{} bytes for both ends", small / 20);
    // The traffic leaves nothing, and both ends together take less than two buffers of 4 KiB.
    assert!(large <= small + 20 * 64, "{small} bytes, {large} after large messages");
    assert!(small / 20 < 9000, "{} bytes", small / 20);
}
