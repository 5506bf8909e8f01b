//! Peers that vanish without closing. The heartbeat finds them.

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
        context.report.note("cut off", "skipped: a network namespace needs root");
        return Ok(());
    }
    match Cable::connect() {
        Ok(cable) => cut_off(context, &cable).await,
        Err(error) => {
            context
                .report
                .note("cut off", format!("skipped: a network namespace could not be made: {error}"));
            Ok(())
        }
    }
}

/// Stops the process of the peers: its kernel acknowledges data, but no peer answers.
async fn stopped(context: &mut Context<'_>) -> io::Result<()> {
    let mut server = start(context, "127.0.0.1").await?;
    let count = context.size(50, 1000);
    let peers = hold(&[], server.plain, count).await?;
    let healthy = Healthy::start_without_newcomers(server.plain, 5, Duration::from_millis(100)).await?;
    let pid = Pid::from_raw(peers.pid).ok_or(io::ErrorKind::InvalidInput)?;
    kill_process(pid, Signal::STOP)?;
    check_found(context, &mut server, "stopped", count, healthy).await?;
    kill_process(pid, Signal::CONT)?;
    drop(peers);
    server.end().await.map(drop)
}

/// Disconnects the network of the peers: data is not acknowledged either.
async fn cut_off(context: &mut Context<'_>, cable: &Cable) -> io::Result<()> {
    let mut server = start(context, NEAR).await?;
    let count = context.size(50, 1000);
    let peers = hold(&["ip", "netns", "exec", &cable.name], server.plain, count).await?;
    let healthy = Healthy::start_without_newcomers(server.plain, 5, Duration::from_millis(100)).await?;
    cable.disconnect()?;
    check_found(context, &mut server, "cut off", count, healthy).await?;
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

async fn check_found(
    context: &mut Context<'_>,
    server: &mut Server,
    name: &str,
    count: usize,
    healthy: Healthy,
) -> io::Result<()> {
    let count = count as u64;
    let (_, took) = server.wait_until(Duration::from_secs(20), |stats| stats.get("closed") >= count).await?;
    // Long enough for a second `close` event of the same connection, if there is one.
    tokio::time::sleep(interval(context)).await;
    let stats = server.stats().await?;
    let report = &mut context.report;
    let closed = stats.get("closed");
    report.check(
        &format!("{name}: each is found, and closed once"),
        closed == count,
        format!("{took:.2?}, {closed}"),
    );
    report.check(&format!("{name}: closed uncleanly with 1008"), all_unclean(&stats, count), stats.text());
    // The healthy connections are left.
    report.check(
        &format!("{name}: none is registered any more"),
        stats.get("connections") == 5,
        format!("{} left", stats.get("connections")),
    );
    healthy.end(report).await;
    Ok(())
}

fn all_unclean(stats: &crate::child::Stats, count: u64) -> bool {
    stats.get("unclean") == count && stats.get("code1008") == count
}

const NEAR: &str = "10.213.77.1";
const FAR: &str = "10.213.77.2";

/// A network namespace and a virtual cable to it.
struct Cable {
    name: String,
    here: String,
}

impl Cable {
    fn connect() -> io::Result<Self> {
        let id = std::process::id();
        let cable = Cable { name: format!("sockeye{id}"), here: format!("sk{id}a") };
        let (name, here, there) = (&*cable.name, &*cable.here, &*format!("sk{id}b"));
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {here} type veth peer name {there} netns {name}"))?;
        ip(&format!("address add {NEAR}/24 dev {here}"))?;
        ip(&format!("-n {name} address add {FAR}/24 dev {there}"))?;
        ip(&format!("link set {here} up"))?;
        ip(&format!("-n {name} link set {there} up"))?;
        Ok(cable)
    }

    /// Disconnects the far end. The near address stays, as if a router in between lost power.
    fn disconnect(&self) -> io::Result<()> {
        ip(&format!("-n {} link set {} down", self.name, self.here.replace('a', "b")))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // They may not exist if `connect` failed.
        let _ = ip(&format!("link delete {}", self.here));
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

fn ip(arguments: &str) -> io::Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(io::Error::other(format!("ip {arguments}: {message}"))) }
}
