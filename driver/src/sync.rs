//! The synchronization of this crate: that of the standard library, or that of loom in the models
//! of `server/models.rs`.
#![cfg_attr(not(feature = "server"), expect(unused_imports, reason = "only servers need all of it"))]

#[cfg(all(test, sockeye_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(not(all(test, sockeye_loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) mod atomic {
    #[cfg(all(test, sockeye_loom))]
    pub(crate) use loom::sync::atomic::*;
    #[cfg(not(all(test, sockeye_loom)))]
    pub(crate) use std::sync::atomic::*;
}
