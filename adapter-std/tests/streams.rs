//! Transports other than a TCP socket.

#![cfg(unix)]

mod support;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sockeye_std::{
    ClientRequest, CloseCode, CloseFrame, Config, Error, Frame, Received, Stream, Untimed, Url,
};
use sockeye_testkit::handshake::upgrade_request;
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

/// A stream that reports the end of the input as TLS does if the peer sent no `close_notify`.
struct WithoutCloseNotify(UnixStream);

impl Read for WithoutCloseNotify {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        }
    }
}

impl Write for WithoutCloseNotify {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for WithoutCloseNotify {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write()
    }
}

#[test]
fn w13_a_peer_that_vanishes_causes_the_same_error_over_tls_as_over_tcp() {
    let (client, server) = UnixStream::pair().unwrap();
    let serving = thread::spawn(move || {
        let mut ws = sockeye_std::accept(WithoutCloseNotify(server)).unwrap();
        (ws.recv(), ws.recv())
    });
    let url = Url::parse("ws://localhost/").unwrap();
    drop(sockeye_std::client(client, ClientRequest::new(&url), Arc::default()).unwrap());
    let (first, second) = serving.join().unwrap();
    assert!(matches!(first, Err(Error::Abnormal(info)) if info.code == CloseCode::ABNORMAL));
    assert_eq!(second.unwrap(), None);
}

#[test]
fn w13_a_close_of_the_peer_is_no_error_if_its_answer_cannot_be_written() {
    for sends_first in [true, false] {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (is_open, opened) = mpsc::channel();
        let (has_closed, closed) = mpsc::channel();
        let serving = thread::spawn(move || {
            let mut ws = sockeye_std::accept(server).unwrap();
            is_open.send(()).unwrap();
            closed.recv().unwrap();
            if sends_first {
                assert!(matches!(ws.send("lost"), Err(Error::Io(_))));
            }
            let received = (ws.recv(), ws.recv(), ws.recv());
            (received, ws.close_info().unwrap().code)
        });
        client.write_all(upgrade_request("/", "").as_bytes()).unwrap();
        opened.recv().unwrap();
        let close = Frame::close(&CloseFrame::new(CloseCode::GOING_AWAY, "")).unwrap();
        for frame in [Frame::text("last words"), close] {
            client.write_all(&frame.pack_masked([1, 2, 3, 4]).unwrap()).unwrap();
        }
        // All further writes of the server fail.
        client.shutdown(Shutdown::Read).unwrap();
        has_closed.send(()).unwrap();
        let (received, code) = serving.join().unwrap();
        assert!(matches!(received, (Ok(Some(_)), Ok(None), Ok(None))), "{received:?}");
        assert_eq!(code, CloseCode::GOING_AWAY);
    }
}
