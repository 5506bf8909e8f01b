//! The client's side of the opening handshake (RFC 6455 4.1).
//!
//! ```
//! use std::sync::Arc;
//! use sockeye_core::handshake::client::{Request, Url};
//! use sockeye_core::{Config, RecvBuf};
//!
//! let url: Url = "ws://example.com/chat".parse()?;
//! let (nonce, masks) = (*b"the sample nonce", Box::new(|| [1, 2, 3, 4])); // from a real source of randomness
//! let mut handshake = Request::new(&url).subprotocol("chat")?.start(nonce, masks, Arc::new(Config::new()));
//!
//! // To the transport, connected to (url.host(), url.port()):
//! while let Some(bytes) = handshake.poll_transmit() {
//!     let written = bytes.len();
//!     handshake.transmitted(written);
//! }
//! // And from it:
//! let mut received = *b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
//! if let Some(established) = handshake.poll_response(&mut RecvBuf::new(&mut received))? {
//!     assert_eq!(established.subprotocol.as_deref(), Some("chat"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod request;
mod url;
mod verify;
mod waiting;

pub use error::{BadResponse, HandshakeError};
pub use request::Request;
pub use url::{Url, UrlError};
pub use waiting::{Established, Handshake};
