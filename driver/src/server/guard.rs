//! Running what the application wrote, which may fail.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};

use super::handler::{BoxError, Failure};

/// Runs a handler's method; a panic in it is its failure. `beside` is polled whenever it waits; `None` when that is ready first, which
/// drops the method.
pub(super) async fn guarded<T>(
    method: impl Future<Output = Result<T, BoxError>>,
    mut beside: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Option<Result<T, Failure>> {
    let mut method = pin!(method);
    poll_fn(|cx| {
        // Whatever a panic leaves behind half done is the application's own; of this crate it can see nothing that is borrowed.
        let polled = catch_unwind(AssertUnwindSafe(|| method.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(Some(result.map_err(Failure::Error))),
            Ok(Poll::Pending) => beside(cx).map(|()| None),
            Err(panic) => Poll::Ready(Some(Err(Failure::Panic(message_of(&*panic))))),
        }
    })
    .await
}

/// The same with nothing beside.
pub(super) async fn guarded_alone<T>(
    method: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, Failure> {
    // Nothing can be ready before it.
    guarded(method, |_| Poll::Pending).await.unwrap_or(Err(Failure::Panic(None)))
}

fn message_of(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}
