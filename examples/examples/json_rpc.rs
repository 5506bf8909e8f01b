//! A JSON-RPC server on the adapter of your choice. The library is the same for all of them.
//!
//! ```sh
//! cargo run -p sockeye-examples --example json_rpc -- tokio 127.0.0.1:9501
//! cargo run -p sockeye-examples --example json_rpc -- smol 127.0.0.1:9501
//! cargo run -p sockeye-examples --example json_rpc -- std 127.0.0.1:9501
//! ```

use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use sockeye_core::channel::Channel;
use sockeye_core::handshake::server::{Accept, Policy, Upgrade};
use sockeye_core::http::Response;
use sockeye_examples::json_rpc::{Peer, RpcError, Service};

type AnyError = Box<dyn Error + Send + Sync>;

/// Each connection has its own sum.
#[derive(Debug, Default)]
struct Calculator {
    sum: i64,
}

impl Service for Calculator {
    fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        let numbers = serde_json::from_value::<Vec<i64>>(params).map_err(|_| RpcError::invalid_params());
        match method {
            "add" => self.sum += numbers?.iter().sum::<i64>(),
            "sum" => {}
            _ => return Err(RpcError::method_not_found()),
        }
        Ok(json!(self.sum))
    }
}

/// Serves one connection, on any adapter. Calls the client first, to ask for its name.
async fn serve<C: Channel>(channel: C) -> Result<(), AnyError> {
    let mut peer = Peer::new(channel, Calculator::default());
    let name = peer.call("name", Value::Null).await?;
    let name = name.as_str().unwrap_or("a client without a name");
    println!("{name} is connected");
    let Calculator { sum } = peer.serve().await?;
    println!("{name} has left with a sum of {sum}");
    Ok(())
}

/// Agrees on the subprotocol of JSON-RPC if the client offers it.
fn decide(upgrade: &Upgrade) -> Result<Accept, Response> {
    let policy = Policy::new().subprotocol("jsonrpc").expect("the name is a token");
    Ok(policy.decide(upgrade)?)
}

async fn log(serving: impl Future<Output = Result<(), AnyError>>) {
    if let Err(error) = serving.await {
        eprintln!("{error}");
    }
}

async fn run_on_tokio(address: &str) -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        tokio::spawn(log(async {
            serve(sockeye_tokio::accept_with(stream, Arc::default(), async |u: &Upgrade| decide(u)).await?)
                .await
        }));
    }
}

async fn run_on_smol(address: &str) -> io::Result<()> {
    let listener = smol::net::TcpListener::bind(address).await?;
    loop {
        let (stream, _) = sockeye_smol::accept_tcp(&listener).await;
        let serving = log(async {
            serve(sockeye_smol::accept_with(stream, Arc::default(), async |u: &Upgrade| decide(u)).await?)
                .await
        });
        smol::spawn(serving).detach();
    }
}

fn run_on_std(address: &str) -> io::Result<()> {
    let listener = std::net::TcpListener::bind(address)?;
    loop {
        let (stream, _) = sockeye_std::accept_tcp(&listener);
        std::thread::spawn(move || {
            sockeye_std::block_on(log(async {
                serve(sockeye_std::accept_with(stream, Arc::default(), decide)?).await
            }));
        });
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let address = arguments.get(1).map_or("127.0.0.1:9501", String::as_str);
    match arguments.first().map_or("tokio", String::as_str) {
        "tokio" => tokio::runtime::Runtime::new()?.block_on(run_on_tokio(address)),
        "smol" => smol::block_on(run_on_smol(address)),
        "std" => run_on_std(address),
        other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no such adapter: {other}"))),
    }
}
