//! The server side of the opening handshake (RFC 6455 4.2).
//!
//! ```
//! use std::sync::Arc;
//! use sockeye_core::handshake::server::{ServerHandshake, Policy, Upgrade};
//! use sockeye_core::{Config, RecvBuf};
//!
//! let config = Arc::new(Config::new());
//! let policy = Policy::new().subprotocol("chat")?;
//! let mut received = *b"GET /room HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
//!     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: soap, chat\r\n\r\n";
//!
//! let mut handshake = ServerHandshake::new(Arc::clone(&config));
//! let request = handshake.poll_request(&mut RecvBuf::new(&mut received))?.expect("a whole head");
//! // The error has a `response()` to send.
//! let upgrade = Upgrade::new(request)?;
//! let accept = policy.decide(&upgrade)?;
//! let accepted = upgrade.accept(&accept, config)?;
//! assert_eq!(accepted.subprotocol.as_deref(), Some("chat"));
//! assert_eq!(accepted.request.path(), "/room");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
#[cfg(feature = "http")]
mod answer;
mod handshake;
mod hosts;
mod origin;
mod policy;
mod rejection;
mod upgrade;

pub use accept::{Accept, Accepted, SubprotocolNotOffered};
pub use handshake::{ServerHandshake, ServerHandshakeError};
pub use origin::{InvalidHost, InvalidOrigin, Origin, Origins};
pub use policy::Policy;
pub use rejection::{Refusal, Rejection};
pub use upgrade::Upgrade;
