//! Transports other than a TCP socket.

#![cfg(unix)]

mod support;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use sockeye_std::{ClientRequest, CloseCode, Config, Error, Received, Stream, Untimed, Url};
use support::millis;

/// Echoes messages of many lengths over the two ends of a stream, and closes cleanly.
fn echo<C: Stream, S: Stream + Send + 'static>(client: C, server: S) {
    let serving = thread::spawn(move || {
        let mut ws = sockeye_std::accept(server).unwrap();
        while let Some(message) = ws.recv().unwrap() {
            ws.feed(message).unwrap();
        }
    });
    let url = Url::parse("ws://localhost/").unwrap();
    let (mut ws, _) = sockeye_std::client(client, ClientRequest::new(&url), Arc::default()).unwrap();
    for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        ws.send(vec![1; len]).unwrap();
        assert_eq!(ws.recv().unwrap().unwrap().len(), len);
    }
    assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
    // A stream that cannot close one side ends when it is dropped.
    drop(ws);
    serving.join().unwrap();
}

#[test]
fn a_unix_socket_is_a_stream() {
    let (client, server) = UnixStream::pair().unwrap();
    echo(client, server);
}

#[test]
fn a_boxed_stream_is_a_stream() {
    let (client, server) = UnixStream::pair().unwrap();
    echo(Box::new(client) as Box<dyn Stream>, Box::new(server));
}

#[test]
fn both_ends_may_lack_timeouts() {
    let (client, server) = UnixStream::pair().unwrap();
    echo(Untimed::new(client), Untimed::new(server));
}

#[test]
fn either_end_may_lack_timeouts() {
    let (client, server) = UnixStream::pair().unwrap();
    echo(Untimed::new(client), server);
    let (client, server) = UnixStream::pair().unwrap();
    echo(client, Untimed::new(server));
}

#[test]
fn a_nonblocking_socket_is_an_error_and_not_a_busy_loop() {
    let (client, server) = UnixStream::pair().unwrap();
    let keep = server.try_clone().unwrap();
    let serving = thread::spawn(move || sockeye_std::accept(server).unwrap());
    let url = Url::parse("ws://localhost/").unwrap();
    let (mut ws, _) = sockeye_std::client(client, ClientRequest::new(&url), Arc::new(Config::new())).unwrap();
    assert_eq!(ws.recv_timeout(millis(10)).unwrap(), Received::TimedOut);
    ws.get_ref().set_nonblocking(true).unwrap();
    assert!(matches!(ws.recv(), Err(Error::Io(_))));
    drop((serving.join().unwrap(), keep));
}
