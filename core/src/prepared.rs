//! Messages encoded once and sent to many.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::deflate::{CodecPool, Deflate, deflate_once};
use crate::frame::{Flags, FrameHeader, MAX_HEADER};
use crate::message::{MessageKind, Payload};

/// A message encoded once, to be sent on many connections: each server connection queues the same bytes, by
/// reference when they are many. A client's frames are masked one by one, so there it saves nothing.
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
    /// With the window that it was compressed with.
    deflated: Option<(Encoded, u8)>,
    /// What was asked for it, or has been found out: that it does not become shorter.
    pub(crate) compress: Option<bool>,
}

/// Header and payload of one unmasked frame.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    wire: Bytes,
    header_len: usize,
}

impl Prepared {
    /// Encodes a message. Connections that want it compressed compress it for themselves.
    pub fn new<'p>(payload: impl Into<Payload<'p>>) -> Self {
        Self::plain_only(&payload.into())
    }

    /// Encodes a message, and compresses it once for all connections with these settings, if their policy wants it compressed and
    /// that makes it shorter. It does not refer back to messages before it, so it is the same for all receivers; who
    /// has agreed on a smaller window compresses it anew, and so does [`Memory::Compressor`](crate::deflate::Memory::Compressor).
    ///
    /// `pool` lends the compressor.
    pub fn deflated<'p>(
        payload: impl Into<Payload<'p>>,
        settings: &Deflate,
        pool: Option<&dyn CodecPool>,
    ) -> Self {
        let payload = payload.into();
        let mut prepared = Self::plain_only(&payload);
        let encode = |bytes: &[u8]| Encoded::new(payload.kind(), true, bytes);
        match deflate_once(&payload, settings, pool, encode) {
            Some(Some(deflated)) => prepared.deflated = Some(deflated),
            Some(None) => prepared.compress = Some(false),
            None => {}
        }
        prepared
    }

    fn plain_only(payload: &Payload<'_>) -> Self {
        let plain = Encoded::new(payload.kind(), false, payload.as_bytes());
        Prepared { kind: payload.kind(), plain, deflated: None, compress: payload.compress }
    }

    /// Whether it is text or bytes.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.plain.payload()
    }

    pub(crate) fn parts(&self) -> (&Encoded, Option<&(Encoded, u8)>) {
        (&self.plain, self.deflated.as_ref())
    }
}

impl Encoded {
    fn new(kind: MessageKind, compress: bool, payload: &[u8]) -> Self {
        let header = FrameHeader {
            opcode: kind.opcode(),
            flags: Flags { finish: true, compress },
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
