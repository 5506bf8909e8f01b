//! The methods of a connection that only the assembler and the session use.

use super::Connection;
use crate::input::RecvBuf;
use crate::message::MessageRef;
use crate::receiver::Receiver;

impl Connection {
    pub(crate) fn receiver(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    /// Takes a message that is whole in one frame at the front of `input`, like
    /// [`Receiver::poll_message`].
    #[inline(always)]
    pub(crate) fn poll_message<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<MessageRef<'a>> {
        if self.sender.ignores_input() {
            return None;
        }
        let message = self.receiver.poll_message(input)?;
        self.sender.handle_received(0);
        Some(message)
    }

    /// Records that all input has been processed: the message timeout runs if a message has begun,
    /// and not otherwise.
    #[inline]
    pub(crate) fn handle_processed(&mut self) {
        self.sender.handle_progress(self.receiver.progress());
    }

    /// Records that bytes have arrived, although none of them has been consumed yet. The message
    /// timeout does not run until they are.
    pub(crate) fn handle_waiting(&mut self) {
        self.sender.handle_received(0);
        self.sender.handle_progress(None);
    }

    /// Queues the HTTP head that ends the opening handshake, before the first frame.
    pub(crate) fn queue_head(&mut self, head: &[u8]) {
        self.sender.queue_head(head);
    }
}
