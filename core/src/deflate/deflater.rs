//! Compressing messages that are sent (RFC 7692 7.2.1).

use alloc::sync::Arc;
use core::fmt;

use crate::message::Payload;

use super::codec::Owner;
use super::history::History;
use super::params::clamp_window_bits;
use super::{CodecPool, CompressionPolicy, Compressor, CompressorSettings, Deflate, Memory, Negotiated};

/// The sending direction of a connection that has agreed on compression.
pub(crate) struct Deflater {
    negotiated: Negotiated,
    settings: CompressorSettings,
    policy: CompressionPolicy,
    /// Present while a message is sent in parts. With `keeps_codec`, present from the first message
    /// on.
    codec: Option<Compressor>,
    keeps_codec: bool,
    history: History,
    /// The number of messages sent compressed.
    messages_sent: u64,
    /// Identifies this connection in a pooled compressor. With context takeover, present from the
    /// first message on.
    owner: Option<Owner>,
    pool: Option<Arc<dyn CodecPool>>,
}

impl Deflater {
    pub(crate) fn new(negotiated: &Negotiated, deflate: &Deflate) -> Self {
        let settings = CompressorSettings::new(deflate, negotiated.own.window_bits);
        let (keeps_codec, history) = match deflate.memory {
            _ if !negotiated.own.takeover => (false, 0),
            Memory::Compressor => (true, 0),
            Memory::History(limit) => (false, limit.min(1 << settings.window_bits)),
        };
        Deflater {
            negotiated: *negotiated,
            settings,
            policy: deflate.policy,
            codec: None,
            keeps_codec,
            history: History::new(history),
            messages_sent: 0,
            owner: None,
            pool: super::default_pool(),
        }
    }

    pub(crate) fn negotiated(&self) -> Negotiated {
        self.negotiated
    }

    pub(crate) fn set_pool(&mut self, pool: Arc<dyn CodecPool>) {
        self.pool = Some(pool);
    }

    /// Returns whether to compress a message of `size` bytes, given the caller's request in
    /// `requested`.
    pub(crate) fn should_compress(&self, size: usize, requested: Option<bool>) -> bool {
        self.policy.should_compress(size, requested)
    }

    /// Compresses a whole message and passes it to `send`. Returns false without calling `send` if
    /// the message is empty, or if it would not become shorter and the caller did not request
    /// compression. The output of a kept compressor is always sent, because its window cannot be
    /// restored.
    pub(crate) fn compress_message(
        &mut self,
        payload: &[u8],
        requested: Option<bool>,
        send: impl FnOnce(&[u8]),
    ) -> bool {
        if payload.is_empty() {
            return false;
        }
        let mut codec = match self.codec.take() {
            Some(codec) => codec,
            None => self.begin_message(),
        };
        let bytes = codec.compress(payload, true);
        let is_sent = self.keeps_codec || requested == Some(true) || bytes.len() < payload.len();
        if is_sent {
            send(bytes);
            self.history.push(payload);
        }
        self.end_message(codec, is_sent);
        is_sent
    }

    /// Compresses the next part of a message and passes it to `send`. Its previous parts must have
    /// been compressed too.
    pub(crate) fn compress_part(&mut self, part: &[u8], last: bool, send: impl FnOnce(&[u8])) {
        let mut codec = match self.codec.take() {
            Some(codec) => codec,
            None => self.begin_message(),
        };
        send(codec.compress(part, last));
        self.history.push(part);
        if last {
            self.end_message(codec, true);
        } else {
            self.codec = Some(codec);
        }
    }

    /// Returns whether this connection can send a prepared message, which was compressed with this
    /// window and without a history.
    pub(crate) fn accepts_prepared(&self, size: usize, window_bits: u8, requested: Option<bool>) -> bool {
        // A kept compressor would not know of the message, and its later distances would be wrong.
        !self.keeps_codec
            && window_bits <= self.settings.window_bits
            && self.policy.should_compress(size, requested)
    }

    /// Records that a prepared message has been sent, so that later messages can refer to it.
    pub(crate) fn record_prepared(&mut self, payload: &[u8]) {
        self.history.push(payload);
        self.messages_sent = self.messages_sent.wrapping_add(1);
    }

    /// Forgets all messages before, because the peer receives a message that was compressed
    /// elsewhere. Its window then ends with bytes that this end does not know, so distances into
    /// earlier messages would be wrong.
    pub(crate) fn forget_history(&mut self) {
        self.history.keep(0);
        self.messages_sent = self.messages_sent.wrapping_add(1);
        if let Some(codec) = &mut self.codec {
            codec.encoder.reset(&[]);
        }
    }

    fn begin_message(&mut self) -> Compressor {
        let mut codec = Compressor::take_or_new(self.pool.as_deref(), self.settings);
        // When few connections send, the pool often returns the compressor that this connection
        // used last. It continues without a reset.
        let continues = self.owner.as_ref().is_some_and(|owner| codec.continues(owner, self.messages_sent));
        if !continues {
            codec.encoder.reset(self.history.as_bytes());
        }
        codec
    }

    fn end_message(&mut self, mut codec: Compressor, is_sent: bool) {
        if self.keeps_codec {
            self.codec = Some(codec);
            return;
        }
        self.messages_sent = self.messages_sent.wrapping_add(u64::from(is_sent));
        let owner = match self.negotiated.own.takeover && is_sent {
            true => Some((&*self.owner.get_or_insert_with(Owner::new), self.messages_sent)),
            false => None,
        };
        codec.set_last_use(owner);
        codec.give_back(self.pool.as_deref());
    }
}

/// Compresses a message without a history, for any number of connections.
///
/// Returns `None` if the settings do not ask for compression, and `Some(None)` if the message should
/// be sent uncompressed, as in [`Deflater::compress_message`]. Otherwise returns the encoded message
/// and the window that is needed to inflate it.
pub(crate) fn deflate_once<R>(
    payload: &Payload<'_>,
    deflate: &Deflate,
    pool: Option<&dyn CodecPool>,
    encode: impl FnOnce(&[u8]) -> R,
) -> Option<Option<(R, u8)>> {
    let bytes = payload.as_bytes();
    if !deflate.policy.should_compress(bytes.len(), payload.compress) {
        return None;
    }
    let settings = CompressorSettings::new(deflate, clamp_window_bits(deflate.window_bits));
    let mut codec = Compressor::take_or_new(pool, settings);
    codec.encoder.reset(&[]);
    let compressed = codec.compress(bytes, true);
    let is_sent = !bytes.is_empty() && (payload.compress == Some(true) || compressed.len() < bytes.len());
    let encoded = is_sent.then(|| (encode(compressed), settings.window_bits));
    codec.set_last_use(None);
    codec.give_back(pool);
    Some(encoded)
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("negotiated", &self.negotiated).finish_non_exhaustive()
    }
}
