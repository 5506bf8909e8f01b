//! Every answer, byte for byte: the three servers say the same, and what they said before.

mod script;

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Context;
use crate::Adapter;
use crate::child::Server;
use crate::peer::{PATIENCE, dial};
use script::{Case, Step, cases};

/// Behind this long a silence the answer is taken for complete, and, should it not be the one expected, behind the second.
const SILENCES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(3)];
const AT_A_TIME: usize = 24;

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let cases = Arc::new(cases(include_str!("../../requests.txt"))?);
    let server = Server::start(context.adapter, &[]).await?;
    let golden = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/answers.txt"));
    let known = std::fs::read_to_string(&golden).unwrap_or_default();
    let known: Vec<&str> = known.split_inclusive("\n\n").collect();
    let mut asked = JoinSet::new();
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    for (name, to) in [("http", server.http), ("plain", server.plain)] {
        for (at, case) in cases.iter().enumerate() {
            let title = format!("[{} {name}]", case.name);
            let expected = known.iter().find(|answer| answer.starts_with(&format!("{title}\n")));
            let expected = expected.map(ToString::to_string);
            let (cases, room) = (cases.clone(), room.clone());
            asked.spawn(async move {
                let _turn = room.acquire().await.map_err(io::Error::other)?;
                let mut answer = String::new();
                for silence in SILENCES {
                    answer = format!("{title}\n{}\n", ask(to, &cases[at], silence).await?);
                    if expected.as_ref() == Some(&answer) {
                        break;
                    }
                }
                io::Result::Ok((name, at, answer, expected))
            });
        }
    }
    let mut answers = Vec::new();
    while let Some(done) = asked.join_next().await {
        answers.push(done.map_err(io::Error::other).flatten()?);
    }
    answers.sort_by_key(|(name, at, ..)| (*at, *name));
    if context.bless && context.adapter == Adapter::Tokio {
        let all: String = answers.iter().map(|(_, _, answer, _)| &**answer).collect();
        std::fs::write(&golden, all)?;
        context.report.note("written", golden.display().to_string());
    } else {
        let different = answers.iter().filter(|(_, _, answer, expected)| expected.as_ref() != Some(answer));
        let mut count = 0;
        for (_, _, answer, expected) in different {
            count += 1;
            println!("--- expected\n{}+++ came\n{answer}", expected.as_deref().unwrap_or("nothing\n\n"));
        }
        let detail = format!("{} answers to {} scripts, {count} differ", answers.len(), cases.len());
        context.report.check("all answers are as known", count == 0 && known.len() == answers.len(), detail);
    }
    context.report.check("the server ends well", server.end().await?, "");
    Ok(())
}

/// What comes back, as lines of text; the last one says whether the connection was ended.
async fn ask(to: SocketAddr, case: &Case, silence: Duration) -> io::Result<String> {
    let mut stream = dial(to, 0, None).await?;
    let mut answer = Vec::new();
    for step in &case.steps {
        match step {
            // Who was refused in the middle cannot send the rest, and has the answer already.
            Step::Send(bytes) => drop(stream.write_all(bytes).await),
            Step::Pause(time) => tokio::time::sleep(*time).await,
            Step::Shut => drop(stream.shutdown().await),
        }
    }
    let end = loop {
        match tokio::time::timeout(silence, stream.read_buf(&mut answer)).await {
            Ok(Ok(0)) => break "closed",
            Ok(Ok(_)) if answer.len() > 1 << 20 => break "endless",
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => break "reset",
            Ok(Err(error)) => return Err(error),
            Err(_) => break "open",
        }
    };
    Ok(text(&answer, end))
}

/// Bytes as lines in ASCII, with no date; long runs of the same byte are told by their number.
fn text(answer: &[u8], end: &str) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for run in answer.chunk_by(|a, b| a == b) {
        let byte = run[0].escape_ascii().to_string();
        match run.len() {
            len @ 21.. => {
                let _ = write!(line, "{{{len}*{byte}}}");
            }
            len => line.push_str(&byte.repeat(len)),
        }
        if run[0] == b'\n' {
            flush(&mut text, &mut line);
        }
    }
    flush(&mut text, &mut line);
    text.push_str(end);
    text.push('\n');
    text
}

fn flush(text: &mut String, line: &mut String) {
    if !line.is_empty() {
        text.push_str(if line.starts_with("Date: ") { "Date: *\\r\\n" } else { line });
        text.push('\n');
    }
    line.clear();
}

/// No script takes longer.
const _: () = assert!(SILENCES[1].as_secs() < PATIENCE.as_secs());
