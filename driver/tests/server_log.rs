//! The log events of a server.
#![cfg(feature = "tracing")]

use std::fmt::{Debug, Write};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use sockeye_core::handshake::server::Policy;
use sockeye_core::{CloseCode, Config, Opcode};
use sockeye_driver::server::{BoxError, Callbacks, Limits, Port, SlowReader};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::{UPGRADE_REQUEST, upgrade_request};
use sockeye_testkit::sim::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

/// A subscriber that records each event as one line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sockeye_driver")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn failed_handlers_refusals_and_accept_errors_are_logged() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let mut executor = Executor::new();
        let handler = Callbacks::on_message(|_, _| async { Err::<(), BoxError>("no such room".into()) });
        let limits = Limits::new().max_connections(1);
        let (server, connector, _) = SimRuntime::serve(&mut executor, Port::new(handler), limits);
        let pipe = connector.connect(1 << 20, Faults::default());
        pipe.push(UPGRADE_REQUEST);
        pipe.push(&client_frame(Opcode::Text, b"x"));
        executor.run_until_idle();
        let _full = connector.connect(1 << 20, Faults::default());
        connector.offer(Err(ErrorKind::OutOfMemory.into()));
        executor.run_until_idle();
        assert_eq!(server.connections().len(), 1);
    });
    let lines = lines.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], "ERROR message=a handler has failed connection=1 peer=unix: failure=no such room");
    assert_eq!(
        lines[1],
        "WARN message=a connection or request was refused connection=2 peer=unix: \
         reason=the server has reached its limit of 1 connections status=503"
    );
    assert!(lines[2].starts_with(
        "WARN message=cannot accept connections; trying again after a pause error=out of memory"
    ));
}

#[test]
fn h15_each_refusal_is_one_line_with_its_request_and_nothing_of_it_can_begin_another() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let mut executor = Executor::new();
        // A handler that sees refusals itself does not take them out of the log.
        let handler = Callbacks::on_message(|_, _| async {}).on_refused(|_, _| {});
        let (_server, connector, _) = SimRuntime::serve(&mut executor, Port::new(handler), Limits::new());
        for request in [
            upgrade_request("/chat?a=b", "Origin: https://evil.example\r\n"),
            upgrade_request("/a", "Origin: \u{85}[2J<b> \"x\"\r\n"),
            "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "\x16\x03\x01".to_owned(),
        ] {
            let pipe = connector.connect(1 << 20, Faults::default());
            pipe.push(request.as_bytes());
            executor.run_until_idle();
        }
    });
    let lines = lines.0.lock().unwrap().clone();
    let start = "INFO message=a connection or request was refused connection=";
    assert_eq!(
        lines,
        [
            format!(
                "{start}1 peer=unix: reason=pages of the origin 'https://evil.example' may not connect to the \
                 host 'localhost' status=403 origin=https://evil.example host=localhost path=/chat"
            ),
            format!(
                r"{start}2 peer=unix: reason=pages of the origin '\xc2\x85[2J\x3cb\x3e \x22x\x22' may not connect to the host 'localhost' status=403 origin=\xc2\x85[2J\x3cb\x3e \x22x\x22 host=localhost path=/a"
            ),
            format!(
                "{start}3 peer=unix: reason=the request has no 'Upgrade: websocket' header status=400 host=a \
                 path=/plain"
            ),
            format!(
                "{start}4 peer=unix: reason=bad request: looks like TLS; this port speaks plain ws:// status=400"
            ),
        ]
    );
}

/// A subscriber that records spans with their fields, and events with the span they are in.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<SpanRecord>>);

#[derive(Default)]
struct SpanRecord {
    spans: Vec<(String, &'static Metadata<'static>)>,
    entered: Vec<usize>,
    lines: Vec<String>,
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut line = Line(attributes.metadata().name().to_owned());
        attributes.record(&mut line);
        let mut record = self.0.lock().unwrap();
        record.spans.push((line.0, attributes.metadata()));
        Id::from_u64(record.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut record = self.0.lock().unwrap();
        let place = span.into_u64() as usize - 1;
        let mut line = Line(std::mem::take(&mut record.spans[place].0));
        values.record(&mut line);
        record.spans[place].0 = line.0;
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut record = self.0.lock().unwrap();
        let span = record.entered.last().map_or("no span", |place| &record.spans[*place].0);
        let mut line = Line(format!("{span}:"));
        event.record(&mut line);
        record.lines.push(line.0);
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64() as usize - 1);
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }

    fn current_span(&self) -> Current {
        let record = self.0.lock().unwrap();
        match record.entered.last() {
            Some(place) => Current::new(Id::from_u64(*place as u64 + 1), record.spans[*place].1),
            None => Current::none(),
        }
    }
}

#[test]
fn m16_the_code_of_the_application_runs_in_a_span_of_its_connection() {
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || {
        let mut executor = Executor::new();
        let handler = Callbacks::on_message(|_, message| async move {
            tracing::info!(target: "application", "{message:?}");
        });
        let port = Port::new(handler).policy(Policy::new().subprotocol("chat").unwrap());
        let (_server, connector, _) = SimRuntime::serve(&mut executor, port, Limits::new());
        let pipe = connector.connect(1 << 20, Faults::default());
        pipe.push(upgrade_request("/room", "sec-websocket-protocol: chat\r\n").as_bytes());
        executor.run_until_idle();
        let other = connector.connect(1 << 20, Faults::default());
        other.push(UPGRADE_REQUEST);
        executor.run_until_idle();
        pipe.push(&client_frame(Opcode::Text, b"hi"));
        executor.run_until_idle();
    });
    let record = spans.0.lock().unwrap();
    assert_eq!(record.spans.len(), 2);
    let lines: Vec<&str> = record.lines.iter().map(String::as_str).collect();
    let span = "connection id=1 peer=unix: client=unix: path=/room subprotocol=\"chat\"";
    assert_eq!(lines, [format!("{span}: message=Text(\"hi\")")]);
    assert!(record.entered.is_empty());
}

#[test]
fn m16_a_slow_reader_that_is_closed_is_logged_once() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let mut world = World::with(Config::new().high_water_mark(500), |port| {
            port.slow_reader(SlowReader::Close(CloseCode::TRY_AGAIN_LATER))
        });
        let _pipe = world.open_with_capacity(100);
        let id = world.server.connections()[0];
        for _ in 0..5 {
            let _ = world.server.push(id, payload(0, 600));
        }
    });
    let lines = lines.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with(
        "WARN message=a connection is closed because its peer reads too slowly connection=1 peer=unix: queued="
    ));
}
