//! The settings of compression.

use super::backend::Available;

/// The settings of permessage-deflate. Every field has a setter of the same name, for chaining.
///
/// Each of a connection's two directions has its own window (how far back the compressor looks for
/// repetitions), and either keeps it from one message to the next ("context takeover") or not.
/// `window_bits` and `context_takeover` apply to what this end sends, `peer_window_bits` and
/// `peer_context_takeover` to what it receives. The role decides which of them is the `server_` and
/// which the `client_` parameter of RFC 7692 7.1.
///
/// ```
/// # #[cfg(feature = "_deflate")] {
/// use sockeye_core::deflate::{CompressionPolicy, Deflate, Memory};
///
/// let settings = Deflate::new()
///     .policy(CompressionPolicy::Above(512))
///     .window_bits(12)
///     .memory(Memory::History(1 << 10));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deflate {
    /// The rule for which messages are compressed. Default: those of 128 bytes or more.
    pub policy: CompressionPolicy,
    /// The compression level, from 1 (fastest) to 9 (smallest output). Default: 6.
    pub level: u8,
    /// The largest window that this end compresses with, in bits: 8 to 15. The peer may request a
    /// smaller one. Default: 15, which is 32 KiB.
    pub window_bits: u8,
    /// Whether this end may refer back to earlier messages. The peer may forbid it. Default: true.
    pub context_takeover: bool,
    /// The largest window that the peer may compress with, in bits: 8 to 15. Inflating takes this
    /// much memory. Default: 15.
    ///
    /// A client that did not offer to limit its window (RFC 7692 7.1.2.2) uses up to 15. Peers that
    /// compress with zlib do not support 8: they use 9 instead, or no compression.
    pub peer_window_bits: u8,
    /// Whether the peer may refer back to earlier messages. If not, no window is kept between two
    /// messages. Default: true.
    pub peer_context_takeover: bool,
    /// The state kept of sent messages, for later ones to refer to. It has no effect without
    /// `context_takeover`. Default: the last 4 KiB.
    pub memory: Memory,
    /// The compressor's internal memory, 1 to 9, as in zlib's `deflateInit2`. Only the backend
    /// `zlib-rs` uses it. Default: 8.
    pub mem_level: u8,
    pub(super) available: Available,
}

/// The rule for which messages are compressed, once compression is negotiated.
///
/// A message can request compression or its absence with
/// [`Payload::compress`](crate::Payload::compress) or
/// [`Frame::compress`](crate::Frame::compress). Without such a request, a message that would not
/// become shorter is sent uncompressed, except with [`Memory::Compressor`], which cannot undo what
/// it has compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompressionPolicy {
    /// No messages, not even on request.
    Never,
    /// Messages that request it.
    OnRequest,
    /// All messages, except those that request not to be compressed.
    Always,
    /// Messages of at least this many bytes, unless a message requests otherwise. A message sent in
    /// parts counts as long enough.
    Above(usize),
}

impl CompressionPolicy {
    /// Returns whether to compress a message of `size` bytes, given the caller's request in
    /// `requested`.
    pub(super) fn should_compress(self, size: usize, requested: Option<bool>) -> bool {
        match self {
            CompressionPolicy::Never => false,
            CompressionPolicy::OnRequest => requested == Some(true),
            CompressionPolicy::Always => requested != Some(false),
            CompressionPolicy::Above(threshold) => requested.unwrap_or(size >= threshold),
        }
    }
}

/// The state that a connection keeps of sent messages, so that later ones can refer back to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Memory {
    /// The last bytes sent, up to this many, before compression. The compressor itself comes from a
    /// pool for the length of one message. Receivers cannot tell the difference, and thousands of
    /// connections can afford it.
    History(usize),
    /// The whole compressor. Output becomes somewhat shorter, at the cost of some 300 KiB a
    /// connection.
    Compressor,
}

#[cfg(feature = "_deflate")]
#[cfg_attr(docsrs, doc(cfg(any(feature = "deflate", feature = "zlib-rs"))))]
impl Default for Deflate {
    fn default() -> Self {
        Deflate {
            policy: CompressionPolicy::Above(128),
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
    /// Creates the default settings. Each field states its default.
    #[cfg(feature = "_deflate")]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "deflate", feature = "zlib-rs"))))]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// A value that [`Config::deflate`](crate::Config::deflate) takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how to compress",
    note = "pass `true` or `Deflate::new()`, which need the feature `zlib-rs` or `deflate`"
)]
pub trait IntoDeflate {
    /// Returns the settings of compression, or `None` for no compression.
    fn into_deflate(self) -> Option<Deflate>;
}

impl IntoDeflate for Deflate {
    fn into_deflate(self) -> Option<Deflate> {
        Some(self)
    }
}

impl IntoDeflate for Option<Deflate> {
    fn into_deflate(self) -> Option<Deflate> {
        self
    }
}

/// `true` stands for the default settings.
#[cfg(feature = "_deflate")]
#[cfg_attr(docsrs, doc(cfg(any(feature = "deflate", feature = "zlib-rs"))))]
impl IntoDeflate for bool {
    fn into_deflate(self) -> Option<Deflate> {
        self.then(Deflate::new)
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
        policy: CompressionPolicy, level: u8, window_bits: u8, context_takeover: bool, peer_window_bits: u8,
        peer_context_takeover: bool, memory: Memory, mem_level: u8,
    }
}
