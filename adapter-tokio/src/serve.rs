//! Accept loops that survive the errors of `accept`.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use sockeye_driver::{AcceptBackoff, log_connection_error};
use tokio::net::{TcpListener, TcpStream};

use crate::{WebSocket, accept};

/// Accepts WebSockets like [`accept`], and runs `handler` for each one in a task.
///
/// ```no_run
/// use sockeye_tokio::WebSocket;
///
/// #[tokio::main]
/// async fn main() -> std::io::Result<()> {
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:9501").await?;
///     let echo = |mut ws: WebSocket| async move {
///         while let Some(message) = ws.recv().await? {
///             ws.feed(message).await?;
///         }
///         Ok(())
///     };
///     sockeye_tokio::serve(listener, echo).await
/// }
/// ```
///
/// It never returns. No error of the socket ends it: when the process has no file descriptors left,
/// it waits until some are free. A failed handshake or an error of `handler` ends that connection
/// only, and is logged at debug level (feature `tracing`).
///
/// To inspect the request, to wrap the stream in TLS or to choose a `Config`, write the loop with
/// [`accept_tcp`]. For limits on the number of connections and for a graceful end, use the module
/// `server`.
///
/// # Cancel safety
///
/// Dropping the future stops accepting. The tasks of accepted connections continue.
///
/// # Panics
///
/// Panics outside of a tokio runtime.
pub async fn serve<F, Fut>(listener: TcpListener, handler: F) -> !
where
    F: Fn(WebSocket) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let handler = Arc::new(handler);
    loop {
        let (stream, peer) = accept_tcp(&listener).await;
        let handler = handler.clone();
        tokio::spawn(async move {
            let ended = match accept(stream).await {
                Ok(websocket) => handler(websocket).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = ended {
                log_connection_error(&peer, &*error);
            }
        });
    }
}

/// Accepts the next TCP connection, and sets `TCP_NODELAY` on it.
///
/// Unlike [`TcpListener::accept`] it returns no error, because none should end an accept loop. If
/// the error concerns one connection, it accepts the next one at once. Otherwise, for instance when
/// the process has no file descriptors left, it first waits for 5 ms to 1 s.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use sockeye_tokio::{Accept, Config, Upgrade};
/// # async fn f(listener: tokio::net::TcpListener) {
/// let config = Arc::new(Config::new().max_message_size(64 << 10));
/// loop {
///     let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
///     let config = config.clone();
///     tokio::spawn(async move {
///         let decide = async |_: &Upgrade| Ok(Accept::new());
///         let _ws = sockeye_tokio::accept_with(stream, config, decide).await?;
///         Ok::<(), sockeye_tokio::AcceptError>(())
///     });
/// }
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping the future loses no connection.
pub async fn accept_tcp(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut backoff = AcceptBackoff::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // If the option cannot be set, the socket is broken and the first read reports it.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => tokio::time::sleep(backoff.pause_after(&error)).await,
        }
    }
}
