//! An echo loop around each adapter's `WebSocket`, for answers that do not come from a server.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use smol::Async;
use sockeye_tokio::{Config, Policy, Upgrade};

use crate::Adapter;

/// Echoes on every connection, on separate threads, until the process ends.
pub(super) fn start(adapter: Adapter, listener: TcpListener, config: Config) -> io::Result<()> {
    let (config, policy) = (Arc::new(config), Arc::new(super::policy()?));
    match adapter {
        Adapter::Tokio => {
            listener.set_nonblocking(true)?;
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            thread::spawn(move || -> io::Result<()> {
                runtime.block_on(async move {
                    let listener = tokio::net::TcpListener::from_std(listener)?;
                    loop {
                        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
                        tokio::spawn(on_tokio(stream, config.clone(), policy.clone()));
                    }
                })
            });
        }
        Adapter::Smol => {
            let listener = smol::net::TcpListener::from(Async::new(listener)?);
            thread::spawn(move || -> io::Result<()> {
                smol::block_on(async move {
                    loop {
                        let (stream, _) = sockeye_smol::accept_tcp(&listener).await;
                        smol::spawn(on_smol(stream, config.clone(), policy.clone())).detach();
                    }
                })
            });
        }
        Adapter::Std => {
            thread::spawn(move || -> io::Result<()> {
                loop {
                    let (stream, _) = sockeye_std::accept_tcp(&listener);
                    let (config, policy) = (config.clone(), policy.clone());
                    thread::spawn(move || on_std(stream, config, &policy));
                }
            });
        }
    }
    Ok(())
}

// The peers judge by what they receive: an error only ends the loop of its connection.

async fn on_tokio(stream: tokio::net::TcpStream, config: Arc<Config>, policy: Arc<Policy>) {
    let decide = async |upgrade: &Upgrade| policy.decide(upgrade).map_err(|refusal| refusal.response());
    let Ok(mut ws) = sockeye_tokio::accept_with(stream, config, decide).await else { return };
    while let Ok(Some(message)) = ws.recv().await {
        if ws.feed(message).await.is_err() {
            return;
        }
    }
}

async fn on_smol(stream: smol::net::TcpStream, config: Arc<Config>, policy: Arc<Policy>) {
    let decide = async |upgrade: &Upgrade| policy.decide(upgrade).map_err(|refusal| refusal.response());
    let Ok(mut ws) = sockeye_smol::accept_with(stream, config, decide).await else { return };
    while let Ok(Some(message)) = ws.recv().await {
        if ws.feed(message).await.is_err() {
            return;
        }
    }
}

fn on_std(stream: TcpStream, config: Arc<Config>, policy: &Policy) {
    let decide = |upgrade: &Upgrade| policy.decide(upgrade).map_err(|refusal| refusal.response());
    let Ok(mut ws) = sockeye_std::accept_with(stream, config, decide) else { return };
    while let Ok(Some(message)) = ws.recv() {
        if ws.feed(message).is_err() {
            return;
        }
    }
}
