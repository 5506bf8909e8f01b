//! Two ends and the bytes between them.

use std::collections::VecDeque;
use std::sync::Arc;

use sockeye_core::{
    Assembler, CloseCode, Config, Connection, Incoming, Instant, MessageKind, Opcode, RecvBuf, Role,
    SendError, State,
};
use sockeye_testkit::frames::mask_keys;

use crate::wire::{self, OwnedMessage};

/// One end, the bytes it has written, and the messages it has sent and received.
pub(crate) struct End {
    pub(crate) connection: Connection,
    assembler: Assembler,
    config: Arc<Config>,
    /// Written, but not yet read by the other end.
    pub(crate) wire: VecDeque<u8>,
    /// Everything ever written.
    written: Vec<u8>,
    /// The messages accepted by a send, in order.
    sent: Vec<OwnedMessage>,
    partial: Option<OwnedMessage>,
    received: Vec<OwnedMessage>,
    /// Messages sent from now on need not arrive.
    pub(crate) cut_off: bool,
    /// The bytes it reads differ from the bytes that the other end wrote.
    pub(crate) tampered: bool,
    eof: bool,
    state: State,
}

fn rank(state: State) -> u8 {
    match state {
        State::Open => 0,
        State::Closing => 1,
        State::Closed => 2,
    }
}

impl End {
    fn new(role: Role, config: &Arc<Config>) -> Self {
        let connection = match role {
            Role::Server => Connection::server(config.clone()),
            Role::Client => Connection::client(config.clone(), mask_keys()),
        };
        End {
            connection,
            assembler: Assembler::new(),
            config: config.clone(),
            wire: VecDeque::new(),
            written: Vec::new(),
            sent: Vec::new(),
            partial: None,
            received: Vec::new(),
            cut_off: false,
            tampered: false,
            eof: false,
            state: State::Open,
        }
    }

    /// Records a send. Checks that an accepted one was allowed.
    pub(crate) fn record_send(&mut self, result: Result<(), SendError>, kind: MessageKind, payload: &[u8]) {
        if result.is_ok() {
            assert!(self.partial.is_none() && rank(self.state) < 2);
            self.sent.push((kind, payload.to_vec()));
        }
    }

    /// Records a single frame in the same way.
    pub(crate) fn record_frame(
        &mut self,
        result: Result<(), SendError>,
        opcode: Opcode,
        part: &[u8],
        finish: bool,
    ) {
        if result.is_err() || opcode.is_control() {
            return;
        }
        match opcode {
            Opcode::Continuation => {
                self.partial.as_mut().expect("a message has begun").1.extend_from_slice(part)
            }
            Opcode::Text => self.partial = Some((MessageKind::Text, part.to_vec())),
            _ => self.partial = Some((MessageKind::Binary, part.to_vec())),
        }
        if finish {
            self.sent.extend(self.partial.take());
        }
    }

    /// Writes up to `n` bytes, from the first slice or from all.
    pub(crate) fn transmit(&mut self, n: usize, vectored: bool) -> bool {
        let Some(transmit) = self.connection.poll_transmit() else { return false };
        assert!(!transmit.first().is_empty(), "nothing to write");
        let bytes: Vec<u8> = match vectored {
            true => transmit.slices().flatten().copied().take(n).collect(),
            false => transmit.first().iter().copied().take(n).collect(),
        };
        let queued = self.connection.queued();
        self.connection.transmitted(bytes.len());
        // A pong that waited for room may have been queued.
        assert!(self.connection.queued() + bytes.len() >= queued);
        self.wire.extend(&bytes);
        self.written.extend_from_slice(&bytes);
        !bytes.is_empty()
    }

    /// Reads up to `n` bytes of what the other end has written.
    pub(crate) fn deliver(&mut self, from: &mut VecDeque<u8>, n: usize) -> bool {
        let mut bytes: Vec<u8> = from.drain(..n.min(from.len())).collect();
        if self.eof || bytes.is_empty() {
            return false;
        }
        let mut input = RecvBuf::new(&mut bytes);
        let mut steps = input.remaining().len() + 1;
        loop {
            match self.assembler.poll(&mut self.connection, &mut input) {
                Ok(Some(Incoming::Message(message))) => {
                    let message = message.as_ref();
                    self.received.push((message.kind(), message.as_bytes().to_vec()));
                }
                Ok(Some(Incoming::Control(_))) => {}
                Ok(None) => break,
                // After a fault, polling discards the rest of the input.
                Err(_) if input.is_empty() => break,
                Err(_) => {}
            }
            steps -= 1;
            assert!(steps > 0, "an event took no byte");
        }
        assert!(input.is_empty(), "input is left");
        true
    }

