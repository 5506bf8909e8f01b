//! Clients that do nothing wrong, and must not notice what others do.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::peer::Peer;
use crate::report::{Report, spread};

/// Some that echo 100 bytes now and then, and one newcomer after the other.
#[derive(Debug)]
pub(super) struct Healthy {
    over: watch::Sender<bool>,
    echoing: JoinSet<io::Result<Vec<Duration>>>,
    newcomers: Option<JoinHandle<io::Result<Vec<Duration>>>>,
}

impl Healthy {
    pub(super) async fn start(to: SocketAddr, count: usize, pause: Duration) -> io::Result<Self> {
        let mut healthy = Self::start_closed(to, count, pause).await?;
        healthy.newcomers = Some(tokio::spawn(come_and_go(to, healthy.over.subscribe())));
        Ok(healthy)
    }

    /// Without the newcomers.
    pub(super) async fn start_closed(to: SocketAddr, count: usize, pause: Duration) -> io::Result<Self> {
        let (over, is_over) = watch::channel(false);
        let mut echoing = JoinSet::new();
        for _ in 0..count {
            let peer = Peer::open(to, "/").await?;
            echoing.spawn(echo(peer, pause, is_over.clone()));
        }
        Ok(Healthy { over, echoing, newcomers: None })
    }

    /// Ends them; every echo must have come, and every newcomer been let in.
    pub(super) async fn end(mut self, report: &mut Report) {
        let _ = self.over.send(true);
        let mut times = Vec::new();
        let mut failed = None;
        while let Some(done) = self.echoing.join_next().await {
            match done.map_err(io::Error::other).flatten() {
                Ok(more) => times.extend(more),
                Err(error) => failed = Some(error),
            }
        }
        let failure = failed.map_or(String::new(), |error| format!("; {error}"));
        report.check("healthy: every echo comes", failure.is_empty(), spread(&times) + &failure);
        let Some(newcomers) = self.newcomers else { return };
        match newcomers.await.map_err(io::Error::other).flatten() {
            Ok(times) => report.check("healthy: newcomers get in", !times.is_empty(), spread(&times)),
            Err(error) => report.check("healthy: newcomers get in", false, error.to_string()),
        }
    }
}

async fn echo(mut peer: Peer, pause: Duration, is_over: watch::Receiver<bool>) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !*is_over.borrow() {
        let begun = Instant::now();
        peer.echo(&[b'h'; 100]).await?;
        times.push(begun.elapsed());
        tokio::time::sleep(pause).await;
    }
    Ok(times)
}

async fn come_and_go(to: SocketAddr, is_over: watch::Receiver<bool>) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !*is_over.borrow() {
        let begun = Instant::now();
        Peer::open(to, "/").await?.echo(b"hello").await?;
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(times)
}
