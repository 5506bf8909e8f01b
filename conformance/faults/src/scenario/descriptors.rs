//! A server without descriptors left.

use std::io;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Context;
use super::healthy::Healthy;
use crate::child::Server;
use crate::peer::{Peer, dial};

const LIMIT: usize = 100;
/// The connections that exist before the descriptors run out.
const HEALTHY: usize = 10;

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let mut server = Server::start(context.adapter, &["--descriptors", &LIMIT.to_string()]).await?;
    let healthy = Healthy::start_without_newcomers(server.plain, HEALTHY, Duration::from_millis(100)).await?;
    let span = Duration::from_secs(context.size(1, 10));
    let load_before = load(&server, span).await?;
    let mut connecting = JoinSet::new();
    for n in 0..2 * LIMIT {
        let to = server.plain;
        connecting.spawn(async move { Peer::open_on(dial(to, n, None).await?, "/").await });
    }
    let mut accepted = Vec::new();
    while let Ok(Some(done)) = tokio::time::timeout(Duration::from_secs(1), connecting.join_next()).await {
        accepted.push(done.map_err(io::Error::other).flatten()?);
    }
    let used = server.descriptors()?;
    let load_when_full = load(&server, span).await?;
    let report = &mut context.report;
    report.check("the descriptors run out", used >= LIMIT, format!("{used} of {LIMIT}"));
    report.note("connections then", format!("{} accepted, {} waiting", accepted.len(), connecting.len()));
    report.check(
        "the server is idle while it is full",
        load_when_full < load_before + 0.05,
        format!("{:.1} % of a core, {:.1} % before", load_when_full * 100.0, load_before * 100.0),
    );
    accepted.truncate(accepted.len() / 2);
    let started = Instant::now();
    let next = tokio::time::timeout(Duration::from_secs(5), connecting.join_next()).await;
    let recovered = matches!(next, Ok(Some(Ok(Ok(_)))));
    report.check(
        "it accepts again after some have left",
        recovered,
        format!("{:.2?} later", started.elapsed()),
    );
    connecting.shutdown().await;
    drop((accepted, next));
    healthy.end(report).await;
    let (stats, _) = server.wait_until(Duration::from_secs(5), |stats| stats.get("connections") == 0).await?;
    report.check("no connection is left", stats.get("connections") == 0, stats.text());
    server.end().await.map(drop)
}

/// Measures the share of a core that the server uses.
async fn load(server: &Server, span: Duration) -> io::Result<f64> {
    let (started, before) = (Instant::now(), server.cpu()?);
    tokio::time::sleep(span).await;
    Ok((server.cpu()? - before).as_secs_f64() / started.elapsed().as_secs_f64())
}
