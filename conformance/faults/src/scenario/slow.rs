//! Peers that never read, among some that do.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Context;
use crate::child::{Server, Stats};
use crate::peer::{CLOSE, PATIENCE, Peer, dial};
use crate::report::bytes;

const SIZE: usize = 1024;
/// The memory of a queue relative to its mark: a buffer that has grown may be half empty, and the
/// allocator has its own overhead.
const SLACK: f64 = 2.0;

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    error(context).await?;
    budget(context).await?;
    drop_and_close(context, "drop").await?;
    drop_and_close(context, "close").await
}

/// The server, `stuck` peers that do not read, and `readers` that do.
struct Scene {
    server: Server,
    stuck: Vec<Peer>,
    readers: JoinSet<io::Result<Read>>,
    before: u64,
}

/// The messages and the Close that a reader has received.
#[derive(Debug, Default)]
struct Read {
    numbers: Vec<u64>,
    code: Option<u16>,
}

impl Read {
    /// Returns whether the numbers start at 0 and no number is missing or repeated.
    fn is_complete(&self) -> bool {
        self.numbers.iter().copied().eq(0..self.numbers.len() as u64)
    }
}

impl Scene {
    /// Starts the server and the peers. Small kernel buffers make the queues fill up soon.
    async fn start(
        context: &Context<'_>,
        options: &[&str],
        counts: (usize, usize),
        messages: u64,
        path: &str,
    ) -> io::Result<Self> {
        let options = [&["--send-buffer", "32768"], options].concat();
        let mut server = Server::start(context.adapter, &options).await?;
        let mut stuck = Vec::new();
        for n in 0..counts.0 {
            stuck.push(Peer::open_on(dial(server.plain, n, Some(8192)).await?, "/stuck").await?);
        }
        let mut readers = JoinSet::new();
        for _ in 0..counts.1 {
            let peer = Peer::open(server.plain, path).await?;
            readers.spawn(read(peer, messages));
        }
        all_open(&mut server, counts.0 + counts.1).await?;
        server.reset_peak()?;
        let before = server.resident()?;
        Ok(Scene { server, stuck, readers, before })
    }

    async fn publish(&mut self, messages: u64, pause: u64) -> io::Result<Stats> {
        self.server.ask(&format!("publish {messages} {SIZE} {pause}")).await
    }

    fn rise(&self) -> io::Result<u64> {
        Ok(self.server.peak()?.saturating_sub(self.before))
    }

    /// Disconnects the peers and ends the server, which would otherwise wait for those that do not
    /// read.
    async fn end(self) -> io::Result<()> {
        drop((self.stuck, self.readers));
        self.server.end().await.map(drop)
    }

    /// Waits for the readers. Returns how many received every message.
    async fn complete(&mut self, messages: u64) -> usize {
        let mut complete = 0;
        while let Some(done) = self.readers.join_next().await {
            let read = done.map_err(io::Error::other).flatten().unwrap_or_default();
            complete += usize::from(read.is_complete() && read.numbers.len() as u64 == messages);
        }
        complete
    }
}

/// Waits for the `open` events, which come a little later than the 101.
async fn all_open(server: &mut Server, count: usize) -> io::Result<()> {
    server.wait_until(Duration::from_secs(5), |stats| stats.get("opened") >= count as u64).await.map(drop)
}

/// Reads `until` messages, or up to a Close or the end of the stream.
async fn read(mut peer: Peer, until: u64) -> io::Result<Read> {
    let mut read = Read::default();
    while let Some(frame) = peer.recv().await? {
        if frame.opcode == CLOSE {
            read.code = frame.code();
            break;
        }
        let number = frame.data.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
        read.numbers.push(u64::from_be_bytes(*number));
        if read.numbers.last() == Some(&(until - 1)) {
            break;
        }
    }
    Ok(read)
}

/// `SlowReader::Error`: the publisher gets an error. It then waits for the peers at `/wait`, but
/// not for those at `/stuck`.
async fn error(context: &mut Context<'_>) -> io::Result<()> {
    let (count, readers, messages) = context.size((200, 20, 300), (1000, 100, 1000));
    let mut scene = Scene::start(context, &[], (count, readers), messages, "/wait").await?;
    let outcome = scene.publish(messages, 0).await?;
    let complete = scene.complete(messages).await;
    let rise = scene.rise()?;
    let most = ((count * ((64 << 10) + SIZE)) as f64 * SLACK) as u64;
    let all = readers as u64;
    let (stats, _) =
        scene.server.wait_until(Duration::from_secs(5), |stats| stats.get("closed") >= all).await?;
    let report = &mut context.report;
    report.check(
        "error: the publisher gets an error",
        outcome.get("slow") > 0 && outcome.get("failed") == 0,
        outcome.text(),
    );
    report.check(
        "error: readers get all, in order, once",
        complete == readers,
        format!("{complete} of {readers}, {messages} messages each"),
    );
    report.check(
        "error: memory stays within the marks",
        rise <= most,
        format!("{} rise of at most {}, {} queued", bytes(rise), bytes(most), bytes(stats.get("queued"))),
    );
    report.check("error: no connection is cut off", stats.get("closed") == all, stats.text());
    // Peers that start to read late get every message that was accepted for them. A refused message
    // leaves a gap that the publisher knows of: the kernel may have room for the next one.
    let accepted = outcome.get("pushed").saturating_sub(all * messages);
    let (received, in_order) = read_late(scene.stuck.drain(..), accepted).await;
    report.check(
        "error: late readers get what was accepted, in order, once",
        received == accepted && in_order,
        format!("{received} of {accepted}, in order: {in_order}"),
    );
    scene.end().await
}

