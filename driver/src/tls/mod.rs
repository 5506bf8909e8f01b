//! TLS by [rustls].
//!
//! [`connect_tls`] and [`accept_tls`] begin TLS over any transport, and return a [`TlsIo`], which is
//! a transport too. The adapters do that for `wss://` URLs, and servers for ports with
//! [`Port::tls`](crate::server::Port::tls). [`ClientTls`] and [`ServerTls`] are the configurations.
//!
//! # Cryptography
//!
//! rustls leaves cryptography to a [`CryptoProvider`](rustls::crypto::CryptoProvider). With the
//! feature `rustls` it is [ring], which builds with a C compiler and no other tools. A process that
//! installs another provider uses that one. With the feature `rustls-no-provider` alone, it must.
//!
//! # What is not supported
//!
//! Early data, because an attacker can replay it, and renegotiation, which rustls refuses.
//!
//! [ring]: https://docs.rs/ring

mod buffers;
mod config;
mod connection;
mod error;
mod handshake;
mod info;
mod io;
mod session;

pub use buffers::Scratch;
pub use config::{ClientTls, ServerTls};
pub use error::TlsError;
#[cfg(feature = "server")]
pub(crate) use handshake::accept_tls_after;
#[cfg(feature = "rand")]
pub(crate) use handshake::connect_tls_after;
pub use handshake::{accept_tls, connect_tls};
pub use info::TlsInfo;
pub use io::{MaybeTls, TlsIo};
pub use rustls;
pub use session::TlsSession;
