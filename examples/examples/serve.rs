//! The echo servers of the READMEs, on the adapter of your choice.
//!
//! ```sh
//! cargo run -p sockeye-examples --example serve -- tokio 127.0.0.1:9501
//! cargo run -p sockeye-examples --example serve -- smol 127.0.0.1:9501
//! cargo run -p sockeye-examples --example serve -- std 127.0.0.1:9501
//! ```

use std::io;

mod on_tokio {
    use sockeye_tokio::WebSocket;

    async fn echo(mut ws: WebSocket) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        while let Some(message) = ws.recv().await? {
            ws.feed(message).await?;
        }
        Ok(())
    }

    pub(super) async fn run(address: &str) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::bind(address).await?;
        sockeye_tokio::serve(listener, echo).await
    }
}

mod on_smol {
    use sockeye_smol::WebSocket;

    async fn echo(mut ws: WebSocket) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        while let Some(message) = ws.recv().await? {
            ws.feed(message).await?;
        }
        Ok(())
    }

    pub(super) async fn run(address: &str) -> std::io::Result<()> {
        let listener = smol::net::TcpListener::bind(address).await?;
        sockeye_smol::serve(listener, echo).await
    }
}

mod on_std {
    use sockeye_std::WebSocket;

    pub(super) fn run(address: &str) -> std::io::Result<()> {
        let listener = std::net::TcpListener::bind(address)?;
        sockeye_std::serve(listener, |mut websocket: WebSocket| {
            while let Some(message) = websocket.recv()? {
                websocket.feed(message)?;
            }
            Ok(())
        })
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let address = arguments.get(1).map_or("127.0.0.1:9501", String::as_str);
    match arguments.first().map_or("tokio", String::as_str) {
        "tokio" => tokio::runtime::Runtime::new()?.block_on(on_tokio::run(address)),
        "smol" => smol::block_on(on_smol::run(address)),
        "std" => on_std::run(address),
        other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no such adapter: {other}"))),
    }
}