    pub(crate) fn eof(&mut self) {
        self.eof = true;
        self.connection.handle_eof();
    }

    pub(crate) fn has_seen_eof(&self) -> bool {
        self.eof
    }

    /// Handles all deadlines that are due. The connection must not ask for the time again and
    /// again.
    pub(crate) fn handle_time(&mut self, now: Instant) {
        let before = self.connection.state();
        for _ in 0..8 {
            match self.connection.poll_timeout() {
                Some(deadline) if deadline <= now => self.connection.handle_timeout(now),
                _ => {
                    // A missed deadline ends the connection, so messages may be lost.
                    let info = self.connection.close_info();
                    self.cut_off |= info.is_some_and(|info| info.code == CloseCode::POLICY_VIOLATION);
                    self.cut_off |= before != State::Closed && self.connection.state() == State::Closed;
                    return;
                }
            }
        }
        panic!("the deadline stays in the past: {:?}", self.connection);
    }

    /// Checks the invariants.
    pub(crate) fn check(&mut self) {
        let state = self.connection.state();
        assert!(rank(state) >= rank(self.state), "{state:?} does not follow {:?}", self.state);
        self.state = state;
        assert_eq!(state == State::Open, self.connection.close_info().is_none());
        if state == State::Closed {
            assert_eq!(self.connection.poll_timeout(), None, "a closed connection has a deadline");
            assert_eq!(self.connection.send("late"), Err(SendError::Closed));
            assert_eq!(self.connection.ping(b""), Err(SendError::Closed));
        }
        let queued = self.connection.queued();
        let waiting = self.connection.poll_transmit().map_or(0, |t| t.slices().map(<[u8]>::len).sum());
        assert_eq!(queued, waiting);
        assert_eq!(self.connection.poll_transmit().is_some(), queued > 0);
        assert!(queued <= self.max_queued(), "{queued} bytes are queued");
    }

    /// Returns the sum of the mark, the most that one send may add above it, and a Close.
    fn max_queued(&self) -> usize {
        let config = &self.config;
        let message = (config.max_send_size as usize).max(125);
        let frames = message.div_ceil(config.fragment_size.unwrap_or(message).max(1)).max(1);
        config.high_water_mark.max(1) + message + frames * 14 + 125 + 14
    }
}

/// A server and a client.
pub(crate) struct Pair {
    /// The server first.
    pub(crate) ends: [End; 2],
    pub(crate) now: Instant,
}

impl Pair {
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let ends = [Role::Server, Role::Client].map(|role| End::new(role, &config));
        Pair { ends, now: Instant::from_nanos(1) }
    }

    /// Returns one end and the other.
    pub(crate) fn ends(&mut self, which: usize) -> (&mut End, &mut End) {
        let [server, client] = &mut self.ends;
        if which == 0 { (server, client) } else { (client, server) }
    }

    /// Runs both ends over a working transport until nothing changes any more. Everything written
    /// arrives, and each end that wants to shut down the transport does so.
    pub(crate) fn run_until_idle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for which in [0, 1] {
                let now = self.now;
                let (end, other) = self.ends(which);
                end.handle_time(now);
                while end.transmit(usize::MAX, true) {
                    moved = true;
                }
                moved |= other.deliver(&mut end.wire, usize::MAX);
                let over = end.connection.wants_shutdown() || end.connection.state() == State::Closed;
                if over && end.wire.is_empty() && !other.has_seen_eof() {
                    other.eof();
                    moved = true;
                }
                end.check();
                other.check();
            }
            if !moved {
                return;
            }
        }
        panic!("the ends do not come to rest: {:?} {:?}", self.ends[0].connection, self.ends[1].connection);
    }

    /// Checks at the end that every message sent was received, in order, unless the transport
    /// interfered.
    pub(crate) fn check_delivery(&self) {
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to) = (&self.ends[from], &self.ends[to]);
            let written = wire::check(from.connection.role(), &from.written);
            assert!(from.sent.starts_with(&written), "the written messages are those that were sent");
            if to.tampered {
                continue;
            }
            assert!(from.sent.starts_with(&to.received), "the received messages are those that were sent");
            if !from.cut_off && !to.cut_off {
                assert_eq!(from.sent.len(), to.received.len(), "every message arrives");
            }
        }
    }
}
