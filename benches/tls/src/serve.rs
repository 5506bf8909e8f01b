//! Echo servers with TLS, one of each library, as its own documentation shows it.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::io::{self, BufRead};
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;

use clap::ValueEnum;
use fastwebsockets::{FragmentCollector, OpCode, upgrade};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::Empty;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use rustix::time::{ClockId, clock_gettime};
use sockeye_testkit::tls::SERVER;
use sockeye_tokio::server::{Callbacks, Port, Server};
use sockeye_tokio::tls::ServerTls;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A library whose server is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Library {
    /// Sockeye's `WebSocket` on tokio. The ratios refer to it.
    SockeyeTokio,
    /// Sockeye's `Server` on tokio.
    SockeyeServer,
    /// Sockeye's `WebSocket` on smol.
    SockeyeSmol,
    /// Sockeye's `WebSocket` with a thread for each connection.
    SockeyeStd,
    TokioTungstenite,
    TokioWebsockets,
    Fastwebsockets,
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

impl Library {
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Library::SockeyeTokio => "sockeye-tokio",
            Library::SockeyeServer => "sockeye-server",
            Library::SockeyeSmol => "sockeye-smol",
            Library::SockeyeStd => "sockeye-std",
            Library::TokioTungstenite => "tokio-tungstenite",
            Library::TokioWebsockets => "tokio-websockets",
            Library::Fastwebsockets => "fastwebsockets",
        }
    }
}

pub(crate) fn serve(library: Library) -> io::Result<()> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    println!("{port}");
    std::thread::spawn(report_cpu);
    let tls = ServerTls::from_pem(SERVER.certificate, SERVER.key).map_err(io::Error::other)?;
    match library {
        Library::SockeyeTokio => on_tokio(listener, move |stream| sockeye_tokio(stream, tls.clone())),
        Library::SockeyeServer => sockeye_server(listener, tls),
        Library::SockeyeSmol => sockeye_smol(listener, tls),
        Library::SockeyeStd => sockeye_std(&listener, &tls),
        Library::TokioTungstenite => {
            let acceptor = acceptor()?;
            on_tokio(listener, move |stream| tokio_tungstenite(stream, acceptor.clone()))
        }
        Library::TokioWebsockets => {
            let acceptor = acceptor()?;
            on_tokio(listener, move |stream| tokio_websockets(stream, acceptor.clone()))
        }
        Library::Fastwebsockets => {
            let acceptor = acceptor()?;
            on_tokio(listener, move |stream| fastwebsockets(stream, acceptor.clone()))
        }
    }
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

/// Returns the acceptor of the other libraries.
fn acceptor() -> io::Result<TlsAcceptor> {
    let chain = vec![CertificateDer::from_pem_slice(SERVER.certificate).map_err(io::Error::other)?];
    let key = PrivateKeyDer::from_pem_slice(SERVER.key).map_err(io::Error::other)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    Ok(TlsAcceptor::from(Arc::new(config.map_err(io::Error::other)?)))
}

/// Spawns a task for each connection, all on one thread.
fn on_tokio<F: Future<Output = Outcome> + Send + 'static>(
    listener: StdListener,
    echo: impl Fn(TcpStream) -> F,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(echo(stream));
        }
    })
}

async fn sockeye_tokio(stream: TcpStream, tls: ServerTls) -> Outcome {
    let mut ws = sockeye_tokio::accept_tls(stream, &tls).await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

fn sockeye_server(listener: StdListener, tls: ServerTls) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
        Server::builder().listen_on(listener, Port::new(echo).tls(tls))?.build().run().await
    })
}

fn sockeye_smol(listener: StdListener, tls: ServerTls) -> io::Result<()> {
    let executor = Rc::new(smol::LocalExecutor::new());
    smol::block_on(executor.run(async {
        let listener = smol::net::TcpListener::from(smol::Async::new(listener)?);
        loop {
            let (stream, _) = sockeye_smol::accept_tcp(&listener).await;
            let tls = tls.clone();
            let echo = async move {
                let mut ws = sockeye_smol::accept_tls(stream, &tls).await?;
                while let Some(message) = ws.recv().await? {
                    ws.feed(message).await?;
                }
                Outcome::Ok(())
            };
            executor.spawn(echo).detach();
        }
    }))
}

fn sockeye_std(listener: &StdListener, tls: &ServerTls) -> io::Result<()> {
    loop {
        let (stream, _) = sockeye_std::accept_tcp(listener);
        let tls = tls.clone();
        std::thread::spawn(move || {
            let mut ws = sockeye_std::accept_tls(stream, &tls)?;
            while let Some(message) = ws.recv()? {
                ws.feed(message)?;
            }
            Outcome::Ok(())
        });
    }
}

async fn tokio_tungstenite(stream: TcpStream, acceptor: TlsAcceptor) -> Outcome {
    let ws = tokio_tungstenite::accept_async(acceptor.accept(stream).await?).await?;
    let (write, read) = ws.split();
    read.try_filter(|message| ready(message.is_text() || message.is_binary())).forward(write).await?;
    Ok(())
}

async fn tokio_websockets(stream: TcpStream, acceptor: TlsAcceptor) -> Outcome {
    let (_, ws) = tokio_websockets::ServerBuilder::new().accept(acceptor.accept(stream).await?).await?;
    let (write, read) = ws.split();
    read.try_filter(|message| ready(message.is_text() || message.is_binary())).forward(write).await?;
    Ok(())
}

/// It cannot combine several messages into one write.
async fn fastwebsockets(stream: TcpStream, acceptor: TlsAcceptor) -> Outcome {
    let io = hyper_util::rt::TokioIo::new(acceptor.accept(stream).await?);
    let service = service_fn(|mut request: Request<Incoming>| async move {
        let (response, upgrading) = upgrade::upgrade(&mut request).expect("a request for a WebSocket");
        tokio::spawn(async move {
            let mut ws = FragmentCollector::new(upgrading.await?);
            loop {
                let frame = ws.read_frame().await?;
                match frame.opcode {
                    OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
                    OpCode::Close => return Outcome::Ok(()),
                    _ => {}
                }
            }
        });
        Ok::<hyper::Response<Empty<Bytes>>, Infallible>(response)
    });
    http1::Builder::new().serve_connection(io, service).with_upgrades().await?;
    Ok(())
}
