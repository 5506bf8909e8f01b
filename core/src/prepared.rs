//! Messages that are encoded once and sent on many connections.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::deflate::{CodecPool, Deflate, deflate_once};
use crate::frame::{Flags, FrameHeader, MAX_HEADER};
use crate::message::{MessageKind, Payload};

/// A message that is encoded once, to be sent on many connections.
///
/// Every server connection queues the same bytes, and does not copy them if the message is large. A
/// client masks each frame with its own key, so a prepared message saves a client nothing.
///
/// ```
/// # use std::sync::Arc;
/// use sockeye_core::{Config, Connection, Prepared};
///
/// let config = Arc::new(Config::new());
/// let news = Prepared::new("to all");
/// for _ in 0..3 {
///     let mut connection = Connection::server(config.clone());
///     connection.send_prepared(&news).unwrap();
///     assert_eq!(connection.poll_transmit().unwrap().first(), b"\x81\x06to all");
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Prepared {
    kind: MessageKind,
    plain: Encoded,
    /// The compressed encoding, and the window that it was compressed with, in bits.
    deflated: Option<(Encoded, u8)>,
    /// The caller's request; `Some(false)` also if compression was not requested and does
    /// not make the message shorter.
    pub(crate) compress: Option<bool>,
    is_guarded: bool,
}

/// Bytes that keep a guard as long as they live.
struct Guarded<G> {
    bytes: Bytes,
    _guard: G,
}

impl<G> AsRef<[u8]> for Guarded<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The header and the payload of one unmasked frame.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    wire: Bytes,
    header_len: usize,
}

impl Prepared {
    /// Encodes a message. A connection that compresses the message does so itself.
    pub fn new<'p>(payload: impl Into<Payload<'p>>) -> Self {
        Self::uncompressed(&payload.into())
    }

    /// Encodes a message and compresses it once for all connections with these settings, if their
    /// policy selects the message and compression makes it shorter or was
    /// [requested](Payload::compress).
    ///
    /// The compressed form does not refer to earlier messages, so it is the same for all receivers.
    /// A connection that negotiated a smaller window compresses the message itself, and so does one
    /// with [`Memory::Compressor`](crate::deflate::Memory::Compressor).
    ///
    /// The compressor comes from `pool`, if there is one.
    pub fn deflated<'p>(
        payload: impl Into<Payload<'p>>,
        settings: &Deflate,
        pool: Option<&dyn CodecPool>,
    ) -> Self {
        let payload = payload.into();
        let mut prepared = Self::uncompressed(&payload);
        let encode = |bytes: &[u8]| Encoded::new(payload.kind(), true, bytes);
        match deflate_once(&payload, settings, pool, encode) {
            Some(Some(deflated)) => prepared.deflated = Some(deflated),
            Some(None) => prepared.compress = Some(false),
            None => {}
        }
        prepared
    }

    fn uncompressed(payload: &Payload<'_>) -> Self {
        let plain = Encoded::new(payload.kind(), false, payload.as_bytes());
        Prepared {
            kind: payload.kind(),
            plain,
            deflated: None,
            compress: payload.compress,
            is_guarded: false,
        }
    }

    /// Returns the same message with a guard for each of its encodings, for callers that count the
    /// memory of all queues together. `guard` makes one for an encoding of so many bytes. It is
    /// dropped when the last queue has written that encoding and the message has been dropped.
    ///
    /// [`Sender::queued_alone`](crate::Sender::queued_alone) does not count guarded bytes, because
    /// all queues share them.
    ///
    /// ```
    /// # use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
    /// use sockeye_core::{Config, Prepared, Sender};
    ///
    /// struct Counted(Arc<AtomicUsize>, usize);
    ///
    /// impl Drop for Counted {
    ///     fn drop(&mut self) {
    ///         self.0.fetch_sub(self.1, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// let shared = Arc::new(AtomicUsize::new(0));
    /// let news = Prepared::new(vec![0; 10_000]).guarded(|len| {
    ///     shared.fetch_add(len, Ordering::Relaxed);
    ///     Counted(shared.clone(), len)
    /// });
    /// let mut sender = Sender::server(Arc::new(Config::new()));
    /// sender.send_prepared(&news)?;
    /// assert_eq!((sender.queued(), sender.queued_alone()), (10_004, 0));
    /// drop(news);
    /// assert_eq!(shared.load(Ordering::Relaxed), 10_004);
    /// sender.transmitted(10_004);
    /// assert_eq!(shared.load(Ordering::Relaxed), 0);
    /// # Ok::<(), sockeye_core::SendError>(())
    /// ```
    #[must_use]
    pub fn guarded<G: Send + 'static>(&self, mut guard: impl FnMut(usize) -> G) -> Self {
        let mut guarded = |encoded: &Encoded| {
            let bytes = encoded.wire();
            let wire = Bytes::from_owner(Guarded { _guard: guard(bytes.len()), bytes });
            Encoded { wire, header_len: encoded.header_len }
        };
        Prepared {
            plain: guarded(&self.plain),
            deflated: self.deflated.as_ref().map(|(encoded, bits)| (guarded(encoded), *bits)),
            is_guarded: true,
            ..*self
        }
    }

    /// Returns true if the encodings have [guards](Prepared::guarded).
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.is_guarded
    }

    /// Returns whether the message is text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the uncompressed payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.plain.payload()
    }

    /// Returns the uncompressed encoding and the compressed one.
    pub(crate) fn encodings(&self) -> (&Encoded, Option<&(Encoded, u8)>) {
        (&self.plain, self.deflated.as_ref())
    }
}

impl Encoded {
    fn new(kind: MessageKind, rsv1: bool, payload: &[u8]) -> Self {
        let header = FrameHeader {
            opcode: kind.opcode(),
            flags: Flags { finish: true, rsv1 },
            mask: None,
            len: payload.len() as u64,
        };
        let mut wire = Vec::with_capacity(payload.len().saturating_add(MAX_HEADER));
        header.encode(&mut wire);
        let header_len = wire.len();
        wire.extend_from_slice(payload);
        Encoded { wire: wire.into(), header_len }
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.wire.get(self.header_len..).unwrap_or_default()
    }

    pub(crate) fn wire(&self) -> Bytes {
        self.wire.clone()
    }
}
