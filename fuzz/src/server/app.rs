//! The application of the server. What it does in an event depends on the bytes that it receives.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseCode, CloseInfo, Frame, Opcode};
use sockeye_driver::server::{
    BoxError, Client, ConnectionId, Decision, Failure, Handler, HandlerResult, HttpRequest, Inbound, Refused,
};
use sockeye_testkit::{poll_at_most, until_woken, yield_now};

/// A handler that records every event, and checks their order.
#[derive(Debug, Clone, Default)]
pub(super) struct App(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) lives: BTreeMap<ConnectionId, Life>,
    /// The number of calls that have begun or ended.
    pub(super) steps: usize,
    /// The first call that came in a wrong order.
    pub(super) violation: Option<String>,
    /// How many times the gate was opened.
    openings: usize,
    waiting: Vec<Waker>,
    /// Answer each message in the order of its arrival, and do nothing else: the server reads on
    /// while a method waits, so the peer's end may come before or after it.
    is_calm: bool,
    /// The gate stays open.
    is_open: bool,
}

/// The events of one connection.
#[derive(Debug, Default)]
pub(super) struct Life {
    is_accepted: bool,
    is_open: bool,
    runs: bool,
    ends: usize,
    pub(super) log: String,
}

/// A method that runs.
struct Call<'a> {
    app: &'a App,
    id: ConnectionId,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut record = self.app.record();
        record.steps += 1;
        record.lives.entry(self.id).or_default().runs = false;
    }
}

impl App {
    pub(super) fn calm() -> Self {
        App(Arc::new(Mutex::new(Record { is_calm: true, ..Record::default() })))
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap()
    }

    /// Lets the methods continue that wait at the gate, and all later ones if `is_final`.
    pub(super) fn open_gate(&self, is_final: bool) {
        let mut record = self.record();
        record.openings += 1;
        record.is_open |= is_final;
        let waiting = std::mem::take(&mut record.waiting);
        drop(record);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Checks that every accepted connection had exactly one last event.
    pub(super) fn check_ends(&self) {
        let record = self.record();
        for life in record.lives.values() {
            assert_eq!(life.ends, usize::from(life.is_accepted), "the last event: {life:?}");
            assert!(!life.runs, "a method still runs: {life:?}");
        }
    }

    async fn pass_gate(&self) {
        let openings = self.record().openings;
        poll_fn(|cx| {
            let mut record = self.record();
            if record.openings != openings || record.is_open {
                return Poll::Ready(());
            }
            record.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Begins a method. `is_expected` checks what the connection had before.
    fn begin(&self, client: &Client, name: &str, is_expected: impl FnOnce(&Life) -> bool) -> Call<'_> {
        let mut record = self.record();
        record.steps += 1;
        let life = record.lives.entry(client.id()).or_default();
        let is_wrong = life.runs || life.ends > 0 || !is_expected(life);
        _ = write!(life.log, "{name} ");
        life.runs = true;
        if is_wrong {
            let violation = format!("{name} in {life:?}");
            record.violation.get_or_insert(violation);
        }
        Call { app: self, id: client.id() }
    }

    fn log(&self, client: &Client, line: &str) {
        let mut record = self.record();
        let life = record.lives.entry(client.id()).or_default();
        _ = write!(life.log, "{line} ");
    }

    async fn act(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        let bytes = message.as_bytes();
        let action = bytes.first().map_or(0, |byte| byte & 0x1f);
        let is_calm = self.record().is_calm;
        // Errors are of no interest: the queue may be full, or the connection closing.
        match action {
            0x13 if !is_calm => return Err("as asked".into()),
            0x14 if !is_calm => _ = client.close(CloseCode::NORMAL, "as asked"),
            0x15 => {
                for _ in 0..bytes.len() % 4 {
                    yield_now().await;
                }
                _ = client.send(message).await;
            }
            _ if is_calm => _ = client.send(message).await,
            0x01 => _ = client.send(message).await,
            0x02 | 0x03 => self.pass_gate().await,
            0x04 => _ = client.abort(),
            0x05 => drop(client.server().broadcast(|_| true, message)),
            0x06 => _ = client.pause(),
            0x07 => client.defer(|client| _ = client.push("deferred")),
            0x08 => _ = client.ping(&bytes[..bytes.len().min(100)]),
            0x09 => _ = client.protect(bytes.len().is_multiple_of(2)),
            0x0a => _ = client.push(bytes.repeat(1 + 2000 / bytes.len()).as_slice()),
            0x0b => {
                let mut frame = Frame::new(Opcode::Binary, bytes);
                frame.flags.finish = false;
                _ = client.push_frame(&frame);
            }
            0x0c => {
                self.pass_gate().await;
                _ = client.send(message).await;
            }
            0x0d => {
                for id in client.server().connections() {
                    _ = client.server().resume(id);
                }
            }
            _ => _ = client.push(message),
        }
        Ok(())
    }
}

impl Handler for App {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        let call = self.begin(client, "connect", |life| life.log.is_empty());
        let mut record = self.record();
        record.lives.entry(client.id()).or_default().is_accepted = true;
        drop(record);
        drop(call);
        Ok(())
    }

    async fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        let _call = self.begin(client, "handshake", |life| life.is_accepted && !life.is_open);
        match upgrade.request().path() {
            "/gate" => self.pass_gate().await,
            "/deny" => return Ok(Decision::Respond(Response::new(403))),
            "/fail" => return Err("as asked".into()),
            _ => {}
        }
        Ok(Decision::Policy)
    }

    async fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        let _call = self.begin(client, "before", |life| life.is_accepted && !life.is_open);
        if upgrade.request().path() == "/early" {
            _ = client.push("before the 101");
            self.pass_gate().await;
        }
        Ok(accept)
    }

