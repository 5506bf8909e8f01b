//! Networks of IP addresses.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A network of IP addresses, written as `10.0.0.0/8`, `2001:db8::/32` or a single address.
///
/// ```
/// use sockeye_core::proxy::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// // An IPv6 socket sees IPv4 addresses in this form.
/// assert!(network.contains("::ffff:10.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first address.
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Returns whether the address belongs to the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        mask(address.to_canonical(), self.prefix) == self.address
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Network { address, prefix: bits(address) }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let Some(prefix) = prefix else { return Ok(address.into()) };
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidNetwork);
        }
        let prefix: u8 = prefix.parse().map_err(|_| InvalidNetwork)?;
        if prefix > bits(address) {
            return Err(InvalidNetwork);
        }
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
        let canonical = address.to_canonical();
        let prefix = match prefix.checked_sub(bits(address).saturating_sub(bits(canonical))) {
            Some(prefix) => prefix,
            // A wider network that begins within the IPv4-mapped addresses is one of IPv6.
            None => return Ok(Network { address: mask(address, prefix), prefix }),
        };
        Ok(Network { address: mask(canonical, prefix), prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The error for a text that is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidNetwork;

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network must be an IP address, such as 192.0.2.1, or a prefix, such as 10.0.0.0/8")
    }
}

impl core::error::Error for InvalidNetwork {}

/// Returns the number of bits of an address.
fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns the address with all bits after the first `prefix` cleared.
fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    let ignored = u32::from(bits(address).saturating_sub(prefix));
    match address {
        IpAddr::V4(ip) => {
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(ignored).unwrap_or(0)))
        }
        IpAddr::V6(ip) => {
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.checked_shl(ignored).unwrap_or(0)))
        }
    }
}
