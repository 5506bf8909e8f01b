//! Running what the application wrote, which may fail.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};

use crate::server::api::client::Client;
use crate::server::api::handler::{BoxError, Failure, Handler};

/// Runs a handler's method; a panic in it is its failure. `beside` is polled whenever it waits; `None` when that is ready first, which
/// drops the method.
pub(crate) async fn guarded_while<T, F>(
    method: impl FnOnce() -> F,
    mut beside: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Option<Result<T, Failure>>
where
    F: Future<Output = Result<T, BoxError>>,
{
    // A method that is no `async fn` may do its work before there is a future.
    let mut method = match catch_panic(method) {
        Ok(method) => pin!(method),
        Err(failure) => return Some(Err(failure)),
    };
    poll_fn(|cx| match catch_panic(|| method.as_mut().poll(cx)) {
        Ok(Poll::Ready(result)) => Poll::Ready(Some(result.map_err(Failure::Error))),
        Ok(Poll::Pending) => beside(cx).map(|()| None),
        Err(failure) => Poll::Ready(Some(Err(failure))),
    })
    .await
}

/// The same with nothing beside.
pub(crate) async fn guarded<T, F>(method: impl FnOnce() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, BoxError>>,
{
    // Nothing can be ready before it.
    guarded_while(method, |_| Poll::Pending).await.unwrap_or(Err(Failure::Panic(None)))
}

/// Tells the handler of a failure. One that fails at this too has nobody left to be told.
pub(crate) fn report_failure<H: Handler>(handler: &H, client: &Client, failure: &Failure) {
    let _ = catch_panic(|| handler.failed(client, failure));
}

/// The task of a connection, whose panics end itself: some executors would end with it.
pub(crate) fn isolate_panics(task: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
    // In a box, for a future that is moved into another takes its room twice.
    let mut task = Box::pin(task);
    poll_fn(move |cx| catch_panic(|| task.as_mut().poll(cx)).unwrap_or(Poll::Ready(())))
}

/// Whatever a panic leaves behind half done is the application's own; of this crate it can see nothing that is borrowed.
fn catch_panic<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| Failure::Panic(panic_message(&*panic)))
}

fn panic_message(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}