    async fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        let _call = self.begin(client, "open", |life| life.is_accepted && !life.is_open);
        self.record().lives.entry(client.id()).or_default().is_open = true;
        match request.path() {
            "/greet" => _ = client.push("welcome"),
            "/slow" => self.pass_gate().await,
            "/error" => return Err("as asked".into()),
            _ => {}
        }
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        let _call = self.begin(client, "message", |life| life.is_open);
        // Checksums instead of the bytes, of which there may be many.
        let sum = message
            .as_bytes()
            .iter()
            .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
        self.log(client, &format!("{:?} {sum:x}", message.as_ref()));
        self.act(client, message).await
    }

    async fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        let _call = self.begin(client, "control", |life| life.is_open);
        self.log(client, &format!("{:?} {:?}", frame.opcode, frame.data));
        match frame.opcode {
            Opcode::Ping => _ = client.push_frame(&Frame::new(Opcode::Pong, &*frame.data)),
            Opcode::Close if frame.data.len() == 3 => {
                _ = client.close(CloseCode::GOING_AWAY, "");
            }
            _ => {}
        }
        Ok(())
    }

    async fn drained(&self, client: &Client) -> HandlerResult {
        // Not in the log: how often a queue drains depends on the transport.
        let mut record = self.record();
        record.steps += 1;
        let life = record.lives.entry(client.id()).or_default();
        let is_wrong = life.runs || life.ends > 0 || !life.is_open;
        if is_wrong {
            let violation = format!("drained in {life:?}");
            record.violation.get_or_insert(violation);
        }
        Ok(())
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        let _call = self.begin(client, "close", |life| life.is_accepted);
        self.record().lives.entry(client.id()).or_default().ends += 1;
        self.log(client, &format!("{info:?}"));
        Ok(())
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        let _call = self.begin(client, "disconnect", |life| life.is_accepted && !life.is_open);
        self.record().lives.entry(client.id()).or_default().ends += 1;
        Ok(())
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        let _call = self.begin(client, "request", |life| life.is_accepted && !life.is_open);
        match request.path() {
            "/gate" => self.pass_gate().await,
            "/none" => return Ok(None),
            "/fail" => return Err("as asked".into()),
            "/unread" => return Ok(Some(Response::text(200, "yes"))),
            "/impatient" => loop {
                if let Some(body) = poll_at_most(1, request.body()).await {
                    return Ok(Some(Response::text(200, body?)));
                }
                until_woken().await;
            },
            _ => {}
        }
        let body = request.body().await?;
        Ok(Some(Response::text(200, body)))
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        self.log(client, &format!("failed: {failure}"));
    }
}
