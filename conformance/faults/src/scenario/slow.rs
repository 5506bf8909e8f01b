//! Peers that never read, among some that do.

use std::io;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Context;
use crate::child::{Server, Stats};
use crate::peer::{CLOSE, Peer, dial};
use crate::report::bytes;

const SIZE: usize = 1024;
/// What a queue may cost beyond its mark: a buffer that has grown has up to half of its room left, and the allocator wants some.
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

/// What a reader has got.
#[derive(Debug, Default)]
struct Read {
    numbers: Vec<u64>,
    code: Option<u16>,
}

impl Read {
    /// From 0, with none missing and none twice.
    fn is_complete(&self) -> bool {
        self.numbers.iter().copied().eq(0..self.numbers.len() as u64)
    }
}

impl Scene {
    /// The kernel's buffers are kept small, so that they are full soon.
    async fn set(
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
        server.forget_peak()?;
        let before = server.resident()?;
        Ok(Scene { server, stuck, readers, before })
    }

    async fn publish(&mut self, messages: u64, pause: u64) -> io::Result<Stats> {
        self.server.ask(&format!("publish {messages} {SIZE} {pause}")).await
    }

    fn rise(&self) -> io::Result<u64> {
        Ok(self.server.peak()?.saturating_sub(self.before))
    }

    /// The peers go first: the server would wait for those that do not read.
    async fn end(self) -> io::Result<()> {
        drop((self.stuck, self.readers));
        self.server.end().await.map(drop)
    }

    /// How many readers got all of it.
    async fn complete(&mut self, messages: u64) -> usize {
        let mut complete = 0;
        while let Some(done) = self.readers.join_next().await {
            let read = done.map_err(io::Error::other).flatten().unwrap_or_default();
            complete += usize::from(read.is_complete() && read.numbers.len() as u64 == messages);
        }
        complete
    }
}

/// A handler is told of a connection a little later than its peer.
async fn all_open(server: &mut Server, count: usize) -> io::Result<()> {
    server.until(Duration::from_secs(5), |stats| stats.get("opened") >= count as u64).await.map(drop)
}

/// Reads up to message number `until`, a Close, or the end.
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

/// Whoever publishes is told, and waits for some and not for the others.
async fn error(context: &mut Context<'_>) -> io::Result<()> {
    let (count, readers, messages) = context.size((200, 20, 300), (1000, 100, 1000));
    let mut scene = Scene::set(context, &[], (count, readers), messages, "/wait").await?;
    let told = scene.publish(messages, 0).await?;
    let complete = scene.complete(messages).await;
    let rise = scene.rise()?;
    let most = ((count * ((64 << 10) + SIZE)) as f64 * SLACK) as u64;
    let all = readers as u64;
    let (stats, _) = scene.server.until(Duration::from_secs(5), |stats| stats.get("closed") >= all).await?;
    let report = &mut context.report;
    report.check("error: who pushes is told", told.get("slow") > 0 && told.get("failed") == 0, told.text());
    report.check(
        "error: readers get all, in order, once",
        complete == readers,
        format!("{complete} of {readers}, {messages} messages each"),
    );
    report.check(
        "error: memory is within the marks",
        rise <= most,
        format!("{} rise of at most {}, {} queued", bytes(rise), bytes(most), bytes(stats.get("queued"))),
    );
    report.check("error: no one is cut", stats.get("closed") == all, stats.text());
    // Who begins to read has lost nothing of what was taken for it.
    let mut late: JoinSet<Read> = scene.stuck.drain(..20).map(collect).collect();
    let mut whole = 0;
    while let Some(read) = late.join_next().await {
        whole += usize::from(read.is_ok_and(|read| read.is_complete() && !read.numbers.is_empty()));
    }
    report.check("error: who reads late finds no gap", whole == 20, format!("{whole} of 20"));
    scene.end().await
}

/// Reads until nothing comes for a while.
async fn collect(mut peer: Peer) -> Read {
    let mut read = Read::default();
    while let Ok(Ok(Some(frame))) = tokio::time::timeout(Duration::from_millis(500), peer.recv()).await {
        let Some(number) = frame.data.first_chunk() else { break };
        read.numbers.push(u64::from_be_bytes(*number));
    }
    read
}

