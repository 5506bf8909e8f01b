//! Many connections, and a message to all of them, many times.

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
/// How far the publisher may be ahead of all its readers together: a message to each, a few times.
const ROOM: usize = 8 << 20;
/// How many connect at a time.
const AT_A_TIME: usize = 200;

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let (count, messages) = context.size((1000, 100), (10_000, 1000));
    let options: &[&str] = if context.adapter == Adapter::Std { &["--stack-size", "131072"] } else { &[] };
    let mut server = Server::start(context.adapter, options).await?;
    let before = server.resident()?;
    let begun = Instant::now();
    let mut peers = JoinSet::new();
    let mut connecting = JoinSet::new();
    let mut failed = None;
    for n in 0..count + AT_A_TIME {
        if n < count {
            let to = server.plain;
            connecting.spawn(async move { Peer::open_on(dial(to, n, None).await?, "/").await });
        }
        if n >= AT_A_TIME
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
        format!("{open} of {count} in {:.2?}, {} threads{why}", begun.elapsed(), server.threads()?),
    );
    tokio::time::sleep(Duration::from_millis(context.size(500, 3000))).await;
    let idle = server.resident()?;
    let cpu = server.cpu()?;
    let begun = Instant::now();
    let told = server.ask(&format!("broadcast {messages} {SIZE} {ROOM}")).await?;
    // They stay open until all have read.
    let (mut read_all, mut wrong) = (Vec::new(), String::new());
    while let Some(done) = peers.join_next().await {
        match done.map_err(io::Error::other).flatten() {
            Ok(stream) => read_all.push(stream),
            Err(error) => wrong = format!("; {error}"),
        }
    }
    let whole = read_all.len();
    let (took, cpu) = (begun.elapsed().as_secs_f64(), (server.cpu()? - cpu).as_secs_f64());
    let after = server.resident()?;
    let total = (open as u64 * messages) as f64;
    let report = &mut context.report;
    report.check("the publisher is refused nothing", told.get("slow") + told.get("failed") == 0, told.text());
    report.check(
        "every message arrives at each, in order",
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
    report.note("resident for each", format!("{} idle, {} after", each(idle), each(after)));
    drop(read_all);
    server.end().await.map(drop)
}

/// Reads so many messages, each with its number.
async fn read(mut stream: TcpStream, messages: u64) -> io::Result<TcpStream> {
    let mut input = Vec::with_capacity(4096);
    let mut number = 0;
    while number < messages {
        let patience = tokio::time::timeout(PATIENCE * 10, stream.read_buf(&mut input));
        if patience.await?? == 0 {
            return Err(io::Error::other(format!("the end before message {number}")));
        }
        let mut used = 0;
        while let Some((_, data, len)) = parse(input.get(used..).unwrap_or_default())? {
            if data.len() != SIZE || data.first_chunk() != Some(&number.to_be_bytes()) {
                return Err(io::Error::other(format!("message {number} out of turn")));
            }
            (number, used) = (number + 1, used + len);
        }
        input.drain(..used);
    }
    Ok(stream)
}
