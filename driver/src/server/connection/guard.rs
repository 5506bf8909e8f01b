//! Calls into the application, whose errors and panics must harm no other connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use sockeye_core::http::{Request, Response};

use crate::server::api::client::Client;
use crate::server::api::handler::{BoxError, Failure, Handler};
use crate::server::log;
use crate::server::panics::{catch, drop_isolated};
use crate::server::registry::refusal::{RefusalInfo, RefusalReason};

/// A method of the handler. Panics in it are its failures, also those of dropping its state.
pub(crate) struct Guarded<'p, F: Future>(Pin<&'p mut Option<F>>);

impl<'p, F: Future> Guarded<'p, F> {
    /// Wraps the future of a method, which the caller pins.
    pub(crate) fn new(method: Pin<&'p mut Option<F>>) -> Self {
        Guarded(method)
    }

    /// Polls the method. Drops it once it has returned.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Result<Poll<F::Output>, Failure> {
        // Outside of the closure, because it must not be dropped while a panic unwinds: it may be
        // an error that panics, too.
        let mut output = Poll::Pending;
        let polled = catch_panic(|| {
            let Some(method) = self.0.as_mut().as_pin_mut() else { return };
            output = method.poll(cx);
            if output.is_ready() {
                self.0.set(None);
            }
        });
        match polled {
            Ok(()) => Ok(output),
            Err(failure) => {
                drop_isolated(output);
                Err(failure)
            }
        }
    }
}

/// Drops the method if it has not returned: it has panicked, or its connection is aborted.
impl<F: Future> Drop for Guarded<'_, F> {
    fn drop(&mut self) {
        if self.0.is_some() {
            let _ = catch_panic(|| self.0.set(None));
        }
    }
}

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
    // A method that is not an `async fn` may do its work, and panic, before it returns a future. So
    // it is called by the first poll, which catches that.
    let method = pin!(Some(async { method().await }));
    let mut method = Guarded::new(method);
    poll_fn(|cx| match method.poll(cx) {
        Ok(Poll::Ready(result)) => Poll::Ready(Some(result.map_err(Failure::Error))),
        Ok(Poll::Pending) => meanwhile(cx).map(|()| None),
        Err(failure) => Poll::Ready(Some(Err(failure))),
    })
    .await
}

/// Calls [`Handler::failed`], and drops the failure. Panics in both are dropped: no other method
/// could report them.
pub(crate) fn report_failure<H: Handler>(handler: &H, client: &Client, failure: Failure) {
    let _ = catch_panic(|| handler.failed(client, &failure));
    drop_isolated(failure);
}

/// Reports the error of the application that a response stands for, if there is one, and takes it
/// out of the response.
pub(crate) fn report_cause<H: Handler>(handler: &H, client: &Client, response: &mut Response) {
    if let Some(cause) = response.take_cause() {
        report_failure(handler, client, Failure::Error(Box::new(cause)));
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
    client.entry().port.counters.count_refused(&refusal.reason);
    log::refused(client.id(), &client.peer(), &refusal);
    let _ = catch_panic(|| handler.refused(client, &refusal));
}

/// Turns a panic of a task into the end of that task. Otherwise the panic would end some executors.
pub(crate) fn isolate_panics(task: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
    // Boxed: a future that is moved into another one takes up its size twice.
    let mut task = Box::pin(task);
    poll_fn(move |cx| catch_panic(|| task.as_mut().poll(cx)).unwrap_or(Poll::Ready(())))
}

/// Calls `f`, and returns a panic in it as a failure.
pub(crate) fn catch_panic<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
    catch(f).map_err(Failure::Panic)
}
