//! Handlers that fail. Only their own connection is affected.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Context;
use super::healthy::Healthy;
use crate::Adapter;
use crate::child::Server;
use crate::peer::{CLOSE, Peer, TEXT, dial, request, within};

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    let mut server = Server::start(context.adapter, &[]).await?;
    let healthy = Healthy::start(server.http, 20, Duration::from_millis(10)).await?;
    websockets(context, &server).await?;
    http(context, &server).await?;
    endings(context, &mut server).await?;
    blocking(context, &server).await?;
    let stuck = if context.adapter == Adapter::Std { None } else { forever(context, &server).await? };
    healthy.end(context.report).await;
    let (stats, _) = server.wait_until(Duration::from_secs(5), |stats| stats.get("connections") == 1).await?;
    let report = &mut context.report;
    // Five on open WebSockets, five before, two at the end of a connection.
    report.check("every failure is reported once", stats.get("failed") == 12, stats.text());
    report.check("every end is reported once", all_ended(&stats), stats.text());
    drop(stuck);
    let ended = server.end().await?;
    report.check("the server exits successfully", ended, "");
    Ok(())
}

/// Returns whether every open connection has ended, except those that are still registered.
fn all_ended(stats: &crate::child::Stats) -> bool {
    stats.get("closed") + stats.get("connections") >= stats.get("opened")
        && stats.get("closed") <= stats.get("opened")
}

/// Failures in `open`, `message` and `drained`.
async fn websockets(context: &mut Context<'_>, server: &Server) -> io::Result<()> {
    for (name, path, message) in [
        ("open panics", "/panic/open", None),
        ("open fails", "/error/open", None),
        ("message panics", "/", Some("panic")),
        ("message fails", "/", Some("error")),
    ] {
        let mut peer = Peer::open(server.http, path).await?;
        if let Some(message) = message {
            peer.send(TEXT, message.as_bytes()).await?;
        }
        let code = peer.read_to_end().await?;
        context.report.check(name, code == Some(1011), format!("{code:?}"));
    }
    let mut peer = Peer::open(server.http, "/panic/drained").await?;
    peer.send(TEXT, b"fill").await?;
    let code = peer.read_to_end().await?;
    context.report.check("drained panics", code == Some(1011), format!("{code:?}"));
    Ok(())
}

/// Failures before a WebSocket is open.
async fn http(context: &mut Context<'_>, server: &Server) -> io::Result<()> {
    for (name, text) in [
        ("handshake panics", request("/panic/handshake")),
        ("handshake fails", request("/error/handshake")),
        ("request panics", "GET /panic/request HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("request fails", "GET /error/request HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
    ] {
        let mut stream = dial(server.http, 0, None).await?;
        stream.write_all(text.as_bytes()).await?;
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await?;
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        context.report.check(name, line.starts_with("HTTP/1.1 500 "), line);
    }
    let mut stream = dial(server.refusing, 0, None).await?;
    let mut answer = Vec::new();
    let read = within(stream.read_to_end(&mut answer)).await;
    let answer = answer.escape_ascii().to_string();
    context.report.check("connect panics", answer.is_empty(), format!("{read:?} {answer}"));
    Ok(())
}

/// Failures in the last event of a connection.
async fn endings(context: &mut Context<'_>, server: &mut Server) -> io::Result<()> {
    let before = server.stats().await?;
    let mut peer = Peer::open(server.http, "/panic/close").await?;
    peer.send(CLOSE, &1000u16.to_be_bytes()).await?;
    let code = peer.read_to_end().await?;
    context.report.check("close panics", code == Some(1000), format!("{code:?}"));
    drop(peer);
    let mut stream = dial(server.http, 0, None).await?;
    stream.write_all(b"GET /panic/disconnect HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
    within(stream.read_to_end(&mut Vec::new())).await?;
    let now = server.wait_until(Duration::from_secs(5), |stats| {
        stats.get("failed") >= before.get("failed") + 2
            && stats.get("disconnected") > before.get("disconnected")
    });
    let (stats, _) = now.await?;
    let failed = stats.get("failed") - before.get("failed");
    context.report.check("disconnect panics", failed == 2, format!("{failed} failures reported"));
    Ok(())
}

/// A handler that blocks its thread for a second.
async fn blocking(context: &mut Context<'_>, server: &Server) -> io::Result<()> {
    let mut peer = Peer::open(server.http, "/").await?;
    peer.send(TEXT, b"block").await?;
    let answer = peer.recv().await?;
    let answered = answer.is_some_and(|frame| frame.data == b"block");
    context.report.check("message blocks for 1 s: it is answered", answered, "");
    Ok(())
}

/// A handler that never returns.
async fn forever(context: &mut Context<'_>, server: &Server) -> io::Result<Option<Peer>> {
    let mut peer = Peer::open(server.http, "/").await?;
    peer.send(TEXT, b"forever").await?;
    peer.send(TEXT, b"next").await?;
    let silent = tokio::time::timeout(Duration::from_millis(500), peer.recv()).await.is_err();
    context.report.check("message never returns: nothing follows", silent, "");
    Ok(Some(peer))
}
