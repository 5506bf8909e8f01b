//! The synchronization of this crate: that of the standard library, or that of loom in the models
//! of `server/models.rs`.

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
