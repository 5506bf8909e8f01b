//! The clients: the same for every server.

use std::io;
use std::sync::Arc;

use sockeye_testkit::tls::CA;
use sockeye_tokio::tls::ClientTls;
use sockeye_tokio::tls::rustls::client::Resumption;
use sockeye_tokio::{ClientRequest, Config, Url, WebSocket};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The number of handshakes at a time.
const AT_A_TIME: usize = 8;

/// The needs of connections.
#[derive(Clone)]
pub(crate) struct Client {
    port: u16,
    url: Url,
    tls: ClientTls,
    config: Arc<Config>,
}

impl Client {
    /// Returns a client that makes full handshakes.
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        let mut tls = (**ClientTls::with_ca_pem(CA).map_err(io::Error::other)?.config()).clone();
        tls.resumption = Resumption::disabled();
        Ok(Client {
            port,
            url: Url::parse(&format!("wss://localhost:{port}/")).map_err(io::Error::other)?,
            tls: ClientTls::new(tls),
            config: Arc::new(Config::new()),
        })
    }

    /// Returns a client that resumes its sessions.
    pub(crate) fn resuming(&self) -> Self {
        let mut tls = (**self.tls.config()).clone();
        tls.resumption = Resumption::in_memory_sessions(256);
        Client { tls: ClientTls::new(tls), ..self.clone() }
    }

    async fn open(&self) -> io::Result<WebSocket> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let request = ClientRequest::new(&self.url);
        let opening = sockeye_tokio::client_tls(stream, &self.tls, "localhost", request, self.config.clone());
        Ok(opening.await.map_err(io::Error::other)?.0)
    }
}

/// Opens connections that stay idle after one message.
pub(crate) async fn open_many(client: &Client, count: usize) -> io::Result<Vec<WebSocket>> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut ws = client.open().await?;
        ws.send("hello").await.map_err(io::Error::other)?;
        ws.recv().await.map_err(io::Error::other)?;
        all.push(ws);
    }
    Ok(all)
}

/// Opens and drops connections, some at a time. Returns how many have resumed a session.
pub(crate) async fn open_one_by_one(client: &Client, count: usize) -> io::Result<usize> {
    let mut tasks = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let client = client.clone();
        tasks.spawn(async move {
            let mut resumed = 0;
            for _ in 0..count.div_ceil(AT_A_TIME) {
                let ws = client.open().await?;
                resumed += usize::from(ws.io().tls().is_some_and(|tls| tls.resumed));
            }
            io::Result::Ok(resumed)
        });
    }
    let mut resumed = 0;
    while let Some(done) = tasks.join_next().await {
        resumed += done.map_err(io::Error::other)??;
    }
    Ok(resumed)
}

/// Sends `count` messages on each connection, of which `in_flight` are on their way.
pub(crate) async fn echo(
    client: &Client,
    connections: usize,
    in_flight: usize,
    size: usize,
    count: usize,
) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let mut ws = client.open().await?;
        tasks.spawn(async move {
            let message = sockeye_tokio::Message::binary(vec![7; size]);
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
            Ok::<_, sockeye_tokio::Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(io::Error::other)?.map_err(io::Error::other)?;
    }
    Ok(())
}
