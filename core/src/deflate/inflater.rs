//! Inflating received messages in chunks (RFC 7692 7.2.2).

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::backend::{Available, Corrupt, CorruptAfter, Inflated};
use super::codec::Owner;
use super::history::History;
use super::params::MAX_WINDOW_BITS;
use super::{CodecPool, Context, Decompressor, Negotiated};
use crate::error::ProtocolError;

/// The size of the chunks in which inflated bytes are passed on, so that only the final recipient
/// holds a whole message. A chunk of this size is on the stack.
const CHUNK: usize = 4 << 10;

/// The size of the chunks for a payload of more than `LARGE_PAYLOAD` bytes, on the heap. A
/// decompressor is slow near the end of its output space, so it should get there rarely.
const LARGE_CHUNK: usize = 64 << 10;
const LARGE_PAYLOAD: usize = 1 << 10;

/// The receiving direction of a connection that has agreed on compression.
pub(crate) struct Inflater {
    context: Context,
    available: Available,
    /// Present while a message is inflated.
    codec: Option<Decompressor>,
    /// The window that the next message may refer to. It takes less memory than a decompressor, and
    /// priming one with it takes a fraction of the time of inflating a message.
    history: History,
    /// The number of messages inflated.
    messages_received: u64,
    /// Identifies this connection in a pooled decompressor. With context takeover, present from the
    /// first message on.
    owner: Option<Owner>,
    /// The bytes of the current message inflated so far.
    inflated: u64,
    pool: Option<Arc<dyn CodecPool>>,
}

impl Inflater {
    pub(crate) fn new(negotiated: &Negotiated) -> Self {
        let context = negotiated.peer;
        Inflater {
            context,
            available: negotiated.available,
            codec: None,
            history: History::new(if context.takeover { 1 << context.window_bits } else { 0 }),
            messages_received: 0,
            owner: None,
            inflated: 0,
            pool: super::default_pool(),
        }
    }

    pub(crate) fn set_pool(&mut self, pool: Arc<dyn CodecPool>) {
        self.pool = Some(pool);
    }

    /// Inflates the next part of a message and passes it to `sink`. The message may have `limit`
    /// bytes in total.
    pub(crate) fn push(
        &mut self,
        payload: &[u8],
        last: bool,
        limit: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        let mut codec = match self.codec.take() {
            Some(codec) => codec,
            None => self.begin_message(),
        };
        let mut result = self.inflate(&mut codec, payload, limit, sink);
        if last && result.is_ok() {
            result = codec.decoder.finish().map_err(|Corrupt| ProtocolError::InvalidDeflate);
        }
        if last || result.is_err() {
            self.end_message(codec, result.is_ok());
        } else {
            self.codec = Some(codec);
        }
        result
    }

    fn begin_message(&mut self) -> Decompressor {
        let mut codec = Decompressor::take_or_new(self.pool.as_deref(), self.available);
        // When few connections receive, the pool often returns the decompressor that this
        // connection used last. It continues without a reset.
        let continues =
            self.owner.as_ref().is_some_and(|owner| codec.continues(owner, self.messages_received));
        if !continues {
            codec.decoder.reset(self.history.as_bytes());
        }
        codec
    }

    fn end_message(&mut self, mut codec: Decompressor, is_whole: bool) {
        // Nothing after a final block may refer to bytes before it. Truncate the history, because
        // the pool may return another decompressor next time.
        if let Some(n) = codec.decoder.since_final() {
            self.history.keep(n);
        }
        self.inflated = 0;
        self.messages_received = self.messages_received.wrapping_add(1);
        // A decompressor always has the largest window. With a smaller negotiated one, continuing
        // without a reset would let the peer refer back further, depending on which decompressor
        // the pool returned.
        let is_exact = self.context.takeover && self.context.window_bits == MAX_WINDOW_BITS;
        let last_use = match is_exact && is_whole {
            true => Some((&*self.owner.get_or_insert_with(Owner::new), self.messages_received)),
            false => None,
        };
        codec.set_last_use(last_use);
        codec.give_back(self.pool.as_deref());
    }

    fn inflate(
        &mut self,
        codec: &mut Decompressor,
        mut payload: &[u8],
        limit: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        let (mut small, mut large): (_, Vec<u8>);
        let chunk: &mut [u8] = if payload.len() > LARGE_PAYLOAD {
            large = vec![0; LARGE_CHUNK];
            &mut large
        } else {
            small = [0; CHUNK];
            &mut small
        };
        loop {
            // One byte more than allowed distinguishes a message that is too big from one that just
            // fits.
            let room = limit.saturating_sub(self.inflated);
            let size = chunk.len().min(usize::try_from(room).unwrap_or(usize::MAX).saturating_add(1));
            let out = chunk.get_mut(..size).unwrap_or_default();
            let inflated = codec.decoder.inflate(payload, out);
            let (Ok(Inflated { written, .. }) | Err(CorruptAfter(written))) = inflated;
            // Pass on the output before the fault first: it may contain an earlier fault, such as
            // bad UTF-8.
            let out = out.get(..written.min(usize::try_from(room).unwrap_or(usize::MAX))).unwrap_or_default();
            self.inflated = self.inflated.saturating_add(out.len() as u64);
            self.history.push(out);
            sink(out)?;
            if written > out.len() {
                return Err(ProtocolError::MessageTooBig { limit });
            }
            let Inflated { read, .. } = inflated.map_err(|_| ProtocolError::InvalidDeflate)?;
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
