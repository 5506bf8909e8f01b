//! The client side of the opening handshake (RFC 6455 4.1).
//!
//! ```
//! use std::sync::Arc;
//! use sockeye_core::handshake::client::{ClientRequest, Url};
//! use sockeye_core::{Config, RecvBuf};
//!
//! let url: Url = "ws://example.com/chat".parse()?;
//! // Both must come from a secure random generator.
//! let (nonce, masks) = (*b"the sample nonce", Box::new(|| [1, 2, 3, 4]));
//! let request = ClientRequest::new(&url).subprotocol("chat")?;
//! let mut handshake = request.start(nonce, masks, Arc::new(Config::new()));
//!
//! // Write to the transport, which is connected to (url.host(), url.port()).
//! while let Some(bytes) = handshake.poll_transmit() {
//!     let written = bytes.len();
//!     handshake.transmitted(written);
//! }
//! // Read from it.
//! let mut received = *b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
//!     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
//!     Sec-WebSocket-Protocol: chat\r\n\r\n";
//! if let Some(established) = handshake.poll_response(&mut RecvBuf::new(&mut received))? {
//!     assert_eq!(established.subprotocol.as_deref(), Some("chat"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod handshake;
mod parts;
mod request;
pub(crate) mod url;
mod verify;

pub use error::{BadResponse, ClientHandshakeError};
pub use handshake::{ClientHandshake, Established};
pub use parts::PartsHandshake;
pub use request::ClientRequest;
pub use url::{Url, UrlError};
