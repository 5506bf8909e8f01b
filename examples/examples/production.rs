//! The server of docs/production.md: behind proxies, on TCP, Unix or inherited sockets.
//!
//! `cargo run --release -p sockeye-examples --example production -- --help`

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use listenfd::ListenFd;
use sockeye_tokio::Config;
use sockeye_tokio::server::{Callbacks, Limits, ListenOptions, Port, Server, ServerHandle, TrustedProxies};

/// Answers each message with the client's address, as the server sees it, and that of the
/// transport.
#[derive(Parser)]
struct Args {
    /// An address to listen on, such as 127.0.0.1:9501.
    #[arg(long)]
    tcp: Option<String>,
    /// A path to listen on.
    #[arg(long)]
    unix: Option<std::path::PathBuf>,
    /// Expect a PROXY protocol header from trusted proxies.
    #[arg(long)]
    proxy_protocol: bool,
    /// An address or a network of trusted proxies.
    #[arg(long, default_values = ["127.0.0.1", "::1"])]
    trust: Vec<String>,
    /// The seconds after which a silent client gets a ping.
    #[arg(long, default_value = "25")]
    keepalive: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let proxies = TrustedProxies::networks(args.trust.iter().map(String::as_str))?.unix();
    let interval = Duration::from_secs_f64(args.keepalive);
    let port = || {
        let handler = Callbacks::on_message(|client, _| async move {
            client.push(format!("{} {}", client.peer(), client.transport_peer()))
        });
        Port::new(handler)
            .config(Config::new().keepalive(interval, Duration::from_secs(20)))
            .trusted_proxies(proxies.clone())
            .proxy_protocol(args.proxy_protocol)
            .listen_options(ListenOptions::new().unix_mode(0o660))
    };
    let mut server = Server::builder()
        .limits(Limits::new().max_connections(10_000).max_per_address(100).max_queued(256 << 20));
    if let Some(address) = args.tcp {
        server = server.listen(address, port())?;
    }
    #[cfg(unix)]
    if let Some(path) = args.unix {
        server = server.listen_unix(path, port())?;
    }
    let mut inherited = ListenFd::from_env();
    for at in 0..inherited.len() {
        if let Ok(Some(socket)) = inherited.take_tcp_listener(at) {
            server = server.listen_on(socket, port())?;
            continue;
        }
        #[cfg(unix)]
        if let Some(socket) = inherited.take_unix_listener(at)? {
            server = server.listen_unix_on(socket, port())?;
        }
    }
    let server = server.build();
    for address in server.addresses() {
        println!("listening on {address}");
    }
    tokio::spawn(shut_down_on_signal(server.handle()));
    Ok(server.run().await?)
}

/// Waits for the signal of `systemctl stop` or Ctrl-C, then gives the clients ten seconds.
async fn shut_down_on_signal(server: ServerHandle) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => {}
            result = tokio::signal::ctrl_c() => result?,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    server.shutdown(Duration::from_secs(10));
    Ok(())
}