/// Reads from all peers until `accepted` messages have arrived or the patience ends. Returns how
/// many arrived, and whether each peer received rising numbers.
async fn read_late(peers: impl Iterator<Item = Peer>, accepted: u64) -> (u64, bool) {
    let (sender, mut numbers) = mpsc::unbounded_channel();
    let mut readers = JoinSet::new();
    for (index, mut peer) in peers.enumerate() {
        let sender = sender.clone();
        readers.spawn(async move {
            while let Ok(Some(frame)) = peer.recv().await {
                let number = frame.data.first_chunk().map(|number| u64::from_be_bytes(*number));
                let _ = sender.send((index, number));
            }
        });
    }
    drop(sender);
    let (mut received, mut in_order, mut last) = (0, true, HashMap::new());
    while received < accepted {
        let next = tokio::time::timeout(PATIENCE, numbers.recv()).await;
        let Ok(Some((index, number))) = next else { break };
        received += 1;
        in_order &= number.is_some() && last.insert(index, number).is_none_or(|last| last < number);
    }
    (received, in_order)
}

/// `max_queued` bounds all queues together. When the slow peers have left, there is room again.
async fn budget(context: &mut Context<'_>) -> io::Result<()> {
    let (count, readers, messages) = context.size((200, 20, 300), (1000, 100, 1000));
    let budget: u64 = context.size(4 << 20, 16 << 20);
    let limit = budget.to_string();
    let options = ["--max-queued", &*limit];
    let mut scene = Scene::start(context, &options, (count, 0), messages, "/stuck").await?;
    let outcome = scene.publish(messages, 0).await?;
    let (rise, stats) = (scene.rise()?, scene.server.stats().await?);
    // Each thread also needs some stack and heap to write.
    let most = (budget as f64 * SLACK) as u64 + (4 << 20) + count as u64 * (8 << 10);
    // The connections have a guaranteed share of a quarter in addition.
    let all = budget + budget / 4;
    let report = &mut context.report;
    report.check(
        "budget: the publisher gets an error",
        outcome.get("slow") > 0 && outcome.get("failed") == 0,
        outcome.text(),
    );
    let queued = stats.get("queued");
    report.check("budget: the queues stay within it", queued <= all + SIZE as u64, bytes(queued));
    report.check(
        "budget: the memory stays within it",
        rise <= most,
        format!("{} rise of at most {}", bytes(rise), bytes(most)),
    );
    scene.stuck.clear();
    let (stats, took) =
        scene.server.wait_until(Duration::from_secs(10), |stats| stats.get("connections") == 0).await?;
    report.check(
        "budget: there is room after they leave",
        stats.get("queued") == 0 && stats.get("connections") == 0,
        format!("{took:.2?} {}", stats.text()),
    );
    for _ in 0..readers {
        scene.readers.spawn(read(Peer::open(scene.server.plain, "/wait").await?, messages));
    }
    all_open(&mut scene.server, count + readers).await?;
    scene.publish(messages, 0).await?;
    let complete = scene.complete(messages).await;
    report.check("budget: readers then get all", complete == readers, format!("{complete} of {readers}"));
    scene.end().await
}

/// `SlowReader::Drop` loses messages without an error. `SlowReader::Close` closes the slow peer.
async fn drop_and_close(context: &mut Context<'_>, policy: &str) -> io::Result<()> {
    let (count, readers, messages) = context.size((50, 20, 700), (200, 100, 1000));
    // The queues are so long that a reader never counts as slow, even on a busy machine.
    let timeout = context.size("3000", "10000");
    let options = ["--slow-reader", policy, "--high-water-mark", "262144", "--close-timeout", timeout];
    let mut scene = Scene::start(context, &options, (count, readers), messages, "/stuck").await?;
    let outcome = scene.publish(messages, 2000).await?;
    let complete = scene.complete(messages).await;
    let report = &mut context.report;
    report.check(
        &format!("{policy}: readers get all, in order, once"),
        complete == readers,
        format!("{complete} of {readers}"),
    );
    if policy == "drop" {
        report.check(
            "drop: the publisher gets no error",
            outcome.get("slow") + outcome.get("failed") == 0,
            outcome.text(),
        );
        let stats = scene.server.stats().await?;
        report.check(
            "drop: no connection is cut off",
            stats.get("connections") >= count as u64,
            stats.text(),
        );
    } else {
        report.check(
            "close: the publisher gets an error",
            outcome.get("slow") == count as u64,
            outcome.text(),
        );
        // Ten of the closed peers read in time. The others are cut off.
        let (mut whole, mut codes) = (0, 0);
        for peer in scene.stuck.drain(..10) {
            let Ok(read) = read(peer, u64::MAX).await else { continue };
            whole += usize::from(read.is_complete() && !read.numbers.is_empty());
            codes += usize::from(read.code == Some(1013));
        }
        report.check(
            "close: peers that read in time get all and a 1013",
            (whole, codes) == (10, 10),
            format!("{whole} of 10 whole, {codes} with a 1013"),
        );
        let limit = Duration::from_secs(15);
        let (stats, took) = scene.server.wait_until(limit, |stats| stats.get("connections") == 0).await?;
        report.check(
            "close: the others are cut off, and closed once",
            stats.get("connections") == 0 && stats.get("closed") == stats.get("opened"),
            format!("{took:.2?} {}", stats.text()),
        );
    }
    scene.end().await
}
