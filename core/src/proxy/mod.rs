//! The client behind a proxy: its address and the host that it asked for.
//!
//! A server behind a proxy sees the proxy's address on every connection. The client's own address
//! comes from header fields that the proxy adds, or from a PROXY protocol header in front of the
//! request. Any client can send both, so they count only if the connection comes from a proxy that
//! is trusted:
//!
//! - [`TrustedProxies`] lists the proxies, and finds the client in `X-Forwarded-For` and
//!   `X-Forwarded-Host` or in `Forwarded` (RFC 7239).
//! - [`ProxyHeaderReader`] reads a PROXY protocol header, version 1 or 2.
//!
//! The servers of the driver use both: see `Port::trusted_proxies` and `Port::proxy_protocol`.

mod fields;
mod network;
mod protocol;
mod trusted;
mod v2;

pub use network::{InvalidNetwork, Network};
pub use protocol::{ProxyHeader, ProxyHeaderError, ProxyHeaderReader};
pub use trusted::{ForwardedFields, ForwardedRequest, TrustedProxies};
