//! A configurable decision that fits most servers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Accept, InvalidHost, Origins, Refusal, Rejection, Upgrade};
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
    public_hosts: Vec<String>,
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

    /// Returns the subprotocols, in descending order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.subprotocols.iter().map(String::as_str)
    }

    /// Sets the hosts, each with an optional port, under which pages reach this server. With
    /// [`Origins::SameHost`] only pages of these hosts may connect, regardless of the host that the
    /// request names.
    ///
    /// Use it if a proxy replaces `Host`, and to refuse pages of a foreign name that its owner made
    /// to resolve to this server (DNS rebinding). A proxy may also forward the host: see
    /// [`Upgrade::set_forwarded_host`].
    ///
    /// ```
    /// use sockeye_core::handshake::server::Policy;
    ///
    /// let policy = Policy::new().public_hosts(["chat.example.com", "localhost:8080"])?;
    /// # Ok::<(), sockeye_core::handshake::server::InvalidHost>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHost`] if one of them is not a host.
    pub fn public_hosts<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidHost> {
        let checked = |host: &str| InvalidHost::check(host).map(|()| host.to_string());
        self.public_hosts = hosts.into_iter().map(checked).collect::<Result<_, _>>()?;
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
    /// Returns a [`Rejection`] with the reason [`Refusal::Origin`] if the origin may not connect.
    /// Its response is a 403 that names the origin and the host. The operator `?` converts it into
    /// a [`Response`](crate::http::Response).
    pub fn decide(&self, upgrade: &Upgrade) -> Result<Accept, Rejection> {
        if !self.origins.allow(upgrade, &self.public_hosts) {
            let rejection = upgrade.clone().reject(Refusal::Origin);
            return Err(match self.public_hosts.as_slice() {
                [] => rejection,
                hosts => rejection.with_host(hosts.join(", ")),
            });
        }
        let offered = |name: &&String| upgrade.subprotocols().any(|offer| offer == name.as_str());
        Ok(match self.subprotocols.iter().find(offered) {
            Some(name) => Accept::new().subprotocol(name.as_str()),
            None => Accept::new(),
        })
    }
}
