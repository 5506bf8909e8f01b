//! Resolving and connecting with async-io.

use std::io;
use std::net::{SocketAddr, TcpStream};

use async_net::TcpStream as AsyncTcpStream;
use futures_io::{AsyncRead, AsyncWrite};
use sockeye_core::handshake::client::Url;
use sockeye_core::http::Response;

use super::{AsyncIoClock, FuturesIo, Raw};
use crate::dial::{ConnectOptions, IntoIo, Network, connect as connect_on, connect_over as open_over};
use crate::handshake::connect::ConnectError;
use crate::websocket::WebSocket;

/// Connects to a URL, with sockets of async-io, like [`dial::connect`](crate::dial::connect).
///
/// # Errors
///
/// Returns an error like [`dial::connect`](crate::dial::connect).
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the connection.
pub fn connect(
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    options: impl Into<ConnectOptions>,
) -> impl Future<Output = Result<(WebSocket<FuturesIo<AsyncTcpStream>, AsyncIoClock>, Response), ConnectError>>
{
    connect_on(&AsyncIoNetwork, url, options)
}

/// Opens a WebSocket over a connected stream, like
/// [`dial::connect_over`](crate::dial::connect_over).
///
/// # Errors
///
/// Returns an error like [`dial::connect_over`](crate::dial::connect_over).
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the stream.
pub fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    options: impl Into<ConnectOptions>,
) -> impl Future<Output = Result<(WebSocket<FuturesIo<S>, AsyncIoClock>, Response), ConnectError>> {
    open_over(Raw(stream), AsyncIoClock::default(), into_io(), url, options)
}

/// The system's resolver, on a thread of `blocking`, and its sockets.
struct AsyncIoNetwork;

impl Network for AsyncIoNetwork {
    type Socket = Raw<AsyncTcpStream>;
    type Io = FuturesIo<AsyncTcpStream>;
    type Clock = AsyncIoClock;

    fn clock(&self) -> AsyncIoClock {
        AsyncIoClock::default()
    }

    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        async_net::resolve((name, port)).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Raw<AsyncTcpStream>> {
        let stream = async_io::Async::<TcpStream>::connect(address).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(Raw(stream.into()))
    }

    fn transport(&self) -> IntoIo<Raw<AsyncTcpStream>, FuturesIo<AsyncTcpStream>> {
        into_io()
    }
}

fn into_io<S>() -> IntoIo<Raw<S>, FuturesIo<S>> {
    let into_io = IntoIo::plain(FuturesIo::from_raw);
    #[cfg(feature = "_tls")]
    let into_io = into_io.or_secure(FuturesIo::with_tls);
    into_io
}
