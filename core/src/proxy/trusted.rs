//! Finding the client behind trusted proxies.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::fields::{Hop, forwarded_elements, parse_node};
use super::{InvalidNetwork, Network};
use crate::http::{Authority, Headers};

/// The proxies that are trusted to name their clients, and the header fields in which they do.
///
/// By default no proxy is trusted.
///
/// ```
/// use sockeye_core::proxy::TrustedProxies;
///
/// // nginx on this machine, behind a load balancer in a private network.
/// let proxies = TrustedProxies::networks(["127.0.0.1", "::1", "10.0.0.0/8"])?;
/// # Ok::<(), sockeye_core::proxy::InvalidNetwork>(())
/// ```
///
/// List only machines that are proxies and nothing else. Each of them must add the fields to every
/// request, and overwrite or extend what its client has sent. A proxy that passes a client's field
/// on unchanged lets the client choose its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    unix: bool,
    fields: ForwardedFields,
}

/// The header fields in which proxies name the client.
///
/// Only one kind is read. A proxy that sets one kind passes the other on from its client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedFields {
    /// `X-Forwarded-For` and `X-Forwarded-Host`, as nginx, HAProxy, Apache, Caddy and most load
    /// balancers set them.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239), with its parameters `for` and `host`.
    Forwarded,
}

/// The client and the host of a request, as trusted proxies name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardedRequest<'h> {
    /// The client's address. The port is 0 if the proxies do not name it.
    ///
    /// `None` if no trusted proxy names an address: the peer itself is the client, or the nearest
    /// proxy hides it.
    pub client: Option<SocketAddr>,
    /// The host that the client asked for, if a trusted proxy names it.
    pub host: Option<&'h str>,
}

impl TrustedProxies {
    /// Trusts no proxy.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Trusts the proxies in these networks, each written as an address or as `address/prefix`.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidNetwork`] if one of them is neither.
    pub fn networks<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        let networks = networks.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(TrustedProxies { networks, ..TrustedProxies::default() })
    }

    /// Also trusts every peer of a Unix socket. The permissions of its file decide who can connect.
    #[must_use]
    pub fn unix(mut self) -> Self {
        self.unix = true;
        self
    }

    /// Sets the header fields that the proxies set ([`ForwardedFields::XForwarded`]).
    #[must_use]
    pub fn fields(mut self, fields: ForwardedFields) -> Self {
        self.fields = fields;
        self
    }

    /// Returns whether a peer is a trusted proxy. `None` is a peer of a Unix socket.
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(ip) => self.networks.iter().any(|network| network.contains(ip)),
            None => self.unix,
        }
    }

    /// Finds the client of a request that arrived from `peer`; `None` is a peer of a Unix socket.
    ///
    /// Each proxy appends the address that connected to it. So the list is read from the right: the
    /// peer vouches for the last address, the proxy at that address for the one before it, and so
    /// on. The client is the first address that is not a trusted proxy. Everything to the left of
    /// it may be invented. If a proxy hides its client (RFC 7239: `unknown`, `_name`) or the list
    /// is malformed there, the last address before that counts as the client.
    ///
    /// ```
    /// use sockeye_core::proxy::TrustedProxies;
    /// # use std::sync::Arc;
    /// # use sockeye_core::{Config, RecvBuf, handshake::server::ServerHandshake};
    /// # let mut bytes = *b"GET / HTTP/1.1\r\nHost: backend\r\n\
    /// #     X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.2\r\nX-Forwarded-Host: example.com\r\n\r\n";
    /// # let mut reader = ServerHandshake::new(Arc::new(Config::new()));
    /// # let request = reader.poll_request(&mut RecvBuf::new(&mut bytes))?.expect("a whole head");
    ///
    /// // X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.2
    /// // X-Forwarded-Host: example.com
    /// let proxies = TrustedProxies::networks(["10.0.0.0/8"])?;
    /// let found = proxies.resolve(Some("10.0.0.1".parse()?), request.headers());
    /// assert_eq!(found.client, Some("203.0.113.7:0".parse()?));
    /// assert_eq!(found.host, Some("example.com"));
    ///
    /// // A stranger's header is not read.
    /// let found = proxies.resolve(Some("192.0.2.1".parse()?), request.headers());
    /// assert_eq!(found.client, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn resolve<'h>(&self, peer: Option<IpAddr>, headers: &'h Headers) -> ForwardedRequest<'h> {
        if !self.trusts(peer) {
            return ForwardedRequest::default();
        }
        match self.fields {
            ForwardedFields::XForwarded => {
                let hops = headers
                    .elements_from_last("x-forwarded-for")
                    .map(|node| Some(Hop { node: parse_node(node), host: None }));
                let found = self.walk(hops);
                // The last host is the one that the nearest trusted proxy has added.
                let host = headers.elements_from_last("x-forwarded-host").next();
                ForwardedRequest { host: host.and_then(valid_host), ..found }
            }
            ForwardedFields::Forwarded => {
                let lines = headers.all_from_last("forwarded");
                // A malformed line says nothing about any hop.
                let elements = lines.flat_map(|line| match forwarded_elements(line) {
                    Some(elements) => elements.into_iter().rev().map(Some).collect::<Vec<_>>(),
                    None => [None].into(),
                });
                self.walk(elements)
            }
        }
    }

    /// Follows the hops, from the nearest one, as far as each is trusted to name the next.
    fn walk<'h>(&self, hops: impl Iterator<Item = Option<Hop<'h>>>) -> ForwardedRequest<'h> {
        let mut found = ForwardedRequest::default();
        for hop in hops {
            let Some(Hop { node, host }) = hop else { break };
            found.host = host.and_then(valid_host).or(found.host);
            let Some(node) = node else { break };
            found.client = Some(node);
            if !self.trusts(Some(node.ip())) {
                break;
            }
        }
        found
    }
}

fn valid_host(host: &[u8]) -> Option<&str> {
    Authority::parse(host)?;
    core::str::from_utf8(host).ok()
}
