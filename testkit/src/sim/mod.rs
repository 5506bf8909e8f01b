//! A simulated world for the driver: an in-memory transport that misbehaves on request, a clock
//! that only the test moves, and an executor that polls a task only when it was woken. A lost waker
//! shows as a deadlock.
//!
//! ```
//! use sockeye_core::Config;
//! use sockeye_testkit::sim::{Executor, client, pipe, server};
//!
//! let mut executor = Executor::new();
//! let (near, far) = pipe(1000);
//! let mut server = server(near, &executor.time, Config::new());
//! let mut client = client(far, &executor.time, Config::new());
//! let received = executor.spawn("server", async move { server.recv().await });
//! executor.spawn("client", async move { client.send("Hello").await });
//! executor.run();
//! assert_eq!(received.take().unwrap(), Some("Hello".into()));
//! ```

mod by_hand;
mod cancel;
mod clock;
mod echo;
mod executor;
mod faults;
mod pipe;
mod runtime;
mod world;

pub use crate::polls::{poll_at_most, poll_once, until_woken, yield_now};
pub use cancel::{Canceller, at_every_poll};
pub use clock::{Alarm, TestClock, Time};
pub use echo::Echo;
pub use executor::{Executor, Handle, Spawner, run};
pub use faults::{Fail, Faults, Pending, Probe, Stats};
pub use pipe::{Pipe, pipe, pipe_with};
pub use runtime::{Connector, SimListener, SimRuntime};
pub use world::World;

use std::sync::Arc;

use sockeye_core::{Config, Connection, Message};
use sockeye_driver::{Error, WebSocket};

use crate::frames::mask_keys;

/// A connection under test.
pub type Ws = WebSocket<Pipe, TestClock>;

/// Returns the server's end of an open connection.
#[must_use]
pub fn server(io: Pipe, time: &Time, config: Config) -> Ws {
    WebSocket::new(Connection::server(Arc::new(config)), &[], io, time.clock())
}

/// Returns the client's end of an open connection.
#[must_use]
pub fn client(io: Pipe, time: &Time, config: Config) -> Ws {
    WebSocket::new(Connection::client(Arc::new(config), mask_keys()), &[], io, time.clock())
}

/// Returns an end of an open connection, in either role.
#[must_use]
pub fn open(is_server: bool, io: Pipe, time: &Time, config: Config) -> Ws {
    if is_server { server(io, time, config) } else { client(io, time, config) }
}

/// Returns bytes that vary with their position and the seed, so that a test notices when they are
/// cut or mixed up.
#[must_use]
pub fn payload(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31).wrapping_add(seed.wrapping_mul(101)) >> 2) as u8).collect()
}

/// Receives until the connection ends. Returns the messages and how the connection ended.
///
/// # Panics
///
/// Panics if the end is reported twice: every later receive must return `None`.
pub async fn receive_all(mut ws: Ws) -> (Vec<Message>, Result<(), Error>) {
    let mut messages = Vec::new();
    let end = loop {
        match ws.recv().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    for _ in 0..2 {
        assert!(matches!(ws.recv().await, Ok(None)), "the end is reported once");
        assert!(matches!(ws.recv_with(|_, _| ()).await, Ok(None)), "the end is reported once");
        assert!(matches!(ws.recv_part().await, Ok(None)), "the end is reported once");
    }
    (messages, end)
}
