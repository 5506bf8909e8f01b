use std::sync::Arc;

use sockeye_core::{
    Assembler, Config, Connection, Control, Incoming, Instant, Message, ProtocolError, RecvBuf, Side, State,
};

use crate::frames::{WireFrame, mask_keys, read_frames};

/// A message or control frame that an end received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping and its payload.
    Ping(Vec<u8>),
    /// A pong and its payload.
    Pong(Vec<u8>),
    /// A Close: its code, if it has one, and its reason.
    Close(Option<u16>, String),
}

/// One end of a connection. It collects what it receives.
#[derive(Debug)]
pub struct End {
    /// The connection under test.
    pub connection: Connection,
    /// Joins the fragments that the connection receives.
    pub assembler: Assembler,
    /// Everything received so far.
    pub got: Vec<Got>,
    /// The last fault of the peer.
    pub error: Option<ProtocolError>,
}

impl End {
    /// An open server.
    #[must_use]
    pub fn server(config: Config) -> Self {
        Self::new(Connection::server(Arc::new(config)))
    }

    /// An open client.
    #[must_use]
    pub fn client(config: Config) -> Self {
        Self::new(Connection::client(Arc::new(config), mask_keys()))
    }

    /// An open server or client.
    #[must_use]
    pub fn of(server: bool, config: Config) -> Self {
        if server { Self::server(config) } else { Self::client(config) }
    }

    fn new(connection: Connection) -> Self {
        End { connection, assembler: Assembler::new(), got: Vec::new(), error: None }
    }

    /// Feeds `bytes` to the connection and collects every message and control frame.
    ///
    /// # Panics
    ///
    /// Panics if hostile bytes cost more than two steps each (T34), or if bytes are left over
    /// although the connection has nothing more to report.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let mut copy = bytes.to_vec();
        let mut input = RecvBuf::new(&mut copy);
        for _ in 0..2 * bytes.len() + 2 {
            match self.assembler.poll(&mut self.connection, &mut input) {
                Ok(Some(incoming)) => self.got.push(match incoming {
                    Incoming::Message(message) => match message.into_message() {
                        Message::Text(text) => Got::Text(text.into()),
                        Message::Binary(bytes) => Got::Binary(bytes.to_vec()),
                    },
                    Incoming::Control(Control::Ping(payload)) => Got::Ping(payload.to_vec()),
                    Incoming::Control(Control::Pong(payload)) => Got::Pong(payload.to_vec()),
                    Incoming::Control(Control::Close(close)) => {
                        Got::Close(close.code.map(u16::from), close.reason.into_owned())
                    }
                }),
                Ok(None) => {
                    assert!(input.is_empty(), "the connection left {input:?} in the input");
                    return Ok(());
                }
                Err(error) => {
                    self.error = Some(error);
                    return Err(error);
                }
            }
        }
        panic!("{} bytes caused too many events", bytes.len());
    }

    /// Feeds `bytes` in pieces of `size`.
    pub fn feed_in(&mut self, size: usize, bytes: &[u8]) -> Result<(), ProtocolError> {
        bytes.chunks(size.max(1)).try_for_each(|piece| self.feed(piece))
    }

    /// Writes at most `n` of the queued bytes and returns them.
    pub fn write(&mut self, n: usize) -> Vec<u8> {
        let Some(transmit) = self.connection.poll_transmit() else { return Vec::new() };
        assert!(!transmit.first().is_empty(), "poll_transmit returned nothing to write");
        assert_eq!(transmit.clone().slices().map(<[u8]>::len).sum::<usize>(), self.connection.queued());
        let mut bytes = Vec::new();
        for slice in transmit.slices() {
            bytes.extend_from_slice(&slice[..slice.len().min(n - bytes.len())]);
        }
        self.connection.transmitted(bytes.len());
        bytes
    }

    /// Writes everything queued and returns it as frames.
    pub fn frames(&mut self) -> Vec<WireFrame> {
        read_frames(&self.write(usize::MAX))
    }

    /// Writes everything queued and returns the first byte of each frame.
    pub fn firsts(&mut self) -> Vec<u8> {
        self.frames().iter().map(|frame| frame.first).collect()
    }

    /// Sets the time of this end: calls `handle_timeout` until no deadline has passed.
    ///
    /// # Panics
    ///
    /// Panics if the connection keeps asking for the same time.
    pub fn advance_to(&mut self, nanos: u64) {
        for _ in 0..8 {
            match self.connection.poll_timeout() {
                Some(due) if due.as_nanos() <= nanos => {
                    self.connection.handle_timeout(Instant::from_nanos(nanos));
                }
                _ => return,
            }
        }
        panic!("at {nanos} ns the deadline is still {:?}", self.connection.poll_timeout());
    }

    /// Whether the connection is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.state() == State::Closed
    }

    /// Returns how the connection ended: whether cleanly, with which code, and whether this end
    /// closed it.
    ///
    /// # Panics
    ///
    /// Panics if the connection is open.
    #[must_use]
    pub fn ended(&self) -> (bool, u16, bool) {
        let info = self.connection.close_info().unwrap();
        (info.clean, info.code.as_u16(), info.by == Side::Local)
    }
}
