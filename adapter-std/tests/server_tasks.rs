//! The tasks that use a connection's transport, as `Runtime` of the driver documents them.
#![cfg(feature = "server")]

use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, ready};
use std::thread::{self, ThreadId};
use std::time::Duration;

use sockeye_driver::server::Server;
use sockeye_driver::server::blocking::block_on;
use sockeye_std::server::{
    Accepted, Callbacks, Client, Io, Listener, Port, Runtime, ThreadClock, ThreadIo, ThreadListener, Threads,
};
use sockeye_testkit::handshake::UPGRADE_REQUEST;

/// The operations on a transport, each with the thread that called it.
type Calls = Arc<Mutex<Vec<(&'static str, ThreadId)>>>;

struct Recorded {
    io: ThreadIo,
    calls: Calls,
}

impl Recorded {
    fn record(&self, operation: &'static str) {
        self.calls.lock().unwrap().push((operation, thread::current().id()));
    }
}

impl Io for Recorded {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.record("read");
        self.io.poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.record("write");
        self.io.poll_write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.record("close");
        self.io.poll_close(cx)
    }
}

struct RecordedListener {
    listener: ThreadListener,
    calls: Calls,
}

impl Listener for RecordedListener {
    type Io = Recorded;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Recorded>>> {
        let Accepted { io, peer, local } = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok(Accepted { io: Recorded { io, calls: self.calls.clone() }, peer, local }))
    }
}

/// A thread for each task, and a record of the calls.
#[derive(Clone, Default)]
struct Recording {
    threads: Threads,
    calls: Calls,
}

impl Runtime for Recording {
    type Io = Recorded;
    type Clock = ThreadClock;
    type Listener = RecordedListener;

    fn clock(&self) -> ThreadClock {
        self.threads.clock()
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        self.threads.spawn(future)
    }

    fn own_thread(&self) -> Option<ThreadId> {
        self.threads.own_thread()
    }

    fn listen(&self, socket: std::net::TcpListener) -> io::Result<RecordedListener> {
        Ok(RecordedListener { listener: self.threads.listen(socket)?, calls: self.calls.clone() })
    }
}

#[test]
fn a_connection_is_read_and_closed_by_its_task_and_written_by_pushing_threads_too() {
    const PUSHES: usize = 200;
    let runtime = Recording::default();
    let calls = runtime.calls.clone();
    let (tell, opened) = mpsc::channel();
    let handler = Callbacks::on_message(|_: &Client, _| {}).on_open(move |client: &Client, _| {
        tell.send(client.clone()).unwrap();
    });
    let server = Server::builder_on(runtime).listen("127.0.0.1:0", Port::blocking(handler)).unwrap().build();
    let (address, handle) = (server.addresses()[0].as_inet().unwrap(), server.handle());
    let running = thread::spawn(move || block_on(server.run()));
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(UPGRADE_REQUEST).unwrap();
    let client = opened.recv().unwrap();
    // More than the transport holds: this thread waits for room, and the peer reads meanwhile.
    let pushing = thread::spawn(move || {
        for _ in 0..PUSHES {
            client.send_blocking(vec![0; 50_000]).unwrap();
        }
        client.close(sockeye_std::CloseCode::NORMAL, "").unwrap();
        thread::current().id()
    });
    thread::sleep(Duration::from_millis(100));
    let mut buffer = vec![0; 1 << 16];
    let mut received = 0;
    while received < PUSHES * 50_000 {
        received += peer.read(&mut buffer).unwrap();
    }
    let pusher = pushing.join().unwrap();
    // A Close with the code 1000, masked with zeros.
    peer.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).unwrap();
    while peer.read(&mut buffer).unwrap() > 0 {}
    handle.shutdown(Duration::ZERO);
    running.join().unwrap().unwrap();

    let calls = calls.lock().unwrap();
    let task = calls[0].1;
    assert_ne!(task, pusher);
    for operation in ["read", "close"] {
        let threads = || calls.iter().filter(|(called, _)| *called == operation).map(|(_, thread)| *thread);
        assert!(threads().count() > 0, "no {operation}");
        assert!(threads().all(|thread| thread == task), "a thread other than the task's calls {operation}");
    }
    assert!(calls.contains(&("write", task)) && calls.contains(&("write", pusher)));
}
