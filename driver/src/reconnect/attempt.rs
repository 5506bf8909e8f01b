//! Attempts to connect: closures, and the future of the one that runs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};

use crate::reconnect::{Attempt, Cause};
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

/// Opens the connections of a [`Reconnecting`](crate::reconnect::Reconnecting) client.
///
/// Closures implement it by way of [`Reconnecting::new`](crate::reconnect::Reconnecting::new).
pub trait Dial<I, C> {
    /// Begins an attempt, in place of any other.
    fn start(&mut self, attempt: Attempt);

    /// Polls the attempt that has begun. Returns `Ready` once for each attempt.
    ///
    /// # Errors
    ///
    /// Returns the cause if the attempt has failed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WebSocket<I, C>, Cause>>;

    /// Drops the attempt.
    fn cancel(&mut self);
}

/// A [`Dial`] of any type, so that the type of a client can be written down: see
/// [`Reconnecting::boxed`](crate::reconnect::Reconnecting::boxed).
pub type BoxDial<I, C> = Box<dyn Dial<I, C> + Send>;

impl<I, C, D: Dial<I, C> + ?Sized> Dial<I, C> for Box<D> {
    fn start(&mut self, attempt: Attempt) {
        (**self).start(attempt);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WebSocket<I, C>, Cause>> {
        (**self).poll(cx)
    }

    fn cancel(&mut self) {
        (**self).cancel();
    }
}

/// Returns a dial that calls `connect` for each attempt.
pub(super) fn dial<I: Io, C: Clock, F, E>(connect: F) -> impl Dial<I, C>
where
    F: AsyncFnMut(Attempt) -> Result<WebSocket<I, C>, E>,
    E: Into<Cause>,
{
    Call::new(connect, call_connect)
}

/// Returns a dial that also calls `set_up` for each connection.
pub(super) fn dial_then<I: Io, C: Clock, F, E>(dial: impl Dial<I, C>, set_up: F) -> impl Dial<I, C>
where
    F: AsyncFnMut(&mut WebSocket<I, C>) -> Result<(), E>,
    E: Into<Cause>,
{
    Then { dial, set_up: Call::new(set_up, call_set_up) }
}

async fn call_connect<I, C, F, E>(mut connect: Lease<F>, attempt: Attempt) -> Result<WebSocket<I, C>, Cause>
where
    F: AsyncFnMut(Attempt) -> Result<WebSocket<I, C>, E>,
    E: Into<Cause>,
{
    let Some(connect) = &mut connect.closure else { return Err(lost_closure()) };
    connect(attempt).await.map_err(Into::into)
}

async fn call_set_up<I, C, F, E>(
    mut set_up: Lease<F>,
    mut ws: WebSocket<I, C>,
) -> Result<WebSocket<I, C>, Cause>
where
    F: AsyncFnMut(&mut WebSocket<I, C>) -> Result<(), E>,
    E: Into<Cause>,
{
    let Some(set_up) = &mut set_up.closure else { return Err(lost_closure()) };
    set_up(&mut ws).await.map_err(Into::into)?;
    Ok(ws)
}

/// A future always returns its closure, so this does not happen.
fn lost_closure() -> Cause {
    Cause::other("the closure is in use")
}

/// Calls of an async closure, one at a time.
///
/// The future of a call may borrow from the closure, so the closure moves into the future. When the
/// future ends or is dropped, the closure returns.
struct Call<F, A, Fut> {
    home: Arc<std::sync::Mutex<Option<F>>>,
    call: fn(Lease<F>, A) -> Fut,
    running: Option<Pin<Box<Fut>>>,
}

/// A closure that is in use. It returns when this is dropped.
struct Lease<F> {
    closure: Option<F>,
    home: Arc<std::sync::Mutex<Option<F>>>,
}

impl<F, A, Fut> Call<F, A, Fut> {
    fn new(closure: F, call: fn(Lease<F>, A) -> Fut) -> Self {
        Call { home: Arc::new(std::sync::Mutex::new(Some(closure))), call, running: None }
    }

    fn start(&mut self, argument: A) {
        // A call that runs holds the closure, so it is dropped first.
        self.running = None;
        let closure = self.home.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.running = Some(Box::pin((self.call)(Lease { closure, home: self.home.clone() }, argument)));
    }
}

impl<F, A, Fut: Future> Call<F, A, Fut> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fut::Output> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let output = ready!(running.as_mut().poll(cx));
        self.running = None;
        Poll::Ready(output)
    }
}

impl<F> Drop for Lease<F> {
    fn drop(&mut self) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = self.closure.take();
    }
}

impl<I, C, F, Fut> Dial<I, C> for Call<F, Attempt, Fut>
where
    Fut: Future<Output = Result<WebSocket<I, C>, Cause>>,
{
    fn start(&mut self, attempt: Attempt) {
        Call::start(self, attempt);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WebSocket<I, C>, Cause>> {
        Call::poll(self, cx)
    }

    fn cancel(&mut self) {
        self.running = None;
    }
}

/// A dial, and then a call with the new connection.
struct Then<D, S> {
    dial: D,
    set_up: S,
}

impl<I, C, D, F, Fut> Dial<I, C> for Then<D, Call<F, WebSocket<I, C>, Fut>>
where
    D: Dial<I, C>,
    Fut: Future<Output = Result<WebSocket<I, C>, Cause>>,
{
    fn start(&mut self, attempt: Attempt) {
        self.set_up.running = None;
        self.dial.start(attempt);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WebSocket<I, C>, Cause>> {
        if self.set_up.running.is_none() {
            let ws = ready!(self.dial.poll(cx))?;
            self.set_up.start(ws);
        }
        self.set_up.poll(cx)
    }

    fn cancel(&mut self) {
        self.set_up.running = None;
        self.dial.cancel();
    }
}

impl<F, A, Fut> fmt::Debug for Call<F, A, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("running", &self.running.is_some()).finish_non_exhaustive()
    }
}
