//! A message written in parts.

use sockeye_core::{Frame, MessageKind, Opcode};

use crate::error::Error;
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

/// A message that is sent frame by frame as it is made, see [`WebSocket::begin`].
///
/// Nothing but control frames can be sent until it is [finished](MessageWriter::finish); dropped before, it can be gone
/// on with through [`WebSocket::send_frame`].
#[derive(Debug)]
#[must_use = "a message ends with `finish`"]
pub struct MessageWriter<'w, I, C> {
    websocket: &'w mut WebSocket<I, C>,
    opcode: Opcode,
}

impl<'w, I: Io, C: Clock> MessageWriter<'w, I, C> {
    pub(crate) fn new(websocket: &'w mut WebSocket<I, C>, kind: MessageKind) -> Self {
        MessageWriter { websocket, opcode: kind.opcode() }
    }

    /// Sends the next part. Text may be cut anywhere, also inside a character.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_frame`].
    ///
    /// # Cancel safety
    ///
    /// The part is queued whole or not at all. Dropped while it waits for room, it has not been queued.
    pub async fn write(&mut self, part: &[u8]) -> Result<(), Error> {
        self.write_frame(part, false).await
    }

    /// Sends the last part, which may be empty.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_frame`].
    ///
    /// # Cancel safety
    ///
    /// As [`write`](MessageWriter::write).
    pub async fn finish(mut self, part: &[u8]) -> Result<(), Error> {
        self.write_frame(part, true).await
    }

    async fn write_frame(&mut self, part: &[u8], finish: bool) -> Result<(), Error> {
        std::future::poll_fn(|cx| self.websocket.poll_ready(cx)).await?;
        let frame = Frame::new(self.opcode, part).finish(finish);
        self.websocket.queue_frame(&frame)?;
        self.opcode = Opcode::Continuation;
        self.websocket.flush().await
    }
}
