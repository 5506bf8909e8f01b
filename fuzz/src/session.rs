//! A whole session: any bytes in any pieces, or any calls in any order.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::client::ClientRequest;
use sockeye_core::handshake::server::{Accept, Policy, Upgrade};
use sockeye_core::http::Response;
use sockeye_core::session::{HttpSettings, InputBuffer, Session, SessionEvent};
use sockeye_core::{CloseCode, Config, Data, Instant};

use crate::compressed::settings;
use crate::input::{Cut, Input};

/// Checks one input: a byte of choices, a seed for the cut, then the peer's bytes or calls.
pub fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let (choices, seed) = (input.byte(), input.byte());
    if choices & 1 == 0 {
        let bytes = input.rest();
        let whole = events(choices, bytes, Cut::Whole);
        for cut in [Cut::Single, Cut::Seeded(seed)] {
            assert_eq!(events(choices, bytes, cut), whole, "{cut:?}");
        }
    } else {
        calls(choices, input);
    }
}

/// Returns what an echo server or a client reports about these bytes, and what it sends.
fn events(choices: u8, bytes: &[u8], cut: Cut) -> (String, String) {
    let mut end = End::new(choices);
    end.write(usize::MAX);
    for piece in cut.pieces(bytes) {
        end.input.extend_from_slice(&piece);
        end.poll();
        // Write everything at once, so that the room in the queue does not depend on the pieces.
        while end.write(usize::MAX) > 0 {
            end.poll();
        }
    }
    end.session.handle_eof();
    end.poll();
    while end.write(usize::MAX) > 0 {
        end.poll();
    }
    assert_eq!(end.ended, usize::from(end.held.is_none()), "{}", end.log);
    // The reason depends on the cut: the first byte is judged alone if it arrives alone.
    let is_not_http = |reason| end.log.contains(&format!("NotOpened(Request(Head({reason})))"));
    if is_not_http("LooksLikeTls") || is_not_http("Method") {
        return ("not HTTP".into(), String::new());
    }
    // A client that expects a 100 gets it only if its body has not arrived with the head.
    let sent = String::from_utf8_lossy(&end.sent).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    (end.log, sent)
}

/// Makes calls in any order. Checks that the session ends afterwards.
fn calls(choices: u8, mut input: Input<'_>) {
    let mut end = End::new(choices);
    for _ in 0..400 {
        if input.is_empty() {
            break;
        }
        match input.byte() {
            0..100 => end.input.extend_from_slice(input.bytes()),
            100..130 => _ = end.write(input.size()),
            130..150 => end.advance(Duration::from_millis(u64::from(input.byte()) * 20)),
            150..165 => _ = end.session.send(input.bytes()),
            165..170 => _ = end.session.ping(input.bytes()),
            170..175 => _ = end.session.close(CloseCode::NORMAL, ""),
            175..180 => end.session.abort(),
            180..200 => end.decide(),
            200..205 => end.session.reject(Response::new(403)),
            205..225 => end.session.respond(Response::text(200, "yes")),
            225..230 => end.session.handle_eof(),
            230..235 => end.session.handle_write_error(),
            235..240 => end.session.answer_close(),
            _ => {}
        }
        end.poll();
    }
    end.session.reject(Response::new(403));
    end.session.respond(Response::new(200));
    end.session.handle_eof();
    for _ in 0..40 {
        end.write(usize::MAX);
        end.advance(Duration::from_secs(1));
        end.poll();
    }
    assert_eq!(end.ended, 1, "{}", end.log);
}

struct End {
    session: Session,
    input: InputBuffer,
    log: String,
    sent: Vec<u8>,
    ended: usize,
    held: Option<Upgrade>,
    holds: bool,
    /// Answers requests once their bodies are complete.
    answers: bool,
    now: Instant,
}

