//! What most servers want decided by configuration.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Accept, Origins, Refusal, Upgrade};
use crate::http::{InvalidHeader, is_token};

/// Decides on handshakes: which subprotocol, and which origins. By default none, and the same host.
///
/// ```
/// use sockeye_core::handshake::server::{Origins, Policy};
///
/// let policy = Policy::new()
///     .subprotocol("chat.v2")?
///     .subprotocol("chat.v1")?
///     .origins(Origins::list(["https://example.com"])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Policy {
    subprotocols: Vec<String>,
    origins: Origins,
}

impl Policy {
    /// No subprotocol, and only the same host.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subprotocol, less preferred than those before it.
    ///
    /// # Errors
    ///
    /// [`InvalidHeader::Subprotocol`] when it is not a token, or was added before.
    pub fn subprotocol(mut self, name: &str) -> Result<Self, InvalidHeader> {
        if !is_token(name.as_bytes()) || self.subprotocols.iter().any(|known| known == name) {
            return Err(InvalidHeader::Subprotocol);
        }
        self.subprotocols.push(name.to_string());
        Ok(self)
    }

    /// Sets which origins may connect.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// The answer to a handshake, to be passed to [`Upgrade::accept`].
    ///
    /// Of its subprotocols it chooses the first that the client offers, else none (RFC 6455 4.2.2: "if the server
    /// does not wish to agree to one of the suggested subprotocols, it MUST NOT send back a
    /// |Sec-WebSocket-Protocol| header field").
    ///
    /// # Errors
    ///
    /// [`Refusal::Origin`], to be passed to [`Upgrade::reject`]: status 403.
    pub fn decide(&self, upgrade: &Upgrade) -> Result<Accept, Refusal> {
        if !self.origins.allow(upgrade) {
            return Err(Refusal::Origin);
        }
        let offered = |name: &&String| upgrade.subprotocols().any(|offer| offer == name.as_str());
        Ok(match self.subprotocols.iter().find(offered) {
            Some(name) => Accept::new().subprotocol(name.as_str()),
            None => Accept::new(),
        })
    }
}
