//! A message written in parts.

use std::net::TcpStream;

use sockeye_core::{Frame, MessageKind, Opcode};
use sockeye_driver::Error;

use crate::stream::Stream;
use crate::websocket::WebSocket;

/// A message that is sent frame by frame as it is made, see [`WebSocket::begin`].
///
/// Nothing but control frames can be sent until it is [finished](MessageWriter::finish); dropped before, it can be gone
/// on with through [`WebSocket::send_frame`].
#[derive(Debug)]
#[must_use = "a message ends with `finish`"]
pub struct MessageWriter<'w, S = TcpStream> {
    websocket: &'w mut WebSocket<S>,
    opcode: Opcode,
}

impl<'w, S: Stream> MessageWriter<'w, S> {
    pub(crate) fn new(websocket: &'w mut WebSocket<S>, kind: MessageKind) -> Self {
        MessageWriter { websocket, opcode: kind.opcode() }
    }

    /// Sends the next part. Text may be cut anywhere, also inside a character.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_frame`].
    pub fn write(&mut self, part: &[u8]) -> Result<(), Error> {
        self.write_frame(part, false)
    }

    /// Sends the last part, which may be empty.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_frame`].
    pub fn finish(mut self, part: &[u8]) -> Result<(), Error> {
        self.write_frame(part, true)
    }

    fn write_frame(&mut self, part: &[u8], finish: bool) -> Result<(), Error> {
        let result = self.websocket.send_frame(&Frame::new(self.opcode, part).finish(finish));
        // A frame that was refused is not begun with; behind a broken stream it does not matter.
        if !matches!(result, Err(Error::Send(_))) {
            self.opcode = Opcode::Continuation;
        }
        result
    }
}
