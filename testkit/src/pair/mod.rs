//! The core's [`Connection`](sockeye_core::Connection) in memory: one end fed by hand, or two ends
//! joined by a simulated transport on a virtual clock.
//!
//! ```
//! use sockeye_core::Config;
//! use sockeye_testkit::pair::{Got, Pair};
//!
//! let mut pair = Pair::new(Config::new());
//! pair.client.connection.send("Hello").unwrap();
//! pair.drive();
//! assert_eq!(pair.server.got, [Got::Text("Hello".into())]);
//! ```

mod end;
mod link;

pub use end::{End, Got};
pub use link::{Link, Pair};
