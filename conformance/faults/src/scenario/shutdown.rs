//! The shutdown of a server that is busy pushing.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Context;
use crate::child::Server;
use crate::peer::{CLOSE, Peer, dial};

const GRACE: Duration = Duration::from_secs(10);
const SIZE: usize = 4096;

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let count = context.size(100, 1000);
    let mut server = Server::start(context.adapter, &["--send-buffer", "65536"]).await?;
    let mut peers = JoinSet::new();
    let (start_late, started) = watch::channel(false);
    for n in 0..count {
        // Every tenth peer has a small buffer and starts to read during the shutdown.
        let is_late = n % 10 == 0;
        let peer = Peer::open_on(dial(server.plain, n, is_late.then_some(4096)).await?, "/wait?id").await?;
        let started = is_late.then(|| started.clone());
        peers.spawn(async move {
            if let Some(mut started) = started {
                // It reads in any case, even if the sender is gone.
                let _ = started.wait_for(|started| *started).await;
            }
            read(peer).await
        });
    }
    server.wait_until(Duration::from_secs(10), |stats| stats.get("opened") == count as u64).await?;
    server.ask(&format!("stream {SIZE}")).await?;
    tokio::time::sleep(Duration::from_millis(context.size(500, 3000))).await;
    let queued = server.stats().await?.get("queued");
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = start_late.send(true);
    });
    let took = server.ask(&format!("shutdown {}", GRACE.as_millis())).await?;
    let pushed = server.process.line().await?;
    let ended = server.end().await?;
    let pushed: HashMap<&str, u64> = pushed
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(id, count)| Some((id, count.parse().ok()?)))
        .collect();
    let (mut whole, mut closed, mut messages, mut wrong) = (0, 0, 0, String::new());
    while let Some(done) = peers.join_next().await {
        match done.map_err(io::Error::other).flatten() {
            Ok(Received { id, count, code }) => {
                messages += count;
                closed += usize::from(code == Some(1001));
                if pushed.get(&*id) == Some(&count) {
                    whole += 1;
                } else {
                    wrong = format!("; {id}: {count} of {:?}", pushed.get(&*id));
                }
            }
            Err(error) => wrong = format!("; {error}"),
        }
    }
    let report = &mut context.report;
    report.note("queued at the start", format!("{queued} B on {count} connections"));
    report.check(
        "every accepted message arrives, in order",
        whole == count && messages > 0,
        format!("{whole} of {count} peers, {messages} messages{wrong}"),
    );
    report.check("then comes a Close with 1001", closed == count, format!("{closed} of {count}"));
    report.check(
        "the server ends within the grace period",
        took.get("took") < GRACE.as_millis() as u64,
        format!("{} of {} ms", took.get("took"), GRACE.as_millis()),
    );
    report.check("the server exits successfully", ended, "");
    Ok(())
}

/// The messages and the Close that a peer received.
struct Received {
    id: String,
    count: u64,
    code: Option<u16>,
}

async fn read(mut peer: Peer) -> io::Result<Received> {
    let first = peer.recv().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut received =
        Received { id: String::from_utf8_lossy(&first.data).into_owned(), count: 0, code: None };
    while let Some(frame) = peer.recv().await? {
        if frame.opcode == CLOSE {
            received.code = frame.code();
            // The server may have closed the connection already.
            let _ = peer.send(CLOSE, &frame.data).await;
            continue;
        }
        let number = frame.data.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
        if u64::from_be_bytes(*number) != received.count || received.code.is_some() {
            return Err(io::Error::other(format!("expected message {}, got another", received.count)));
        }
        received.count += 1;
    }
    Ok(received)
}
