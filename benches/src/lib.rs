//! What Sockeye costs, measured beside other WebSocket libraries: the parts that the benchmarks share.
//!
//! Every library gets the same bytes through the same in-memory stream and does the same work: whole messages, text
//! checked, bytes counted. See the README for how to run and read the benchmarks.

mod cpu;
pub mod deflate;
mod json;
mod libraries;
mod memory;
mod raw;
mod traffic;
mod turns;

pub use cpu::{cpu_time, measure, settle_allocator};
pub use libraries::{
    Encode, FastWebSockets, Library, Sockeye, SockeyeCore, SockeyeLent, Still, TokioWebSockets, Tungstenite,
};
pub use memory::Memory;
pub use raw::{RawDeflate, RawInflate};
pub use traffic::{Kind, Shape, Traffic, payload, size_name};
pub use turns::{ROUNDS, medians};
