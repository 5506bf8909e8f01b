//! What the tests stand on: a pipe that misbehaves as told, a clock that only the test moves, and an executor that
//! polls a task only when it was woken, so that a waker that is lost shows as a deadlock.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

mod cancel;
mod clock;
mod executor;
mod hand;
mod pipe;
mod sim;
mod wire;
mod world;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use sockeye_core::{Config, Connection, Message};
use sockeye_driver::{Error, WebSocket};

pub(crate) use cancel::{Canceller, at_every_poll};
pub(crate) use clock::{Alarm, TestClock, Time};
pub(crate) use executor::{Executor, Handle, Spawner, run};
pub(crate) use pipe::{Fail, Faults, Pending, Pipe, Probe, pipe, pipe_with};
pub(crate) use sim::{Door, Sim, UPGRADE};
pub(crate) use wire::{Wire, by_client, by_server, frames, payload};
pub(crate) use world::World;

/// The connection under test.
pub(crate) type Ws = WebSocket<Pipe, TestClock>;

/// An open server's end.
pub(crate) fn server(io: Pipe, time: &Time, config: Config) -> Ws {
    WebSocket::new(Connection::server(Arc::new(config)), &[], io, time.clock())
}

/// An open client's end.
pub(crate) fn client(io: Pipe, time: &Time, config: Config) -> Ws {
    let mut key = 0u32;
    let masks = Box::new(move || {
        key = key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        key.to_be_bytes()
    });
    WebSocket::new(Connection::client(Arc::new(config), masks), &[], io, time.clock())
}

/// An open end of either role.
pub(crate) fn open(is_server: bool, io: Pipe, time: &Time, config: Config) -> Ws {
    if is_server { server(io, time, config) } else { client(io, time, config) }
}

/// Polls `future` at most `polls` times, each when the task is woken, and drops it then: `None`.
pub(crate) async fn cancelled_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits until something wakes the task: a waker that an earlier, dropped future has left counts.
pub(crate) async fn woken() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Lets every other task run first.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls once, with a waker that goes nowhere.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Receives to the end: the messages, and how it ended. That the end is told once, and then `None` for ever, is
/// checked here for every test.
pub(crate) async fn drain(mut ws: Ws) -> (Vec<Message>, Result<(), Error>) {
    let mut messages = Vec::new();
    let end = loop {
        match ws.recv().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    for _ in 0..2 {
        assert!(matches!(ws.recv().await, Ok(None)), "the end is told once");
        assert!(matches!(ws.recv_with(|_, _| ()).await, Ok(None)), "the end is told once");
        assert!(matches!(ws.recv_part().await, Ok(None)), "the end is told once");
    }
    (messages, end)
}
