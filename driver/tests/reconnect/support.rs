//! A laboratory: connections that the test breaks, and attempts that it plans.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sockeye_core::handshake::client::ClientHandshakeError;
use sockeye_core::http::Response;
use sockeye_core::{Config, Opcode};
use sockeye_driver::ConnectError;
use sockeye_driver::reconnect::{Attempt, Cause, Dial, GaveUp, ReconnectPolicy, Reconnecting, Update};
use sockeye_testkit::frames::{close_payload, read_frames_until, server_frame};
use sockeye_testkit::sim::*;

/// The middle of the range of random numbers: each wait is half of the longest one.
pub(crate) const HALF: u64 = u64::MAX / 2 + 1;

/// The outcome of an attempt. Without a plan it succeeds.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Open,
    Unreachable,
    Refused(Response),
    /// The server never answers.
    Silent,
    Fails(ConnectFailure),
}

/// Errors that are not `Clone`, by name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConnectFailure {
    NoTls,
    BadUrl,
}

#[derive(Debug, Clone)]
pub(crate) struct Lab {
    pub(crate) time: Time,
    pub(crate) config: Config,
    pub(crate) plans: Rc<RefCell<VecDeque<Plan>>>,
    /// The attempts and their times.
    pub(crate) times: Rc<RefCell<Vec<(Duration, Attempt)>>>,
    /// The server's ends of the connections.
    pub(crate) servers: Rc<RefCell<Vec<Pipe>>>,
    pub(crate) capacity: usize,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Lab {
            time: Time::new(),
            config: Config::new(),
            plans: Rc::default(),
            times: Rc::default(),
            servers: Rc::default(),
            capacity: 1 << 20,
        }
    }

    pub(crate) fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        self.plans.borrow_mut().extend(plans);
    }

    pub(crate) fn client(
        &self,
        policy: ReconnectPolicy,
    ) -> Reconnecting<Pipe, TestClock, impl Dial<Pipe, TestClock> + use<>> {
        let lab = self.clone();
        // The closure lends itself to its futures, like a closure that owns its URL.
        let connect = async move |attempt: Attempt| lab.connect(attempt).await;
        Reconnecting::with(policy, self.time.clock(), || HALF, connect)
    }

    pub(crate) async fn connect(&self, attempt: Attempt) -> Result<Ws, ConnectError> {
        self.times.borrow_mut().push((self.time.elapsed(), attempt));
        yield_now().await;
        let plan = self.plans.borrow_mut().pop_front().unwrap_or(Plan::Open);
        match plan {
            Plan::Open => {
                let (ours, server) = pipe(self.capacity);
                self.servers.borrow_mut().push(server);
                Ok(client(ours, &self.time, self.config.clone()))
            }
            Plan::Unreachable => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            Plan::Refused(response) => Err(ClientHandshakeError::Refused(response).into()),
            Plan::Silent => std::future::pending().await,
            Plan::Fails(ConnectFailure::NoTls) => Err(ConnectError::Tls),
            Plan::Fails(ConnectFailure::BadUrl) => {
                Err("http://a".parse::<sockeye_core::handshake::client::Url>().unwrap_err().into())
            }
        }
    }

    /// Returns the attempts and their times in milliseconds.
    pub(crate) fn attempts(&self) -> Vec<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        self.times.borrow().iter().map(|(time, _)| millis(*time)).collect()
    }

    pub(crate) fn retries(&self) -> Vec<(u32, u64)> {
        let attempts = self.times.borrow();
        attempts.iter().map(|(_, attempt)| (attempt.retry, attempt.connections)).collect()
    }

    pub(crate) fn server_sends(&self, text: &str) {
        self.servers.borrow().last().unwrap().push(&server_frame(Opcode::Text, text.as_bytes()));
    }

    pub(crate) fn server_closes(&self, code: u16) {
        let servers = self.servers.borrow();
        let server = servers.last().unwrap();
        server.push(&server_frame(Opcode::Close, &close_payload(code, "")));
        server.shut();
    }

    pub(crate) fn server_dies(&self) {
        self.servers.borrow().last().unwrap().reset();
    }

    /// Returns the texts that the latest connection has received since the last call.
    pub(crate) fn server_received(&self) -> Vec<String> {
        texts(&self.servers.borrow().last().unwrap().take_all())
    }
}

pub(crate) fn texts(bytes: &[u8]) -> Vec<String> {
    let frames = read_frames_until(bytes, true);
    let texts = frames.into_iter().filter(|frame| frame.first & 15 == 1);
    texts.map(|frame| String::from_utf8(frame.payload).unwrap()).collect()
}

/// Receives. When the client waits, the clock jumps to the next alarm.
pub(crate) fn next<D: Dial<Pipe, TestClock>>(
    lab: &Lab,
    client: &mut Reconnecting<Pipe, TestClock, D>,
) -> Result<Option<Update>, GaveUp> {
    loop {
        // The first poll of an attempt yields.
        for _ in 0..3 {
            if let Some(update) = poll_once(client.recv()) {
                return update;
            }
        }
        assert!(lab.time.advance_to_alarm(), "the client waits for nothing");
    }
}

/// Describes what the client reports.
pub(crate) fn describe(update: Result<Option<Update>, GaveUp>) -> String {
    match update {
        Ok(Some(Update::Message(message))) => message.as_text().unwrap().into(),
        Ok(Some(Update::Connected { reconnects })) => format!("connected {reconnects}"),
        Ok(Some(Update::Lost { cause, retry_in, in_doubt })) => {
            let doubt = in_doubt.map_or(String::new(), |message| {
                format!(" in doubt: {}", String::from_utf8_lossy(message.as_bytes()))
            });
            format!("lost {} {}{doubt}", kind(&cause), retry_in.as_millis())
        }
        Ok(Some(Update::Failed { cause, retry_in })) => {
            format!("failed {} {}", kind(&cause), retry_in.as_millis())
        }
        Ok(Some(Update::Unsendable(unsent))) => format!("unsendable {}", unsent),
        Ok(Some(other)) => format!("{other:?}"),
        Ok(None) => "end".into(),
        Err(gave_up) => format!("gave up {}", kind(gave_up.cause())),
    }
}

fn kind(cause: &Cause) -> String {
    match cause {
        Cause::Connect(_) => cause.status().map_or("unreachable".into(), |status| status.to_string()),
        Cause::Closed(info) => u16::from(info.code).to_string(),
        Cause::Broken(_) => "broken".into(),
        Cause::TimedOut => "timed out".into(),
        other => other.to_string(),
    }
}

/// Receives `count` times and describes each.
pub(crate) fn take<D: Dial<Pipe, TestClock>>(
    lab: &Lab,
    client: &mut Reconnecting<Pipe, TestClock, D>,
    count: usize,
) -> Vec<String> {
    (0..count).map(|_| describe(next(lab, client))).collect()
}
