//! A healthy peer: it receives what is said to all, and hears its own messages again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::peer::{BINARY, PATIENCE, Peer, TEXT, dial};

/// The time between two messages of one peer.
const PAUSE: Duration = Duration::from_secs(10);

/// The messages to all peers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said {
    /// The number of messages, once it is over.
    pub(super) messages: u64,
    pub(super) is_over: bool,
}

#[derive(Debug)]
pub(super) struct Talker {
    peer: Peer,
    /// The number of the next message to all.
    next: u64,
    sent: u64,
    echoed: u64,
    speaks_at: Instant,
}

impl Talker {
    pub(super) async fn open(to: SocketAddr, n: usize) -> io::Result<Self> {
        let peer = Peer::open_on(dial(to, n, None).await?, "/wait").await?;
        let speaks_at = Instant::now() + PAUSE * (n % 997) as u32 / 997;
        Ok(Talker { peer, next: 0, sent: 0, echoed: 0, speaks_at })
    }

    /// Talks until it is over and everything has arrived. Returns the number of echoes.
    pub(super) async fn talk(mut self, said: watch::Receiver<Said>) -> io::Result<u64> {
        let mut over_at = None;
        loop {
            let Said { messages, is_over } = *said.borrow();
            let now = Instant::now();
            if is_over {
                let over_at = *over_at.get_or_insert(now);
                if self.next == messages && self.echoed == self.sent {
                    return Ok(self.echoed);
                }
                if now - over_at > PATIENCE {
                    return Err(io::Error::other(format!("{} messages, {messages} said", self.next)));
                }
            } else if now >= self.speaks_at {
                self.peer.send(TEXT, self.sent.to_string().as_bytes()).await?;
                self.sent += 1;
                self.speaks_at += PAUSE;
            }
            let until = if is_over { now + PATIENCE } else { self.speaks_at.min(now + PAUSE / 10) };
            if let Some(frame) = self.peer.recv_until(until).await? {
                self.take(frame.opcode, &frame.data)?;
            }
        }
    }

    fn take(&mut self, opcode: u8, data: &[u8]) -> io::Result<()> {
        let (number, expected) = match opcode {
            TEXT => (str::from_utf8(data).ok().and_then(|text| text.parse().ok()), &mut self.echoed),
            BINARY => (data.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)), &mut self.next),
            _ => return Err(io::Error::other(format!("opcode {opcode}: {data:?}"))),
        };
        if number != Some(*expected) {
            return Err(io::Error::other(format!("expected {expected}, got {number:?} (opcode {opcode})")));
        }
        *expected += 1;
        Ok(())
    }
}
