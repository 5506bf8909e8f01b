//! The proxy that the environment variables name.

use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

use super::{InvalidProxy, Proxy};
use crate::handshake::client::Url;
use crate::proxy::Network;

/// Returns the proxy that the environment names for a URL, or `None` for a direct connection.
///
/// `lookup` returns the value of a variable, for instance
/// `|name| std::env::var(name).ok()`. The variables are those of curl, Go and Python:
///
/// - `https_proxy` or `HTTPS_PROXY` for `wss://`.
/// - `http_proxy` or `HTTP_PROXY` for `ws://`. A CGI program ignores `HTTP_PROXY`: there it is the
///   header `Proxy` of a request, which a client may have forged. `REQUEST_METHOD` shows that this
///   is one.
/// - `all_proxy` or `ALL_PROXY` for both, if the first two have no value.
/// - `no_proxy` or `NO_PROXY`: hosts to connect to directly, separated by commas. An entry is `*`
///   for all hosts, a name, which includes its subdomains, `.name` or `*.name`, which mean the same,
///   an address, or a network such as `10.0.0.0/8`. A name or an address may end in a port.
///
/// The name in lower case goes first. An empty variable counts as missing.
///
/// ```
/// use sockeye_core::dial::{Proxy, proxy_from_env};
///
/// let variables = |name: &str| match name {
///     "HTTPS_PROXY" => Some("http://proxy.example:3128".to_string()),
///     "NO_PROXY" => Some("localhost,.internal".to_string()),
///     _ => None,
/// };
/// let proxy = proxy_from_env(&"wss://example.com/".parse()?, variables)?;
/// assert_eq!(proxy, Some(Proxy::parse("http://proxy.example:3128")?));
/// assert_eq!(proxy_from_env(&"wss://chat.internal/".parse()?, variables)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns an error if the variable that names the proxy is not a proxy. The error does not contain
/// its value.
pub fn proxy_from_env(
    url: &Url,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, InvalidProxyVariable> {
    let first = |names: &[&'static str]| {
        let value = |name: &&'static str| {
            lookup(name).filter(|value| !value.trim().is_empty()).map(|value| (*name, value))
        };
        names.iter().find_map(value)
    };
    let is_cgi = lookup("REQUEST_METHOD").is_some();
    let named = if url.is_secure() {
        first(&["https_proxy", "HTTPS_PROXY"])
    } else if is_cgi {
        first(&["http_proxy"])
    } else {
        first(&["http_proxy", "HTTP_PROXY"])
    };
    let Some((variable, value)) = named.or_else(|| first(&["all_proxy", "ALL_PROXY"])) else {
        return Ok(None);
    };
    if first(&["no_proxy", "NO_PROXY"]).is_some_and(|(_, list)| is_direct(url, &list)) {
        return Ok(None);
    }
    Proxy::parse(value.trim()).map(Some).map_err(|error| InvalidProxyVariable { variable, error })
}

/// Returns whether the list contains the host of the URL.
fn is_direct(url: &Url, list: &str) -> bool {
    let host = url.host().trim_end_matches('.');
    let address = host.parse::<IpAddr>().ok();
    let mut entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    entries.any(|entry| entry == "*" || matches_entry(host, address, url.port(), entry))
}

fn matches_entry(host: &str, address: Option<IpAddr>, port: u16, entry: &str) -> bool {
    // A network, or an address without a port, such as `::1`.
    if let Ok(network) = entry.trim_matches(['[', ']']).parse::<Network>() {
        return address.is_some_and(|address| network.contains(address));
    }
    let (name, entry_port) = match entry.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (entry, None),
    };
    if entry_port.is_some_and(|entry_port| entry_port.parse() != Ok(port)) {
        return false;
    }
    match (address, name.trim_matches(['[', ']']).parse::<IpAddr>()) {
        (Some(address), Ok(entry)) => address.to_canonical() == entry.to_canonical(),
        (None, Err(_)) => is_in_domain(host, name),
        _ => false,
    }
}

fn is_in_domain(host: &str, domain: &str) -> bool {
    let domain = domain.strip_prefix('*').unwrap_or(domain);
    let domain = domain.strip_prefix('.').unwrap_or(domain).trim_end_matches('.');
    let Some(start) = host.len().checked_sub(domain.len()).filter(|_| !domain.is_empty()) else {
        return false;
    };
    match host.split_at_checked(start) {
        Some((before, end)) => {
            end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with('.'))
        }
        None => false,
    }
}

/// The error for an environment variable that does not name a proxy. It does not contain the value,
/// which may have a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidProxyVariable {
    /// The name of the variable.
    pub variable: &'static str,
    /// The fault of its value.
    pub error: InvalidProxy,
}

impl fmt::Display for InvalidProxyVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} is invalid: {}", self.variable, self.error)
    }
}

impl core::error::Error for InvalidProxyVariable {}
