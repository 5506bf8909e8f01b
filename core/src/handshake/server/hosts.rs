//! Checking the requested host (RFC 9110 7.4).

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::InvalidHost;
use crate::http::Authority;

/// The hosts that a server answers for; if there are none, it answers for any.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowedHosts(Vec<AllowedHost>);

#[derive(Debug, Clone)]
struct AllowedHost {
    /// A name or an address; an IPv6 address has its brackets.
    host: Box<str>,
    /// `None` allows every port.
    port: Option<u16>,
}

impl AllowedHosts {
    pub(super) fn new<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidHost> {
        hosts.into_iter().map(AllowedHost::parse).collect::<Result<_, _>>().map(AllowedHosts)
    }

    /// Returns whether the server answers a request for `host`. The empty text stands for a request
    /// that names none.
    pub(super) fn allow(&self, host: &str) -> bool {
        self.0.is_empty()
            || Authority::parse(host.as_bytes())
                .is_some_and(|requested| self.0.iter().any(|allowed| allowed.matches(requested)))
    }
}

impl AllowedHost {
    fn parse(host: &str) -> Result<Self, InvalidHost> {
        // RFC 3986 3.2.2 allows a star in a host, but real hosts have none. It would be meant as a
        // wildcard, and would silently never match.
        let authority = Some(host).filter(|host| !host.contains('*'));
        let authority = authority.and_then(|host| Authority::parse(host.as_bytes())).ok_or(InvalidHost)?;
        Ok(AllowedHost { host: authority.host.to_string().into(), port: authority.port })
    }

    fn matches(&self, requested: Authority<'_>) -> bool {
        is_same(&self.host, requested.host) && self.port.is_none_or(|port| has_port(requested, port))
    }
}

/// Returns whether a request for this host goes to this port. Without a port it goes to the default
/// one, and the server does not know which: a proxy may have terminated TLS.
fn has_port(requested: Authority<'_>, port: u16) -> bool {
    requested.port.map_or(matches!(port, 80 | 443), |requested| requested == port)
}

/// Compares two hosts. One IPv6 address can be written in several ways.
fn is_same(host: &str, other: &str) -> bool {
    host.eq_ignore_ascii_case(other) || ipv6(host).is_some_and(|address| Some(address) == ipv6(other))
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}
