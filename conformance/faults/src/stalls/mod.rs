//! Measures how long busy peers keep a server's threads from everything else.
//!
//! A task on the server's own runtime sleeps for 2 ms, again and again. A stall is the CPU time that
//! a thread of the runtime uses between two of its wake-ups. Because it is CPU time, the load of the
//! machine does not count.

mod flood;
mod meter;
mod target;

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use flood::Kind;
use meter::Meter;
use target::Runtime;

/// The longest stall, and the longest 99th percentile of a healthy client, that pass.
const BAR: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure these runtimes only.
    #[arg(long, value_delimiter = ',')]
    runtime: Vec<Runtime>,
    /// Use these kinds of peers only.
    #[arg(long, value_delimiter = ',')]
    kind: Vec<Kind>,
    /// The numbers of busy peers.
    #[arg(long, value_delimiter = ',', default_values_t = [2, 4, 8])]
    peers: Vec<usize>,
    /// The seconds for each figure.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Measures one figure in this process.
    #[arg(long, hide = true)]
    single: bool,
}

/// Prints the figures. Returns true if all pass.
///
/// Each figure comes from a process of its own, which is killed afterwards: a server that is kept
/// busy may not end in time.
pub(crate) fn run(options: &Options) -> io::Result<bool> {
    let time = Duration::from_secs_f64(options.seconds);
    if let ([runtime], [kind], [peers], true) =
        (&*options.runtime, &*options.kind, &*options.peers, options.single)
    {
        let figure = match peers {
            0 => healthy(*runtime, *kind, time)?,
            peers => stall(*runtime, *kind, *peers, time)?,
        };
        println!("{}", figure.as_nanos());
        // Keep the server as it is until the parent kills this process.
        thread::park();
    }
    let runtimes = if options.runtime.is_empty() { Runtime::value_variants() } else { &options.runtime };
    let kinds = if options.kind.is_empty() { Kind::value_variants() } else { &options.kind };
    let mut passed = true;
    for &runtime in runtimes {
        for &kind in kinds {
            for &peers in options.peers.iter().filter(|_| runtime != Runtime::Std) {
                let stall = measure(runtime, kind, peers, options.seconds)?;
                passed &= report(runtime, kind, peers, "stall", stall);
            }
            let p99 = measure(runtime, kind, 0, options.seconds.max(3.0))?;
            passed &= report(runtime, kind, 3, "p99 of a healthy client", p99);
        }
    }
    Ok(passed)
}

/// Measures in a process of its own: a stall, or without peers the 99th percentile.
fn measure(runtime: Runtime, kind: Kind, peers: usize, seconds: f64) -> io::Result<Duration> {
    let name = |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_owned());
    let (runtime, kind) = (name(runtime.to_possible_value()), name(kind.to_possible_value()));
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .args(["stalls", "--single", "--runtime", &runtime.unwrap_or_default()])
        .args(["--kind", &kind.unwrap_or_default()])
        .args(["--peers", &peers.to_string(), "--seconds", &seconds.to_string()])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let read = match child.stdout.take() {
        Some(stdout) => BufReader::new(stdout).read_line(&mut line),
        None => Ok(0),
    };
    child.kill()?;
    child.wait()?;
    read?;
    line.trim().parse().map(Duration::from_nanos).map_err(io::Error::other)
}

fn report(runtime: Runtime, kind: Kind, peers: usize, what: &str, figure: Duration) -> bool {
    let millis = figure.as_secs_f64() * 1e3;
    let verdict = if figure <= BAR { "ok  " } else { "FAIL" };
    println!("{verdict} {runtime:?}, {peers} peers, {kind:?}: {what} {millis:.2} ms");
    figure <= BAR
}

/// Returns the longest stall.
fn stall(runtime: Runtime, kind: Kind, peers: usize, time: Duration) -> io::Result<Duration> {
    let meter = Arc::new(Meter::default());
    let address = target::start(runtime, kind, meter.clone())?;
    flood::start(address, kind, peers)?;
    thread::sleep(Duration::from_millis(300));
    meter.reset();
    thread::sleep(time);
    Ok(meter.worst())
}

/// Returns the 99th percentile of the time in which a small message comes back to a client that
/// sends one every 10 ms, among three busy peers.
fn healthy(runtime: Runtime, kind: Kind, time: Duration) -> io::Result<Duration> {
    let address = target::start(runtime, kind, Arc::default())?;
    flood::start(address, kind, 3)?;
    thread::sleep(Duration::from_millis(300));
    let mut times = echo_times(address, time)?;
    times.sort_unstable();
    Ok(times[times.len() * 99 / 100])
}

fn echo_times(address: SocketAddr, time: Duration) -> io::Result<Vec<Duration>> {
    let mut ws = sockeye_std::connect(&format!("ws://{address}/")).map_err(io::Error::other)?;
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let sent = Instant::now();
        ws.send("a small message").map_err(io::Error::other)?;
        ws.recv().map_err(io::Error::other)?;
        times.push(sent.elapsed());
        thread::sleep(Duration::from_millis(10));
    }
    Ok(times)
}
