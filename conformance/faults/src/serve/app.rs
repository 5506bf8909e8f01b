//! The application: it echoes, answers requests, counts events, and fails on request.

use std::collections::{BTreeMap, HashSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockeye_std::server::{Handler as Blocking, HttpRequest as BlockingRequest};
use sockeye_tokio::protocol::http::Request;
use sockeye_tokio::server::{
    BoxError, Client, ConnectionId, Decision, Failure, Handler, HandlerResult, HttpRequest, Inbound,
    PushError, Refused,
};
use sockeye_tokio::{CloseInfo, Response, Upgrade};

/// The state that all ports share.
#[derive(Debug, Default)]
pub(crate) struct App {
    counts: Mutex<BTreeMap<String, u64>>,
    /// The connections that messages are published to.
    members: Mutex<Vec<Member>>,
    /// The connections whose event of this name must panic.
    planned_panics: Mutex<HashSet<(ConnectionId, &'static str)>>,
}

/// A connection that messages are published to.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) client: Client,
    /// Whether a publisher waits for it if it is slow.
    pub(crate) waited_for: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Has a request handler.
    Http,
    /// Has no request handler.
    Plain,
    /// Panics in `connect`.
    Refusing,
}

/// The handler of a port, with blocking functions.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) app: Arc<App>,
    pub(crate) kind: Kind,
}

/// The same handler with async functions.
#[derive(Debug)]
pub(crate) struct Awaited(pub(crate) Served);

/// The text of intended failures.
pub(crate) const ON_PURPOSE: &str = "on purpose";

impl App {
    pub(crate) fn count(&self, name: impl Into<String>) {
        *lock(&self.counts).entry(name.into()).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).clone()
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        lock(&self.members).clone()
    }

    /// Fails if the path asks for it: `/panic/open`, `/error/open`. For later events, plans a
    /// panic.
    fn fail_if_asked(&self, client: &Client, path: &str, now: &'static str) -> HandlerResult {
        for (prefix, panics) in [("/panic/", true), ("/error/", false)] {
            if path.strip_prefix(prefix) == Some(now) {
                return fail(panics);
            }
        }
        let later = ["close", "disconnect", "drained"];
        if let Some(event) = later.into_iter().find(|event| path.strip_prefix("/panic/") == Some(*event)) {
            lock(&self.planned_panics).insert((client.id(), event));
        }
        Ok(())
    }

    /// Panics if that was planned.
    fn panic_if_planned(&self, client: &Client, event: &'static str) {
        let planned = lock(&self.planned_panics).remove(&(client.id(), event));
        assert!(!planned, "{ON_PURPOSE}");
    }
}

fn fail(panics: bool) -> HandlerResult {
    assert!(!panics, "{ON_PURPOSE}");
    Err(ON_PURPOSE.into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Blocking for Served {
    fn connect(&self, _: &Client) -> Result<(), Refused> {
        self.app.count("connected");
        assert!(self.kind != Kind::Refusing, "{ON_PURPOSE}");
        Ok(())
    }

    fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        self.app.fail_if_asked(client, upgrade.path(), "handshake")?;
        Ok(Decision::Policy)
    }

    fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        let pushed = (request.query() == Some("id")).then(|| client.push(client.id().to_string()));
        if let waited_for @ ("/wait" | "/stuck") = request.path() {
            let waited_for = waited_for == "/wait";
            lock(&self.app.members).push(Member { client: client.clone(), waited_for });
        }
        // Count last: a peer that waits for this count expects the steps above to be done.
        self.app.count("opened");
        self.app.fail_if_asked(client, request.path(), "open")?;
        pushed.transpose()?;
        Ok(())
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        match message.as_text() {
            Some("panic") => fail(true),
            Some("error") => fail(false),
            Some("block") => {
                std::thread::sleep(Duration::from_secs(1));
                client.push(message)?;
                Ok(())
            }
            Some("fill") => loop {
                match client.push(vec![0; 16 << 10]) {
                    Ok(_) => {}
                    Err(PushError::Backpressure { .. }) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            },
            _ => {
                client.push(message)?;
                Ok(())
            }
        }
    }

    fn drained(&self, client: &Client) -> HandlerResult {
        self.app.count("drained");
        self.app.panic_if_planned(client, "drained");
        Ok(())
    }

    fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        self.app.count("closed");
        self.app.count(format!("code{}", u16::from(info.code)));
        self.app.count(if info.clean { "clean" } else { "unclean" });
        self.app.panic_if_planned(client, "close");
        Ok(())
    }

    fn disconnect(&self, client: &Client) -> HandlerResult {
        self.app.count("disconnected");
        self.app.panic_if_planned(client, "disconnect");
        Ok(())
    }

    fn request(
        &self,
        client: &Client,
        request: &mut BlockingRequest<'_, '_>,
    ) -> Result<Option<Response>, BoxError> {
        let body = if self.wants_body(request) { request.body()? } else { Vec::new() };
        self.respond(client, request, body)
    }

    fn failed(&self, _: &Client, _: &Failure) {
        self.app.count("failed");
    }
}

impl Served {
    fn wants_body(&self, request: &Request) -> bool {
        self.kind != Kind::Plain && request.path() == "/body"
    }

    fn respond(
        &self,
        client: &Client,
        request: &Request,
        body: Vec<u8>,
    ) -> Result<Option<Response>, BoxError> {
        self.app.fail_if_asked(client, request.path(), "request")?;
        if self.kind == Kind::Plain {
            return Ok(None);
        }
        let cookies: Vec<_> = request.cookies().collect();
        Ok(Some(match request.path() {
            "/" => Response::text(200, "hello\n"),
            "/body" => Response::new(200).body(body),
            "/none" => Response::new(204),
            "/close" => Response::text(200, "the last one\n").header("Connection", "close")?,
            "/head" => Response::text(
                200,
                format!(
                    "{} {} {:?} {:?} {cookies:?}\n",
                    request.method(),
                    request.path(),
                    request.query(),
                    request.host()
                ),
            ),
            _ => Response::text(404, "there is nothing here\n"),
        }))
    }
}

impl Handler for Awaited {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        Blocking::connect(&self.0, client)
    }

    async fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        Blocking::handshake(&self.0, client, upgrade)
    }

    async fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        Blocking::open(&self.0, client, request)
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        if message.as_text() == Some("forever") {
            return pending().await;
        }
        Blocking::message(&self.0, client, message)
    }

    async fn drained(&self, client: &Client) -> HandlerResult {
        Blocking::drained(&self.0, client)
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        Blocking::close(&self.0, client, info)
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        Blocking::disconnect(&self.0, client)
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        let body = if self.0.wants_body(request) { request.body().await? } else { Vec::new() };
        self.0.respond(client, request, body)
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        Blocking::failed(&self.0, client, failure);
    }
}
