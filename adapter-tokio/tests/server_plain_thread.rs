//! Threads outside the tokio runtime that send to connections of a server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_tokio::protocol::Config;
use sockeye_tokio::server::{Callbacks, Client, Port, Server};
use tokio::sync::oneshot;

/// The thread waits for room before the connection's task does: that task is in its handler and has
/// created no timer yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m4_a_thread_outside_the_runtime_may_wait_for_room_with_any_deadline() {
    const COUNT: usize = 400;
    for config in [Config::new(), Config::new().keepalive(Duration::from_secs(20), Duration::from_secs(20))] {
        let (sender, counts) = mpsc::channel();
        let handler = Callbacks::on_message(|_, _| async {}).on_open(move |client: Client, _| {
            let sender = sender.clone();
            async move {
                let (done, is_done) = oneshot::channel();
                std::thread::spawn(move || {
                    let sent =
                        (0..COUNT).take_while(|_| client.send_blocking(vec![0; 50_000]).is_ok()).count();
                    sender.send(sent).unwrap();
                    let _ = done.send(());
                });
                is_done.await.unwrap();
            }
        });
        let server =
            Server::builder().listen("127.0.0.1:0", Port::new(handler).config(config)).unwrap().build();
        let (address, handle) = (server.addresses()[0].as_inet().unwrap(), server.handle());
        let running = tokio::spawn(server.run());
        let peer = std::thread::spawn(move || read_slowly(&mut TcpStream::connect(address).unwrap()));
        let sent = tokio::task::spawn_blocking(move || counts.recv_timeout(Duration::from_secs(20)));
        assert_eq!(sent.await.unwrap(), Ok(COUNT));
        handle.shutdown(Duration::ZERO);
        running.await.unwrap().unwrap();
        peer.join().unwrap();
    }
}

/// Opens a WebSocket, pauses, and then reads to the end.
fn read_slowly(stream: &mut TcpStream) {
    stream.write_all(UPGRADE_REQUEST).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let mut buffer = vec![0; 1 << 16];
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
}
