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
        Prepared { kind: payload.kind(), plain, deflated: None, compress: payload.compress }
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
