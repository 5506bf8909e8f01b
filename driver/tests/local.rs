//! A connection whose transport and clock are not `Send`, on an executor of one thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::{CloseCode, Instant, Message};
use sockeye_driver::conformance::{check_clock, check_io};
use sockeye_driver::{Clock, Io, WebSocket, accept_with, client};
use sockeye_testkit::sim::{Executor, TestClock, Time};

#[derive(Default)]
struct Channel {
    bytes: VecDeque<u8>,
    closed: bool,
    reader: Option<Waker>,
}

/// One end of a pipe between tasks of one thread.
struct LocalPipe {
    input: Rc<RefCell<Channel>>,
    output: Rc<RefCell<Channel>>,
}

fn local_pipe() -> (LocalPipe, LocalPipe) {
    let (a, b) = (Rc::<RefCell<Channel>>::default(), Rc::<RefCell<Channel>>::default());
    (LocalPipe { input: a.clone(), output: b.clone() }, LocalPipe { input: b, output: a })
}

impl LocalPipe {
    fn close(&mut self) {
        let mut output = self.output.borrow_mut();
        output.closed = true;
        output.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl Io for LocalPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut input = self.input.borrow_mut();
        if input.bytes.is_empty() && !input.closed {
            input.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(input.bytes.read(buffer))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if Rc::strong_count(&self.output) == 1 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut output = self.output.borrow_mut();
        let written = output.bytes.write_vectored(slices);
        output.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(written)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for LocalPipe {
    fn drop(&mut self) {
        self.close();
    }
}

/// A clock that belongs to its thread.
struct LocalClock(Rc<RefCell<TestClock>>);

impl LocalClock {
    fn new(time: &Time) -> Self {
        LocalClock(Rc::new(RefCell::new(time.clock())))
    }
}

impl Clock for LocalClock {
    fn now(&self) -> Instant {
        self.0.borrow().now()
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.0.borrow_mut().poll_until(cx, deadline)
    }

    fn cancel(&mut self) {
        self.0.borrow_mut().cancel();
    }
}

type Local = WebSocket<LocalPipe, LocalClock>;

/// Opens a connection and passes each end to a task.
fn open<C, S>(client_task: impl FnOnce(Local) -> C + 'static, server_task: impl FnOnce(Local) -> S + 'static)
where
    C: Future<Output = ()> + 'static,
    S: Future<Output = ()> + 'static,
{
    let mut executor = Executor::new();
    let (near, far) = local_pipe();
    let clocks = (LocalClock::new(&executor.time), LocalClock::new(&executor.time));
    executor.spawn("client", async move {
        let url = Url::parse("ws://local/").unwrap();
        let opened = client(near, clocks.0, ClientRequest::new(&url), Arc::default()).await;
        client_task(opened.unwrap().0).await;
    });
    executor.spawn("server", async move {
        let decide = async |_: &Upgrade| Ok(Accept::new());
        server_task(accept_with(far, clocks.1, Arc::default(), decide).await.unwrap()).await;
    });
    executor.run();
}

async fn echo(mut ws: Local) {
    while let Some(message) = ws.recv().await.unwrap() {
        ws.feed(message).await.unwrap();
    }
}

#[test]
fn a_connection_needs_no_transport_that_is_send() {
    open(
        async |mut ws| {
            ws.send("local").await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(Message::from("local")));
            assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
        },
        echo,
    );
}

#[test]
fn halves_of_a_local_connection_may_live_in_one_task() {
    open(
        async |ws| {
            let (mut send, mut recv) = ws.split();
            send.send("split").await.unwrap();
            assert_eq!(recv.recv().await.unwrap(), Some(Message::from("split")));
            send.close(CloseCode::NORMAL, "").await.unwrap();
            assert_eq!(recv.recv().await.unwrap(), None);
        },
        echo,
    );
}

#[test]
fn the_local_transport_and_clock_keep_their_contracts() {
    let mut executor = Executor::new();
    let time = executor.time.clone();
    executor.spawn("the check", async move {
        let pass = async |duration| {
            let (mut clock, deadline) = (time.clock(), time.now() + duration);
            std::future::poll_fn(|cx| clock.poll_until(cx, deadline)).await;
        };
        check_io(async || local_pipe(), pass).await.unwrap();
        check_clock(|| LocalClock::new(&time), pass).await.unwrap();
    });
    executor.run_with_time();
}
