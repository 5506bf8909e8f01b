//! No descriptors left.

use std::io;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Context;
use super::healthy::Healthy;
use crate::child::Server;
use crate::peer::{Peer, dial};

const LIMIT: usize = 100;
/// Who were there before, and go on.
const HEALTHY: usize = 10;

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let mut server = Server::start(context.adapter, &["--descriptors", &LIMIT.to_string()]).await?;
    let healthy = Healthy::start_closed(server.plain, HEALTHY, Duration::from_millis(100)).await?;
    let span = Duration::from_secs(context.size(1, 10));
    let usual = load(&server, span).await?;
    let mut coming = JoinSet::new();
    for n in 0..2 * LIMIT {
        let to = server.plain;
        coming.spawn(async move { Peer::open_on(dial(to, n, None).await?, "/").await });
    }
    let mut inside = Vec::new();
    while let Ok(Some(done)) = tokio::time::timeout(Duration::from_secs(1), coming.join_next()).await {
        inside.push(done.map_err(io::Error::other).flatten()?);
    }
    let used = server.descriptors()?;
    let full = load(&server, span).await?;
    let report = &mut context.report;
    report.check("there are no more descriptors", used >= LIMIT, format!("{used} of {LIMIT}"));
    report.note("connections then", format!("{} let in, {} wait", inside.len(), coming.len()));
    report.check(
        "the server is idle while it is full",
        full < usual + 0.05,
        format!("{:.1} % of a core, {:.1} % before", full * 100.0, usual * 100.0),
    );
    inside.truncate(inside.len() / 2);
    let begun = Instant::now();
    let next = tokio::time::timeout(Duration::from_secs(5), coming.join_next()).await;
    let recovered = matches!(next, Ok(Some(Ok(Ok(_)))));
    report.check("it accepts when some have gone", recovered, format!("{:.2?} later", begun.elapsed()));
    coming.shutdown().await;
    drop((inside, next));
    healthy.end(report).await;
    let (stats, _) = server.until(Duration::from_secs(5), |stats| stats.get("connections") == 0).await?;
    report.check("none is left", stats.get("connections") == 0, stats.text());
    server.end().await.map(drop)
}

/// Its share of a core over some time.
async fn load(server: &Server, span: Duration) -> io::Result<f64> {
    let (begun, before) = (Instant::now(), server.cpu()?);
    tokio::time::sleep(span).await;
    Ok((server.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64())
}
