//! The server under test, on a thread of this process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use sockeye_smol::server::SmolRuntime;
use sockeye_std::server::Handler as Blocking;
use sockeye_tokio::Config;
use sockeye_tokio::protocol::deflate::Deflate;
use sockeye_tokio::server::{Address, Client, Handler, HandlerResult, Inbound, Port};

use super::flood::Kind;
use super::meter::{Meter, TICK};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Runtime {
    /// Tokio on one thread.
    Tokio,
    /// Tokio on two threads.
    Tokio2,
    /// smol on one thread.
    Smol,
    /// A thread for each connection.
    Std,
}

/// A handler that computes, and echoes.
#[derive(Debug, Clone, Copy)]
struct Work(Kind);

impl Blocking for Work {
    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        let time = self.0.handler_time();
        let begun = cpu_time();
        while !time.is_zero() && cpu_time().saturating_sub(begun) < time {}
        // The message of a healthy client always comes back.
        if self.0.is_echoed() || message.as_bytes().len() < 1000 {
            // A peer that does not read loses the echo.
            let _ = client.push(message);
        }
        Ok(())
    }
}

struct Awaited(Work);

impl Handler for Awaited {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        Blocking::message(&self.0, client, message)
    }
}

/// Returns the CPU time of this thread.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Starts a server, and on its runtime a task that ticks. Returns the server's address.
pub(super) fn start(runtime: Runtime, kind: Kind, meter: Arc<Meter>) -> io::Result<SocketAddr> {
    let (started, ready) = channel();
    let thread = thread::spawn(move || match runtime {
        Runtime::Tokio | Runtime::Tokio2 => serve_on_tokio(runtime, Work(kind), meter, &started),
        Runtime::Smol => serve_on_smol(Work(kind), meter, &started),
        Runtime::Std => {
            let port = Port::blocking(Work(kind)).config(config());
            let server = sockeye_std::server::Server::builder().listen("127.0.0.1:0", port)?.build();
            announce(&started, server.addresses());
            server.run()
        }
    });
    // Without an address, the thread has returned an error.
    let failed = |_| thread.join().ok().and_then(Result::err).unwrap_or(io::ErrorKind::Other.into());
    ready.recv().map_err(failed)
}

fn config() -> Config {
    Config::new().deflate(Deflate::new()).max_send_size(4 << 20)
}

type Started = Sender<SocketAddr>;

fn announce(started: &Started, addresses: &[Address]) {
    for address in addresses.iter().filter_map(Address::as_inet) {
        // The receiver waits for the address.
        let _ = started.send(address);
    }
}

fn serve_on_tokio(runtime: Runtime, work: Work, meter: Arc<Meter>, started: &Started) -> io::Result<()> {
    let mut builder = if runtime == Runtime::Tokio {
        meter.add_thread();
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let meter = meter.clone();
        builder.worker_threads(2).on_thread_start(move || meter.add_thread());
        builder
    };
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async move {
        let port = Port::new(Awaited(work)).config(config());
        let server = sockeye_tokio::server::Server::builder().listen("127.0.0.1:0", port)?.build();
        announce(started, server.addresses());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                meter.tick();
            }
        });
        server.run().await
    })
}

fn serve_on_smol(work: Work, meter: Arc<Meter>, started: &Started) -> io::Result<()> {
    meter.add_thread();
    let executor = Arc::new(smol::Executor::new());
    let spawner = executor.clone();
    let runtime = SmolRuntime::new(move |task| spawner.spawn(task).detach());
    let port = Port::new(Awaited(work)).config(config());
    let server = sockeye_smol::server::Server::builder_on(runtime).listen("127.0.0.1:0", port)?.build();
    announce(started, server.addresses());
    let ticker = executor.spawn(async move {
        loop {
            smol::Timer::after(TICK).await;
            meter.tick();
        }
    });
    let served = smol::block_on(executor.run(server.run()));
    drop(ticker);
    served
}
