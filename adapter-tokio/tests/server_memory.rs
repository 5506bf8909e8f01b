//! The heap memory of idle and of silent connections of a server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::memory::{CountingAllocator, live_in_process};
use sockeye_tokio::server::{
    BoxError, Callbacks, Client, Decision, Handler, HandlerResult, HttpRequest, Inbound, Refused, Server,
    ServerHandle,
};
use sockeye_tokio::{Response, Upgrade};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Held by each test, because the allocator counts for the whole process.
static MEASURING: Mutex<()> = Mutex::new(());

fn open(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(UPGRADE_REQUEST).unwrap();
    let mut head = [0; 129];
    stream.read_exact(&mut head).unwrap();
    assert!(head.ends_with(b"\r\n\r\n"), "{:?}", std::str::from_utf8(&head));
    stream
}

/// Waits until the server is idle with `expected` connections, and returns the bytes allocated.
fn idle_memory(handle: &ServerHandle, expected: usize) -> isize {
    let idle = || handle.queued() == 0 && handle.connections().len() == expected;
    while !idle() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    live_in_process()
}

#[test]
fn an_idle_connection_takes_two_kilobytes_even_after_large_messages() {
    const COUNT: usize = 448;
    let _measuring = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let handler = Callbacks::on_message(|client: Client, message| async move { client.push(message) })
        // The future of a handler is large, but is freed when it ends.
        .on_open(|_, request| async move {
            let large = [0u8; 10_000];
            tokio::task::yield_now().await;
            assert_eq!((large[9], request.path()), (0, "/"));
        });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(async { Server::bind("127.0.0.1:0", handler).unwrap() });
    let (handle, address) = (server.handle(), server.addresses()[0].as_inet().unwrap());
    let running = runtime.spawn(server.run());
    let mut clients: Vec<TcpStream> = (0..8).map(|_| open(address)).collect();
    clients.reserve_exact(COUNT);
    let before = idle_memory(&handle, 8);
    clients.extend((0..COUNT).map(|_| open(address)));
    let fresh = idle_memory(&handle, 8 + COUNT);
    for client in &mut clients {
        // Both messages arrive in two pieces. The second is above the size that is copied.
        for payload in [&b"hello"[..], &[7; 30_000]] {
            let frame = sockeye_tokio::Frame::binary(payload).pack_masked([1, 2, 3, 4]).unwrap();
            let (one, two) = frame.split_at(frame.len() / 2);
            client.write_all(one).unwrap();
            std::thread::yield_now();
            client.write_all(two).unwrap();
            let mut echo = vec![0; sockeye_tokio::Frame::binary(payload).pack().unwrap().len()];
            client.read_exact(&mut echo).unwrap();
        }
    }
    handle.broadcast(|_| true, "to all".repeat(500));
    let used = idle_memory(&handle, 8 + COUNT);
    let each = |live: isize| (live - before) / COUNT as isize;
    println!("{} bytes each, {} after use", each(fresh), each(used));
    assert!(each(fresh) <= 2048, "{} bytes each", each(fresh));
    assert!(each(used) <= 2300, "{} bytes each after use", each(used));
    drop(clients);
    handle.shutdown(Duration::from_secs(5));
    runtime.block_on(running).unwrap().unwrap();
}

/// A server whose handler waits in every method, so that the futures of the methods are large.
struct Large;

impl Handler for Large {
    async fn connect(&self, _: &Client) -> Result<(), Refused> {
        wait_with_large_state().await;
        Ok(())
    }

    async fn request(&self, _: &Client, _: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        wait_with_large_state().await;
        Ok(None)
    }

    async fn handshake(&self, _: &Client, _: &Upgrade) -> Result<Decision, BoxError> {
        wait_with_large_state().await;
        Ok(Decision::Policy)
    }

    async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        Ok(())
    }
}

async fn wait_with_large_state() {
    let large = [0u8; 10_000];
    tokio::task::yield_now().await;
    assert_eq!(large[9], 0);
}

#[test]
fn t1_a_silent_handshake_takes_two_kilobytes() {
    const COUNT: usize = 448;
    let _measuring = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(async { Server::bind("127.0.0.1:0", Large).unwrap() });
    let (handle, address) = (server.handle(), server.addresses()[0].as_inet().unwrap());
    let running = runtime.spawn(server.run());
    let connect = || TcpStream::connect(address).unwrap();
    let mut clients: Vec<TcpStream> = (0..8).map(|_| connect()).collect();
    clients.reserve_exact(COUNT);
    let before = idle_memory(&handle, 8);
    clients.extend((0..COUNT).map(|_| connect()));
    let silent = idle_memory(&handle, 8 + COUNT);
    let each = (silent - before) / COUNT as isize;
    println!("{each} bytes each");
    assert!(each <= 2048, "{each} bytes each");
    drop(clients);
    handle.shutdown(Duration::from_secs(5));
    runtime.block_on(running).unwrap().unwrap();
}
