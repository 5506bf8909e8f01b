//! A WebSocket server for web-platform-tests, on each adapter. It behaves like the handlers in
//! their folder `websockets/handlers`.
//!
//! `conformance/wpt/run` starts it; see conformance/README.md.

mod blocking;
mod handler;

use std::error::Error;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sockeye_tokio::protocol::deflate::Deflate;
use sockeye_tokio::{Config, Origins, Policy};

use crate::handler::Handlers;

#[derive(Parser)]
struct Args {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: String,
    #[arg(long, value_enum, default_value = "tokio")]
    adapter: Adapter,
}

#[derive(Clone, Copy, ValueEnum)]
enum Adapter {
    Tokio,
    Smol,
    Std,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    // One test receives 16 messages of 1 MiB, another sends one of 8 MiB.
    let config = Config::new()
        .deflate(Deflate::new())
        .max_frame_size(16 << 20)
        .max_message_size(16 << 20)
        // One handler takes ten seconds for the handshake.
        .handshake_timeout(Duration::from_secs(60));
    // The pages have other origins than the WebSockets, and some have other hosts.
    let policy = Policy::new().origins(Origins::Any);
    match args.adapter {
        Adapter::Tokio => {
            use sockeye_tokio::server::{Port, Server};

            let runtime = tokio::runtime::Runtime::new()?;
            let _entered = runtime.enter();
            let port = Port::new(Handlers).config(config).policy(policy).forward_close(true);
            let server = Server::builder().listen(&args.addr, port)?.build();
            announce(server.addresses());
            runtime.block_on(server.run())?;
        }
        Adapter::Smol => {
            use sockeye_smol::server::{Port, Server};

            let port = Port::new(Handlers).config(config).policy(policy).forward_close(true);
            let server = Server::builder().listen(&args.addr, port)?.build();
            announce(server.addresses());
            smol::block_on(server.run())?;
        }
        Adapter::Std => {
            use sockeye_std::server::{Port, Server};

            let port = Port::new(Handlers).config(config).policy(policy).forward_close(true);
            let server = Server::builder().listen(&args.addr, port)?.build();
            announce(server.addresses());
            server.run()?;
        }
    }
    Ok(())
}

fn announce(addresses: &[sockeye_tokio::server::Address]) {
    for address in addresses {
        println!("listening on ws://{address}");
    }
}
