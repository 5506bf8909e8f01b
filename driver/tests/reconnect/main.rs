//! A client that stays connected (K8 of docs/requirements.md), in virtual time.

mod ends;
mod gaps;
mod memory;
mod policy;
mod random;
mod sending;
mod support;
