//! The limits and deadlines of a connection.

use core::time::Duration;

use crate::deflate::{Deflate, IntoDeflate};

/// The limits, deadlines and other settings of a connection.
///
/// All connections of a server usually share one `Config` in an [`Arc`](alloc::sync::Arc).
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
    /// The largest payload of a received frame, in bytes. Default: 2 MiB.
    ///
    /// A header that declares more fails the connection with 1009 before any of the payload is
    /// read.
    pub max_frame_size: u64,
    /// The largest received message, in bytes, all fragments together. Default: 2 MiB.
    ///
    /// A frame header that takes the message beyond this fails the connection with 1009. A
    /// compressed message is inflated up to this size and no further. Its compressed frames may
    /// together be a sixteenth longer, because compression lengthens incompressible data.
    ///
    /// `u64::MAX` lets a consumer of [`Event::Data`](crate::Event::Data) stream messages of any
    /// length.
    pub max_message_size: u64,
    /// The maximum number of frames in a received message. Default: 16,384.
    ///
    /// More frames fail the connection with 1008. This bounds the work that a peer can cause with
    /// empty fragments.
    pub max_fragments: u32,
    /// The largest sent message, in bytes. Default: 2 MiB.
    ///
    /// Sending a longer message returns [`SendError::TooBig`](crate::SendError::TooBig) and sends
    /// nothing.
    pub max_send_size: u64,
    /// The largest payload of a sent frame, in bytes. Longer messages are sent in several frames.
    /// Default: none, every message is one frame.
    pub fragment_size: Option<usize>,
    /// The length at which the send queue counts as full, in bytes. Default: 32 KiB.
    ///
    /// A full queue takes no more messages: sending returns
    /// [`Backpressure`](crate::SendError::Backpressure). The queue therefore exceeds this mark by
    /// at most one message with its frame headers.
    pub high_water_mark: usize,
    /// The largest HTTP head in the opening handshake, in bytes. Default: 16 KiB.
    pub max_head_size: usize,
    /// The maximum number of header fields in an HTTP head. Default: 100.
    pub max_headers: usize,
    /// The time for the whole opening handshake, even if the peer keeps sending. Default: 10 s.
    pub handshake_timeout: Duration,
    /// The time for the closing handshake and the end of the transport after it. Default: 5 s.
    ///
    /// The application learns of the end when the closing handshake is complete. Then only the end
    /// of the transport is left. A client waits for it for at most 250 ms, and an endpoint that has
    /// failed the connection for at most two seconds.
    pub close_timeout: Duration,
    /// The time without traffic after which the connection is closed with 1001. Default: none.
    ///
    /// Traffic is bytes in either direction: those that arrive, and queued ones that the transport
    /// takes. A peer that only reads is not idle. A transport takes bytes for a dead peer too,
    /// until its buffers are full; [`keepalive`](Config#structfield.keepalive) detects such a peer.
    ///
    /// The connection checks four times within the timeout, so it closes at most a quarter of the
    /// timeout late, and never early.
    pub idle_timeout: Option<Duration>,
    /// Keepalive pings, see [`Keepalive`]. Default: none. The servers of the adapters send pings
    /// every 20 s if neither this nor the idle timeout is set.
    pub keepalive: Option<Keepalive>,
    /// The time within which a message that has begun must be whole, or gain what
    /// [`min_message_rate`](Config#structfield.min_message_rate) demands. Otherwise the connection
    /// fails with 1008. Default: 30 s.
    ///
    /// The time begins with the first byte of the message. It begins again whenever the message has
    /// gained enough. Control frames do not prolong it. It does not run while this end reads
    /// nothing.
    pub message_timeout: Option<Duration>,
    /// The bytes of payload per second that a message must gain on average within
    /// [`message_timeout`](Config#structfield.message_timeout) to be granted that time again.
    /// Default: 1024, so a message must be whole or gain 30 KiB in 30 s.
    ///
    /// 0 grants the time again for each byte.
    pub min_message_rate: u32,
    /// Whether the connection answers pings itself. If not, the application must send the pongs.
    /// Default: true.
    pub auto_pong: bool,
    /// Whether the connection answers the peer's Close itself, with the same code and reason. If
    /// not, the application answers with [`Connection::close`](crate::Connection::close), which
    /// takes a code and a reason, or with [`answer_close`](crate::Connection::answer_close).
    /// Default: true.
    ///
    /// If the application does neither within half of
    /// [`close_timeout`](Config#structfield.close_timeout), the connection answers itself, because
    /// the peer may have the same timeout.
    pub auto_close: bool,
    /// The compression of messages, see [`deflate`](crate::deflate). Default: none.
    pub deflate: Option<Deflate>,
}

