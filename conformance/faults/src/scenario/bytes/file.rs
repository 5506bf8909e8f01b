//! A file of scripts: the bytes that a client sends, and the exact answers beside them.
//!
//! The first line that is not a comment names the ports to which every script of the file is sent:
//!
//! - `http`: a server with a request handler and compression;
//! - `plain`: a server without a request handler;
//! - `echo`: a loop around a `WebSocket` with the default limits and compression;
//! - `small`: such a loop with small limits: 1,024 bytes in a frame, 4,096 in a message, 8
//!   fragments.
//!
//! A script begins with its `[name]`. The first character of each line says what follows:
//!
//! - `>`: bytes that the client sends. Consecutive lines are joined. `unescape` says how bytes are
//!   written.
//! - `*`: an action of the client. `pause` makes the next bytes arrive in another segment. `shut`
//!   ends the client's side. `byte by byte` sends all later bytes one at a time. `answer the Close`
//!   waits for the server's Close and sends it back.
//! - `=`: the ports that give the answer below. Only the servers send a date: the loops must give
//!   the answer without its `Date` line.
//! - `<`: a line of HTTP or a frame of the answer.
//! - `*` at the end of an answer: the state of the connection. It is `open`, which means that
//!   nothing more arrives, `closed` or `reset`. `endless` stands for an answer that is too long.
//! - `#`: a comment.
//!
//! `--bless` rewrites the answers and keeps everything else.

use std::io;
use std::path::PathBuf;

use super::answer::DATE_LINE;
use super::unescape::{UPGRADE, unescape};

#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Everything before the first script.
    head: String,
    pub(super) ports: Vec<String>,
    pub(super) scripts: Vec<Script>,
}

#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) name: String,
    /// Everything before the answers, as it is in the file.
    text: String,
    pub(super) steps: Vec<Step>,
    /// Whether the usual 101 is `{101}` in the answers.
    pub(super) abbreviates: bool,
    /// The ports and their common answer.
    answers: Vec<(Vec<String>, String)>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Send(Vec<u8>),
    SendByteByByte(Vec<u8>),
    Pause,
    Shut,
    AnswerClose,
}

impl File {
    pub(super) fn read(path: PathBuf) -> io::Result<Self> {
        let text = std::fs::read_to_string(&path)?;
        let mut file = File { path, head: String::new(), ports: Vec::new(), scripts: Vec::new() };
        // Comments and empty lines belong to what follows them.
        let mut pending = String::new();
        let mut byte_by_byte = false;
        for line in text.lines() {
            let wrong =
                || io::Error::other(format!("{}: not a line of a script: {line}", file.path.display()));
            pending.push_str(line);
            pending.push('\n');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let lines = std::mem::take(&mut pending);
            if let Some(ports) = line.strip_prefix("ports: ") {
                file.ports = ports.split(' ').map(ToOwned::to_owned).collect();
                file.head = lines;
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                file.scripts.push(Script::new(name, lines));
                byte_by_byte = false;
                continue;
            }
            let script = file.scripts.last_mut().ok_or_else(wrong)?;
            let (kind, rest) = line.split_at_checked(1).ok_or_else(wrong)?;
            let rest = rest.strip_prefix(' ').ok_or_else(wrong)?;
            if let Some((_, answer)) = script.answers.last_mut().filter(|_| kind != "=") {
                if kind != "<" && kind != "*" {
                    return Err(wrong());
                }
                answer.push_str(&lines);
                continue;
            }
            match (kind, rest) {
                ("=", ports) => {
                    let ports = ports.split(' ').map(ToOwned::to_owned).collect();
                    script.answers.push((ports, String::new()));
                    continue;
                }
                (">", _) => {
                    script.abbreviates |= rest.contains(UPGRADE);
                    script.send(unescape(rest).ok_or_else(wrong)?, byte_by_byte);
                }
                ("*", "pause") => script.steps.push(Step::Pause),
                ("*", "shut") => script.steps.push(Step::Shut),
                ("*", "answer the Close") => script.steps.push(Step::AnswerClose),
                ("*", "byte by byte") => byte_by_byte = true,
                _ => return Err(wrong()),
            }
            script.text.push_str(&lines);
        }
        file.check()?;
        Ok(file)
    }

    /// The names are unique, and a script has at most one answer for each port.
    fn check(&self) -> io::Result<()> {
        let wrong = |what: String| Err(io::Error::other(format!("{}: {what}", self.path.display())));
        if self.ports.is_empty() || self.scripts.is_empty() {
            return wrong("no ports or no scripts".to_owned());
        }
        for (at, script) in self.scripts.iter().enumerate() {
            if self.scripts[..at].iter().any(|other| other.name == script.name) {
                return wrong(format!("two scripts [{}]", script.name));
            }
            let answered: Vec<&String> = script.answers.iter().flat_map(|(ports, _)| ports).collect();
            for (at, port) in answered.iter().enumerate() {
                if answered[..at].contains(port) || !self.ports.contains(port) {
                    return wrong(format!("[{}] has two answers of {port}, or one too many", script.name));
                }
            }
        }
        Ok(())
    }

    /// Replaces all answers by those of `answer_of(script, port)`.
    pub(super) fn bless(&mut self, answer_of: impl Fn(usize, &str) -> String) {
        for (at, script) in self.scripts.iter_mut().enumerate() {
            script.answers.clear();
            for port in &self.ports {
                let answer = answer_of(at, port);
                match script.answers.iter_mut().find(|(_, known)| for_port(known, port) == answer) {
                    Some((ports, _)) => ports.push(port.clone()),
                    None => script.answers.push((vec![port.clone()], answer)),
                }
            }
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = self.head.clone();
        for script in &self.scripts {
            text.push_str(&script.text);
            for (ports, answer) in &script.answers {
                text.push_str(&format!("= {}\n{answer}", ports.join(" ")));
            }
        }
        text
    }
}

impl Script {
    fn new(name: &str, text: String) -> Self {
        Script { name: name.to_owned(), text, steps: Vec::new(), abbreviates: false, answers: Vec::new() }
    }

    fn send(&mut self, bytes: Vec<u8>, byte_by_byte: bool) {
        match self.steps.last_mut() {
            Some(Step::Send(before)) if !byte_by_byte => before.extend(bytes),
            Some(Step::SendByteByByte(before)) if byte_by_byte => before.extend(bytes),
            _ if byte_by_byte => self.steps.push(Step::SendByteByByte(bytes)),
            _ => self.steps.push(Step::Send(bytes)),
        }
    }

    /// Returns the expected answer of a port.
    pub(super) fn answer(&self, port: &str) -> Option<String> {
        let answer = self.answers.iter().find(|(ports, _)| ports.iter().any(|other| other == port));
        answer.map(|(_, answer)| for_port(answer, port))
    }
}

/// Returns the form in which a port gives a common answer.
fn for_port(answer: &str, port: &str) -> String {
    let is_loop = matches!(port, "echo" | "small");
    answer.split_inclusive('\n').filter(|line| !(is_loop && *line == DATE_LINE)).collect()
}
