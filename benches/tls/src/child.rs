//! A server as a child process.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::serve::Library;

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    pipes: Option<RefCell<(ChildStdin, BufReader<ChildStdout>)>>,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(library: Library) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", library.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the child process has no pipes"));
        };
        let pipes = RefCell::new((input, BufReader::new(output)));
        let port = read_number(&mut pipes.borrow_mut().1)?;
        Ok(Server { child, pipes: Some(pipes), port: u16::try_from(port).map_err(io::Error::other)? })
    }

    /// Starts another program.
    pub(crate) fn start_other(command: &str) -> io::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let certs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testkit/certs");
        let fill = |word: &str| {
            word.replace("{port}", &port.to_string())
                .replace("{cert}", &certs.join("server.pem").to_string_lossy())
                .replace("{key}", &certs.join("server.key").to_string_lossy())
        };
        let mut words = command.split_whitespace().map(fill);
        let program = words.next().ok_or_else(|| io::Error::other("an empty command"))?;
        let child = Command::new(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let server = Server { child, pipes: None, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the program does not listen"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Returns the CPU time used so far. That of another program has a resolution of 10 ms.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        if let Some(pipes) = &self.pipes {
            let (input, output) = &mut *pipes.borrow_mut();
            input.write_all(b"cpu\n")?;
            return read_number(output).map(Duration::from_nanos);
        }
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Returns the resident memory, in bytes.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: u64 =
            line.split_whitespace().next().unwrap_or_default().parse().map_err(io::Error::other)?;
        Ok(kib * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_number(output: &mut impl BufRead) -> io::Result<u64> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    line.trim().parse().map_err(|_| io::Error::other("the server has ended"))
}