/// Keepalive pings: one every `interval`. The connection fails with 1008 if the peer does not show
/// within `timeout` after a ping that it is alive.
///
/// Either of these shows it:
///
/// - Bytes arrive, of the pong or of anything else.
/// - The transport takes queued bytes that had to wait. It has room again, so the peer has taken
///   some. Thus a peer that reads slowly stays connected, although a long queue delays the ping.
///
/// Bytes that the transport takes at once show nothing: it buffers them even if the peer is dead.
/// These buffers delay a ping too, but the connection cannot see how much they hold. Choose a
/// `timeout` in which a slow peer reads their content, a few megabytes for TCP.
///
/// ```
/// use std::time::Duration;
/// use sockeye_core::Config;
///
/// let config = Config::new().keepalive(Duration::from_secs(20), Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// The time between two pings. Less than a millisecond counts as a millisecond.
    pub interval: Duration,
    /// The time after a ping within which the peer must show that it is alive.
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
            high_water_mark: 32 << 10,
            max_head_size: 16 << 10,
            max_headers: 100,
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            idle_timeout: None,
            keepalive: None,
            message_timeout: Some(Duration::from_secs(30)),
            min_message_rate: 1024,
            auto_pong: true,
            auto_close: true,
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
    /// Creates a configuration with the defaults, which each field states.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        max_frame_size: u64, max_message_size: u64, max_fragments: u32, max_send_size: u64,
        fragment_size: usize, high_water_mark: usize, max_head_size: usize, max_headers: usize,
        handshake_timeout: Duration, close_timeout: Duration, idle_timeout: Duration,
        message_timeout: Duration, min_message_rate: u32, auto_pong: bool, auto_close: bool,
    }

    /// Sets [`max_frame_size`](Config#structfield.max_frame_size),
    /// [`max_message_size`](Config#structfield.max_message_size) and
    /// [`max_send_size`](Config#structfield.max_send_size), for messages of up to `bytes` in both
    /// directions, in one frame or in several.
    #[must_use]
    pub fn max_size(self, bytes: u64) -> Self {
        self.max_frame_size(bytes).max_message_size(bytes).max_send_size(bytes)
    }

    /// Returns how many bytes [`min_message_rate`](Config#structfield.min_message_rate) demands in
    /// this time.
    #[must_use]
    pub fn demanded_bytes(&self, time: Duration) -> u64 {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        u64::from(self.min_message_rate).saturating_mul(millis) / 1000
    }

    /// Returns whether a queue of this many bytes has reached
    /// [`high_water_mark`](Config#structfield.high_water_mark). A mark of 0 counts as 1: an empty
    /// queue always has room.
    #[must_use]
    #[inline]
    pub fn reaches_high_water_mark(&self, queued: usize) -> bool {
        queued >= self.high_water_mark.max(1)
    }

    /// Sets [`deflate`](Config#structfield.deflate): `true` for the default settings, `false` for
    /// no compression, or a [`Deflate`].
    ///
    /// ```
    /// # #[cfg(feature = "_deflate")] {
    /// use sockeye_core::Config;
    /// use sockeye_core::deflate::Deflate;
    ///
    /// assert_eq!(Config::new().deflate(true), Config::new().deflate(Deflate::new()));
    /// # }
    /// ```
    #[must_use]
    pub fn deflate(mut self, deflate: impl IntoDeflate) -> Self {
        self.deflate = deflate.into_deflate();
        self
    }

    /// Sets [`keepalive`](Config#structfield.keepalive): a ping every `interval`, and a sign
    /// of life from the peer within `timeout` after it.
    #[must_use]
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keepalive = Some(Keepalive { interval, timeout });
        self
    }
}
