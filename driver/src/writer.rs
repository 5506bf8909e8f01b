//! Sending a message in parts.

use sockeye_core::{Frame, MessageKind, Opcode};

use crate::error::Error;
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

/// A message that is sent in parts, one frame each, created by [`WebSocket::begin`].
///
/// Until it is [finished](MessageWriter::finish), only control frames can be sent in between. If it
/// is dropped unfinished, [`WebSocket::send_frame`] can continue the message.
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

    /// Sends the next part. Text may be cut anywhere, even inside a character.
    ///
    /// # Errors
    ///
    /// Returns an error if the part may not be sent or the transport broke, like
    /// [`WebSocket::send_frame`].
    ///
    /// # Cancel safety
    ///
    /// The part is queued whole or not at all. While the call waits for room, it is not queued.
    pub async fn write(&mut self, part: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write_frame(part.as_ref(), false).await
    }

    /// Ends the message, with an empty frame. If you know which part is the last one,
    /// [`finish_with`](MessageWriter::finish_with) saves that frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the frame may not be sent or the transport broke, like
    /// [`WebSocket::send_frame`].
    ///
    /// # Cancel safety
    ///
    /// The frame is queued whole or not at all, like in [`write`](MessageWriter::write).
    pub async fn finish(self) -> Result<(), Error> {
        self.finish_with(b"").await
    }

    /// Sends the last part, and ends the message with it.
    ///
    /// # Errors
    ///
    /// Returns an error if the part may not be sent or the transport broke, like
    /// [`WebSocket::send_frame`].
    ///
    /// # Cancel safety
    ///
    /// The part is queued whole or not at all, like in [`write`](MessageWriter::write).
    pub async fn finish_with(mut self, part: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write_frame(part.as_ref(), true).await
    }

    async fn write_frame(&mut self, part: &[u8], finish: bool) -> Result<(), Error> {
        std::future::poll_fn(|cx| self.websocket.poll_ready(cx)).await?;
        let frame = Frame::new(self.opcode, part).finish(finish);
        self.websocket.queue_frame(&frame)?;
        self.opcode = Opcode::Continuation;
        self.websocket.flush().await
    }
}
