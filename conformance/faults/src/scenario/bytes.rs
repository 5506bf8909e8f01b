//! The exact answer to every script in `scripts/`: the same from all three adapters, and the same
//! as before.

mod answer;
mod deadlines;
mod file;
mod unescape;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Context;
use crate::Adapter;
use crate::child::Server;
use crate::peer::{CLOSE, PATIENCE, dial, masked, within};
use file::{File, Script, Step};

/// An answer counts as complete after this long without a byte. A script whose answer differs from
/// the expected one runs once more with the longer time.
const SILENCES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(3)];
/// Long enough for the server to read the bytes sent before.
const PAUSE: Duration = Duration::from_millis(60);
const CONCURRENT_SCRIPTS: usize = 32;

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let mut files = read_files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts")))?;
    let server = Server::start(context.adapter, &["--echo-loops"]).await?;
    // Most of these checks wait for a deadline of ten seconds, so they run beside the scripts.
    let deadlines =
        tokio::spawn(deadlines::run([("plain", server.plain), ("echo", address(&server, "echo")?)]));
    let answers = ask_all(&files, &server).await?;
    if context.bless && context.adapter == Adapter::Tokio {
        for (at, file) in files.iter_mut().enumerate() {
            file.bless(|script, port| answers[&(at, script, port.to_owned())].clone());
            std::fs::write(&file.path, file.to_text())?;
            context.report.note("written", file.path.display().to_string());
        }
    } else {
        compare(context, &files, &answers);
    }
    resets(context, &server).await?;
    for (name, outcome) in deadlines.await.map_err(io::Error::other)? {
        context.report.check(&name, outcome.is_ok(), outcome.unwrap_or_else(|error| error.to_string()));
    }
    context.report.check("the server exits successfully", server.end().await?, "");
    Ok(())
}

fn read_files(folder: &Path) -> io::Result<Vec<File>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let files: Vec<File> = paths.into_iter().map(File::read).collect::<io::Result<_>>()?;
    if files.is_empty() { Err(io::Error::other("there are no scripts")) } else { Ok(files) }
}

/// The answer to each script, by the index of its file, its own index and the port.
type Answers = HashMap<(usize, usize, String), String>;

/// Runs every script on every port of its file.
async fn ask_all(files: &[File], server: &Server) -> io::Result<Answers> {
    let room = Arc::new(Semaphore::new(CONCURRENT_SCRIPTS));
    let mut running = JoinSet::new();
    for (file_at, file) in files.iter().enumerate() {
        for port in &file.ports {
            let to = address(server, port)?;
            for (at, script) in file.scripts.iter().enumerate() {
                let (script, port, room) = (script.clone(), port.clone(), room.clone());
                running.spawn(async move {
                    let _turn = room.acquire().await.map_err(io::Error::other)?;
                    let expected = script.answer(&port);
                    let mut answer = String::new();
                    for silence in SILENCES {
                        answer = ask(to, &script, silence).await?;
                        if expected.as_ref() == Some(&answer) {
                            break;
                        }
                    }
                    io::Result::Ok(((file_at, at, port), answer))
                });
            }
        }
    }
    let mut answers = HashMap::new();
    while let Some(done) = running.join_next().await {
        let (key, answer) = done.map_err(io::Error::other).flatten()?;
        answers.insert(key, answer);
    }
    Ok(answers)
}

fn address(server: &Server, port: &str) -> io::Result<SocketAddr> {
    let address = match port {
        "http" => Some(server.http),
        "plain" => Some(server.plain),
        "echo" => server.echo_loops.first().copied(),
        "small" => server.echo_loops.get(1).copied(),
        _ => None,
    };
    address.ok_or_else(|| io::Error::other(format!("no such port: {port}")))
}

fn compare(context: &mut Context<'_>, files: &[File], answers: &Answers) {
    let (mut scripts, mut differ) = (0, 0);
    for (file_at, file) in files.iter().enumerate() {
        scripts += file.scripts.len();
        for (at, script) in file.scripts.iter().enumerate() {
            for port in &file.ports {
                let expected = script.answer(port);
                let answer = answers.get(&(file_at, at, port.clone()));
                if answer.is_none() || expected.as_ref() != answer {
                    differ += 1;
                    println!(
                        "--- [{}] on {port}, expected\n{}",
                        script.name,
                        expected.as_deref().unwrap_or("nothing\n")
                    );
                    println!("+++ received\n{}", answer.map_or("nothing\n", String::as_str));
                }
            }
        }
    }
    let detail = format!("{} answers to {scripts} scripts, {differ} differ", answers.len());
    context.report.check("every answer is the expected one", differ == 0, detail);
}

/// Runs a script and returns its answer as text, which ends with the state of the connection.
async fn ask(to: SocketAddr, script: &Script, silence: Duration) -> io::Result<String> {
    let mut stream = dial(to, 0, None).await?;
    let mut received = Vec::new();
    for step in &script.steps {
        match step {
            // The server may have refused the request already and closed the connection: read its
            // answer.
            Step::Send(bytes) => drop(within(stream.write_all(bytes)).await),
            Step::SendByteByByte(bytes) => drop(within(send_byte_by_byte(&mut stream, bytes)).await),
            Step::Pause => tokio::time::sleep(PAUSE).await,
            Step::Shut => drop(stream.shutdown().await),
            Step::AnswerClose => answer_close(&mut stream, &mut received).await?,
        }
    }
    let end = loop {
        match tokio::time::timeout(silence, stream.read_buf(&mut received)).await {
            Ok(Ok(0)) => break "closed",
            Ok(Ok(_)) if received.len() > 1 << 20 => break "endless",
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => break "reset",
            Ok(Err(error)) => return Err(error),
            Err(_) => break "open",
        }
    };
    Ok(answer::to_text(&received, end, script.abbreviates))
}

async fn send_byte_by_byte(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for (at, byte) in bytes.iter().enumerate() {
        stream.write_all(&[*byte]).await?;
        if at % 16 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

/// Waits for the server's Close and sends it back. Returns without sending if none arrives.
async fn answer_close(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<()> {
    loop {
        if let Some(payload) = answer::close_payload(received) {
            drop(stream.write_all(&masked(CLOSE, payload)).await);
            return Ok(());
        }
        match tokio::time::timeout(SILENCES[1], stream.read_buf(received)).await {
            Ok(Ok(0)) | Err(_) => return Ok(()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Ok(Err(error)) => return Err(error),
        }
    }
}

/// W13: connections that are reset while the server echoes do not affect the next one.
async fn resets(context: &mut Context<'_>, server: &Server) -> io::Result<()> {
    for port in ["http", "plain", "echo", "small"] {
        let to = address(server, port)?;
        let outcome = deadlines::reset_then_echo(to).await;
        let detail = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        context.report.check(
            &format!("W13 {port}: a reset connection does no harm"),
            outcome.is_ok(),
            detail,
        );
    }
    Ok(())
}

// The longer time must fit into the limit of a single operation.
const _: () = assert!(SILENCES[1].as_secs() < PATIENCE.as_secs());
