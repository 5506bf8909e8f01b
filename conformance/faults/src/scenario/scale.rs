//! Many connections, and many broadcasts to all of them.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Context;
use crate::Adapter;
use crate::child::Server;
use crate::peer::{PATIENCE, Peer, dial, parse};
use crate::report::bytes;

const SIZE: usize = 100;
/// The number of bytes that may be queued for all readers together: a few messages for each.
const MAX_QUEUED: usize = 8 << 20;
/// The number of peers that connect at the same time.
const CONCURRENT_CONNECTS: usize = 200;

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let (count, messages) = context.size((1000, 100), (10_000, 1000));
    let options: &[&str] = if context.adapter == Adapter::Std { &["--stack-size", "131072"] } else { &[] };
    let mut server = Server::start(context.adapter, options).await?;
    let before = server.resident()?;
    let started = Instant::now();
    let mut peers = JoinSet::new();
    let mut connecting = JoinSet::new();
    let mut failed = None;
    for n in 0..count + CONCURRENT_CONNECTS {
        if n < count {
            let to = server.plain;
            connecting.spawn(async move { Peer::open_on(dial(to, n, None).await?, "/").await });
        }
        if n >= CONCURRENT_CONNECTS
            && let Some(done) = connecting.join_next().await
        {
            match done.map_err(io::Error::other).flatten() {
                Ok(peer) => {
                    peers.spawn(read(peer.stream, messages));
                }
                Err(error) => failed = Some(error),
            }
        }
    }
    let open = peers.len();
    let why = failed.map_or(String::new(), |error| format!("; {error}"));
    context.report.check(
        "all connect",
        open == count,
        format!("{open} of {count} in {:.2?}, {} threads{why}", started.elapsed(), server.threads()?),
    );
    tokio::time::sleep(Duration::from_millis(context.size(500, 3000))).await;
    let idle = server.resident()?;
    let cpu = server.cpu()?;
    let started = Instant::now();
    let outcome = server.ask(&format!("broadcast {messages} {SIZE} {MAX_QUEUED}")).await?;
    // The connections stay open until all peers have read everything.
    let (mut read_all, mut wrong) = (Vec::new(), String::new());
    while let Some(done) = peers.join_next().await {
        match done.map_err(io::Error::other).flatten() {
            Ok(stream) => read_all.push(stream),
            Err(error) => wrong = format!("; {error}"),
        }
    }
    let whole = read_all.len();
    let (took, cpu) = (started.elapsed().as_secs_f64(), (server.cpu()? - cpu).as_secs_f64());
    let after = server.resident()?;
    let total = (open as u64 * messages) as f64;
    let report = &mut context.report;
    report.check("no broadcast is refused", outcome.get("slow") + outcome.get("failed") == 0, outcome.text());
    report.check(
        "every peer gets every message, in order",
        whole == open && whole > 0,
        format!("{whole} of {open} got {messages} messages{wrong}"),
    );
    report.note(
        "throughput",
        format!(
            "{:.0} messages/s, {:.1} MB/s of payload, {took:.2} s, CPU of the server {cpu:.2} s",
            total / took,
            total * SIZE as f64 / took / 1e6
        ),
    );
    let each = |now: u64| bytes(now.saturating_sub(before) / open.max(1) as u64);
    report.note("resident memory of each", format!("{} idle, {} after", each(idle), each(after)));
    drop(read_all);
    server.end().await.map(drop)
}

/// Reads this many numbered messages.
async fn read(mut stream: TcpStream, messages: u64) -> io::Result<TcpStream> {
    let mut input = Vec::with_capacity(4096);
    let mut number = 0;
    while number < messages {
        let patience = tokio::time::timeout(PATIENCE * 10, stream.read_buf(&mut input));
        if patience.await?? == 0 {
            return Err(io::Error::other(format!("the stream ended before message {number}")));
        }
        let mut used = 0;
        while let Some((_, data, len)) = parse(input.get(used..).unwrap_or_default())? {
            if data.len() != SIZE || data.first_chunk() != Some(&number.to_be_bytes()) {
                return Err(io::Error::other(format!("expected message {number}, got another")));
            }
            (number, used) = (number + 1, used + len);
        }
        input.drain(..used);
    }
    Ok(stream)
}
