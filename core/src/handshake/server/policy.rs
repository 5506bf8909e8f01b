//! A configurable decision that fits most servers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::hosts::AllowedHosts;
use super::{Accept, InvalidHost, Origins, Refusal, Rejection, Upgrade};
use crate::http::{InvalidHeader, Request, is_token};

/// A rule for answering handshakes: which subprotocols the server speaks, which origins may connect,
/// and to which hosts.
///
/// By default the server speaks no subprotocol, and pages from the same host may connect. It answers
/// for any host: see [`allowed_hosts`](Policy::allowed_hosts).
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
    allowed_hosts: AllowedHosts,
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
    /// Use it if a proxy replaces `Host`. A proxy may also forward the host: see
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

    /// Sets the hosts that this server answers for: names or addresses, each with an optional port.
    /// Requests for any other host, or for none, are refused with 421. By default every host is
    /// allowed.
    ///
    /// Use it against DNS rebinding. The owner of a page can make the name of its host resolve to
    /// the address of this server. For the browser, and for [`Origins::SameHost`], the page and the
    /// server then have the same host, and only that host shows that the server is not meant. A
    /// server on localhost or in a private network needs this most: no firewall keeps the browsers
    /// of its users out.
    ///
    /// An entry without a port allows every port. A request without a port matches the ports 80 and
    /// 443. Wildcards are not supported. Behind a proxy, the host that
    /// [`Upgrade::set_forwarded_host`] has set counts.
    ///
    /// [`decide`](Policy::decide) checks handshakes, and
    /// [`check_request`](Policy::check_request) plain requests. A server of `sockeye-driver` checks
    /// both before its handler sees them.
    ///
    /// RFC 9110 7.4: "Unless the connection is from a trusted gateway, an origin server MUST reject
    /// a request if any scheme-specific requirements for the target URI are not met", with 421
    /// (Misdirected Request) if the request is for another server.
    ///
    /// ```
    /// use sockeye_core::handshake::server::Policy;
    ///
    /// let policy = Policy::new().allowed_hosts(["localhost", "127.0.0.1", "[::1]"])?;
    /// # Ok::<(), sockeye_core::handshake::server::InvalidHost>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHost`] if one of them is not a host.
    pub fn allowed_hosts<'a>(
        mut self,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidHost> {
        self.allowed_hosts = AllowedHosts::new(hosts)?;
        Ok(self)
    }

    /// Sets which origins may connect.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Checks that a plain request is for an [allowed host](Policy::allowed_hosts), and returns it.
    /// `forwarded_host` is the host that a trusted proxy names.
    ///
    /// # Errors
    ///
    /// Returns a [`Rejection`] with the reason [`Refusal::Host`], whose response is a 421.
    pub fn check_request(
        &self,
        request: Request,
        forwarded_host: Option<&str>,
    ) -> Result<Request, Rejection> {
        if self.allowed_hosts.allow(forwarded_host.or_else(|| request.host()).unwrap_or_default()) {
            return Ok(request);
        }
        let rejection = Rejection::new(request, Refusal::Host);
        Err(match forwarded_host {
            Some(host) => rejection.with_host(host),
            None => rejection,
        })
    }

    /// Checks that a handshake is for an [allowed host](Policy::allowed_hosts), as
    /// [`decide`](Policy::decide) does.
    ///
    /// # Errors
    ///
    /// Returns a [`Rejection`] with the reason [`Refusal::Host`], whose response is a 421.
    pub fn check_host(&self, upgrade: &Upgrade) -> Result<(), Rejection> {
        if self.allowed_hosts.allow(upgrade.host()) {
            Ok(())
        } else {
            Err(upgrade.clone().reject(Refusal::Host))
        }
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
    /// Its response is a 403 that names the origin and the host. The reason is [`Refusal::Host`],
    /// and the response a 421, if the host is not [allowed](Policy::allowed_hosts). The operator
    /// `?` converts the error into a [`Response`](crate::http::Response).
    pub fn decide(&self, upgrade: &Upgrade) -> Result<Accept, Rejection> {
        self.check_host(upgrade)?;
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
