//! Invariants of two ends under any sequence of commands, any transport and any timing (T27, T31).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use proptest::prelude::*;
use sockeye_core::{CloseCode, Config, Frame, Opcode, SendError, State};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

const MARK: usize = 300;
const LARGEST: usize = 5000;
const SMALLEST_FRAGMENT: usize = 50;
/// The bytes that may be queued above the mark and one message: the headers of its frames, and a
/// Close.
const EXTRA: usize = 14 + LARGEST / SMALLEST_FRAGMENT * 6 + 131;

#[derive(Debug, Clone)]
enum Op {
    Text(bool, usize),
    Binary(bool, usize),
    Part(bool, usize, bool),
    Ping(bool, u8),
    Pong(bool, u8),
    Close(bool, u16),
    Step(usize),
    Drive,
    Pass(u64),
    Block(bool, bool),
    Abort(bool),
    Cut(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let end = any::<bool>;
    let size = || prop_oneof![0..20usize, 100..400usize, Just(LARGEST), 4000..LARGEST + 2];
    prop_oneof![
        6 => (end(), size()).prop_map(|(end, size)| Op::Text(end, size)),
        6 => (end(), size()).prop_map(|(end, size)| Op::Binary(end, size)),
        6 => (end(), 0..200usize, any::<bool>()).prop_map(|(end, size, finish)| Op::Part(end, size, finish)),
        3 => (end(), 0..130u8).prop_map(|(end, size)| Op::Ping(end, size)),
        2 => (end(), 0..130u8).prop_map(|(end, size)| Op::Pong(end, size)),
        1 => (end(), prop_oneof![Just(1000), Just(1005), Just(4000)]).prop_map(|(end, code)| Op::Close(end, code)),
        12 => (1..600usize).prop_map(Op::Step),
        4 => Just(Op::Drive),
        3 => prop_oneof![0..2000u64, 10_000..20_000u64].prop_map(Op::Pass),
        3 => (end(), any::<bool>()).prop_map(|(end, block)| Op::Block(end, block)),
    ]
}

/// Generates the same operations, and ends that are not clean.
fn rough_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => op(),
        1 => any::<bool>().prop_map(Op::Abort),
        1 => any::<bool>().prop_map(Op::Cut),
    ]
}

/// The messages that one end has sent successfully.
#[derive(Debug, Default)]
struct Sent {
    messages: Vec<Got>,
    part: Option<Vec<u8>>,
    count: usize,
}

struct Model {
    pair: Pair,
    server: Sent,
    client: Sent,
}

impl Model {
    fn new(config: Config) -> Self {
        Model { pair: Pair::new(config), server: Sent::default(), client: Sent::default() }
    }

