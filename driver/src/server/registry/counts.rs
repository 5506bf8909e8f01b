//! The part of each limit that is in use.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::sync::Mutex;
use crate::sync::atomic::AtomicUsize;

/// The counts that a server compares with its limits.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) handshakes: AtomicUsize,
    pub(crate) refusals: AtomicUsize,
    pub(crate) ports: AtomicUsize,
    /// The number of connections from each address, without the bits that `Limits::ipv6_prefix`
    /// ignores. Counted only if that is limited.
    pub(crate) addresses: Mutex<HashMap<IpAddr, usize>>,
}
