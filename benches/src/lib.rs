//! The shared parts of the benchmarks, which compare Sockeye with other WebSocket libraries.
//!
//! Every library reads the same bytes from the same in-memory stream and does the same work: it
//! assembles whole messages, checks text and counts bytes. The README says how to run and read the
//! benchmarks.

mod cpu;
pub mod deflate;
mod json;
mod libraries;
mod memory;
mod raw;
mod served;
mod traffic;
mod turns;

pub use cpu::{cpu_time, measure, settle_allocator};
pub(crate) use libraries::spin;
pub use libraries::{
    Encode, FastWebSockets, Library, Sockeye, SockeyeCore, SockeyeLent, Still, TokioWebSockets, Tungstenite,
};
pub use memory::Memory;
pub use raw::{RawDeflate, RawInflate};
pub use served::{
    Batches, ToMany, World, echo_alone, echo_blocking, echo_on_thread, echo_served, idle, send_to_many,
};
pub use traffic::{Kind, Shape, Traffic, payload, size_name};
pub use turns::{ROUNDS, medians};
