//! A session with the buffer, the log and the clock that its driver would have.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::{Policy, Upgrade};
use sockeye_core::http::Response;
use sockeye_core::session::{Opened, Session, SessionEvent};
use sockeye_core::{Config, Control, Data, Instant, Message, RecvBuf, SendError};
pub(crate) use sockeye_testkit::frames::mask_keys;

/// The reaction of a peer's application to events.
pub(crate) enum App {
    /// Accepts by the default policy, echoes messages, answers requests with their path.
    Echo,
    /// Like `Echo`, but reads the body of a request before answering it, so that the connection
    /// stays open.
    Patient,
    /// Only records.
    Silent,
    /// Keeps the upgrade for a later decision.
    Hold,
}

/// One end: a session, the input it has not taken yet, and a log of its events.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) app: App,
    pub(crate) input: Vec<u8>,
    pub(crate) log: Vec<String>,
    pub(crate) held: Option<Upgrade>,
    pub(crate) responses: Vec<Response>,
    pub(crate) ended: usize,
}

pub(crate) fn request(url: &str) -> ClientRequest {
    ClientRequest::new(&url.parse::<Url>().unwrap())
}

/// The request of a client that was written by hand.
pub(crate) const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

impl End {
    pub(crate) fn new(session: Session, app: App) -> Self {
        End { session, app, input: Vec::new(), log: Vec::new(), held: None, responses: Vec::new(), ended: 0 }
    }

    pub(crate) fn server(config: Config) -> Self {
        Self::new(Session::server(Arc::new(config)), App::Echo)
    }

    pub(crate) fn client(config: Config) -> Self {
        let session = Session::client(request("ws://a/chat"), [7; 16], mask_keys(), Arc::new(config));
        Self::new(session, App::Silent)
    }

    /// Appends `bytes` to the input and takes all events.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.poll();
    }

    /// Takes all events out of the input.
    pub(crate) fn poll(&mut self) {
        // One byte may be several events (the end of a handshake, of a session), but not many.
        let most = 4 * self.input.len() + 8;
        let mut input = RecvBuf::new(&mut self.input);
        for _ in 0..most {
            let Some(event) = self.session.poll_event(&mut input) else {
                let consumed = input.consumed();
                self.input.drain(..consumed);
                return;
            };
            let (line, reaction) = describe(event);
            self.ended += usize::from(line.starts_with("ended"));
            if line.starts_with("body ") && self.log.last().is_some_and(|last| last.starts_with("body ")) {
                self.log.last_mut().unwrap().push_str(&line[5..]);
            } else {
                self.log.push(line);
            }
            react(&mut self.session, &self.app, &mut self.held, &mut self.responses, reaction);
        }
        panic!("events without end: {:?}", self.log);
    }

    /// Takes at most `n` bytes of the output.
    pub(crate) fn write(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < n
            && let Some(transmit) = self.session.poll_transmit()
        {
            assert!(!transmit.first().is_empty(), "an empty transmit");
            let take = transmit.first().len().min(n - bytes.len());
            bytes.extend_from_slice(&transmit.first()[..take]);
            self.session.transmitted(take);
        }
        bytes
    }

    pub(crate) fn write_all(&mut self) -> Vec<u8> {
        self.write(usize::MAX)
    }

    /// Writes, and takes the events that this makes room for, until nothing is left to write.
    pub(crate) fn settle(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let written = self.write_all();
            self.poll();
            if written.is_empty() {
                return bytes;
            }
            bytes.extend(written);
        }
    }

    pub(crate) fn eof(&mut self) {
        self.session.handle_eof();
        self.poll();
    }

    pub(crate) fn at(&mut self, time: Duration) {
        self.session.handle_timeout(Instant::from_epoch(Duration::from_secs(1000) + time));
        self.poll();
    }

    pub(crate) fn log(&self) -> Vec<&str> {
        self.log.iter().map(String::as_str).collect()
    }
}

/// A step that an application may take after an event.
pub(crate) enum Reaction {
    Nothing,
    Upgrade(Upgrade),
    Echo(Message),
    BodyEnd,
    Respond(String),
    Answer(Response),
}

