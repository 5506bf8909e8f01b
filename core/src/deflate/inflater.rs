//! Inflating received messages in chunks (RFC 7692 7.2.2).

use alloc::boxed::Box;
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

/// A slice inflates to this many bytes, and up to a chunk more. Inflating them takes about as long
/// as inflating [`SLICE_INPUT`] bytes of ordinary data.
const SLICE_OUTPUT: u64 = 256 << 10;

/// A slice takes at most this many bytes of the payload. A peer can make each of them expensive
/// without any output, because a block of a few bytes may define new codes.
const SLICE_INPUT: usize = 8 << 10;

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
    /// The bytes inflated since the latest [`take_output`](Inflater::take_output).
    output: u64,
    /// The rest of a payload of which a slice was inflated.
    rest: Option<Box<Rest>>,
    pool: Option<Arc<dyn CodecPool>>,
}

/// The rest of a payload, which has arrived and was not inflated.
struct Rest {
    bytes: Vec<u8>,
    /// The part before this was inflated.
    start: usize,
    /// The payload is the last one of its message.
    last: bool,
}

type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), ProtocolError>;

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
            output: 0,
            rest: None,
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
        sink: Sink<'_>,
    ) -> Result<(), ProtocolError> {
        self.inflate_up_to(u64::MAX, payload, last, limit, sink).map(|_| ())
    }

    /// Inflates a slice of the next part of a message, like [`push`](Inflater::push). Keeps the rest
    /// for [`push_rest`](Inflater::push_rest). Returns true if there is no rest.
    pub(crate) fn push_slice(
        &mut self,
        payload: &[u8],
        last: bool,
        limit: u64,
        sink: Sink<'_>,
    ) -> Result<bool, ProtocolError> {
        let used = self.inflate_slice(payload, last, limit, sink)?;
        let Some(used) = used else { return Ok(true) };
        let bytes = payload.get(used..).unwrap_or_default().to_vec();
        self.rest = Some(Box::new(Rest { bytes, start: 0, last }));
        Ok(false)
    }

    /// Inflates the next slice of the rest. Returns true if there is no rest any more.
    pub(crate) fn push_rest(&mut self, limit: u64, sink: Sink<'_>) -> Result<bool, ProtocolError> {
        let Some(mut rest) = self.rest.take() else { return Ok(true) };
        let bytes = rest.bytes.get(rest.start..).unwrap_or_default();
        let Some(used) = self.inflate_slice(bytes, rest.last, limit, sink)? else { return Ok(true) };
        rest.start = rest.start.saturating_add(used);
        self.rest = Some(rest);
        Ok(false)
    }

    /// Returns how many bytes of a payload wait to be inflated.
    pub(crate) fn rest_len(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.bytes.len().saturating_sub(rest.start))
    }

    /// Returns how many bytes were inflated since the previous call.
    pub(crate) fn take_output(&mut self) -> u64 {
        core::mem::take(&mut self.output)
    }

    /// Inflates a slice. Returns how many bytes of `payload` it took, or `None` if it took all of
    /// them and they have no more output.
    pub(crate) fn inflate_slice(
        &mut self,
        payload: &[u8],
        last: bool,
        limit: u64,
        sink: Sink<'_>,
    ) -> Result<Option<usize>, ProtocolError> {
        match payload.split_at_checked(SLICE_INPUT) {
            Some((slice, rest)) if !rest.is_empty() => {
                let used = self.inflate_up_to(SLICE_OUTPUT, slice, false, limit, sink)?;
                Ok(Some(used.unwrap_or(SLICE_INPUT)))
            }
            _ => self.inflate_up_to(SLICE_OUTPUT, payload, last, limit, sink),
        }
    }

    /// Inflates `payload` up to `max` bytes of output and a chunk more. Returns how many bytes of
    /// `payload` it took, or `None` if it took all of them and they have no more output.
    fn inflate_up_to(
        &mut self,
        max: u64,
        payload: &[u8],
        last: bool,
        limit: u64,
        sink: Sink<'_>,
    ) -> Result<Option<usize>, ProtocolError> {
        let mut codec = match self.codec.take() {
            Some(codec) => codec,
            None => self.begin_message(),
        };
        let mut result = self.inflate(&mut codec, max, payload, limit, sink);
        if last && let Ok(None) = result {
            let finished = codec.decoder.finish().map_err(|Corrupt| ProtocolError::InvalidDeflate);
            result = finished.map(|()| None);
        }
        match result {
            Ok(Some(_)) => self.codec = Some(codec),
            Ok(None) if !last => self.codec = Some(codec),
            _ => self.end_message(codec, result.is_ok()),
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

    /// Returns how many bytes of `payload` were taken when the output reached `max`, or `None` if
    /// all output was passed on.
    fn inflate(
        &mut self,
        codec: &mut Decompressor,
        max: u64,
        payload: &[u8],
        limit: u64,
        sink: Sink<'_>,
    ) -> Result<Option<usize>, ProtocolError> {
        let (mut small, mut large): (_, Vec<u8>);
        let chunk: &mut [u8] = if payload.len() > LARGE_PAYLOAD {
            large = vec![0; LARGE_CHUNK];
            &mut large
        } else {
            small = [0; CHUNK];
            &mut small
        };
        let (mut used, mut total) = (0_usize, 0_u64);
        loop {
            // One byte more than allowed distinguishes a message that is too big from one that just
            // fits.
            let room = limit.saturating_sub(self.inflated);
            let size = chunk.len().min(usize::try_from(room).unwrap_or(usize::MAX).saturating_add(1));
            let out = chunk.get_mut(..size).unwrap_or_default();
            let inflated = codec.decoder.inflate(payload.get(used..).unwrap_or_default(), out);
            let (Ok(Inflated { written, .. }) | Err(CorruptAfter(written))) = inflated;
            // Pass on the output before the fault first: it may contain an earlier fault, such as
            // bad UTF-8.
            let out = out.get(..written.min(usize::try_from(room).unwrap_or(usize::MAX))).unwrap_or_default();
            self.inflated = self.inflated.saturating_add(out.len() as u64);
            self.output = self.output.saturating_add(out.len() as u64);
            total = total.saturating_add(out.len() as u64);
            self.history.push(out);
            sink(out)?;
            if written > out.len() {
                return Err(ProtocolError::MessageTooBig { limit });
            }
            let Inflated { read, .. } = inflated.map_err(|_| ProtocolError::InvalidDeflate)?;
            if written < size {
                return Ok(None);
            }
            used = used.saturating_add(read);
            if total >= max {
                return Ok(Some(used));
            }
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("context", &self.context).finish_non_exhaustive()
    }
}
