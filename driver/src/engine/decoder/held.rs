//! Messages that are unfinished, or that are kept for later.

use sockeye_core::Progress;
#[cfg(feature = "server")]
use sockeye_core::{Control, DeflatedMessage, InflatingMessage, Message, ProtocolError, RecvBuf};

use super::Decoder;
#[cfg(feature = "server")]
use super::{Decoded, SenderAccess};

/// The unfinished part of what a connection has received.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unfinished {
    /// The progress of the message that has begun.
    pub(crate) progress: Option<Progress>,
    /// The bytes that the connection holds of messages.
    #[cfg(feature = "server")]
    pub(crate) held: usize,
}

/// The result of one call of [`Decoder::decode_for_later`].
#[cfg(feature = "server")]
#[derive(Debug)]
pub(crate) enum DecodedForLater<'a> {
    Message {
        message: Message,
        compressed: bool,
    },
    /// A whole message that is still compressed, for [`Decoder::inflate_slice`].
    Deflated(DeflatedMessage),
    Control(Control<'a>),
    /// As for [`Decoded::Incomplete`].
    Incomplete,
}

#[cfg(feature = "server")]
impl<'a> From<Decoded<'a, '_>> for DecodedForLater<'a> {
    fn from(decoded: Decoded<'a, '_>) -> Self {
        match decoded {
            Decoded::Message(message) => {
                let compressed = message.is_compressed();
                DecodedForLater::Message { message: message.into_message(), compressed }
            }
            Decoded::Control(control) => DecodedForLater::Control(control),
            Decoded::Incomplete => DecodedForLater::Incomplete,
        }
    }
}

impl Decoder {
    /// Returns how far the message has come that is being received, for
    /// [`Sender::handle_progress`](sockeye_core::Sender::handle_progress).
    #[must_use]
    #[inline]
    pub fn progress(&self) -> Option<Progress> {
        self.receiver.progress()
    }

    /// Returns the unfinished part of what has been received.
    #[inline]
    pub(crate) fn unfinished(&self) -> Unfinished {
        // Between two messages, as nearly always, nothing is unfinished.
        if self.receiver.is_between_messages() {
            return Unfinished::default();
        }
        Unfinished {
            progress: self.progress(),
            #[cfg(feature = "server")]
            held: self.partial_len(),
        }
    }

    /// Decodes one step from `input` like [`decode`](Decoder::decode), for a caller that keeps the
    /// message for later. A compressed message stays compressed: inflated, it may have a thousand
    /// times the length of what the peer has sent.
    #[cfg(feature = "server")]
    pub(crate) fn decode_for_later<'a, A: SenderAccess>(
        &mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
        sender: &mut A,
    ) -> Option<DecodedForLater<'a>> {
        if self.is_inflating() {
            return Some(self.resume(sender).into());
        }
        if let Some(message) = self.decode_whole(input) {
            return Some(DecodedForLater::Message { message: message.to_message(), compressed: false });
        }
        let event = self.next_event(input, hold, sender)?;
        Some(match self.assembler.keep_deflated(event) {
            Ok(deflated) => DecodedForLater::Deflated(deflated),
            Err(event) => self.collect(event, sender).into(),
        })
    }

    /// Inflates a slice of a message that [`decode_for_later`](Decoder::decode_for_later) returned.
    /// Returns the message once it is whole. Messages must be inflated in order.
    ///
    /// # Errors
    ///
    /// Returns an error if that fails the connection.
    #[cfg(feature = "server")]
    pub(crate) fn inflate_slice<A: SenderAccess>(
        &mut self,
        message: &mut InflatingMessage,
        sender: &mut A,
    ) -> Result<Option<Message>, ProtocolError> {
        let inflated = message.inflate_slice(&mut self.receiver);
        inflated.inspect_err(|error| self.fail(*error, sender))
    }
}
