//! A message that is sent in parts.

use std::net::TcpStream;

use sockeye_core::{Frame, MessageKind, Opcode};
use sockeye_driver::Error;

use crate::link::OwnedLink;
use crate::stream::Stream;

/// A message that is sent frame by frame while it is produced, see
/// [`WebSocket::begin`](crate::WebSocket::begin).
///
/// Until it is [finished](MessageWriter::finish), only control frames can be sent. If it is dropped
/// unfinished, the message can be continued with
/// [`WebSocket::send_frame`](crate::WebSocket::send_frame).
#[derive(Debug)]
#[must_use = "a message ends with `finish`"]
pub struct MessageWriter<'w, S = TcpStream> {
    link: &'w mut OwnedLink<S>,
    opcode: Opcode,
}

impl<'w, S: Stream> MessageWriter<'w, S> {
    pub(crate) fn new(link: &'w mut OwnedLink<S>, kind: MessageKind) -> Self {
        MessageWriter { link, opcode: kind.opcode() }
    }

    /// Sends the next part. Text may be cut anywhere, even inside a character.
    ///
    /// # Errors
    ///
    /// Returns an error if the frame cannot be sent, like
    /// [`WebSocket::send_frame`](crate::WebSocket::send_frame).
    pub fn write(&mut self, part: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write_frame(part.as_ref(), false)
    }

    /// Ends the message, with an empty frame. If you know which part is the last one,
    /// [`finish_with`](MessageWriter::finish_with) saves that frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the frame cannot be sent, like
    /// [`WebSocket::send_frame`](crate::WebSocket::send_frame).
    pub fn finish(self) -> Result<(), Error> {
        self.finish_with(b"")
    }

    /// Sends the last part, and ends the message with it.
    ///
    /// # Errors
    ///
    /// Returns an error if the frame cannot be sent, like
    /// [`WebSocket::send_frame`](crate::WebSocket::send_frame).
    pub fn finish_with(mut self, part: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write_frame(part.as_ref(), true)
    }

    fn write_frame(&mut self, part: &[u8], finish: bool) -> Result<(), Error> {
        let frame = Frame::new(self.opcode, part).finish(finish);
        let result = self.link.send_frame((&frame).into());
        // A refused frame does not begin the message. After a transport error the opcode no longer
        // matters.
        if !matches!(result, Err(Error::Send(_))) {
            self.opcode = Opcode::Continuation;
        }
        result
    }
}
