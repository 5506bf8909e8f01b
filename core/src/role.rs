//! The role of an endpoint, the state of its connection, and the source of a client's mask keys.

use alloc::boxed::Box;

/// The role of an endpoint: server or client (RFC 6455 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The endpoint that accepted the connection. It unmasks what it receives, and it closes TCP
    /// first.
    Server,
    /// The endpoint that opened the connection. It masks what it sends.
    Client,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Messages can be sent and received.
    Open,
    /// The connection is ending: an endpoint sent a Close, the peer broke the protocol, or the
    /// transport ended.
    Closing,
    /// Nothing more can be received or has to be sent. Close the transport and drop the connection.
    Closed,
}

/// The source of a client's mask keys. Each call returns a fresh key, which must be unpredictable:
/// "derived from a strong source of entropy" (RFC 6455 5.3).
///
/// ```
/// use sockeye_core::{Config, Connection, MaskKeys};
///
/// /// A stand-in for the secure generator of the platform.
/// fn fill_random(bytes: &mut [u8]) {
///     // ...
/// #   bytes.fill(7);
/// }
///
/// let masks: MaskKeys = Box::new(|| {
///     let mut key = [0; 4];
///     fill_random(&mut key);
///     key
/// });
/// let connection = Connection::client(Config::new().into(), masks);
/// # let _ = connection;
/// ```
pub type MaskKeys = Box<dyn FnMut() -> [u8; 4] + Send + Sync>;
