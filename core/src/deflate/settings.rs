//! What one end wants of the extension.

use super::backend::Available;

/// What this end wants of permessage-deflate. Every field has a setter of the same name, for chaining.
///
/// A connection has two directions, and each has its own window (how far back repetitions are looked for) and its own choice
/// whether the window is kept from one message to the next ("context takeover"). Here `window_bits` and `context_takeover` are
/// those of what this end sends, `peer_window_bits` and `peer_context_takeover` those of what it receives; which of these is the
/// `server_` and which the `client_` parameter of RFC 7692 7.1 follows from the role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deflate {
    /// Which messages are compressed (those of 128 bytes or more).
    pub policy: Policy,
    /// From 1, the fastest, to 9, the smallest output (6).
    pub level: u8,
    /// The largest window that this end compresses with, in bits: 8 to 15 (15, which is 32 KiB). A peer that asks for less gets
    /// less.
    pub window_bits: u8,
    /// Whether this end may refer back to messages sent before (yes). If the peer forbids it, it is off.
    pub context_takeover: bool,
    /// The largest window that the peer is asked to compress with, in bits: 8 to 15 (15). It is what inflating costs in memory. A client
    /// that did not say that it can limit its window (RFC 7692 7.1.2.2) cannot be asked, and uses up to 15. Peers that compress with zlib cannot do 8, and take 9 for it or do without compression.
    pub peer_window_bits: u8,
    /// Whether the peer may refer back to messages sent before (yes). If not, nothing is kept between two messages.
    pub peer_context_takeover: bool,
    /// What is kept of messages sent, for those that follow (the last 4 KiB). Without `context_takeover` it has no effect.
    pub memory: Memory,
    /// How much memory the compressor takes for itself, 1 to 9 (8), as in zlib's `deflateInit2`. Only the backend `zlib-rs` has it.
    pub mem_level: u8,
    pub(super) available: Available,
}

/// Which messages are compressed, where compression has been agreed on. A message that would not become shorter goes as it is
/// (except with [`Memory::Compressor`], which cannot take back what it has compressed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// None, whatever is asked for with the message.
    Never,
    /// Those that ask for it: [`Payload::compress`](crate::Payload::compress), [`Flags::compress`](crate::Flags#structfield.compress).
    OnRequest,
    /// All, but those that ask not to be.
    Always,
    /// Those of at least this many bytes, and those that ask for it; messages sent in parts count as long ones.
    Above(usize),
}

impl Policy {
    /// Whether a message of `size` bytes is compressed, if `asked` was asked for it.
    pub(super) fn wants(self, size: usize, asked: Option<bool>) -> bool {
        match self {
            Policy::Never => false,
            Policy::OnRequest => asked == Some(true),
            Policy::Always => asked != Some(false),
            Policy::Above(threshold) => asked.unwrap_or(size >= threshold),
        }
    }
}

/// What a connection keeps of the messages it has sent, so that the next ones can refer back to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Memory {
    /// The last so many bytes of text as it was before compression; the compressor itself comes from a pool, for the length of
    /// one message. Receivers cannot tell the difference, and thousands of connections can have it.
    History(usize),
    /// The whole compressor: somewhat shorter output, for some 300 KiB a connection.
    Compressor,
}

#[cfg(feature = "_deflate")]
impl Default for Deflate {
    fn default() -> Self {
        Deflate {
            policy: Policy::Above(128),
            level: 6,
            window_bits: 15,
            context_takeover: true,
            peer_window_bits: 15,
            peer_context_takeover: true,
            memory: Memory::History(4 << 10),
            mem_level: 8,
            available: Available,
        }
    }
}

impl Deflate {
    /// The defaults, as stated at each field.
    #[cfg(feature = "_deflate")]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($name), "`](Deflate#structfield.", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }
    )*};
}

impl Deflate {
    setters! {
        policy: Policy, level: u8, window_bits: u8, context_takeover: bool, peer_window_bits: u8,
        peer_context_takeover: bool, memory: Memory, mem_level: u8,
    }
}
