//! How much of the limits is taken.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

/// How many there are.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) handshakes: AtomicUsize,
    pub(crate) refusals: AtomicUsize,
    pub(crate) ports: AtomicUsize,
    /// Kept only if there is a limit.
    pub(crate) addresses: Mutex<HashMap<IpAddr, usize>>,
}
