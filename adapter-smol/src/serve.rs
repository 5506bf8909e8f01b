//! Accept loops that survive the errors of `accept`.

use std::net::SocketAddr;

use async_io::Timer;
use async_net::{TcpListener, TcpStream};
use sockeye_driver::AcceptBackoff;

/// Accepts WebSockets like [`accept`](crate::accept), and runs `handler` for each one in a task of
/// `smol::spawn`.
///
/// ```no_run
/// use sockeye_smol::WebSocket;
///
/// fn main() -> std::io::Result<()> {
///     smol::block_on(async {
///         let listener = smol::net::TcpListener::bind("127.0.0.1:9501").await?;
///         let echo = |mut ws: WebSocket| async move {
///             while let Some(message) = ws.recv().await? {
///                 ws.feed(message).await?;
///             }
///             Ok(())
///         };
///         sockeye_smol::serve(listener, echo).await
///     })
/// }
/// ```
///
/// It never returns. No error of the socket ends it: when the process has no file descriptors left,
/// it waits until some are free. A failed handshake or an error of `handler` ends that connection
/// only, and is logged at debug level (feature `tracing`).
///
/// To inspect the request, to wrap the stream in TLS, to choose a `Config` or another executor,
/// write the loop with [`accept_tcp`]. For limits on the number of connections and for a graceful
/// end, use the module `server`.
///
/// # Cancel safety
///
/// Dropping the future stops accepting. The tasks of accepted connections continue.
#[cfg(feature = "smol")]
pub async fn serve<F, Fut>(listener: TcpListener, handler: F) -> !
where
    F: Fn(crate::WebSocket) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let handler = std::sync::Arc::new(handler);
    loop {
        let (stream, peer) = accept_tcp(&listener).await;
        let handler = handler.clone();
        let task = smol::spawn(async move {
            let ended = match crate::accept(stream).await {
                Ok(websocket) => handler(websocket).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = ended {
                sockeye_driver::log_connection_error(&peer, &*error);
            }
        });
        task.detach();
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
/// # use sockeye_smol::{Accept, Config, Upgrade};
/// # async fn f(listener: smol::net::TcpListener) {
/// let config = Arc::new(Config::new().max_message_size(64 << 10));
/// loop {
///     let (stream, _) = sockeye_smol::accept_tcp(&listener).await;
///     let config = config.clone();
///     let task = smol::spawn(async move {
///         let decide = async |_: &Upgrade| Ok(Accept::new());
///         let _ws = sockeye_smol::accept_with(stream, config, decide).await?;
///         Ok::<(), sockeye_smol::AcceptError>(())
///     });
///     task.detach();
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
            Err(error) => {
                Timer::after(backoff.pause_after(&error)).await;
            }
        }
    }
}
