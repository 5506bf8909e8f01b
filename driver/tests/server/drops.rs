//! Values of the application that panic when they are dropped (T48).

use std::fmt;
use std::future::Future;
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{Bytes, CloseInfo, Config, Frame, Opcode};
use sockeye_driver::server::{
    BoxError, Client, Decision, Failure, Handler, HandlerResult, HttpRequest, Inbound, Port, Refused,
};
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::{EventLog, RawClient, eventually};

use super::TestServer;

/// How often each test breaks the same event: a drop that is not caught may show only later.
const ROUNDS: usize = 3;

/// Panics when it is dropped, unless its thread panics already: a second panic would end the
/// process.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "as asked, in a drop");
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bomb")
    }
}

impl std::error::Error for Bomb {}

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        &[b'x'; 100_000]
    }
}

/// The value of the application that panics when it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The error that the method returns.
    Error,
    /// The payload of the method's panic.
    Payload,
    /// The future of the method, after it has returned.
    Future,
    /// The future of the method, which waits until the connection is aborted.
    Waiting,
}

/// The future of a method.
struct Act<T, E> {
    kind: Option<Kind>,
    log: EventLog,
    output: Option<T>,
    error: fn() -> E,
    /// Dropped with the future.
    _bomb: Option<Bomb>,
}

impl<T, E> Unpin for Act<T, E> {}

impl<T, E> Future for Act<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<T, E>> {
        match self.kind {
            Some(Kind::Error) => Poll::Ready(Err((self.error)())),
            Some(Kind::Payload) => panic_any(Bomb),
            Some(Kind::Waiting) => {
                if self.output.take().is_some() {
                    self.log.add("waits");
                }
                Poll::Pending
            }
            Some(Kind::Future) | None => Poll::Ready(Ok(self.output.take().unwrap())),
        }
    }
}

/// A handler one of whose methods breaks.
struct Breaking {
    event: &'static str,
    kind: Kind,
    log: EventLog,
    is_armed: AtomicBool,
}

impl Breaking {
    fn act<T, E>(&self, event: &str, output: T, error: fn() -> E) -> Act<T, E> {
        let breaks = event == self.event && self.is_armed.swap(false, Ordering::SeqCst);
        let kind = breaks.then_some(self.kind);
        let bomb = matches!(kind, Some(Kind::Future | Kind::Waiting)).then(|| Bomb);
        Act { kind, log: self.log.clone(), output: Some(output), error, _bomb: bomb }
    }
}

fn failure() -> BoxError {
    Box::new(Bomb)
}

impl Handler for Breaking {
    fn connect(&self, _: &Client) -> impl Future<Output = Result<(), Refused>> + Send {
        // Only the first event of a round breaks, so arm the handler here.
        self.is_armed.store(true, Ordering::SeqCst);
        self.log.add("connect");
        self.act("connect", (), || Refused::with(Response::server_error(Bomb)))
    }

    fn handshake(&self, _: &Client, _: &Upgrade) -> impl Future<Output = Result<Decision, BoxError>> + Send {
        self.act("handshake", Decision::Policy, failure)
    }

    fn before_handshake_response(
        &self,
        _: &Client,
        _: &Upgrade,
        accept: Accept,
    ) -> impl Future<Output = Result<Accept, Response>> + Send {
        self.act("before_handshake_response", accept, || Response::server_error(Bomb))
    }

    fn open(&self, _: &Client, _: &Request) -> impl Future<Output = HandlerResult> + Send {
        self.act("open", (), failure)
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> impl Future<Output = HandlerResult> + Send {
        let _ = client.push(message);
        self.act("message", (), failure)
    }

    fn control(&self, _: &Client, _: &Frame<'_>) -> impl Future<Output = HandlerResult> + Send {
        self.act("control", (), failure)
    }

    fn close(&self, _: &Client, _: &CloseInfo) -> impl Future<Output = HandlerResult> + Send {
        self.log.add("close");
        self.act("close", (), failure)
    }

    fn disconnect(&self, _: &Client) -> impl Future<Output = HandlerResult> + Send {
        self.log.add("disconnect");
        self.act("disconnect", (), failure)
    }

    fn request(
        &self,
        _: &Client,
        _: &mut HttpRequest<'_>,
    ) -> impl Future<Output = Result<Option<Response>, BoxError>> + Send {
        self.act("request", Some(Response::text(200, "fine")), failure)
    }

    fn failed(&self, _: &Client, _: &Failure) {}
}

/// Does what calls the method for this event.
fn provoke(server: &TestServer, event: &str) -> RawClient {
    let mut raw = server.connect();
    match event {
        // TLS begins after this event, so a write would wait for it.
        "connect" if crate::TLS => {}
        "connect" | "handshake" | "before_handshake_response" | "open" => raw.write(upgrade_request("/", "")),
        "message" => {
            raw.upgrade("/");
            raw.text("break");
        }
        "control" => {
            raw.upgrade("/");
            raw.send(&Frame::new(Opcode::Ping, &b""[..]));
        }
        "close" => {
            raw.upgrade("/");
            raw.close(1000, "");
        }
        "request" => raw.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        _ => raw.finish(),
    }
    raw
}

/// Returns the event that ends a connection one of whose methods has broken.
fn last_event(event: &str) -> Option<&'static str> {
    match event {
        // A connection that was not accepted has no further events.
        "connect" => None,
        "open" | "message" | "control" | "close" => Some("close"),
        _ => Some("disconnect"),
    }
}

