//! Well-behaved clients, which must not notice what the others do.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sockeye_testkit::tls::CA;
use sockeye_tokio::tls::ClientTls;
use sockeye_tokio::{ClientRequest, Config, Url};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::peer::{Peer, dial, within};
use crate::report::{Report, spread};

/// Clients that echo 100 bytes at intervals, and newcomers that connect one at a time.
#[derive(Debug)]
pub(super) struct Healthy {
    stop: watch::Sender<bool>,
    echoing: JoinSet<io::Result<Vec<Duration>>>,
    newcomers: Vec<(&'static str, JoinHandle<io::Result<Vec<Duration>>>)>,
}

impl Healthy {
    pub(super) async fn start(to: SocketAddr, count: usize, pause: Duration) -> io::Result<Self> {
        let mut healthy = Self::start_without_newcomers(to, count, pause).await?;
        let newcomers = tokio::spawn(connect_repeatedly(to, healthy.stop.subscribe()));
        healthy.newcomers.push(("newcomers", newcomers));
        Ok(healthy)
    }

    /// Starts newcomers that connect to a port with TLS, by the client of Sockeye.
    pub(super) fn add_tls_newcomers(&mut self, to: SocketAddr) {
        let newcomers = tokio::spawn(connect_by_tls_repeatedly(to, self.stop.subscribe()));
        self.newcomers.push(("newcomers with TLS", newcomers));
    }

    /// Starts the clients without newcomers.
    pub(super) async fn start_without_newcomers(
        to: SocketAddr,
        count: usize,
        pause: Duration,
    ) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut echoing = JoinSet::new();
        for _ in 0..count {
            let peer = Peer::open(to, "/").await?;
            echoing.spawn(echo(peer, pause, stopped.clone()));
        }
        Ok(Healthy { stop, echoing, newcomers: Vec::new() })
    }

    /// Stops the clients and checks that every echo arrived and every newcomer was accepted.
    pub(super) async fn end(mut self, report: &mut Report) {
        let _ = self.stop.send(true);
        let mut times = Vec::new();
        let mut failed = None;
        while let Some(done) = self.echoing.join_next().await {
            match done.map_err(io::Error::other).flatten() {
                Ok(more) => times.extend(more),
                Err(error) => failed = Some(error),
            }
        }
        let failure = failed.map_or(String::new(), |error| format!("; {error}"));
        report.check("healthy: every echo arrives", failure.is_empty(), spread(&times) + &failure);
        for (name, newcomers) in self.newcomers {
            let name = format!("healthy: {name} are accepted");
            match newcomers.await.map_err(io::Error::other).flatten() {
                Ok(times) => report.check(&name, !times.is_empty(), spread(&times)),
                Err(error) => report.check(&name, false, error.to_string()),
            }
        }
    }
}

async fn echo(mut peer: Peer, pause: Duration, stopped: watch::Receiver<bool>) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !*stopped.borrow() {
        let started = Instant::now();
        peer.echo(&[b'h'; 100]).await?;
        times.push(started.elapsed());
        tokio::time::sleep(pause).await;
    }
    Ok(times)
}

async fn connect_repeatedly(to: SocketAddr, stopped: watch::Receiver<bool>) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !*stopped.borrow() {
        let started = Instant::now();
        Peer::open(to, "/").await?.echo(b"hello").await?;
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(times)
}

async fn connect_by_tls_repeatedly(
    to: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> io::Result<Vec<Duration>> {
    let tls = ClientTls::with_ca_pem(CA).map_err(io::Error::other)?;
    let url = Url::parse("wss://localhost/").map_err(io::Error::other)?;
    let mut times = Vec::new();
    while !*stopped.borrow() {
        let started = Instant::now();
        within(async {
            let request = ClientRequest::new(&url);
            let opening = sockeye_tokio::client_tls(
                dial(to, 0, None).await?,
                &tls,
                "localhost",
                request,
                Config::new(),
            );
            let (mut ws, _) = opening.await.map_err(io::Error::other)?;
            ws.send("hello").await.map_err(io::Error::other)?;
            let echo = ws.recv().await.map_err(io::Error::other)?;
            match echo.as_ref().and_then(|message| message.as_text()) {
                Some("hello") => Ok(()),
                _ => Err(io::Error::other(format!("expected the echo, got {echo:?}"))),
            }
        })
        .await?;
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(times)
}
