//! What comes compressed, chunk by chunk (RFC 7692 7.2.2).

use alloc::sync::Arc;
use core::fmt;

use super::backend::{Available, Corrupt, Inflated};
use super::history::History;
use super::{CodecPool, Context, Decompressor, Negotiated};
use crate::error::ProtocolError;

/// Inflated bytes are handed on in chunks of at most this size: a message never lies anywhere whole but where it is wanted.
const CHUNK: usize = 4 << 10;

/// Up to this window the plaintext is kept instead of the decompressor, which takes more memory than that by itself; above, giving
/// all of the window back to a decompressor with each message would take longer than a small message does.
const MAX_HISTORY_BITS: u8 = 12;

/// The receiving direction of a connection that has agreed on compression.
pub(crate) struct Inflater {
    context: Context,
    available: Available,
    /// While a message is inflated; from the first message on where it is kept.
    codec: Option<Decompressor>,
    history: History,
    /// Bytes of the message so far.
    inflated: u64,
    pool: Option<Arc<dyn CodecPool>>,
}

impl Inflater {
    pub(crate) fn new(negotiated: &Negotiated) -> Self {
        let context = negotiated.peer;
        let is_kept = context.takeover && context.window_bits <= MAX_HISTORY_BITS;
        Inflater {
            context,
            available: negotiated.available,
            codec: None,
            history: History::new(if is_kept { 1 << context.window_bits } else { 0 }),
            inflated: 0,
            pool: None,
        }
    }

    pub(crate) fn set_pool(&mut self, pool: Arc<dyn CodecPool>) {
        self.pool = Some(pool);
    }

    /// Inflates the next stretch of a message, which may have `limit` bytes in all.
    pub(crate) fn push(
        &mut self,
        payload: &[u8],
        last: bool,
        limit: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        let mut codec = self.codec.take().unwrap_or_else(|| self.begin());
        let mut result = self.inflate(&mut codec, payload, limit, sink);
        if last && result.is_ok() {
            result = codec.decoder.finish().map_err(|Corrupt| ProtocolError::InvalidDeflate);
        }
        if result.is_ok() && (!last || self.keeps_codec()) {
            self.codec = Some(codec);
        } else {
            codec.give(self.pool.as_deref());
        }
        if last {
            self.inflated = 0;
        }
        result
    }

    fn keeps_codec(&self) -> bool {
        self.context.takeover && self.context.window_bits > MAX_HISTORY_BITS
    }

    fn begin(&self) -> Decompressor {
        let mut codec = Decompressor::take(self.pool.as_deref(), self.available);
        codec.decoder.reset(self.history.as_bytes());
        codec
    }

    fn inflate(
        &mut self,
        codec: &mut Decompressor,
        mut payload: &[u8],
        limit: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        let mut chunk = [0; CHUNK];
        loop {
            // One byte more than allowed tells a message that is too big from one that just fits.
            let room = limit.saturating_sub(self.inflated);
            let size = CHUNK.min(usize::try_from(room).unwrap_or(CHUNK).saturating_add(1));
            let out = chunk.get_mut(..size).unwrap_or_default();
            let inflated = codec.decoder.inflate(payload, out);
            let Inflated { read, written } = inflated.map_err(|Corrupt| ProtocolError::InvalidDeflate)?;
            if written as u64 > room {
                return Err(ProtocolError::MessageTooBig { limit });
            }
            self.inflated = self.inflated.saturating_add(written as u64);
            let out = out.get(..written).unwrap_or_default();
            self.history.push(out);
            sink(out)?;
            if written < size {
                return Ok(());
            }
            payload = payload.get(read..).unwrap_or_default();
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("context", &self.context).finish_non_exhaustive()
    }
}
