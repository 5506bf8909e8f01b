use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use sockeye_core::CloseInfo;
use sockeye_core::http::Response;
use sockeye_driver::server::{BoxError, Client, Failure, Handler, HandlerResult, HttpRequest, Inbound};

use super::{poll_at_most, until_woken};

/// A handler that echoes messages and request bodies, and records every other event.
///
/// Some messages make it misbehave: `wait forever`, `wait at the gate` (until
/// [`World::open_gate`](super::World::open_gate)) and `fail`. A request for `/impatient` cancels
/// and restarts the read of its body again and again.
#[derive(Debug, Clone, Default)]
pub struct Echo(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) ends: Vec<Option<CloseInfo>>,
    pub(super) failures: Vec<String>,
    pub(super) drained: usize,
    /// The waker of the last handler that waits at the gate.
    gate: Option<Waker>,
    gate_is_open: bool,
}

impl Echo {
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap()
    }

    pub(super) fn open_gate(&self) {
        let mut record = self.record();
        record.gate_is_open = true;
        let waker = record.gate.take();
        drop(record);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Handler for Echo {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        match message.as_text() {
            Some("wait forever") => std::future::pending().await,
            Some("wait at the gate") => {
                poll_fn(|cx| {
                    let mut record = self.record();
                    record.gate = Some(cx.waker().clone());
                    if record.gate_is_open { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            Some("fail") => return Err("as asked".into()),
            _ => {}
        }
        client.push(message)?;
        Ok(())
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.record().ends.push(Some(info.clone()));
        Ok(())
    }

    async fn drained(&self, _: &Client) -> HandlerResult {
        self.record().drained += 1;
        Ok(())
    }

    async fn disconnect(&self, _: &Client) -> HandlerResult {
        self.record().ends.push(None);
        Ok(())
    }

    async fn request(&self, _: &Client, request: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        if request.path() == "/impatient" {
            loop {
                if let Some(body) = poll_at_most(1, request.body()).await {
                    return Ok(Some(Response::text(200, body?)));
                }
                until_woken().await;
            }
        }
        let body = request.body().await?;
        Ok(Some(Response::text(200, body)))
    }

    fn failed(&self, _: &Client, failure: &Failure) {
        self.record().failures.push(failure.to_string());
    }
}
