//! The loops around a `WebSocket` that the documentation shows, as echo servers.
//!
//! ```sh
//! cargo run -p sockeye-examples --example loops -- tokio recv_with 127.0.0.1:9501
//! cargo run -p sockeye-examples --example loops -- smol recv_event 127.0.0.1:9501
//! cargo run -p sockeye-examples --example loops -- std recv_timeout 127.0.0.1:9501
//! ```
//!
//! On tokio and smol: `recv_with` and `recv_event`. On threads also `recv_timeout`.

use std::io;

/// The loops of the async adapters.
mod on_tasks {
    use std::error::Error;

    use sockeye_tokio::{Clock, Io, WebSocketEvent};

    type WebSocket<I, C> = sockeye_tokio::driver::WebSocket<I, C>;

    pub(super) async fn recv_with<I: Io, C: Clock>(
        mut ws: WebSocket<I, C>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        while let Some(sent) = ws.recv_with(|message, sender| sender.send(message)).await? {
            sent?;
        }
        Ok(())
    }

    pub(super) async fn recv_event<I: Io, C: Clock>(
        mut ws: WebSocket<I, C>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        while let Some(event) = ws.recv_event().await? {
            match event {
                WebSocketEvent::Message(message) => ws.feed(message).await?,
                WebSocketEvent::Close(frame) => println!("the peer closes: {frame}"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The loops of the blocking adapter.
mod on_threads {
    use std::error::Error;
    use std::time::Duration;

    use sockeye_std::{Received, WebSocket, WebSocketEvent};

    pub(super) fn recv_with(mut ws: WebSocket) -> Result<(), Box<dyn Error + Send + Sync>> {
        while let Some(sent) = ws.recv_with(|message, sender| sender.send(message))? {
            sent?;
        }
        Ok(())
    }

    pub(super) fn recv_event(mut ws: WebSocket) -> Result<(), Box<dyn Error + Send + Sync>> {
        while let Some(event) = ws.recv_event()? {
            match event {
                WebSocketEvent::Message(message) => ws.feed(message)?,
                WebSocketEvent::Close(frame) => println!("the peer closes: {frame}"),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn recv_timeout(mut ws: WebSocket) -> Result<(), Box<dyn Error + Send + Sync>> {
        loop {
            match ws.recv_timeout(Duration::from_millis(10))? {
                Received::Message(message) => ws.feed(message)?,
                Received::TimedOut => ws.flush()?,
                Received::Closed => return Ok(()),
            }
        }
    }
}

async fn run_on_tokio(name: &str, address: &str) -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    match name {
        "recv_with" => sockeye_tokio::serve(listener, on_tasks::recv_with).await,
        "recv_event" => sockeye_tokio::serve(listener, on_tasks::recv_event).await,
        other => Err(unknown(other)),
    }
}

async fn run_on_smol(name: &str, address: &str) -> io::Result<()> {
    let listener = smol::net::TcpListener::bind(address).await?;
    match name {
        "recv_with" => sockeye_smol::serve(listener, on_tasks::recv_with).await,
        "recv_event" => sockeye_smol::serve(listener, on_tasks::recv_event).await,
        other => Err(unknown(other)),
    }
}

fn run_on_threads(name: &str, address: &str) -> io::Result<()> {
    let listener = std::net::TcpListener::bind(address)?;
    match name {
        "recv_with" => sockeye_std::serve(listener, on_threads::recv_with),
        "recv_event" => sockeye_std::serve(listener, on_threads::recv_event),
        "recv_timeout" => sockeye_std::serve(listener, on_threads::recv_timeout),
        other => Err(unknown(other)),
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &'static str| arguments.get(at).map_or(default, String::as_str);
    let (name, address) = (argument(1, "recv_with"), argument(2, "127.0.0.1:9501"));
    match argument(0, "tokio") {
        "tokio" => tokio::runtime::Runtime::new()?.block_on(run_on_tokio(name, address)),
        "smol" => smol::block_on(run_on_smol(name, address)),
        "std" => run_on_threads(name, address),
        other => Err(unknown(other)),
    }
}

fn unknown(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("no such adapter or loop: {name}"))
}
