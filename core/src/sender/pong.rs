//! Pongs, of which only the latest waits while the queue is full or the peer does not read.

use alloc::boxed::Box;
use alloc::vec::Vec;

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
        if self.has_room_for_pong() {
            self.pending_pong = None;
            self.write_frame(Opcode::Pong, Flags::default(), PayloadData::Borrowed(payload));
            self.outbox.mark_end();
        } else {
            let pong = PendingPong::new(payload);
            match &mut self.pending_pong {
                Some(pending) => **pending = pong,
                pending => *pending = Some(Box::new(pong)),
            }
        }
        Ok(())
    }

    /// Limits the pongs in the queue to one, until the queue is empty. Of further pings, only the
    /// latest is answered once that pong has been written (RFC 6455 section 5.5.3).
    ///
    /// Call this before passing in input while memory is scarce. A peer that sends pings without
    /// reading then makes its connection queue next to nothing.
    #[inline]
    pub fn limit_pongs(&mut self) {
        self.limits_pongs = true;
    }

    /// Notifies the sender that the transport takes no more bytes for now, like
    /// [`Connection::handle_blocked`](crate::Connection::handle_blocked).
    pub fn handle_blocked(&mut self) -> Option<Vec<u8>> {
        self.limits_pongs |= !self.outbox.is_empty();
        self.outbox.compact()
    }

    fn has_room_for_pong(&self) -> bool {
        self.check_room().is_ok() && !(self.limits_pongs && self.outbox.is_before_mark())
    }

    /// Ends the limit once everything is written. Queues the pending pong, if any and if the queue
    /// now has room for it.
    #[inline]
    pub(super) fn update_pongs(&mut self) {
        self.limits_pongs &= !self.outbox.is_empty();
        if self.pending_pong.is_some()
            && self.has_room_for_pong()
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
