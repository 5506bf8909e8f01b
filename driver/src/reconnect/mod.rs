//! A client that stays connected.
//!
//! [`Reconnecting`] connects, and connects again whenever the connection is lost. It says so,
//! because messages may be missing then:
//!
//! ```no_run
//! use sockeye_driver::reconnect::{Cause, Dial, ReconnectPolicy, Reconnecting, Update};
//! # use sockeye_driver::{Clock, ConnectError, Io, WebSocket};
//! # async fn f<I: Io, C: Clock + Default>(
//! #     connect: impl AsyncFn(&str) -> Result<WebSocket<I, C>, ConnectError>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! # let url = "wss://example.com/feed";
//!
//! let mut client = Reconnecting::new(ReconnectPolicy::new(), async |_attempt| connect(url).await)
//!     .on_connect(async |ws: &mut WebSocket<I, C>| ws.send("subscribe: prices").await);
//! while let Some(update) = client.recv().await? {
//!     match update {
//!         Update::Message(message) => println!("{message:?}"),
//!         Update::Connected { .. } => println!("connected; fetch what was missed"),
//!         Update::Lost { cause, retry_in, .. } => println!("{cause}; again in {retry_in:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # When it tries again
//!
//! [`ReconnectPolicy`] decides, in one place and without I/O: jittered exponential backoff, a
//! limit, `Retry-After`, and which failures are final. [`Backoff`] is its state. Programs with a
//! loop of their own, or with another client, can use the two without [`Reconnecting`].
//!
//! # What may be lost
//!
//! - Messages of the server: those that it sent between the loss and the next subscription. Each
//!   gap is reported, as [`Update::Lost`]. Only the protocol above WebSocket can fetch them.
//! - Messages to the server: those that the transport had accepted, but that did not arrive before
//!   the connection broke. No end of a broken connection can know about them. If that matters, let
//!   the server acknowledge messages.
//!
//! All other messages are accounted for. [`send`](Reconnecting::send) returns a message that it did
//! not accept. A message that was being written when the connection broke is returned as well, as
//! one in doubt. No message is sent twice: neither by this end nor, because of that, received
//! twice.
//!
//! # Memory
//!
//! While the server is away, nothing grows: the client holds one closure, one timer, and at most
//! the messages that [`WhileDown::Queue`] allows.

mod attempt;
mod cause;
mod client;
mod outgoing;
mod policy;
mod sending;

pub use attempt::{BoxDial, Dial};
pub use cause::Cause;
pub use client::{GaveUp, Reconnecting, Update};
pub use outgoing::{Outgoing, Unsent, UnsentReason, WhileDown};
pub use policy::{Attempt, Backoff, ReconnectPolicy};
