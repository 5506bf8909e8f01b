//! Inflating compressed payloads, whole or a slice at a time.

use super::{Receiver, Step};
use crate::error::ProtocolError;

impl Receiver {
    /// Inflates a compressed payload, like [`Connection::inflate`](crate::Connection::inflate). The
    /// caller must pass an error to [`Sender::fail`](crate::Sender::fail).
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not a deflate stream or inflate to more than
    /// [`Config::max_message_size`](crate::Config::max_message_size), and passes on an error of
    /// `sink`.
    pub fn inflate(
        &mut self,
        payload: &[u8],
        last: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        // Without negotiated compression no payload is compressed.
        let Some(inflater) = &mut self.inflater else { return sink(payload) };
        let inflated = inflater.push(payload, last, self.config.max_message_size, &mut sink);
        inflated.inspect_err(|error| self.fail(*error))
    }

    /// Inflates a slice of a compressed payload, like [`inflate`](Receiver::inflate), and keeps the
    /// rest. Returns true if there is no rest.
    ///
    /// A payload of a few kilobytes can inflate to megabytes. A caller that must do something else
    /// soon inflates a slice at a time: about 256 KiB of output, or less if the payload is
    /// expensive. While [`is_inflating`](Receiver::is_inflating) returns true, the caller must call
    /// [`inflate_rest`](Receiver::inflate_rest), and no event is taken from the input.
    ///
    /// # Errors
    ///
    /// Returns an error in the same cases as [`inflate`](Receiver::inflate).
    pub fn inflate_slice(
        &mut self,
        payload: &[u8],
        last: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<bool, ProtocolError> {
        // Without negotiated compression no payload is compressed.
        let Some(inflater) = &mut self.inflater else { return sink(payload).map(|()| true) };
        let inflated = inflater.push_slice(payload, last, self.config.max_message_size, &mut sink);
        self.after_slice(inflated)
    }

    /// Inflates the next slice of the rest that [`inflate_slice`](Receiver::inflate_slice) has kept.
    /// Returns true if there is no rest any more.
    ///
    /// # Errors
    ///
    /// Returns an error in the same cases as [`inflate`](Receiver::inflate).
    pub fn inflate_rest(
        &mut self,
        mut sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<bool, ProtocolError> {
        let Some(inflater) = self.inflater.as_mut().filter(|_| matches!(self.step, Step::Inflate)) else {
            return Ok(true);
        };
        let inflated = inflater.push_rest(self.config.max_message_size, &mut sink);
        self.after_slice(inflated)
    }

    /// Inflates a slice of a whole message that the caller keeps. Returns how many bytes of
    /// `payload` it took, or `None` if the message has no rest.
    ///
    /// Unlike [`inflate_slice`](Receiver::inflate_slice), it does not concern the frame that is
    /// being read. It also works after the connection has failed, because the peer may break the
    /// protocol after the message.
    pub(crate) fn inflate_kept(
        &mut self,
        payload: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<Option<usize>, ProtocolError> {
        // Without negotiated compression no payload is compressed.
        let Some(inflater) = &mut self.inflater else { return sink(payload).map(|()| None) };
        let inflated = inflater.inflate_slice(payload, true, self.config.max_message_size, &mut sink);
        inflated.inspect_err(|error| self.fail(*error))
    }

    fn after_slice(&mut self, inflated: Result<bool, ProtocolError>) -> Result<bool, ProtocolError> {
        match inflated {
            Ok(false) => self.step = Step::Inflate,
            Ok(true) if matches!(self.step, Step::Inflate) => {
                self.step = if self.frame.remaining == 0 { Step::Header } else { Step::Data };
            }
            Ok(true) => {}
            Err(error) => self.fail(error),
        }
        inflated
    }

    /// Returns whether a rest of a compressed payload must be inflated before the next event. See
    /// [`inflate_slice`](Receiver::inflate_slice).
    #[must_use]
    #[inline]
    pub fn is_inflating(&self) -> bool {
        matches!(self.step, Step::Inflate)
    }

    /// Returns whether the rest that is inflated is the end of its message.
    #[must_use]
    pub fn is_inflating_end(&self) -> bool {
        self.is_inflating() && self.message.is_none()
    }

    /// Returns how many bytes of a compressed payload have arrived and were not inflated.
    #[must_use]
    pub fn uninflated_len(&self) -> usize {
        if self.is_inflating() { self.inflater.as_ref().map_or(0, |inflater| inflater.rest_len()) } else { 0 }
    }

    /// Returns how many bytes were inflated since the previous call, for callers that bound the work
    /// they do at a time.
    pub fn take_inflated(&mut self) -> u64 {
        self.inflater.as_mut().map_or(0, |inflater| inflater.take_output())
    }

    /// Returns whether the peer may send compressed messages.
    #[must_use]
    pub fn inflates(&self) -> bool {
        self.inflater.is_some()
    }
}