impl End {
    fn new(choices: u8) -> Self {
        let mut config = Config::new().keepalive(Duration::from_secs(3), Duration::from_secs(3));
        if choices & 128 != 0 {
            config = config.auto_close(false);
        }
        if choices & 4 != 0 {
            config = config.deflate(settings(&mut Input::new(&[choices, 0x86, 5, 0])));
        }
        if choices & 8 != 0 {
            config = config.high_water_mark(100).max_message_size(300).max_frame_size(300);
        }
        let config = Arc::new(config);
        let session = if choices & 2 == 0 {
            let session = Session::server(config);
            if choices & 16 != 0 { session.with_http(HttpSettings::new().max_body_size(50)) } else { session }
        } else {
            let request = ClientRequest::new(&"ws://example.com/chat".parse().expect("a url"));
            Session::client(request, *b"the sample nonce", Box::new(|| [1, 2, 3, 4]), config)
        };
        let session = if choices & 32 != 0 { session.with_parts() } else { session };
        End {
            session,
            input: InputBuffer::new(),
            log: String::new(),
            sent: Vec::new(),
            ended: 0,
            held: None,
            holds: choices & 64 != 0,
            answers: choices & 1 == 0,
            now: Instant::from_nanos(1),
        }
    }

    /// Takes all events. Their number is bounded by the number of bytes, plus a few of the
    /// session's own.
    fn poll(&mut self) {
        let max_events = 3 * self.input.remaining().len() + 8;
        for _ in 0..max_events {
            let Some(event) = self.session.poll_event_from(&mut self.input) else { return };
            assert_eq!(self.ended, 0, "{event:?} after the end");
            match event {
                SessionEvent::Upgrade(upgrade) if self.holds => self.held = Some(upgrade),
                SessionEvent::Upgrade(upgrade) => self.session.decide(upgrade, &Policy::new()),
                SessionEvent::Message(message) => {
                    let message = message.into_message();
                    _ = write!(self.log, "{message:?} ");
                    // There is room in the queue, or the session would not have taken the message.
                    let size = message.as_bytes().len();
                    let sent = self.session.send(message);
                    let is_closing = sent == Err(sockeye_core::SendError::Closed);
                    assert!(sent.is_ok() || is_closing, "{size} bytes: {sent:?}");
                }
                // The cut of these parts depends on the pieces.
                SessionEvent::Body(part) => self.log.extend(part.iter().map(|byte| char::from(*byte))),
                SessionEvent::Part(Data { payload, compressed: false, .. }) => {
                    self.log.extend(payload.iter().map(|byte| char::from(*byte)));
                }
                SessionEvent::Part(Data { payload, last, .. }) => {
                    let inflated =
                        self.session.connection_mut().expect("open").inflate(payload, last, |_| Ok(()));
                    _ = inflated.inspect_err(|error| _ = write!(self.log, "{error:?} "));
                }
                SessionEvent::BodyFailed(failure) => {
                    _ = write!(self.log, "{failure:?} ");
                    self.session.respond(failure.response());
                }
                SessionEvent::BodyEnd => {
                    self.log.push_str("end of body ");
                    if self.answers {
                        self.session.respond(Response::text(200, "yes"));
                    }
                }
                SessionEvent::Ended(info) => {
                    self.ended += 1;
                    _ = write!(self.log, "ended {info:?}");
                }
                event => _ = write!(self.log, "{event:?} "),
            }
        }
        panic!("the events do not stop: {}", self.log);
    }

    fn write(&mut self, n: usize) -> usize {
        let mut written = 0;
        while written < n
            && let Some(transmit) = self.session.poll_transmit()
        {
            let first = transmit.first();
            assert!(!first.is_empty());
            let take = first.len().min(n - written);
            self.sent.extend_from_slice(&first[..take]);
            self.session.transmitted(take);
            written += take;
        }
        written
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        self.session.handle_timeout(self.now);
        let due = self.session.poll_timeout();
        assert!(due.is_none_or(|due| due > self.now || due == Instant::EPOCH), "{due:?} {:?}", self.now);
    }

    fn decide(&mut self) {
        if let Some(upgrade) = self.held.take() {
            self.session.accept(upgrade, &Accept::new()).expect("no subprotocol was chosen");
        }
    }
}
