//! A whole server in memory, with virtual time: clients that send anything in any pieces, and an
//! application that does anything.

mod app;
mod chunks;
mod requests;
mod script;
mod setup;
mod world;

use crate::input::Input;

/// Checks one input: a choice, then a script of calls, or the streams of several clients.
pub fn server(data: &[u8]) {
    let mut input = Input::new(data);
    if input.byte() & 1 == 0 { script::run(input) } else { chunks::run(input) }
}
