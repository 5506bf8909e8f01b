//! A client that stays connected.
//!
//! ```no_run
//! use sockeye_tokio::WebSocket;
//! use sockeye_tokio::reconnect::{ReconnectPolicy, Reconnecting, Update};
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "ws://127.0.0.1:9501/";
//! let connect = async |_| sockeye_tokio::connect(url).await;
//! let mut client = Reconnecting::new(ReconnectPolicy::new(), connect)
//!     .on_connect(async |ws: &mut WebSocket| ws.send("subscribe: prices").await);
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
//! [`sockeye_driver::reconnect`] describes what may be lost.

pub use sockeye_driver::reconnect::{
    Attempt, Backoff, Cause, Dial, GaveUp, Outgoing, ReconnectPolicy, Unsent, UnsentReason, Update, WhileDown,
};
use tokio::net::TcpStream;

use crate::{TokioClock, TokioIo};

/// A client that stays connected, over any stream `S`. `D` holds its closures; as written by
/// default, it is the type of a client that was
/// [boxed](sockeye_driver::reconnect::Reconnecting::boxed):
///
/// ```
/// use sockeye_tokio::reconnect::{ReconnectPolicy, Reconnecting};
///
/// struct Feed {
///     client: Reconnecting,
/// }
///
/// fn feed(url: String) -> Feed {
///     let connect = async move |_| sockeye_tokio::connect(&url).await;
///     Feed { client: Reconnecting::new(ReconnectPolicy::new(), connect).boxed() }
/// }
/// ```
pub type Reconnecting<S = TcpStream, D = BoxDial<S>> =
    sockeye_driver::reconnect::Reconnecting<TokioIo<S>, TokioClock, D>;

/// Opens connections over the stream `S`.
pub type BoxDial<S = TcpStream> = sockeye_driver::reconnect::BoxDial<TokioIo<S>, TokioClock>;