/// Breaks each event of a new server, and checks how the connection ends.
fn break_events(kind: Kind, events: &[&'static str]) {
    for &event in events {
        let log = EventLog::default();
        let handler = Breaking { event, kind, log: log.clone(), is_armed: AtomicBool::new(false) };
        let config = Config::new().close_timeout(Duration::from_secs(600));
        let server = TestServer::port(Port::new(handler).config(config).forward_ping(true));
        let count = |line: &str| log.lines().iter().filter(|known| *known == line).count();
        for round in 1..=ROUNDS {
            let mut raw = provoke(&server, event);
            eventually("the connection to be accepted", || count("connect") == round);
            if kind == Kind::Waiting {
                eventually("the method to wait", || count("waits") == round);
                for id in server.handle.connections() {
                    let _ = server.handle.abort(id);
                }
            }
            // The server waits for this after a response or a Close.
            raw.finish();
            if let Some(last) = last_event(event) {
                eventually(&format!("{last} after {kind:?} in {event}"), || count(last) == round);
            }
            eventually("the connection to end", || server.handle.connections().is_empty());
            drop(raw);
        }
        // No count of the limits has drifted: otherwise the shutdown would wait for its grace.
        server.handle.shutdown(Duration::from_secs(600));
        server.join();
        let ends = log.lines().iter().filter(|line| *line == "close" || *line == "disconnect").count();
        let expected = if last_event(event).is_some() { ROUNDS } else { 0 };
        assert_eq!(ends, expected, "{kind:?} in {event}: {:?}", log.lines());
    }
}

const EVENTS: [&str; 9] = [
    "connect",
    "handshake",
    "before_handshake_response",
    "open",
    "message",
    "control",
    "close",
    "disconnect",
    "request",
];

#[test]
fn t48_the_last_event_is_called_once_though_an_error_panics_in_its_drop() {
    break_events(Kind::Error, &EVENTS);
}

#[test]
fn t48_the_last_event_is_called_once_though_the_payload_of_a_panic_panics_in_its_drop() {
    break_events(Kind::Payload, &EVENTS);
}

#[test]
fn t48_the_last_event_is_called_once_though_the_future_of_a_method_panics_in_its_drop() {
    break_events(Kind::Future, &EVENTS);
}

#[test]
fn t48_the_last_event_is_called_once_though_an_abort_drops_state_that_panics() {
    break_events(
        Kind::Waiting,
        &["connect", "handshake", "before_handshake_response", "open", "message", "control", "request"],
    );
}

/// Sets values that panic when they are dropped, wherever a connection can hold them.
struct Holding {
    log: EventLog,
}

impl Handler for Holding {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        client.set_data(Bomb);
        Ok(())
    }

    async fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        let path = upgrade.request().path();
        if path != "/data" {
            for _ in 0..2 {
                let bomb = Bomb;
                client.defer(move |_| drop(bomb));
            }
        }
        match path {
            "/refused" => Ok(Decision::Respond(Response::new(403))),
            "/failing" => Err("as asked".into()),
            "/waiting" => {
                self.log.add("waits");
                std::future::pending().await
            }
            _ => Ok(Decision::Policy),
        }
    }

    async fn message(&self, client: &Client, _: Inbound<'_>) -> HandlerResult {
        client.push(Bytes::from_owner(Bomb))?;
        Ok(())
    }

    async fn close(&self, client: &Client, _: &CloseInfo) -> HandlerResult {
        assert!(client.data::<Bomb>().is_some(), "the data is dropped after the last event");
        self.log.add("close");
        Ok(())
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        assert!(client.data::<Bomb>().is_some(), "the data is dropped after the last event");
        self.log.add("disconnect");
        Ok(())
    }

    fn failed(&self, _: &Client, _: &Failure) {}
}

#[test]
fn t48_the_last_event_is_called_once_though_what_the_connection_holds_panics_in_its_drop() {
    let log = EventLog::default();
    let server = TestServer::handler(Holding { log: log.clone() });
    let count = |line: &str| log.lines().iter().filter(|known| *known == line).count();
    let (mut closes, mut disconnects) = (0, 0);
    for round in 1..=ROUNDS {
        for path in ["/data", "/deferred", "/refused", "/failing", "/waiting", "/plain"] {
            let mut raw = server.connect();
            match path {
                "/plain" => drop(raw.get("/plain")),
                "/data" => drop(raw.upgrade(path)),
                // A client that leaves without reading its session tickets resets the connection, so
                // the request may be lost.
                "/deferred" if crate::TLS => drop(raw.upgrade(path)),
                _ => raw.write(upgrade_request(path, "")),
            }
            if path == "/waiting" {
                eventually("the handshake to wait", || count("waits") == round);
                for id in server.handle.connections() {
                    let _ = server.handle.abort(id);
                }
            }
            drop(raw);
            if matches!(path, "/data" | "/deferred") {
                closes += 1
            } else {
                disconnects += 1
            }
            eventually(path, || (count("close"), count("disconnect")) == (closes, disconnects));
        }
    }
    server.handle.shutdown(Duration::from_secs(600));
    server.join();
    assert_eq!((count("close"), count("disconnect")), (closes, disconnects));
}

#[test]
fn t48_close_is_called_once_though_the_memory_of_a_message_panics_in_its_drop() {
    let log = EventLog::default();
    let server = TestServer::handler(Holding { log: log.clone() });
    for round in 1..=ROUNDS {
        let mut raw = server.connect();
        raw.upgrade("/data");
        raw.text("send it");
        // The whole message may arrive, or the connection may end before.
        eventually("close", || log.lines().len() == round);
        drop(raw);
    }
    server.handle.shutdown(Duration::from_secs(600));
    server.join();
    assert_eq!(log.lines().len(), ROUNDS);
}
