//! The part of each limit that is in use.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

/// The numbers that the limits of a server are compared with.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) handshakes: AtomicUsize,
    pub(crate) refusals: AtomicUsize,
    pub(crate) ports: AtomicUsize,
    /// The number of connections from each address, counted only if that is limited.
    pub(crate) addresses: Mutex<HashMap<IpAddr, usize>>,
}
