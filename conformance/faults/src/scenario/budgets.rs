//! Many peers of each kind that make a server hold memory, against one budget.

use std::io;
use std::time::Duration;

use sockeye_tokio::Config;
use sockeye_tokio::protocol::Connection;
use sockeye_tokio::protocol::deflate::{Deflate, accept, offer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Context;
use super::healthy::Healthy;
use crate::Adapter;
use crate::child::Server;
use crate::peer::{BINARY, dial, masked, masked_with_first_byte, within};
use crate::report::bytes;
use sockeye_testkit::handshake::upgrade_request;

/// The number of peers that connect at the same time.
const CONCURRENT_CONNECTS: usize = 200;
/// The time after which a peer whose bytes are not read stops sending.
const STUCK: Duration = Duration::from_millis(300);
/// The memory of a connection without what it holds, with the kernel's pages of its thread.
const EACH: u64 = 12 << 10;
/// The memory of each thread with std, where each connection has one: the resident part of its
/// stack, and what one read brings, which does not count, see `Limits::max_received`.
const THREAD: u64 = (24 + 64) << 10;
/// The memory of the server besides: buffers of threads, the allocator, freed pages.
const BESIDES: u64 = 48 << 20;

/// A kind of peer: its name, and the bytes that it sends.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Whether it opens a WebSocket first.
    pub(crate) opens: bool,
    pub(crate) wire: Vec<u8>,
    /// How often the bytes are sent.
    pub(crate) times: usize,
}

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let mut kinds = kinds()?;
    let is_chosen = |kind: &Kind| context.kinds.iter().any(|name| name == kind.name);
    kinds.retain(|kind| context.kinds.is_empty() || is_chosen(kind));
    if kinds.is_empty() {
        return Err(io::Error::other("there is no kind of peers with this name"));
    }
    for kind in kinds {
        against(context, &kind).await?;
    }
    Ok(())
}

pub(crate) fn kinds() -> io::Result<Vec<Kind>> {
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ".to_owned() + &"x".repeat(15_900);
    let body = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n".to_owned();
    let body = [body.as_bytes(), &[b'x'; (1 << 20) - 1]].concat();
    let fragments = [masked_with_first_byte(0x02, b"x"), masked_with_first_byte(0x00, b"x").repeat(15_999)];
    let mut unfinished = masked(BINARY, &[7; 2 << 20]);
    unfinished.pop();
    let kind = |name, wire| Kind { name, opens: true, wire, times: 1 };
    Ok(vec![
        Kind { opens: false, ..kind("heads", head.into_bytes()) },
        Kind { opens: false, ..kind("bodies", body) },
        kind("fragments", fragments.concat()),
        kind("messages", unfinished),
        kind("compressed", masked_with_first_byte(0x42, &bomb()?)),
        Kind { times: 1000, ..kind("pings", masked(9, &[7; 125]).repeat(500)) },
        Kind { times: 1000, ..kind("echoes", masked(BINARY, &[7; 1000]).repeat(64)) },
    ])
}

/// Returns 2 MiB of zeros, compressed to 2 kB.
fn bomb() -> io::Result<Vec<u8>> {
    let settings = Deflate::new();
    let agreed = accept([offer(&settings).as_bytes()], &settings).map(|(agreed, _)| agreed);
    let mut sender = Connection::server(Config::new().deflate(settings).into());
    sender.enable_deflate(&agreed.ok_or_else(|| io::Error::other("no compression"))?);
    sender.send(vec![0; 2 << 20]).map_err(io::Error::other)?;
    let wire: Vec<u8> = sender
        .poll_transmit()
        .into_iter()
        .flat_map(|transmit| transmit.slices())
        .flatten()
        .copied()
        .collect();
    // A header for up to 64 KiB.
    Ok(wire.get(4..).unwrap_or_default().to_vec())
}

async fn against(context: &mut Context<'_>, kind: &Kind) -> io::Result<()> {
    let count: usize = context.size(1000, 10_000);
    let budget: u64 = context.size(4 << 20, 128 << 20);
    let limit = budget.to_string();
    let mut options = vec!["--max-received", &*limit, "--max-queued", &*limit, "--send-buffer", "32768"];
    if context.adapter == Adapter::Std {
        options.extend(["--stack-size", "131072"]);
    }
    let mut server = Server::start(context.adapter, &options).await?;
    let healthy = Healthy::start_without_newcomers(server.plain, 10, Duration::from_millis(20)).await?;
    server.reset_peak()?;
    let before = server.resident()?;
    let (mut hostile, mut connecting) = (Vec::new(), JoinSet::new());
    for n in 0..count + CONCURRENT_CONNECTS {
        if n < count {
            connecting.spawn(send(server.http, n, kind.opens, kind.wire.clone(), kind.times));
        }
        if n >= CONCURRENT_CONNECTS
            && let Some(done) = connecting.join_next().await
        {
            // A peer that was cut off is one that the server does not hold anything for.
            hostile.extend(done.map_err(io::Error::other)?);
        }
    }
    tokio::time::sleep(Duration::from_millis(context.size(500, 3000))).await;
    let (rise, stats) = (server.peak()?.saturating_sub(before), server.stats().await?);
    let each = if context.adapter == Adapter::Std { EACH + THREAD } else { EACH };
    // One budget for what is received, and one for what is queued, with its guaranteed share. The
    // buffer of a queue may take a quarter more memory than its bytes, see `Limits::max_queued`.
    let queues = (budget + budget / 4) / 4 * 5;
    let besides = context.size(BESIDES / 3, BESIDES);
    let most = budget + queues + besides + count as u64 * each;
    context.report.check(
        &format!("{}: the memory stays within the budgets", kind.name),
        rise <= most,
        format!("{} of at most {}, {count} peers, {} left", bytes(rise), bytes(most), hostile.len()),
    );
    healthy.end(context.report).await;
    let _ = stats;
    drop(hostile);
    server.end().await.map(drop)
}

/// Connects a peer and sends the bytes, until the server reads no more. Returns `None` if the
/// server cut it off.
pub(crate) async fn send(
    to: std::net::SocketAddr,
    n: usize,
    opens: bool,
    wire: Vec<u8>,
    times: usize,
) -> Option<TcpStream> {
    let mut stream = dial(to, n, Some(8192)).await.ok()?;
    if opens {
        let extension = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
        within(stream.write_all(upgrade_request("/", extension).as_bytes())).await.ok()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.ok()?);
        }
    }
    for _ in 0..times {
        match tokio::time::timeout(STUCK, stream.write_all(&wire)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => break,
        }
    }
    Some(stream)
}