fn describe(event: SessionEvent<'_, '_>) -> (String, Reaction) {
    match event {
        SessionEvent::Upgrade(upgrade) => (format!("upgrade {}", upgrade.path()), Reaction::Upgrade(upgrade)),
        SessionEvent::Request(request) => {
            let line = format!("request {} {}", request.method(), request.path());
            (line, Reaction::Respond(request.path().to_owned()))
        }
        SessionEvent::Body(part) => (format!("body {}", part.escape_ascii()), Reaction::Nothing),
        SessionEvent::BodyFailed(failure) => {
            (format!("failed body: {failure}"), Reaction::Answer(failure.response()))
        }
        SessionEvent::BodyEnd => ("end of body".into(), Reaction::BodyEnd),
        SessionEvent::Open(opened) => {
            let role = if matches!(opened, Opened::Server { .. }) { "server" } else { "client" };
            (format!("open {role} {:?}", opened.subprotocol()), Reaction::Nothing)
        }
        SessionEvent::Message(message) => {
            let message = message.into_message();
            (format!("message {}", show(&message)), Reaction::Echo(message))
        }
        SessionEvent::Part(Data { payload, first, last, .. }) => {
            (format!("part {} {first} {last}", payload.escape_ascii()), Reaction::Nothing)
        }
        SessionEvent::Control(Control::Ping(payload)) => {
            (format!("ping {}", payload.escape_ascii()), Reaction::Nothing)
        }
        SessionEvent::Control(Control::Pong(payload)) => {
            (format!("pong {}", payload.escape_ascii()), Reaction::Nothing)
        }
        SessionEvent::Control(Control::Close(frame)) => {
            (format!("close {:?} {:?}", frame.code.map(u16::from), frame.reason), Reaction::Nothing)
        }
        SessionEvent::Failed(error) => (format!("failed {error:?}"), Reaction::Nothing),
        SessionEvent::NotOpened(error) => {
            use std::error::Error as _;
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            (format!("not opened: {error}{source}"), Reaction::Nothing)
        }
        SessionEvent::Ended(info) => {
            let info = info.map(|info| (u16::from(info.code), info.clean));
            (format!("ended {info:?}"), Reaction::Nothing)
        }
        other => panic!("an event that no test knows: {other:?}"),
    }
}

fn react(
    session: &mut Session,
    app: &App,
    held: &mut Option<Upgrade>,
    responses: &mut Vec<Response>,
    reaction: Reaction,
) {
    match (app, reaction) {
        (App::Hold, Reaction::Upgrade(upgrade)) => *held = Some(upgrade),
        (_, Reaction::Upgrade(upgrade)) => session.decide(upgrade, &Policy::new()),
        (_, Reaction::Answer(response)) => session.respond(response),
        (App::Patient, Reaction::BodyEnd) => session.respond(Response::text(200, "ok")),
        (App::Echo | App::Patient, Reaction::Echo(message)) => {
            let sent = session.send(message);
            assert!(matches!(sent, Ok(()) | Err(SendError::Closed)), "{sent:?}");
        }
        (App::Echo, Reaction::Respond(path)) => {
            let response = responses.pop().unwrap_or_else(|| Response::text(200, path));
            session.respond(response);
        }
        _ => {}
    }
}

fn show(message: &Message) -> String {
    let bytes = message.as_bytes();
    if bytes.len() > 40 { format!("of {} bytes", bytes.len()) } else { bytes.escape_ascii().to_string() }
}

/// Moves bytes between two ends, at most `size` at a time, until neither has any; reports the ends
/// of the transport as sockets would.
pub(crate) fn connect(a: &mut End, b: &mut End, size: usize) {
    let mut shut = [false; 2];
    loop {
        let moved = [step(a, b, size, &mut shut[0]), step(b, a, size, &mut shut[1])];
        if moved == [false; 2] {
            return;
        }
    }
}

fn step(from: &mut End, to: &mut End, size: usize, shut: &mut bool) -> bool {
    let bytes = from.write(size);
    from.poll();
    if !bytes.is_empty() {
        to.receive(&bytes);
        return true;
    }
    if from.session.wants_shutdown() && !std::mem::replace(shut, true) {
        to.eof();
        return true;
    }
    false
}
