//! A server as a child process.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::serve::Library;

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(library: Library) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", library.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the child process has no pipes"));
        };
        let mut output = BufReader::new(output);
        let port = u16::try_from(read_number(&mut output)?).map_err(io::Error::other)?;
        Ok(Server { child, pipes: RefCell::new((input, output)), port })
    }

    /// Returns the CPU time used so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let (input, output) = &mut *self.pipes.borrow_mut();
        input.write_all(b"cpu\n")?;
        read_number(output).map(Duration::from_nanos)
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
