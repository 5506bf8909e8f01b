//! The server under test as a child process.

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Adapter;
use crate::peer::within;

/// A child process of this program. It writes a line when it is ready and then takes commands.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) pid: i32,
}

impl Process {
    /// Starts this program with these arguments. A non-empty `prefix` is the command line that runs
    /// it.
    pub(crate) fn start(prefix: &[&str], arguments: &[String]) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let mut command = match prefix {
            [] => Command::new(own),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(own);
                command
            }
        };
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let no_pipe = || io::Error::other("the child process has no pipe");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(no_pipe)?;
        let lines = BufReader::new(child.stdout.take().ok_or_else(no_pipe)?).lines();
        Ok(Process { stdin: child.stdin.take(), child, lines, pid })
    }

    /// Reads the next line of the child's standard output.
    pub(crate) async fn line(&mut self) -> io::Result<String> {
        let line = tokio::time::timeout(Duration::from_secs(300), self.lines.next_line()).await??;
        line.ok_or_else(|| io::Error::other("the child process has ended"))
    }

    pub(crate) async fn send_command(&mut self, command: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{command}\n").as_bytes()).await?;
        stdin.flush().await
    }

    /// Closes the child's standard input and waits until the child exits. Returns true if it exited
    /// successfully.
    pub(crate) async fn end(mut self) -> io::Result<bool> {
        drop(self.stdin.take());
        Ok(within(self.child.wait()).await?.success())
    }

    fn proc(&self, file: &str) -> io::Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid))
    }
}

/// The server under test.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    /// The address of a port with a request handler and compression.
    pub(crate) http: SocketAddr,
    /// The address of a port without a request handler.
    pub(crate) plain: SocketAddr,
    /// The address of a port whose handler panics in `connect`.
    pub(crate) refusing: SocketAddr,
    /// The address of a port with TLS.
    pub(crate) tls: SocketAddr,
    /// The addresses of two echo loops around a `WebSocket`, with the default limits and with small
    /// ones, if the option `--echo-loops` asks for them.
    pub(crate) echo_loops: Vec<SocketAddr>,
}

/// The counters of the server, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats(String);

impl Stats {
    pub(crate) fn get(&self, name: &str) -> u64 {
        let mut pairs = self.0.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl Server {
    pub(crate) async fn start(adapter: Adapter, options: &[&str]) -> io::Result<Self> {
        Self::start_on(adapter, "127.0.0.1", options).await
    }

    pub(crate) async fn start_on(adapter: Adapter, ip: &str, options: &[&str]) -> io::Result<Self> {
        let fixed = ["serve", "--adapter", adapter.name(), "--ip", ip];
        let arguments: Vec<String> = fixed.iter().chain(options).map(ToString::to_string).collect();
        let mut process = Process::start(&[], &arguments)?;
        let line = process.line().await?;
        let mut addresses = line.split(' ').map(|text| text.parse().map_err(io::Error::other));
        let mut next = || addresses.next().unwrap_or_else(|| Err(io::Error::other(line.clone())));
        let (http, plain, refusing, tls) = (next()?, next()?, next()?, next()?);
        let echo_loops = addresses.collect::<io::Result<_>>()?;
        Ok(Server { http, plain, refusing, tls, echo_loops, process })
    }

    /// Sends a command and reads the answer.
    pub(crate) async fn ask(&mut self, command: &str) -> io::Result<Stats> {
        self.process.send_command(command).await?;
        self.process.line().await.map(Stats)
    }

    pub(crate) async fn stats(&mut self) -> io::Result<Stats> {
        self.ask("stats").await
    }

    /// Polls the counters until `condition` holds or `patience` has passed. Returns the latest
    /// counters and the time taken.
    pub(crate) async fn wait_until(
        &mut self,
        patience: Duration,
        condition: impl Fn(&Stats) -> bool,
    ) -> io::Result<(Stats, Duration)> {
        let started = Instant::now();
        loop {
            let stats = self.stats().await?;
            if condition(&stats) || started.elapsed() > patience {
                return Ok((stats, started.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns the resident memory, in bytes.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        self.status("VmRSS:").map(|kib| kib * 1024)
    }

    /// Returns the peak of the resident memory since [`reset_peak`](Server::reset_peak), in bytes.
    pub(crate) fn peak(&self) -> io::Result<u64> {
        self.status("VmHWM:").map(|kib| kib * 1024)
    }

    pub(crate) fn reset_peak(&self) -> io::Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.pid), "5")
    }

    pub(crate) fn threads(&self) -> io::Result<u64> {
        self.status("Threads:")
    }

    pub(crate) fn descriptors(&self) -> io::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.process.pid))?.count())
    }

    /// Returns the CPU time used so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let stat = self.process.proc("stat")?;
        // utime and stime are fields 14 and 15. Count from the end of the program's name, because
        // the name may contain spaces.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    fn status(&self, name: &str) -> io::Result<u64> {
        let status = self.process.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().unwrap_or_default().parse().map_err(io::Error::other)
    }

    /// Ends the server. Returns true if it exited successfully.
    pub(crate) async fn end(self) -> io::Result<bool> {
        self.process.end().await
    }
}
