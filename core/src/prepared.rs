//! Messages encoded once and sent to many.

use alloc::vec::Vec;

use bytes::Bytes;

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
    /// Header and payload of one unmasked frame.
    wire: Bytes,
    header_len: usize,
}

impl Prepared {
    /// Encodes a message.
    pub fn new<'p>(payload: impl Into<Payload<'p>>) -> Self {
        let payload = payload.into();
        let bytes = payload.as_bytes();
        let header = FrameHeader {
            opcode: payload.kind().opcode(),
            flags: Flags::default(),
            mask: None,
            len: bytes.len() as u64,
        };
        let mut wire = Vec::with_capacity(bytes.len().saturating_add(MAX_HEADER));
        header.encode(&mut wire);
        let header_len = wire.len();
        wire.extend_from_slice(bytes);
        Prepared { kind: payload.kind(), wire: wire.into(), header_len }
    }

    /// Whether it is text or bytes.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.wire.get(self.header_len..).unwrap_or_default()
    }

    pub(crate) fn wire(&self) -> Bytes {
        self.wire.clone()
    }
}
