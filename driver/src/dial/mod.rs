//! Connecting clients: from a URL to an open WebSocket.
//!
//! An adapter implements `Network`, which resolves names and opens sockets, and calls `connect`
//! (feature `rand`). The rest is here and in [`sockeye_core::dial`]: which address to try when, proxies,
//! TLS, redirects, and the deadline for all of it together.
//!
//! ```text
//!   ConnectOptions ─▶ Plan ─▶ Hop: where to connect to, and a tunnel
//!                      ▲        └─▶ race, tunnel, TLS, opening handshake ─▶ WebSocket
//!                      └─ follow ◀── a redirect ◀──────────┘
//! ```

#[cfg(feature = "rand")]
mod connect;
mod error;
#[cfg(feature = "rand")]
mod network;
mod options;
mod plan;
#[cfg(feature = "rand")]
mod race;
#[cfg(feature = "rand")]
mod tunnel;

#[cfg(feature = "rand")]
pub use connect::{connect, connect_over};
pub use error::Unreachable;
#[doc(hidden)]
pub use error::{late_proxy, unresolved};
#[cfg(feature = "rand")]
pub use network::{IntoIo, Network};
pub use options::ConnectOptions;
pub use plan::{Destination, Hop, Plan};
