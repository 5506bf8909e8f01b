//! A configurable decision that fits most servers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Accept, Origins, Refusal, Upgrade};
use crate::http::{InvalidHeader, is_token};

/// A rule for answering handshakes: which subprotocols the server speaks, and which origins may
/// connect.
///
/// By default the server speaks no subprotocol, and pages from the same host may connect.
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
    /// Creates a policy without subprotocols that accepts pages from the same host.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subprotocol, in descending order of preference.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader::Subprotocol`] if the name is not a token, or was added before.
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

    /// Decides on a handshake. Pass the result to [`Upgrade::accept`].
    ///
    /// The subprotocol is the first one of the policy that the client offers, or none (RFC 6455
    /// 4.2.2: "if the server does not wish to agree to one of the suggested subprotocols, it MUST
    /// NOT send back a |Sec-WebSocket-Protocol| header field").
    ///
    /// # Errors
    ///
    /// Returns [`Refusal::Origin`] (status 403) if the origin may not connect. Pass it to
    /// [`Upgrade::reject`], or convert it into a [`Response`](crate::http::Response) with `?`.
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
