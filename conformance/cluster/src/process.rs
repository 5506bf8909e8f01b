//! A node as a process.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

pub(crate) struct NodeProcess {
    pub(crate) index: usize,
    pub(crate) address: String,
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// The state of a node, as it reports it.
pub(crate) struct Status {
    pub(crate) nodes: usize,
    pub(crate) has_all_topics: bool,
    pub(crate) is_connected: bool,
    pub(crate) lost: u64,
}

impl NodeProcess {
    pub(crate) async fn start(engine: &str, index: usize) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["--node", engine]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| error.to_string())?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("the node has no pipes".into());
        };
        let output = BufReader::new(output).lines();
        let mut node = NodeProcess { index, address: String::new(), process, input, output };
        node.address = node.answer("listening").await?;
        Ok(node)
    }

    pub(crate) async fn send(&mut self, command: &str) -> Result<(), String> {
        let line = format!("{command}\n");
        self.input.write_all(line.as_bytes()).await.map_err(|error| format!("node {}: {error}", self.index))
    }

    /// Returns the rest of the next line, which must begin with `name`.
    pub(crate) async fn answer(&mut self, name: &str) -> Result<String, String> {
        let line = timeout(Duration::from_secs(120), self.output.next_line()).await;
        let line = line.map_err(|_| format!("node {} does not say `{name}`", self.index))?;
        let line = line.ok().flatten().ok_or_else(|| format!("node {} has ended", self.index))?;
        let rest = line.strip_prefix(name).ok_or_else(|| format!("`{line}` instead of `{name}`"))?;
        Ok(rest.trim().to_owned())
    }

    pub(crate) async fn status(&mut self) -> Result<Status, String> {
        self.send("status").await?;
        let answer = self.answer("status").await?;
        let words: Vec<&str> = answer.split(' ').collect();
        let [nodes, has_all_topics, is_connected, lost] = words[..] else { return Err(answer) };
        Ok(Status {
            nodes: nodes.parse().unwrap_or(0),
            has_all_topics: has_all_topics == "true",
            is_connected: is_connected == "true",
            lost: lost.parse().unwrap_or(0),
        })
    }

    /// Returns the number of subscribers of a topic on all nodes.
    pub(crate) async fn present(&mut self, topic: &str) -> Result<usize, String> {
        self.send(&format!("present {topic}")).await?;
        Ok(self.answer("present").await?.parse().unwrap_or(0))
    }

    pub(crate) async fn wait_for(
        &mut self,
        event: &str,
        seconds: u64,
        is_true: impl Fn(&Status) -> bool,
    ) -> Result<(), String> {
        for _ in 0..seconds * 20 {
            if is_true(&self.status().await?) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("node {} waits for {event}", self.index))
    }

    pub(crate) async fn signal(&self, name: &str) -> Result<(), String> {
        let id = self.process.id().ok_or("the node has ended")?.to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await;
        status.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Kills the process at once.
    pub(crate) async fn kill(mut self) {
        let _ = self.process.kill().await;
    }
}
