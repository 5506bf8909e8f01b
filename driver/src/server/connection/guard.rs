//! Calls into the application, whose errors and panics must harm no other connection.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};

use sockeye_core::http::{Request, Response};

use crate::server::api::client::Client;
use crate::server::api::handler::{BoxError, Failure, Handler};
use crate::server::log;
use crate::server::registry::refusal::{RefusalInfo, RefusalReason};

/// Runs a method of the handler. Returns a panic in it as its failure.
pub(crate) async fn guarded<T, F>(method: impl FnOnce() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, BoxError>>,
{
    // It is never `None`: nothing can interrupt the method.
    guarded_while(method, |_| Poll::Pending).await.unwrap_or(Err(Failure::Panic(None)))
}

/// Runs a method of the handler, and polls `meanwhile` whenever the method waits.
///
/// Drops the method and returns `None` once `meanwhile` is ready.
pub(crate) async fn guarded_while<T, F>(
    method: impl FnOnce() -> F,
    mut meanwhile: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Option<Result<T, Failure>>
where
    F: Future<Output = Result<T, BoxError>>,
{
    // A method that is not an `async fn` may do its work, and panic, before it returns a future.
    let mut method = match catch_panic(method) {
        Ok(method) => pin!(method),
        Err(failure) => return Some(Err(failure)),
    };
    poll_fn(|cx| match catch_panic(|| method.as_mut().poll(cx)) {
        Ok(Poll::Ready(result)) => Poll::Ready(Some(result.map_err(Failure::Error))),
        Ok(Poll::Pending) => meanwhile(cx).map(|()| None),
        Err(failure) => Poll::Ready(Some(Err(failure))),
    })
    .await
}

/// Calls [`Handler::failed`]. A panic in that method is dropped: no other method could report it.
pub(crate) fn report_failure<H: Handler>(handler: &H, client: &Client, failure: &Failure) {
    let _ = catch_panic(|| handler.failed(client, failure));
}

/// Reports the error of the application that a response stands for, if there is one.
pub(crate) fn report_cause<H: Handler>(handler: &H, client: &Client, response: &Response) {
    if let Some(cause) = response.cause() {
        report_failure(handler, client, &Failure::Error(Box::new(cause.clone())));
    }
}

/// Calls [`Handler::refused`], and logs the refusal. A panic in that method is dropped.
pub(crate) fn report_refusal<H: Handler>(
    handler: &H,
    client: &Client,
    reason: RefusalReason,
    request: Option<&Request>,
) {
    let refusal = RefusalInfo::new(reason, request);
    log::refused(client.id(), &client.peer(), &refusal);
    let _ = catch_panic(|| handler.refused(client, &refusal));
}

/// Drops a value of the application. A panic in that is dropped too.
pub(crate) fn drop_isolated<T>(value: T) {
    let _ = catch_panic(|| drop(value));
}

/// Turns a panic of a connection's task into the end of that task. Otherwise the panic would end
/// some executors.
pub(crate) fn isolate_panics(task: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
    // Boxed: a future that is moved into another one takes up its size twice.
    let mut task = Box::pin(task);
    poll_fn(move |cx| catch_panic(|| task.as_mut().poll(cx)).unwrap_or(Poll::Ready(())))
}

/// Calls `f`, and returns a panic in it as a failure.
///
/// This is unwind safe: `f` runs the application's code, which can leave only the application's own
/// state half changed.
pub(crate) fn catch_panic<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| Failure::Panic(panic_message(&*panic)))
}

fn panic_message(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}
