//! The way to a server, and the changes of it that redirects make.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sockeye_core::Config;
use sockeye_core::dial::{Proxy, RedirectError, Tunnel, proxy_from_env, redirect};
use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, Url};

use super::options::{ConnectOptions, ProxyChoice};
use crate::handshake::connect::ConnectError;
#[cfg(feature = "_tls")]
use crate::tls::ClientTls;

/// The way to a server, for adapters.
///
/// Connect to the [`hop`](Plan::hop), begin [TLS](Plan::is_secure), and send the
/// [`request`](Plan::request). If that fails, pass the error to [`follow`](Plan::follow), which
/// says whether to begin again.
#[derive(Debug)]
pub struct Plan {
    url: Url,
    options: ConnectOptions,
    followed: u8,
}

/// The socket to open, and what to do over it first.
#[derive(Debug)]
pub struct Hop {
    /// Where to connect to.
    pub destination: Destination,
    /// The proxy to ask for the connection to the server, if the destination is a proxy.
    pub tunnel: Option<Tunnel>,
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The first of these addresses that answers.
    Addresses(Vec<SocketAddr>),
    /// A host whose name must be resolved.
    Host {
        /// The name, or an IPv6 address with its zone.
        name: String,
        /// The port.
        port: u16,
    },
}

impl Plan {
    /// Plans the way to a URL.
    #[must_use]
    pub fn new(url: Url, options: ConnectOptions) -> Self {
        Plan { url, options, followed: 0 }
    }

    /// Returns the URL to connect to.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns whether TLS precedes the request.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.is_secure()
    }

    /// Returns the configuration of the connection. Its
    /// [`handshake_timeout`](Config#structfield.handshake_timeout) is for the whole way.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.options.config
    }

    /// Returns the request to send.
    #[must_use]
    pub fn request(&self) -> ClientRequest {
        self.options.request.clone().for_url(&self.url)
    }

    /// Returns the certificates to trust, or `None` if the connection has no TLS.
    ///
    /// # Errors
    ///
    /// Returns an error like [`ClientTls::shared`], unless the options name certificates.
    #[cfg(feature = "_tls")]
    pub fn tls(&self) -> Result<Option<ClientTls>, ConnectError> {
        Ok(match &self.options.tls {
            _ if !self.is_secure() => None,
            Some(tls) => Some(tls.clone()),
            None => Some(ClientTls::shared()?),
        })
    }

    /// Returns the socket to open.
    ///
    /// # Errors
    ///
    /// Returns an error if an environment variable is not the URL of a proxy, or if the proxy cannot
    /// connect to such a host.
    pub fn hop(&self) -> Result<Hop, ConnectError> {
        let Some(proxy) = self.proxy()? else {
            return Ok(Hop { destination: self.server(), tunnel: None });
        };
        let config = self.options.config.clone();
        let tunnel = match self.options.addresses.first() {
            Some(address) => Tunnel::new(&proxy, &address.ip().to_string(), address.port(), config)?,
            None => Tunnel::new(&proxy, self.url.host(), self.url.port(), config)?,
        };
        let destination = destination(proxy.host(), proxy.zone(), proxy.port());
        Ok(Hop { destination, tunnel: Some(tunnel) })
    }

    fn server(&self) -> Destination {
        match &self.options.addresses[..] {
            [] => destination(self.url.host(), self.url.zone(), self.url.port()),
            addresses => Destination::Addresses(addresses.to_vec()),
        }
    }

    fn proxy(&self) -> Result<Option<Proxy>, ConnectError> {
        Ok(match &self.options.proxy {
            ProxyChoice::Direct => None,
            ProxyChoice::Fixed(proxy) => Some(proxy.clone()),
            ProxyChoice::Environment => proxy_from_env(&self.url, |name| std::env::var(name).ok())?,
        })
    }

    /// Changes the way as a redirect says, if `error` is one and the options allow it. Begin again
    /// then.
    ///
    /// # Errors
    ///
    /// Returns `error` if it is not a redirect to follow. Returns [`ConnectError::Redirect`] if the
    /// redirect is invalid, leads from `wss` to `ws`, or is one too many.
    pub fn follow(&mut self, error: ConnectError) -> Result<(), ConnectError> {
        let limit = self.options.redirects;
        let ConnectError::Handshake(ClientHandshakeError::Refused(response)) = &error else {
            return Err(error);
        };
        let Some(to) = redirect(&self.url, response).filter(|_| limit > 0) else { return Err(error) };
        let to = to?;
        if self.followed == limit {
            return Err(RedirectError::TooMany { limit }.into());
        }
        self.followed += 1;
        self.move_to(to);
        Ok(())
    }

    /// Goes to another URL, without what only the old one may see or need.
    fn move_to(&mut self, to: Url) {
        let (from, options) = (&self.url, &mut self.options);
        if !from.is_same_origin(&to) {
            options.request = options.request.clone().without_credentials();
        }
        if (from.host(), from.port()) != (to.host(), to.port()) {
            options.addresses.clear();
        }
        #[cfg(feature = "_tls")]
        if from.host() != to.host() {
            options.tls = options.tls.take().map(ClientTls::without_server_name);
        }
        self.url = to;
    }
}

fn destination(host: &str, zone: Option<&str>, port: u16) -> Destination {
    match (host.parse::<IpAddr>(), zone) {
        (Ok(address), None) => Destination::Addresses(vec![SocketAddr::new(address, port)]),
        // The resolver knows the number of the interface.
        (_, Some(zone)) => Destination::Host { name: format!("{host}%{zone}"), port },
        (Err(_), None) => Destination::Host { name: host.to_owned(), port },
    }
}
