//! The file of scripts: what is sent, and when.
//!
//! A script begins with its name in brackets. Its lines are joined as they are; `\r`, `\n`, `\\`, `\xNN` are bytes, and `{20*a}` is
//! twenty of them. A line `-` is a pause, after which what follows comes in a segment of its own; `shut` ends the sending side.
//! Lines that begin with `#`, and empty ones, are nothing.

use std::io;
use std::time::Duration;

/// Long enough for what was sent before to be read by itself.
const PAUSE: Duration = Duration::from_millis(60);

pub(super) struct Case {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
}

pub(super) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    Shut,
}

pub(super) fn cases(file: &str) -> io::Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            cases.push(Case { name: name.to_owned(), steps: Vec::new() });
            continue;
        }
        let steps = &mut cases.last_mut().ok_or_else(|| wrong(line))?.steps;
        match line {
            "-" => steps.push(Step::Pause(PAUSE)),
            "shut" => steps.push(Step::Shut),
            _ => {
                let bytes = unescape(line).ok_or_else(|| wrong(line))?;
                if let Some(Step::Send(before)) = steps.last_mut() {
                    before.extend(bytes);
                } else {
                    steps.push(Step::Send(bytes));
                }
            }
        }
    }
    Ok(cases)
}

fn wrong(line: &str) -> io::Error {
    io::Error::other(format!("not a line of a script: {line}"))
}

fn unescape(mut line: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(first) = line.chars().next() {
        if first == '{' {
            let (run, rest) = line.get(1..)?.split_once('}')?;
            let (count, what) = run.split_once('*')?;
            bytes.extend(unescape(what)?.repeat(count.parse().ok()?));
            line = rest;
            continue;
        }
        let rest = line.get(first.len_utf8()..)?;
        if first != '\\' {
            bytes.extend(first.to_string().into_bytes());
            line = rest;
            continue;
        }
        let (byte, len) = match rest.as_bytes().first()? {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b'\\' => (b'\\', 1),
            b'x' => (u8::from_str_radix(rest.get(1..3)?, 16).ok()?, 3),
            _ => return None,
        };
        bytes.push(byte);
        line = rest.get(len..)?;
    }
    Some(bytes)
}
