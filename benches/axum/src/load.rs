//! The clients: the same for every server.

use std::io;
use std::sync::Arc;

use http_body_util::Empty;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye_hyper::driver::{Clock, Io, WebSocket};
use sockeye_hyper::{Bytes, Config, Error, Message};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Opens WebSockets: each on a connection of its own, or all on one of HTTP/2.
pub(crate) struct Client {
    port: u16,
    http2: Option<SendRequest<Empty<Bytes>>>,
}

impl Client {
    pub(crate) fn new(port: u16) -> Self {
        Client { port, http2: None }
    }

    /// Opens an HTTP/2 connection for all further WebSockets.
    pub(crate) async fn use_http2(&mut self) -> io::Result<()> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let (http, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        self.http2 = Some(http);
        Ok(())
    }

    async fn open(&self) -> io::Result<sockeye_tokio::WebSocket> {
        let url = format!("ws://127.0.0.1:{}/ws", self.port);
        sockeye_tokio::connect(&url).await.map_err(io::Error::other)
    }
}

/// Opens connections that stay idle after one message.
pub(crate) async fn open_many(
    client: &mut Client,
    count: usize,
) -> io::Result<Vec<sockeye_tokio::WebSocket>> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut ws = client.open().await?;
        ws.send("hello").await.map_err(io::Error::other)?;
        ws.recv().await.map_err(io::Error::other)?;
        all.push(ws);
    }
    Ok(all)
}

/// Opens WebSockets, waits until all are open, calls `begin`, and sends `count` messages on each, of
/// which `in_flight` are on their way. Returns what `begin` has returned.
pub(crate) async fn echo<T>(
    client: &mut Client,
    websockets: usize,
    (in_flight, size, count): (usize, usize, usize),
    begin: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let mut tasks = JoinSet::new();
    let gate = Arc::new(Semaphore::new(0));
    for _ in 0..websockets {
        if let Some(http) = &mut client.http2 {
            let request =
                http::Request::get("ws://localhost/ws").body(Empty::new()).map_err(io::Error::other)?;
            let opening = sockeye_hyper::client::http2(http, request, Config::new());
            let (ws, _) = opening.await.map_err(io::Error::other)?;
            tasks.spawn(talk(ws, gate.clone(), in_flight, size, count));
        } else {
            tasks.spawn(talk(client.open().await?, gate.clone(), in_flight, size, count));
        }
    }
    let begun = begin()?;
    gate.add_permits(websockets);
    while let Some(done) = tasks.join_next().await {
        done.map_err(io::Error::other)?.map_err(io::Error::other)?;
    }
    Ok(begun)
}

async fn talk<I: Io, C: Clock>(
    mut ws: WebSocket<I, C>,
    gate: Arc<Semaphore>,
    in_flight: usize,
    size: usize,
    count: usize,
) -> Result<(), Error> {
    let _permit = gate.acquire().await;
    let message = Message::binary(vec![7; size]);
    for _ in 0..in_flight.min(count) {
        ws.feed(message.clone()).await?;
    }
    for received in 1..=count {
        let echo = ws.recv().await?.map(|message| message.len());
        assert_eq!(echo, Some(size), "another echo");
        if received + in_flight <= count {
            ws.feed(message.clone()).await?;
        }
    }
    Ok(())
}
