//! Compression of a connection (RFC 7692).

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::Connection;
use crate::deflate::{CodecPool, Deflater, Inflater, Negotiated};
use crate::error::ProtocolError;

impl Connection {
    /// Enables compression as negotiated. Call this before the first message, and only after an
    /// opening handshake by another library that used the functions of [`deflate`](crate::deflate):
    /// the [`handshake`](crate::handshake) of this crate enables compression itself.
    ///
    /// Without [`Config::deflate`](crate::Config::deflate) this does nothing.
    pub fn enable_deflate(&mut self, negotiated: &Negotiated) {
        if let Some(deflate) = self.sender.deflate_settings() {
            self.receiver.set_inflater(Some(Box::new(Inflater::new(negotiated))));
            let deflater = Deflater::new(negotiated, deflate);
            self.sender.set_deflater(Some(Box::new(deflater)));
        }
    }

    /// Sets the pool that compressors and decompressors come from. With the feature `std` the
    /// default is [`codec_pool`](crate::deflate::codec_pool); without it, the default is none, and
    /// each message creates its own.
    pub fn set_codec_pool(&mut self, pool: &Arc<dyn CodecPool>) {
        if let Some(inflater) = self.receiver.inflater() {
            inflater.set_pool(Arc::clone(pool));
        }
        if let Some(deflater) = self.sender.deflater() {
            deflater.set_pool(Arc::clone(pool));
        }
    }

    /// Returns the negotiated compression, if any (RFC 7692).
    #[must_use]
    pub fn deflate(&self) -> Option<Negotiated> {
        self.sender.deflate()
    }

    /// Inflates the payload of a compressed [`Event::Data`](crate::Event::Data) and passes it to
    /// `sink` in chunks of at most 64 KiB. `last` is the field of the event.
    ///
    /// Pass in every payload of a compressed message, in order: inflating the next one requires the
    /// bytes before it. An [`Assembler`](crate::Assembler) does this itself.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not a deflate stream or inflate to more than
    /// [`Config::max_message_size`](crate::Config::max_message_size), and passes on an error of
    /// `sink`. The connection has then failed with that error.
    pub fn inflate(
        &mut self,
        payload: &[u8],
        last: bool,
        sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        self.receiver.inflate(payload, last, sink).inspect_err(|error| self.sender.fail(error))
    }
}
