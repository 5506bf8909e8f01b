//! The driver's promises to transports, which `Io` documents.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::{CloseCode, Config};
use sockeye_driver::tuning::WRITE_SLICES;
use sockeye_driver::{Clock, Io, WebSocket, accept_with, client};
use sockeye_testkit::sim::*;

/// The outcome of the latest call of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Last {
    #[default]
    NotCalled,
    Pending,
    Done,
    Failed,
}

impl Last {
    fn of<T>(polled: &Poll<io::Result<T>>) -> Self {
        match polled {
            Poll::Pending => Last::Pending,
            Poll::Ready(Ok(_)) => Last::Done,
            Poll::Ready(Err(_)) => Last::Failed,
        }
    }
}

#[derive(Debug, Default)]
struct Calls {
    read: Last,
    write: Last,
    flush: Last,
    close: Last,
    /// The transport has accepted bytes that it has not flushed.
    dirty: bool,
    eof: bool,
}

impl Calls {
    /// Checks the promises about a task that sleeps after it has used this transport.
    fn check_asleep(&self) {
        let waits = [self.read, self.write, self.flush, self.close].contains(&Last::Pending);
        assert!(waits || self.eof, "the task sleeps, and the transport will not wake it: {self:?}");
        let is_flushed = !self.dirty || [self.write, self.flush].contains(&Last::Pending);
        assert!(is_flushed || self.has_failed(), "the task sleeps before a flush: {self:?}");
    }

    fn has_failed(&self) -> bool {
        [self.read, self.write, self.flush].contains(&Last::Failed)
    }
}

/// A transport that checks how the driver uses it.
struct Strict {
    pipe: Pipe,
    calls: Arc<Mutex<Calls>>,
}

fn is_interrupted<T>(polled: &Poll<io::Result<T>>) -> bool {
    matches!(polled, Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted)
}

impl Io for Strict {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut calls = self.calls.lock().unwrap();
        assert_ne!(calls.read, Last::Failed, "a read after an error");
        assert!(!buffer.is_empty(), "a read into an empty buffer");
        let polled = self.pipe.poll_read(cx, buffer);
        if !is_interrupted(&polled) {
            calls.read = Last::of(&polled);
            calls.eof |= matches!(polled, Poll::Ready(Ok(0)));
        }
        polled
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut calls = self.calls.lock().unwrap();
        assert!(![calls.write, calls.flush].contains(&Last::Failed), "a write after an error");
        assert_eq!(calls.close, Last::NotCalled, "a write after a close");
        assert!((1..=WRITE_SLICES).contains(&slices.len()), "a write of {} slices", slices.len());
        assert!(slices.iter().all(|slice| !slice.is_empty()), "a write of an empty slice");
        let polled = self.pipe.poll_write(cx, slices);
        if !is_interrupted(&polled) {
            // The driver takes a write of nothing for an error.
            let is_zero = matches!(polled, Poll::Ready(Ok(0)));
            calls.write = if is_zero { Last::Failed } else { Last::of(&polled) };
            calls.dirty |= calls.write == Last::Done;
        }
        polled
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut calls = self.calls.lock().unwrap();
        assert!(![calls.write, calls.flush].contains(&Last::Failed), "a flush after an error");
        assert_ne!(calls.write, Last::Pending, "a flush while a write waits");
        let polled = self.pipe.poll_flush(cx);
        if !is_interrupted(&polled) {
            calls.flush = Last::of(&polled);
            calls.dirty &= polled.is_pending();
        }
        polled
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut calls = self.calls.lock().unwrap();
        assert!(![Last::Done, Last::Failed].contains(&calls.close), "a second close");
        let polled = self.pipe.poll_close(cx);
        if !is_interrupted(&polled) {
            calls.close = Last::of(&polled);
        }
        polled
    }
}

/// Polls a task, and checks the promises whenever it sleeps.
async fn checked<T>(calls: Arc<Mutex<Calls>>, task: impl Future<Output = T>) -> T {
    let mut task = std::pin::pin!(task);
    std::future::poll_fn(|cx| {
        let polled = task.as_mut().poll(cx);
        if polled.is_pending() {
            calls.lock().unwrap().check_asleep();
        }
        polled
    })
    .await
}

async fn echo(mut ws: WebSocket<impl Io, impl Clock>) {
    while let Ok(Some(message)) = ws.recv().await {
        if ws.feed(message).await.is_err() {
            break;
        }
    }
}

async fn talk(mut ws: WebSocket<impl Io, impl Clock>) {
    for len in [0, 5, 300, 20_000] {
        if ws.send(payload(len, len)).await.is_err() || ws.recv().await.is_err() {
            break;
        }
    }
    let _ = ws.close(CloseCode::NORMAL, "").await;
    let _ = ws.recv().await;
}

/// Opens a connection, exchanges messages and closes it. The transport of one end is strict.
fn run_with(is_server_strict: bool, capacity: usize, faults: Faults) -> usize {
    let mut executor = Executor::new();
    let (strict, other) = pipe_with(capacity, faults);
    let (calls, probe) = (Arc::<Mutex<Calls>>::default(), strict.probe());
    let strict = Strict { pipe: strict, calls: calls.clone() };
    let time = executor.time.clone();
    let config = Arc::new(Config::new().high_water_mark(1000));
    let url = Url::parse("ws://example.com/").unwrap();
    let decide = async |_: &Upgrade| Ok(Accept::new());
    if is_server_strict {
        let accepting = accept_with(strict, time.clock(), config.clone(), decide);
        executor.spawn(
            "server",
            checked(calls, async move {
                if let Ok(ws) = accepting.await {
                    echo(ws).await;
                }
            }),
        );
        executor.spawn("client", async move {
            if let Ok((ws, _)) = client(other, time.clock(), ClientRequest::new(&url), config).await {
                talk(ws).await;
            }
        });
    } else {
        let opening = client(strict, time.clock(), ClientRequest::new(&url), config.clone());
        executor.spawn(
            "client",
            checked(calls, async move {
                if let Ok((ws, _)) = opening.await {
                    talk(ws).await;
                }
            }),
        );
        executor.spawn("server", async move {
            if let Ok(ws) = accept_with(other, time.clock(), config, decide).await {
                echo(ws).await;
            }
        });
    }
    executor.run_with_time();
    probe.get().ops
}

#[test]
fn the_driver_uses_a_working_transport_as_documented() {
    let first = Faults { pending: Pending::First, ..Faults::default() };
    for is_server_strict in [true, false] {
        for (capacity, faults) in [
            (1 << 20, Faults::default()),
            (100, Faults::default()),
            (100, first),
            (1000, Faults { interrupted: true, buffer: 50, ..first }),
            (7, Faults { pending: Pending::UntilIdle, ..first }),
        ] {
            run_with(is_server_strict, capacity, faults);
        }
    }
}

#[test]
fn the_driver_uses_a_transport_that_breaks_as_documented() {
    let first = Faults { pending: Pending::First, buffer: 3000, ..Faults::default() };
    for is_server_strict in [true, false] {
        for faults in [Faults::default(), first] {
            let ops = run_with(is_server_strict, 1 << 20, faults);
            assert!(ops > 20, "only {ops} operations");
            for at in 0..ops {
                for fail in
                    [Fail::Eof, Fail::Error(ErrorKind::ConnectionReset), Fail::Error(ErrorKind::WriteZero)]
                {
                    run_with(is_server_strict, 1 << 20, Faults { fail: Some((at, fail)), ..faults });
                }
            }
        }
    }
}