    fn sent(&mut self, server: bool) -> &mut Sent {
        let sent = if server { &mut self.server } else { &mut self.client };
        sent.count += 1;
        sent
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Text(server, size) => {
                let text = "ñ".repeat(size / 2) + "x".repeat(size % 2).as_str();
                self.message(server, size, Got::Text(text));
            }
            Op::Binary(server, size) => {
                let filler = self.sent(server).count as u8;
                self.message(server, size, Got::Binary(vec![filler; size]));
            }
            Op::Part(server, size, finish) => self.part(server, size, finish),
            Op::Ping(server, size) => {
                let result = self.pair.end(server).connection.ping(&vec![1; size.into()]);
                assert!(size <= 125 || result == Err(SendError::ControlTooLong(size.into())));
            }
            Op::Pong(server, size) => {
                let result = self.pair.end(server).connection.pong(&vec![2; size.into()]);
                let open = self.pair.end(server).connection.state() == State::Open;
                assert_eq!(result.is_ok(), open && size <= 125);
            }
            Op::Close(server, code) => {
                let connection = &mut self.pair.end(server).connection;
                let may_close = connection.state() == State::Open || connection.owes_answer();
                let queued = connection.queued();
                let result = connection.close(CloseCode::from(code), "why");
                assert_eq!(result.is_ok(), may_close && code != 1005);
                assert_eq!(result.is_ok(), connection.queued() > queued);
            }
            Op::Step(chunk) => {
                self.pair.chunk = chunk;
                self.pair.step();
            }
            Op::Drive => self.pair.drive(),
            Op::Pass(millis) => self.pair.pass(Duration::from_millis(millis)),
            Op::Block(to_client, block) => self.link(to_client).blocked = block,
            Op::Abort(server) => self.pair.end(server).connection.abort(),
            Op::Cut(to_client) => {
                let link = self.link(to_client);
                link.shut = true;
                link.eof_seen = true;
                self.pair.end(!to_client).connection.handle_eof();
            }
        }
        self.check();
    }

    fn link(&mut self, to_client: bool) -> &mut Link {
        if to_client { &mut self.pair.to_client } else { &mut self.pair.to_server }
    }

    fn message(&mut self, server: bool, size: usize, message: Got) {
        let connection = &mut self.pair.end(server).connection;
        let (queued, writable, state) = (connection.queued(), connection.is_writable(), connection.state());
        let result = match &message {
            Got::Text(text) => connection.send(text),
            Got::Binary(bytes) => connection.send(bytes.clone()),
            _ => Ok(()),
        };
        let after = connection.queued();
        let sent = self.sent(server);
        let expected = match () {
            () if state != State::Open => Err(SendError::Closed),
            () if sent.part.is_some() => Err(SendError::ExpectedContinuation),
            () if size > LARGEST => Err(SendError::TooBig { size: size as u64, limit: LARGEST as u64 }),
            () if !writable => Err(SendError::Backpressure { queued }),
            () => Ok(()),
        };
        assert_eq!(result, expected);
        assert_eq!(result.is_ok(), after > queued, "a refused message must queue nothing");
        if result.is_ok() {
            sent.messages.push(message);
        }
    }

    fn part(&mut self, server: bool, size: usize, finish: bool) {
        let begun = self.sent(server).part.take();
        let opcode = if begun.is_some() { Opcode::Continuation } else { Opcode::Binary };
        let frame = Frame::new(opcode, vec![3; size]).finish(finish);
        let connection = &mut self.pair.end(server).connection;
        let open = connection.state() == State::Open;
        let (room, result) = (connection.is_writable(), connection.send_frame(&frame));
        let len = begun.as_ref().map_or(0, Vec::len) + size;
        assert_eq!(result.is_ok(), open && room && len <= LARGEST);
        let sent = self.sent(server);
        if result.is_err() {
            sent.part = begun;
            return;
        }
        let whole = [begun.unwrap_or_default(), vec![3; size]].concat();
        if finish {
            sent.messages.push(Got::Binary(whole));
        } else {
            sent.part = Some(whole);
        }
    }

    /// Checks the invariants that hold at every moment.
    fn check(&mut self) {
        for server in [true, false] {
            let messages = self.received(server);
            let sent = if server { &self.client } else { &self.server };
            assert!(sent.messages.starts_with(&messages), "messages must arrive unchanged and in order");
            let end = self.pair.end(server);
            assert!(end.connection.queued() <= MARK + LARGEST + EXTRA);
            assert_eq!(end.error, None, "neither end may break the protocol");
            let closes = end.got.iter().filter(|got| matches!(got, Got::Close(..))).count();
            assert!(closes == 0 || closes == 1 && matches!(end.got.last(), Some(Got::Close(..))));
            assert_eq!(end.connection.close_info().is_none(), end.connection.state() == State::Open);
            if end.is_closed() {
                assert!(end.connection.wants_shutdown() && end.connection.poll_transmit().is_none());
                assert_eq!(end.connection.poll_timeout(), None);
            }
            let link = self.link(server);
            let closed =
                read_frames_until(&link.wire, true).iter().rev().skip(1).any(|frame| frame.first == CLOSE);
            assert!(!closed, "no frame may follow a Close");
        }
    }

    fn received(&mut self, server: bool) -> Vec<Got> {
        let got = self.pair.end(server).got.iter();
        got.filter(|got| matches!(got, Got::Text(_) | Got::Binary(_))).cloned().collect()
    }

    /// Closes one end, and checks that both ends then close in time.
    fn finish(&mut self, server: bool) {
        self.pair.to_client.blocked = false;
        self.pair.to_server.blocked = false;
        self.pair.chunk = 100;
        let _ = self.pair.end(server).connection.close(CloseCode::NORMAL, "");
        self.pair.drive();
        self.pair.pass(Duration::from_secs(60));
        self.check();
        assert!(self.pair.server.is_closed() && self.pair.client.is_closed());
        let (server, client) = (self.pair.server.ended(), self.pair.client.ended());
        if server.0 && client.0 {
            let everything = [self.client.messages.clone(), self.server.messages.clone()];
            assert_eq!([self.received(true), self.received(false)], everything);
        }
    }
}

fn config() -> Config {
    Config::new().high_water_mark(MARK).max_send_size(LARGEST as u64).close_timeout(Duration::from_secs(5))
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn two_ends_that_are_not_cut_off_lose_nothing(
        ops in prop::collection::vec(op(), 0..60), fragments in prop::option::of(SMALLEST_FRAGMENT..1000), last: bool,
    ) {
        let hour = Duration::from_secs(3600);
        let mut config = config().close_timeout(hour).message_timeout(hour);
        config.fragment_size = fragments;
        let mut model = Model::new(config);
        ops.into_iter().for_each(|op| model.run(op));
        model.finish(last);
        prop_assert!(model.pair.server.ended().0 && model.pair.client.ended().0, "both ends must be clean");
    }

    #[test]
    fn two_ends_always_close_whatever_happens_to_them(
        ops in prop::collection::vec(rough_op(), 0..60), keepalive: bool, idle: bool, answers: bool,
        last: bool,
    ) {
        let mut config = config().auto_close(answers);
        if keepalive {
            config = config.keepalive(Duration::from_secs(3), Duration::from_secs(4));
        }
        if idle {
            config = config.idle_timeout(Duration::from_secs(8));
        }
        let mut model = Model::new(config);
        ops.into_iter().for_each(|op| model.run(op));
        model.finish(last);
    }
}
