//! The server under test: the same application on each of the three adapters, on four ports, and two
//! echo loops without a server.

mod app;
mod control;
mod echo;
mod pushing;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::net::sockopt::set_socket_send_buffer_size;
use sockeye_smol::server::SmolRuntime;
use sockeye_std::server::Threads;
use sockeye_testkit::tls::SERVER;
use sockeye_tokio::protocol::deflate::Deflate;
use sockeye_tokio::server::{Limits, Port, SlowReader};
use sockeye_tokio::tls::ServerTls;
use sockeye_tokio::{CloseCode, Config, Policy};

use crate::Adapter;
use app::{App, Awaited, Kind, Served};
use control::Control;

/// The settings of the server. All others have the library's defaults. Times are in milliseconds.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    adapter: Adapter,
    #[arg(long, default_value = "127.0.0.1")]
    ip: IpAddr,
    /// The limit of open descriptors of the process.
    #[arg(long)]
    descriptors: Option<u64>,
    #[arg(long, default_value_t = 10_000)]
    handshake_timeout: u64,
    #[arg(long, default_value_t = 10_000)]
    close_timeout: u64,
    /// The time between two pings, and the time to answer one.
    #[arg(long)]
    keepalive: Option<u64>,
    #[arg(long, default_value_t = 64 << 10)]
    high_water_mark: usize,
    #[arg(long, default_value_t = usize::MAX)]
    max_queued: usize,
    #[arg(long, default_value_t = usize::MAX)]
    max_received: usize,
    #[arg(long, default_value_t = usize::MAX)]
    max_handshakes: usize,
    #[arg(long, value_enum, default_value_t = Slow::Error)]
    slow_reader: Slow,
    /// The size of the kernel's send buffer of each connection.
    #[arg(long)]
    send_buffer: Option<usize>,
    /// Also runs echo loops without a server.
    #[arg(long)]
    echo_loops: bool,
    /// The stack size of each thread, with std.
    #[arg(long)]
    stack_size: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Slow {
    Error,
    Drop,
    Close,
}

/// Builds a server. The builders have the same methods but different types.
macro_rules! build {
    ($builder:expr, $port:path, $handler:expr, $options:expr, $app:expr) => {{
        let options: &Options = $options;
        let mut builder = $builder.limits(options.limits());
        for kind in [Kind::Http, Kind::Plain, Kind::Refusing] {
            let port = $port($handler(Served { app: $app.clone(), kind }));
            builder = builder.listen_on(options.listen()?, options.port(port, kind)?)?;
        }
        let port = $port($handler(Served { app: $app.clone(), kind: Kind::Plain }));
        let port = options.port(port, Kind::Plain)?.tls(tls()?);
        builder.listen_on(options.listen()?, port)?.build()
    }};
}

pub(crate) fn serve(options: &Options) -> io::Result<()> {
    limit_descriptors(options.descriptors)?;
    control::watch_panics();
    let app = Arc::new(App::default());
    let loops = if options.echo_loops { options.start_loops()? } else { Vec::new() };
    let start = |handle, addresses: &[_]| Control::start(app.clone(), handle, addresses, &loops);
    match options.adapter {
        Adapter::Tokio => {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let running = async {
                let builder = sockeye_tokio::server::Server::builder();
                let server = build!(builder, Port::new, Awaited, options, app);
                let control = start(server.handle(), server.addresses());
                server.run().await?;
                io::Result::Ok(control)
            };
            runtime.block_on(running)?.report_shutdown();
        }
        Adapter::Smol => {
            let runtime = SmolRuntime::new(|task| smol::spawn(task).detach());
            let builder = sockeye_smol::server::Server::builder_on(runtime);
            let server = build!(builder, Port::new, Awaited, options, app);
            let control = start(server.handle(), server.addresses());
            smol::block_on(server.run())?;
            control.report_shutdown();
        }
        Adapter::Std => {
            let threads = Threads::new();
            let threads = match options.stack_size {
                Some(bytes) => threads.stack_size(bytes),
                None => threads,
            };
            let builder = sockeye_std::server::Server::builder_on(threads);
            let server = build!(builder, Port::blocking, std::convert::identity, options, app);
            let control = start(server.handle(), server.addresses());
            server.run()?;
            control.report_shutdown();
        }
    }
    control::check_panics()
}

impl Options {
    fn limits(&self) -> Limits {
        Limits::new()
            .max_queued(self.max_queued)
            .max_received(self.max_received)
            .max_handshakes(self.max_handshakes)
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let socket = TcpListener::bind((self.ip, 0))?;
        // The standard library's backlog is too short when thousands connect at once.
        rustix::net::listen(&socket, 4096)?;
        if let Some(bytes) = self.send_buffer {
            set_socket_send_buffer_size(&socket, bytes)?;
        }
        Ok(socket)
    }

    fn port<H: sockeye_tokio::server::Handler>(&self, port: Port<H>, kind: Kind) -> io::Result<Port<H>> {
        let mut config = Config::new()
            .handshake_timeout(Duration::from_millis(self.handshake_timeout))
            .close_timeout(Duration::from_millis(self.close_timeout))
            .high_water_mark(self.high_water_mark);
        if kind == Kind::Http {
            config = config.deflate(Deflate::new());
        }
        if let Some(interval) = self.keepalive.map(Duration::from_millis) {
            config = config.keepalive(interval, interval);
        }
        let slow = match self.slow_reader {
            Slow::Error => SlowReader::Error,
            Slow::Drop => SlowReader::Drop,
            Slow::Close => SlowReader::Close(CloseCode::TRY_AGAIN_LATER),
        };
        // The peers of some scenarios answer no pings.
        Ok(port.config(config).policy(policy()?).slow_reader(slow).without_keepalive())
    }

    /// Starts the two echo loops, one with the default limits and compression, one with small
    /// limits.
    fn start_loops(&self) -> io::Result<Vec<SocketAddr>> {
        let small = Config::new().max_frame_size(1024).max_message_size(4096).max_fragments(8);
        let [with_defaults, with_small] = [self.listen()?, self.listen()?];
        let addresses = vec![with_defaults.local_addr()?, with_small.local_addr()?];
        echo::start(self.adapter, with_defaults, Config::new().deflate(Deflate::new()))?;
        echo::start(self.adapter, with_small, small)?;
        Ok(addresses)
    }
}

/// The certificate of the port with TLS.
fn tls() -> io::Result<ServerTls> {
    ServerTls::from_pem(SERVER.certificate, SERVER.key).map_err(io::Error::other)
}

/// The subprotocols and origins that all ports accept.
fn policy() -> io::Result<Policy> {
    let policy = Policy::new().subprotocol("chat").and_then(|policy| policy.subprotocol("superchat"));
    policy.map_err(io::Error::other)
}

/// Sets the limit of open descriptors, or raises it to the maximum.
pub(crate) fn limit_descriptors(to: Option<u64>) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: to.or(maximum), maximum })?)
}
