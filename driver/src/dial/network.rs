//! The part of connecting that only a runtime can do.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;

use crate::runtime::io::{Clock, Io};
#[cfg(feature = "_tls")]
use crate::tls::TlsIo;

/// The network of a runtime, for [`connect`](super::connect).
pub trait Network {
    /// A connected socket. Proxies and the TLS handshake use it directly.
    type Socket: Io;
    /// The transport of a WebSocket: the socket, or TLS over it.
    type Io: Io;
    /// The clock of a WebSocket.
    type Clock: Clock;

    /// Returns a clock.
    fn clock(&self) -> Self::Clock;

    /// Resolves the name of a host, which may be an IPv6 address with its zone. The addresses have
    /// this port, and the order that RFC 6724 demands, as those of `getaddrinfo` do.
    ///
    /// Dropping the future gives up. If the system's resolver blocks a thread, that thread may stay
    /// longer.
    fn resolve(&self, name: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;

    /// Connects to an address. Several of these futures are polled by one task. Dropping one closes
    /// its socket.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>>;

    /// Returns how a socket becomes a transport.
    fn transport(&self) -> IntoIo<Self::Socket, Self::Io>;
}

/// How a socket becomes the transport of a WebSocket, with TLS or without.
pub struct IntoIo<S, I> {
    pub(super) plain: fn(S) -> I,
    #[cfg(feature = "_tls")]
    pub(super) secure: Option<fn(TlsIo<S>) -> I>,
}

impl<S, I> IntoIo<S, I> {
    /// Uses sockets without TLS. A `wss://` URL is an error.
    pub fn plain(plain: fn(S) -> I) -> Self {
        IntoIo {
            plain,
            #[cfg(feature = "_tls")]
            secure: None,
        }
    }

    /// Uses sockets with TLS for `wss://` URLs.
    #[cfg(feature = "_tls")]
    #[must_use]
    pub fn or_secure(mut self, secure: fn(TlsIo<S>) -> I) -> Self {
        self.secure = Some(secure);
        self
    }
}

impl<S, I> fmt::Debug for IntoIo<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIo").finish_non_exhaustive()
    }
}
