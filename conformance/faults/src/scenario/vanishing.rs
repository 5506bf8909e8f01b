//! Peers that go without a word: the heartbeat finds them.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};

use super::Context;
use super::healthy::Healthy;
use crate::child::{Process, Server};

fn interval(context: &Context<'_>) -> Duration {
    Duration::from_millis(context.size(500, 2000))
}

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    stopped(context).await?;
    if !getuid().is_root() {
        context.report.note("cut off", "skipped: making a network namespace takes root");
        return Ok(());
    }
    match Cable::lay() {
        Ok(cable) => cut_off(context, &cable).await,
        Err(error) => {
            context.report.note("cut off", format!("skipped: no network namespace here: {error}"));
            Ok(())
        }
    }
}

/// The process of the peers is stopped: its kernel acknowledges what comes, and nobody answers.
async fn stopped(context: &mut Context<'_>) -> io::Result<()> {
    let mut server = start(context, "127.0.0.1").await?;
    let count = context.size(50, 1000);
    let peers = hold(&[], server.plain, count).await?;
    let healthy = Healthy::start_closed(server.plain, 5, Duration::from_millis(100)).await?;
    let pid = Pid::from_raw(peers.pid).ok_or(io::ErrorKind::InvalidInput)?;
    kill_process(pid, Signal::STOP)?;
    found(context, &mut server, "stopped", count, healthy).await?;
    kill_process(pid, Signal::CONT)?;
    drop(peers);
    server.end().await.map(drop)
}

/// The cable is pulled: nothing is acknowledged either.
async fn cut_off(context: &mut Context<'_>, cable: &Cable) -> io::Result<()> {
    let mut server = start(context, HERE).await?;
    let count = context.size(50, 1000);
    let peers = hold(&["ip", "netns", "exec", &cable.name], server.plain, count).await?;
    let healthy = Healthy::start_closed(server.plain, 5, Duration::from_millis(100)).await?;
    cable.pull()?;
    found(context, &mut server, "cut off", count, healthy).await?;
    drop(peers);
    server.end().await.map(drop)
}

async fn start(context: &Context<'_>, ip: &str) -> io::Result<Server> {
    let interval = interval(context).as_millis().to_string();
    Server::start_on(context.adapter, ip, &["--keepalive", &interval, "--close-timeout", "500"]).await
}

async fn hold(prefix: &[&str], to: SocketAddr, count: usize) -> io::Result<Process> {
    let mut peers = Process::start(prefix, &["hold".to_owned(), to.to_string(), count.to_string()])?;
    match &*peers.line().await? {
        "ready" => Ok(peers),
        other => Err(io::Error::other(other.to_owned())),
    }
}

async fn found(
    context: &mut Context<'_>,
    server: &mut Server,
    name: &str,
    count: usize,
    healthy: Healthy,
) -> io::Result<()> {
    let count = count as u64;
    let (_, took) = server.until(Duration::from_secs(20), |stats| stats.get("closed") >= count).await?;
    // Should any be told twice, it would be by now.
    tokio::time::sleep(interval(context)).await;
    let stats = server.stats().await?;
    let report = &mut context.report;
    let closed = stats.get("closed");
    report.check(
        &format!("{name}: each is found, told once"),
        closed == count,
        format!("{took:.2?}, {closed}"),
    );
    report.check(&format!("{name}: not as clean, with 1008"), of(&stats, count), stats.text());
    // The healthy ones are left.
    report.check(
        &format!("{name}: none is known any more"),
        stats.get("connections") == 5,
        format!("{} left", stats.get("connections")),
    );
    healthy.end(report).await;
    Ok(())
}

fn of(stats: &crate::child::Stats, count: u64) -> bool {
    stats.get("unclean") == count && stats.get("code1008") == count
}

const HERE: &str = "10.213.77.1";
const THERE: &str = "10.213.77.2";

/// A namespace of its own, and a cable to it.
struct Cable {
    name: String,
    here: String,
}

impl Cable {
    fn lay() -> io::Result<Self> {
        let id = std::process::id();
        let cable = Cable { name: format!("sockeye{id}"), here: format!("sk{id}a") };
        let (name, here, there) = (&*cable.name, &*cable.here, &*format!("sk{id}b"));
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {here} type veth peer name {there} netns {name}"))?;
        ip(&format!("address add {HERE}/24 dev {here}"))?;
        ip(&format!("-n {name} address add {THERE}/24 dev {there}"))?;
        ip(&format!("link set {here} up"))?;
        ip(&format!("-n {name} link set {there} up"))?;
        Ok(cable)
    }

    /// At the far end: here the address stays, as it does when a router in between loses power.
    fn pull(&self) -> io::Result<()> {
        ip(&format!("-n {} link set {} down", self.name, self.here.replace('a', "b")))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // It may not have come to these.
        let _ = ip(&format!("link delete {}", self.here));
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

fn ip(arguments: &str) -> io::Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(io::Error::other(format!("ip {arguments}: {said}"))) }
}
