//! Hours in minutes: many connections for a long time, a few of them hostile. Nothing is lost, and
//! nothing grows.

mod hostile;
mod samples;
mod talker;

use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Adapter;
use crate::child::Server;
use crate::report::Report;
use hostile::Hostile;
use samples::Samples;
use talker::{Said, Talker};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, value_enum, default_value_t = Adapter::Tokio)]
    adapter: Adapter,
    /// The number of connections. Every fiftieth is hostile.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// The duration, after all have connected.
    #[arg(long, default_value_t = 1800)]
    seconds: u64,
    /// The time between two messages to all.
    #[arg(long, default_value_t = 1000)]
    say_every_ms: u64,
    /// Use smaller numbers: 500 connections for 40 seconds.
    #[arg(long)]
    quick: bool,
}

/// The memory for what peers make the server hold, for each of its two budgets.
const BUDGET: &str = "67108864";
/// The number of samples.
const SAMPLES: u32 = 80;
/// The number of peers that connect at the same time.
const CONCURRENT_CONNECTS: usize = 100;

pub(crate) fn run(mut options: Options) -> io::Result<bool> {
    if options.quick {
        (options.connections, options.seconds, options.say_every_ms) = (500, 40, 200);
    }
    crate::serve::limit_descriptors(None)?;
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::default();
    report.begin(options.adapter.name(), "soak".into());
    if let Err(error) = runtime.block_on(soak(&options, &mut report)) {
        report.check("the soak completes", false, error.to_string());
    }
    Ok(report.end(begun.elapsed()))
}

async fn soak(options: &Options, report: &mut Report) -> io::Result<()> {
    let mut arguments = vec!["--max-received", BUDGET, "--max-queued", BUDGET, "--send-buffer", "32768"];
    arguments.extend(["--handshake-timeout", "5000", "--keepalive", "20000"]);
    if options.adapter == Adapter::Std {
        arguments.extend(["--stack-size", "131072"]);
    }
    let mut server = Server::start(options.adapter, &arguments).await?;
    let descriptors = server.descriptors()?;
    let hostile = (options.connections / 50).max(1);
    let (stop, stopped) = watch::channel(Said::default());
    let mut talkers = connect(&server, options.connections - hostile, &stopped).await?;
    let attack = Hostile::start(server.http, hostile, stopped)?;
    let (said, samples) = talk(&mut server, options).await?;

    stop.send_replace(Said { messages: said, is_over: true });
    let (mut complete, mut echoes, mut failures) = (0, 0, Vec::new());
    while let Some(done) = talkers.join_next().await {
        match done.map_err(io::Error::other).flatten() {
            Ok(count) => (complete, echoes) = (complete + 1, echoes + count),
            Err(error) => failures.push(error.to_string()),
        }
    }
    let healthy = options.connections - hostile;
    let why = failures.first().map_or(String::new(), |error| format!("; {error}"));
    report.check(
        "the healthy lose nothing",
        complete == healthy && said > 0 && echoes > 0,
        format!("{complete} of {healthy} got {said} messages to all and {echoes} echoes in all{why}"),
    );
    report.note("hostile", attack.end().await);
    samples.check(report);

    let (stats, took) =
        server.wait_until(Duration::from_secs(30), |stats| stats.get("connections") == 0).await?;
    let left = (stats.get("connections"), stats.get("queued"), stats.get("received"));
    report.check("nothing remains", left == (0, 0, 0), format!("{} after {took:.1?}", stats.text()));
    report.check(
        "every open connection was closed once",
        stats.get("opened") == stats.get("closed") && stats.get("opened") >= healthy as u64,
        format!("{} opened, {} closed", stats.get("opened"), stats.get("closed")),
    );
    let now = server.descriptors()?;
    report.check(
        "the descriptors are given back",
        now <= descriptors + 2,
        format!("{descriptors}, then {now}"),
    );
    server.end().await.map(drop)
}

/// Connects the healthy peers.
async fn connect(
    server: &Server,
    count: usize,
    stopped: &watch::Receiver<Said>,
) -> io::Result<JoinSet<io::Result<u64>>> {
    let (mut talkers, mut connecting) = (JoinSet::new(), JoinSet::new());
    for n in 0..count + CONCURRENT_CONNECTS {
        if n < count {
            connecting.spawn(Talker::open(server.plain, n));
        }
        if n >= CONCURRENT_CONNECTS
            && let Some(done) = connecting.join_next().await
        {
            talkers.spawn(done.map_err(io::Error::other)??.talk(stopped.clone()));
        }
    }
    Ok(talkers)
}

/// Sends messages to all healthy peers until the time is over. Returns their number.
async fn talk(server: &mut Server, options: &Options) -> io::Result<(u64, Samples)> {
    let duration = Duration::from_secs(options.seconds);
    let (started, mut said) = (Instant::now(), 0);
    let mut samples = Samples::default();
    let mut ticks = tokio::time::interval(Duration::from_millis(options.say_every_ms));
    while started.elapsed() < duration {
        ticks.tick().await;
        let outcome = server.ask(&format!("say {said} 100")).await?;
        if outcome.get("failed") + outcome.get("slow") > 0 {
            return Err(io::Error::other(format!("message {said} was refused: {}", outcome.text())));
        }
        said += 1;
        if started.elapsed() >= duration * samples.count() / SAMPLES {
            samples.take(server).await?;
        }
    }
    Ok((said, samples))
}
