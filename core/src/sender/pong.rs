//! Pongs, of which only the latest waits while the queue is full.

use alloc::boxed::Box;

use super::Sender;
use crate::error::SendError;
use crate::frame::{Flags, MAX_CONTROL_PAYLOAD, Opcode, check_control};
use crate::message::PayloadData;

/// The payload of a pong that waits until the queue has room.
pub(super) struct PendingPong {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    len: u8,
}

impl Sender {
    /// Queues a pong, like [`Connection::pong`](crate::Connection::pong).
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is longer than 125 bytes or the connection is closing.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        check_control(payload)?;
        self.check_open()?;
        // "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to
        // previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most
        // recently processed Ping frame." (RFC 6455 5.5.3) So a peer that sends pings and does not
        // read the pongs takes no memory.
        if self.check_room().is_err() {
            self.pending_pong = Some(Box::new(PendingPong::new(payload)));
        } else {
            self.pending_pong = None;
            self.write_frame(Opcode::Pong, Flags::default(), PayloadData::Borrowed(payload));
        }
        Ok(())
    }

    /// Queues the pending pong, if any and if the queue now has room for it.
    #[inline]
    pub(super) fn queue_pending_pong(&mut self) {
        if self.pending_pong.is_some()
            && self.check_room().is_ok()
            && let Some(payload) = self.pending_pong.take()
        {
            let _ = self.pong(payload.as_bytes());
        }
    }

    /// Discards the pending pong, because nothing more can be sent.
    pub(super) fn discard_pending_pong(&mut self) {
        self.pending_pong = None;
    }
}

impl PendingPong {
    fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; MAX_CONTROL_PAYLOAD];
        let mut len = 0u8;
        for (slot, byte) in bytes.iter_mut().zip(payload) {
            *slot = *byte;
            len = len.saturating_add(1);
        }
        PendingPong { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}