/// All queues together are bounded; when the slow ones have gone there is room again.
async fn budget(context: &mut Context<'_>) -> io::Result<()> {
    let (count, readers, messages) = context.size((200, 20, 300), (1000, 100, 1000));
    let budget: u64 = context.size(4 << 20, 16 << 20);
    let limit = budget.to_string();
    let options = ["--max-queued", &*limit];
    let mut scene = Scene::set(context, &options, (count, 0), messages, "/stuck").await?;
    let told = scene.publish(messages, 0).await?;
    let (rise, stats) = (scene.rise()?, scene.server.stats().await?);
    // Writing takes some stack and heap too, of each thread where there are many.
    let most = (budget as f64 * SLACK) as u64 + (4 << 20) + count as u64 * (8 << 10);
    let report = &mut context.report;
    report.check("budget: who pushes is told", told.get("slow") > 0 && told.get("failed") == 0, told.text());
    let queued = stats.get("queued");
    report.check("budget: the queues keep to it", queued <= budget + SIZE as u64, bytes(queued));
    report.check(
        "budget: so does the memory",
        rise <= most,
        format!("{} rise of at most {}", bytes(rise), bytes(most)),
    );
    scene.stuck.clear();
    let (stats, took) =
        scene.server.until(Duration::from_secs(10), |stats| stats.get("connections") == 0).await?;
    report.check(
        "budget: room comes back when they go",
        stats.get("queued") == 0 && stats.get("connections") == 0,
        format!("{took:.2?} {}", stats.text()),
    );
    for _ in 0..readers {
        scene.readers.spawn(read(Peer::open(scene.server.plain, "/wait").await?, messages));
    }
    all_open(&mut scene.server, count + readers).await?;
    scene.publish(messages, 0).await?;
    let complete = scene.complete(messages).await;
    report.check("budget: readers get all then", complete == readers, format!("{complete} of {readers}"));
    scene.end().await
}

/// Nobody is told and it is lost; or the peer is closed.
async fn drop_and_close(context: &mut Context<'_>, policy: &str) -> io::Result<()> {
    let (count, readers, messages) = context.size((50, 20, 700), (200, 100, 1000));
    // With so long queues a reader is never taken for a slow one, though the machine be busy.
    let timeout = context.size("3000", "10000");
    let options = ["--slow-reader", policy, "--high-water-mark", "262144", "--close-timeout", timeout];
    let mut scene = Scene::set(context, &options, (count, readers), messages, "/stuck").await?;
    let told = scene.publish(messages, 2000).await?;
    let complete = scene.complete(messages).await;
    let report = &mut context.report;
    report.check(
        &format!("{policy}: readers get all, in order, once"),
        complete == readers,
        format!("{complete} of {readers}"),
    );
    if policy == "drop" {
        report.check("drop: nobody is told", told.get("slow") + told.get("failed") == 0, told.text());
        let stats = scene.server.stats().await?;
        report.check("drop: no one is cut", stats.get("connections") >= count as u64, stats.text());
    } else {
        report.check("close: who pushes is told", told.get("slow") == count as u64, told.text());
        // Of those that are closed some read in time, the others are cut.
        let (mut whole, mut codes) = (0, 0);
        for peer in scene.stuck.drain(..10) {
            let Ok(read) = read(peer, u64::MAX).await else { continue };
            whole += usize::from(read.is_complete() && !read.numbers.is_empty());
            codes += usize::from(read.code == Some(1013));
        }
        report.check(
            "close: who reads in time finds all and a 1013",
            (whole, codes) == (10, 10),
            format!("{whole} of 10 whole, {codes} with a 1013"),
        );
        let limit = Duration::from_secs(15);
        let (stats, took) = scene.server.until(limit, |stats| stats.get("connections") == 0).await?;
        report.check(
            "close: who does not is cut, told once",
            stats.get("connections") == 0 && stats.get("closed") == stats.get("opened"),
            format!("{took:.2?} {}", stats.text()),
        );
    }
    scene.end().await
}
