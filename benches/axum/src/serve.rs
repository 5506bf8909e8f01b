//! Echo servers, each as the documentation of its library shows it.

use std::io::{self, BufRead};
use std::net::TcpListener as StdListener;

use axum::extract::ws::{self, WebSocketUpgrade as AxumUpgrade};
use axum::response::Response;
use axum::serve::ListenerExt;
use axum::{Router, routing::any};
use clap::ValueEnum;
use futures_util::StreamExt;
use rustix::time::{ClockId, clock_gettime};
use sockeye_hyper::axum::WebSocketUpgrade;
use sockeye_hyper::{Error, WebSocket};
use tokio::net::TcpListener;

/// A library whose server is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Library {
    /// The extractor of sockeye-hyper. The ratios refer to it.
    SockeyeAxum,
    /// axum's own WebSockets, in a loop of `recv` and `send`.
    AxumWs,
    /// axum's own WebSockets, whose stream is forwarded to the sink.
    AxumForward,
    /// Sockeye on tokio, without axum and hyper.
    SockeyeTokio,
}

impl Library {
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Library::SockeyeAxum => "sockeye-axum",
            Library::AxumWs => "axum-ws",
            Library::AxumForward => "axum-forward",
            Library::SockeyeTokio => "sockeye-tokio",
        }
    }

    pub(crate) fn speaks_http2(self) -> bool {
        self != Library::SockeyeTokio
    }
}

pub(crate) fn serve(library: Library) -> io::Result<()> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    std::thread::spawn(report_cpu);
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let handler = match library {
            Library::SockeyeAxum => any(sockeye_axum),
            Library::AxumWs => any(axum_ws),
            Library::AxumForward => any(axum_forward),
            Library::SockeyeTokio => sockeye_tokio::serve(listener, async |ws| Ok(echo(ws).await?)).await,
        };
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, Router::new().route("/ws", handler)).await
    })
}

/// Prints the CPU time of this process, in nanoseconds, for each line of the input. Ends the process
/// with its input.
fn report_cpu() {
    for _ in io::stdin().lock().lines() {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        println!("{}", time.tv_sec * 1_000_000_000 + time.tv_nsec);
    }
    std::process::exit(0);
}

async fn sockeye_axum(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(async |mut ws: WebSocket| {
        while let Some(message) = ws.recv().await? {
            ws.feed(message).await?;
        }
        Ok::<_, Error>(())
    })
}

async fn axum_ws(ws: AxumUpgrade) -> Response {
    ws.on_upgrade(async |mut ws: ws::WebSocket| {
        while let Some(Ok(message)) = ws.recv().await {
            if ws.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn axum_forward(ws: AxumUpgrade) -> Response {
    ws.on_upgrade(async |ws: ws::WebSocket| {
        let (write, read) = ws.split();
        let _ = read.forward(write).await;
    })
}

async fn echo(mut ws: sockeye_tokio::WebSocket) -> Result<(), Error> {
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}
