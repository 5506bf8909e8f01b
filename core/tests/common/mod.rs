//! What the scenarios share: one end fed by hand, two ends joined in memory on a virtual clock, and frames made and
//! read bit by bit, with none of the code under test.
#![allow(dead_code, reason = "every scenario uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::{
    Assembler, Config, Connection, Event, Incoming, Instant, MaskKeys, Message, ProtocolError, RecvBuf, State,
};

/// The key that hand-made client frames are masked with.
pub(crate) const MASK_KEY: [u8; 4] = [0xa1, 0x02, 0x7f, 0xc4];

/// First bytes of frames: FIN and the opcode.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
/// The same without FIN, and the frames that go on.
pub(crate) const TEXT_START: u8 = 0x01;
pub(crate) const BINARY_START: u8 = 0x02;
pub(crate) const CONTINUATION: u8 = 0x00;
pub(crate) const LAST_CONTINUATION: u8 = 0x80;

/// The length field in its shortest form, with the mask bit if asked for.
pub(crate) fn length(len: u64, masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    match len {
        0..=125 => vec![bit | len as u8],
        126..=0xffff => [&[bit | 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[bit | 127][..], &len.to_be_bytes()].concat(),
    }
}

pub(crate) fn xor(bytes: &[u8], key: [u8; 4]) -> Vec<u8> {
    bytes.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
}

/// A header that declares `len` bytes, as a client or a server writes it.
pub(crate) fn header(to_server: bool, first: u8, len: u64) -> Vec<u8> {
    let mut bytes = [&[first][..], &length(len, to_server)].concat();
    if to_server {
        bytes.extend_from_slice(&MASK_KEY);
    }
    bytes
}

/// A frame as a client writes it (`to_server`), or a server.
pub(crate) fn frame(to_server: bool, first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = header(to_server, first, payload.len() as u64);
    bytes.extend(if to_server { xor(payload, MASK_KEY) } else { payload.to_vec() });
    bytes
}

/// The payload of a Close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// A frame found on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireFrame {
    pub(crate) first: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) payload: Vec<u8>,
}

impl WireFrame {
    pub(crate) fn close_code(&self) -> u16 {
        assert_eq!(self.first, CLOSE, "{self:02x?} is no Close");
        u16::from_be_bytes([self.payload[0], self.payload[1]])
    }
}

/// Reads the frame at the start, and says what follows it; `None` if the bytes end inside it.
fn read_frame(bytes: &[u8]) -> Option<(WireFrame, &[u8])> {
    let [first, second, ..] = *bytes else { return None };
    let (len, at) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        len => (u64::from(len), 2),
    };
    assert_eq!(bytes[1..at], length(len, second & 0x80 != 0), "a length not in its shortest form");
    let masked = second & 0x80 != 0;
    let (key, rest) = bytes[at..].split_at_checked(if masked { 4 } else { 0 })?;
    let key: Option<[u8; 4]> = key.try_into().ok();
    let (payload, rest) = rest.split_at_checked(len as usize)?;
    Some((WireFrame { first, key, payload: xor(payload, key.unwrap_or_default()) }, rest))
}

/// Reads whole frames; the bytes may end inside one if `cut` says so.
pub(crate) fn read_frames_until(mut bytes: &[u8], cut: bool) -> Vec<WireFrame> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = read_frame(bytes) {
        frames.push(frame);
        bytes = rest;
    }
    assert!(cut || bytes.is_empty(), "the wire ends inside a frame: {bytes:02x?}");
    frames
}

/// Reads whole frames and nothing else.
pub(crate) fn read_frames(bytes: &[u8]) -> Vec<WireFrame> {
    read_frames_until(bytes, false)
}

/// Mask keys that never come twice in a row: a counter, scattered.
pub(crate) fn mask_keys() -> MaskKeys {
    let mut n = 0u32;
    Box::new(move || {
        n += 1;
        (n.wrapping_mul(0x9e37_79b1) | 1).to_le_bytes()
    })
}

/// What an end was told by the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

/// One end with what collects its messages.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) connection: Connection,
    pub(crate) assembler: Assembler,
    pub(crate) got: Vec<Got>,
    pub(crate) error: Option<ProtocolError>,
}

impl End {
    pub(crate) fn server(config: Config) -> Self {
        Self::new(Connection::server(Arc::new(config)))
    }

    pub(crate) fn client(config: Config) -> Self {
        Self::new(Connection::client(Arc::new(config), mask_keys()))
    }

    /// A server or a client.
    pub(crate) fn of(server: bool, config: Config) -> Self {
        if server { Self::server(config) } else { Self::client(config) }
    }

    fn new(connection: Connection) -> Self {
        End { connection, assembler: Assembler::new(), got: Vec::new(), error: None }
    }

