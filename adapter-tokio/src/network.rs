//! Resolving and connecting with tokio.

use std::io;
use std::net::SocketAddr;

use sockeye_driver::dial::{IntoIo, Network};
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::Handle;

use crate::stream::Raw;
use crate::{TokioClock, TokioIo};

/// The system's resolver, on a thread for blocking work, and its sockets.
pub(crate) struct TokioNetwork;

impl Network for TokioNetwork {
    type Socket = Raw<TcpStream>;
    type Io = TokioIo<TcpStream>;
    type Clock = TokioClock;

    fn clock(&self) -> TokioClock {
        TokioClock::default()
    }

    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((name, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Raw<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Raw(stream))
    }

    fn transport(&self) -> IntoIo<Raw<TcpStream>, TokioIo<TcpStream>> {
        into_io()
    }
}

pub(crate) fn into_io<S>() -> IntoIo<Raw<S>, TokioIo<S>> {
    let into_io = IntoIo::plain(TokioIo::from_raw);
    #[cfg(feature = "_tls")]
    let into_io = into_io.or_secure(TokioIo::with_tls);
    into_io
}

/// Returns an error outside of a runtime, where sockets and timers of tokio panic.
pub(crate) fn check_runtime() -> io::Result<()> {
    match Handle::try_current() {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = format!("connecting needs a tokio runtime, such as `#[tokio::main]`: {error}");
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }
}
