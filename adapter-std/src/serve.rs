//! Accept loops that survive the errors of `accept`.

use std::error::Error;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use sockeye_driver::{AcceptBackoff, log_connection_error};

use crate::{WebSocket, accept};

/// Accepts WebSockets like [`accept`], and runs `handler` for each one on a thread.
///
/// ```no_run
/// use sockeye_std::WebSocket;
///
/// fn main() -> std::io::Result<()> {
///     let listener = std::net::TcpListener::bind("127.0.0.1:9501")?;
///     sockeye_std::serve(listener, |mut ws: WebSocket| {
///         while let Some(message) = ws.recv()? {
///             ws.feed(message)?;
///         }
///         Ok(())
///     })
/// }
/// ```
///
/// It never returns. No error of the socket ends it: when the process has no file descriptors or
/// threads left, it waits until some are free. A failed handshake or an error of `handler` ends
/// that connection only, and is logged at debug level (feature `tracing`).
///
/// To inspect the request, to wrap the stream in TLS or to choose a `Config`, write the loop with
/// [`accept_tcp`]. For limits on the number of connections and for a graceful end, use the module
/// `server`.
pub fn serve<F>(listener: TcpListener, handler: F) -> !
where
    F: Fn(WebSocket) -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
{
    let handler = Arc::new(handler);
    let mut backoff = AcceptBackoff::new();
    loop {
        let (stream, peer) = accept_tcp(&listener);
        let handler = handler.clone();
        let spawned = thread::Builder::new().spawn(move || {
            let ended = match accept(stream) {
                Ok(websocket) => handler(websocket),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = ended {
                log_connection_error(&peer, &*error);
            }
        });
        match spawned {
            Ok(_) => backoff.reset(),
            // The stream is closed.
            Err(error) => thread::sleep(backoff.pause_after(&error)),
        }
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
/// # use sockeye_std::{Accept, Config};
/// # fn f(listener: std::net::TcpListener) {
/// let config = Arc::new(Config::new().max_message_size(64 << 10));
/// loop {
///     let (stream, _) = sockeye_std::accept_tcp(&listener);
///     let config = config.clone();
///     // Unlike `thread::spawn`, this does not panic if the process has no threads left.
///     let _ = std::thread::Builder::new().spawn(move || {
///         let _ws = sockeye_std::accept_with(stream, config, |_| Ok(Accept::new()))?;
///         Ok::<(), sockeye_std::AcceptError>(())
///     });
/// }
/// # }
/// ```
pub fn accept_tcp(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut backoff = AcceptBackoff::new();
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                // If the option cannot be set, the socket is broken and the first read reports it.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => thread::sleep(backoff.pause_after(&error)),
        }
    }
}