    /// Lends it bytes and takes every message and control frame out of them. However hostile they are, it takes no
    /// more than two steps a byte (T34), and leaves none of them (input.rs).
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let mut copy = bytes.to_vec();
        let mut input = RecvBuf::new(&mut copy);
        for _ in 0..2 * bytes.len() + 2 {
            match self.assembler.poll(&mut self.connection, &mut input) {
                Ok(Some(incoming)) => self.got.push(match incoming {
                    Incoming::Message(message) => match message.into_message() {
                        Message::Text(text) => Got::Text(text),
                        Message::Binary(bytes) => Got::Binary(bytes.to_vec()),
                    },
                    Incoming::Control(Event::Ping(payload)) => Got::Ping(payload.to_vec()),
                    Incoming::Control(Event::Pong(payload)) => Got::Pong(payload.to_vec()),
                    Incoming::Control(Event::Close(close)) => {
                        Got::Close(close.code.map(u16::from), close.reason.into_owned())
                    }
                    Incoming::Control(event) => panic!("{event:?} is no control frame"),
                }),
                Ok(None) => {
                    assert!(input.is_empty(), "{input:?} is left though nothing more came of it");
                    return Ok(());
                }
                Err(error) => {
                    self.error = Some(error);
                    return Err(error);
                }
            }
        }
        panic!("no end of events in {} bytes", bytes.len());
    }

    /// Lends it bytes in pieces of `size`.
    pub(crate) fn feed_in(&mut self, size: usize, bytes: &[u8]) -> Result<(), ProtocolError> {
        bytes.chunks(size.max(1)).try_for_each(|piece| self.feed(piece))
    }

    /// Writes at most `n` of the bytes that wait.
    pub(crate) fn write(&mut self, n: usize) -> Vec<u8> {
        let Some(transmit) = self.connection.poll_transmit() else { return Vec::new() };
        assert!(!transmit.first().is_empty(), "poll_transmit with nothing to write");
        assert_eq!(transmit.clone().slices().map(<[u8]>::len).sum::<usize>(), self.connection.queued());
        let mut bytes = Vec::new();
        for slice in transmit.slices() {
            bytes.extend_from_slice(&slice[..slice.len().min(n - bytes.len())]);
        }
        self.connection.transmitted(bytes.len());
        bytes
    }

    /// Writes all that waits: whole frames.
    pub(crate) fn frames(&mut self) -> Vec<WireFrame> {
        read_frames(&self.write(usize::MAX))
    }

    /// The first bytes of the frames that wait.
    pub(crate) fn firsts(&mut self) -> Vec<u8> {
        self.frames().iter().map(|frame| frame.first).collect()
    }

    /// Tells the time as long as it asks for it; it must be content soon.
    pub(crate) fn advance_to(&mut self, nanos: u64) {
        for _ in 0..8 {
            match self.connection.poll_timeout() {
                Some(due) if due.as_nanos() <= nanos => {
                    self.connection.handle_timeout(Instant::from_nanos(nanos));
                }
                _ => return,
            }
        }
        panic!("at {nanos} ns it asks for {:?} again and again", self.connection.poll_timeout());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.connection.state() == State::Closed
    }

    /// Whether it closed cleanly, with which code, and by whom (`true`: by this end).
    pub(crate) fn ended(&self) -> (bool, u16, bool) {
        let info = self.connection.close_info().unwrap();
        (info.clean, info.code.as_u16(), info.by == sockeye_core::Side::Local)
    }
}

/// One direction of the transport between two ends.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Everything that was ever written to it.
    pub(crate) wire: Vec<u8>,
    delivered: usize,
    /// The writing end has closed it.
    pub(crate) shut: bool,
    pub(crate) eof_told: bool,
    /// Nothing can be written.
    pub(crate) blocked: bool,
}

impl Link {
    fn step(&mut self, from: &mut End, to: &mut End, chunk: usize) -> bool {
        let mut moved = false;
        if !self.shut && !self.blocked {
            let bytes = from.write(chunk);
            moved |= !bytes.is_empty();
            self.wire.extend_from_slice(&bytes);
        }
        if !self.shut && (from.connection.wants_shutdown() || from.is_closed()) {
            self.shut = true;
            moved = true;
        }
        let end = self.wire.len().min(self.delivered + chunk);
        if end > self.delivered {
            let _ = to.feed(&self.wire[self.delivered..end]);
            self.delivered = end;
            moved = true;
        } else if self.shut && !self.eof_told {
            self.eof_told = true;
            to.connection.handle_eof();
            moved = true;
        }
        moved
    }

    /// The frames written to it so far.
    pub(crate) fn frames(&self) -> Vec<WireFrame> {
        read_frames(&self.wire)
    }
}

/// A server and a client joined in memory. Time is nanoseconds and passes only in [`Pair::pass`].
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) server: End,
    pub(crate) client: End,
    pub(crate) to_client: Link,
    pub(crate) to_server: Link,
    pub(crate) now: u64,
    /// How many bytes are written or delivered at a time.
    pub(crate) chunk: usize,
}

impl Pair {
    pub(crate) fn new(config: Config) -> Self {
        Pair {
            server: End::server(config.clone()),
            client: End::client(config),
            to_client: Link::default(),
            to_server: Link::default(),
            now: 1_000,
            chunk: usize::MAX >> 1,
        }
    }

    /// One of the ends.
    pub(crate) fn end(&mut self, server: bool) -> &mut End {
        if server { &mut self.server } else { &mut self.client }
    }

    /// Writes and delivers until nothing moves.
    pub(crate) fn drive(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the pair never comes to rest");
    }

    /// Writes and delivers one chunk each way.
    pub(crate) fn step(&mut self) -> bool {
        self.server.advance_to(self.now);
        self.client.advance_to(self.now);
        let there = self.to_client.step(&mut self.server, &mut self.client, self.chunk);
        let back = self.to_server.step(&mut self.client, &mut self.server, self.chunk);
        there || back
    }

    /// Lets time pass, from one deadline to the next, and drives at each.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.drive();
        let end = self.now.saturating_add(time.as_nanos() as u64);
        for _ in 0..100_000 {
            let timeouts = [&self.server, &self.client].map(|end| end.connection.poll_timeout());
            match timeouts.into_iter().flatten().min() {
                Some(due) if due.as_nanos() <= end => self.now = self.now.max(due.as_nanos()),
                _ => {
                    self.now = end;
                    return;
                }
            }
            self.drive();
        }
        panic!("no end of deadlines");
    }
}
