//! Well-behaved clients, which must not notice what the others do.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::peer::Peer;
use crate::report::{Report, spread};

/// Clients that echo 100 bytes at intervals, and newcomers that connect one at a time.
#[derive(Debug)]
pub(super) struct Healthy {
    stop: watch::Sender<bool>,
    echoing: JoinSet<io::Result<Vec<Duration>>>,
    newcomers: Option<JoinHandle<io::Result<Vec<Duration>>>>,
}

impl Healthy {
    pub(super) async fn start(to: SocketAddr, count: usize, pause: Duration) -> io::Result<Self> {
        let mut healthy = Self::start_without_newcomers(to, count, pause).await?;
        healthy.newcomers = Some(tokio::spawn(connect_repeatedly(to, healthy.stop.subscribe())));
        Ok(healthy)
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
        Ok(Healthy { stop, echoing, newcomers: None })
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
        let Some(newcomers) = self.newcomers else { return };
        match newcomers.await.map_err(io::Error::other).flatten() {
            Ok(times) => report.check("healthy: newcomers are accepted", !times.is_empty(), spread(&times)),
            Err(error) => report.check("healthy: newcomers are accepted", false, error.to_string()),
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
