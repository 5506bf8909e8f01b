//! Reaching a server: the order of its addresses, proxies on the way, and redirects.
//!
//! The adapters do all of this for `connect`. A program with a network of its own uses these parts;
//! like the rest of this crate they neither do I/O nor read a clock.
//!
//! - [`HappyEyeballs`] decides when to try which address of a host (RFC 8305).
//! - [`proxy_from_env`] chooses a [`Proxy`] as the environment variables say.
//! - [`Tunnel`] asks a proxy for a connection to the server, by HTTP CONNECT or SOCKS5.
//! - [`redirect`] reads where a response points.
//!
//! ```text
//!   Url ─▶ proxy_from_env ─▶ names, addresses ─▶ HappyEyeballs ─▶ a socket
//!    ▲                                                               │
//!    │                                          Tunnel, if there is a proxy
//!    │                                                               ▼
//!    └──────────── redirect ◀── Response ◀── the opening handshake, over TLS for wss
//! ```

mod env;
mod error;
mod happy_eyeballs;
mod percent;
mod proxy;
mod redirect;
mod socks;
mod tunnel;

pub use env::{InvalidProxyVariable, proxy_from_env};
pub use error::{ProxyError, SocksRefusal};
pub use happy_eyeballs::{ATTEMPT_DELAY, HappyEyeballs};
pub use proxy::{InvalidProxy, Proxy};
pub use redirect::{RedirectError, redirect};
pub use tunnel::Tunnel;
