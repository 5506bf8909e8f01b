//! Limits and deadlines of a connection.

use core::time::Duration;

use crate::deflate::Deflate;

/// Limits, deadlines and habits of a connection; one value, usually shared by all connections of a server
/// through an [`Arc`](alloc::sync::Arc).
///
/// Every field has a setter of the same name, for chaining:
///
/// ```
/// use core::time::Duration;
/// use sockeye_core::Config;
///
/// let config = Config::new()
///     .max_message_size(64 << 10)
///     .keepalive(Duration::from_secs(20), Duration::from_secs(20));
/// assert_eq!(config.max_message_size, 64 << 10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Largest payload of one frame received, in bytes (2 MiB). A header that declares more fails the
    /// connection with 1009 before any of its payload is read.
    pub max_frame_size: u64,
    /// Largest message received, in bytes, all its fragments together (2 MiB), checked like `max_frame_size`. A compressed one is
    /// inflated up to this size and no further; its frames may together be a sixteenth longer, for noise grows by being compressed.
    /// `u64::MAX` lets a consumer of [`Event::Data`](crate::Event::Data) stream messages without end.
    pub max_message_size: u64,
    /// Most frames that one message received may come in (16,384); beyond, the connection fails with 1008.
    /// It bounds the work a peer can cause with fragments that carry nothing.
    pub max_fragments: u32,
    /// Largest payload of one message sent, in bytes (2 MiB); above it a send is an error and nothing is sent.
    pub max_send_size: u64,
    /// Messages longer than this many bytes are sent in frames of this size (off: every message is one frame).
    pub fragment_size: Option<usize>,
    /// High-water mark of the bytes that wait to be written (64 KiB). While at least this many wait, a send
    /// answers [`Backpressure`](crate::SendError::Backpressure); what waits is thus never more than the mark and one message,
    /// with the headers of its fragments.
    pub high_water_mark: usize,
    /// Largest HTTP head of the opening handshake, in bytes (16 KiB).
    pub max_head_size: usize,
    /// Most header fields in the head of the opening handshake (100).
    pub max_headers: usize,
    /// Time for the whole opening handshake (10 s), however lively the peer.
    pub handshake_timeout: Duration,
    /// Time for the closing handshake and the end of the transport that follows it (10 s).
    pub close_timeout: Duration,
    /// Closes with 1001 a connection from which no byte came for this long (off). It is looked at four times in this span,
    /// so the end comes no earlier than the timeout and at most a quarter later.
    pub idle_timeout: Option<Duration>,
    /// Pings of our own (off), see [`Keepalive`].
    pub keepalive: Option<Keepalive>,
    /// Whether pings are answered by themselves (yes). If not, the application sends the pongs.
    pub auto_pong: bool,
    /// Compression of messages (off), see [`deflate`](crate::deflate).
    pub deflate: Option<Deflate>,
}

/// Active pings: one every `interval`, and the connection fails with 1008 when no byte at all has come within
/// `timeout` after one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Time between two pings; less than a millisecond counts as one.
    pub interval: Duration,
    /// Time within which something must come back.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_frame_size: 2 << 20,
            max_message_size: 2 << 20,
            max_fragments: 16_384,
            max_send_size: 2 << 20,
            fragment_size: None,
            high_water_mark: 64 << 10,
            max_head_size: 16 << 10,
            max_headers: 100,
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            idle_timeout: None,
            keepalive: None,
            auto_pong: true,
            deflate: None,
        }
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($name), "`](Config#structfield.", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name.into();
            self
        }
    )*};
}

impl Config {
    /// The defaults, as stated at each field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        max_frame_size: u64, max_message_size: u64, max_fragments: u32, max_send_size: u64,
        fragment_size: usize, high_water_mark: usize, max_head_size: usize, max_headers: usize,
        handshake_timeout: Duration, close_timeout: Duration, idle_timeout: Duration, auto_pong: bool,
        deflate: Deflate,
    }

    /// Returns whether a queue of this many bytes has reached
    /// [`high_water_mark`](Config#structfield.high_water_mark). A mark of 0 counts as 1: an empty queue
    /// always has room.
    #[must_use]
    #[inline]
    pub fn reaches_high_water_mark(&self, queued: usize) -> bool {
        queued >= self.high_water_mark.max(1)
    }

    /// Sets [`keepalive`](Config#structfield.keepalive): a ping every `interval`, an answer within `timeout`.
    #[must_use]
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keepalive = Some(Keepalive { interval, timeout });
        self
    }
}
