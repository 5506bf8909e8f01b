use std::time::Duration;

use sockeye_core::Config;

use super::End;
use crate::frames::{WireFrame, read_frames};

/// One direction of the transport between two ends.
#[derive(Debug, Default)]
pub struct Link {
    /// Everything ever written.
    pub wire: Vec<u8>,
    delivered: usize,
    /// Whether the writing end has closed its side.
    pub shut: bool,
    /// Whether the reading end has seen the end of the input.
    pub eof_seen: bool,
    /// Whether writes are refused for now.
    pub blocked: bool,
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
        } else if self.shut && !self.eof_seen {
            self.eof_seen = true;
            to.connection.handle_eof();
            moved = true;
        }
        moved
    }

    /// Returns the frames written so far.
    #[must_use]
    pub fn frames(&self) -> Vec<WireFrame> {
        read_frames(&self.wire)
    }
}

/// A server and a client joined in memory. Time passes only in [`Pair::pass`].
#[derive(Debug)]
pub struct Pair {
    /// The server's end.
    pub server: End,
    /// The client's end.
    pub client: End,
    /// The direction from the server to the client.
    pub to_client: Link,
    /// The direction from the client to the server.
    pub to_server: Link,
    /// The time, in nanoseconds.
    pub now: u64,
    /// The maximum number of bytes written or delivered in one step.
    pub chunk: usize,
}

impl Pair {
    /// Two open ends with the same settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Pair {
            server: End::server(config.clone()),
            client: End::client(config),
            to_client: Link::default(),
            to_server: Link::default(),
            now: 1_000,
            chunk: usize::MAX >> 1,
        }
    }

    /// Returns the server's end or the client's.
    pub fn end(&mut self, server: bool) -> &mut End {
        if server { &mut self.server } else { &mut self.client }
    }

    /// Writes and delivers until nothing moves.
    pub fn drive(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the pair never comes to rest");
    }

    /// Writes and delivers one chunk in each direction. Returns false if nothing moved.
    pub fn step(&mut self) -> bool {
        self.server.advance_to(self.now);
        self.client.advance_to(self.now);
        let there = self.to_client.step(&mut self.server, &mut self.client, self.chunk);
        let back = self.to_server.step(&mut self.client, &mut self.server, self.chunk);
        there || back
    }

    /// Lets time pass from one deadline to the next, driving the pair at each.
    pub fn pass(&mut self, time: Duration) {
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
        panic!("the deadlines never end");
    }
}
