//! The echo server that the conformance tests drive, over HTTP/1.1 and HTTP/2.
//!
//! `cargo run -p sockeye-hyper --example autobahn_hyper -- --help`

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use http_body_util::{Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sockeye_examples::{Options, chain};
use sockeye_hyper::client::Handshake;
use sockeye_hyper::protocol::deflate::Deflate;
use sockeye_hyper::{Config, Opening, Origins, Policy};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink, split};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

type BoxError = Box<dyn Error + Send + Sync>;
type Client = SendRequest<Empty<Bytes>>;

#[derive(Parser)]
struct Args {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:9501")]
    addr: SocketAddr,
    #[command(flatten)]
    options: Options,
    /// Listen for HTTP/1.1 only, and forward the bytes of each WebSocket to the echo server as a
    /// stream of one HTTP/2 connection.
    #[arg(long)]
    bridge: bool,
    /// The certificate and its chain, a PEM file: speak TLS.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let args = Args::parse();
    let config = Arc::new(args.options.config(Deflate::new()));
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(chain), Some(key)) => Some(acceptor(chain, key)?),
        _ => None,
    };
    let listener = TcpListener::bind(args.addr).await?;
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    println!("listening on {scheme}://{}", listener.local_addr()?);
    let serving = async {
        if args.bridge {
            let echo = TcpListener::bind("127.0.0.1:0").await?;
            let client = connect(echo.local_addr()?);
            let (_, bridged) = tokio::join!(listen(echo, None, config), async {
                let client = client.await?;
                bridge(listener, client).await
            });
            bridged
        } else {
            listen(listener, tls, config).await
        }
    };
    tokio::select! {
        served = serving => served,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn acceptor(chain: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor, BoxError> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves echoes.
async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    config: Arc<Config>,
) -> Result<(), BoxError> {
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        let (tls, config) = (tls.clone(), config.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => serve(tls.accept(stream).await?, config).await,
                None => serve(stream, config).await,
            }
        });
    }
}

async fn serve<S>(stream: S, config: Arc<Config>) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http2().enable_connect_protocol().initial_stream_window_size(64 << 10);
    let service = service_fn(|request| answer(request, config.clone()));
    http.serve_connection_with_upgrades(TokioIo::new(stream), service).await
}

async fn answer(
    mut request: Request<Incoming>,
    config: Arc<Config>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if !sockeye_hyper::is_upgrade(&request) {
        return Ok(Response::builder().header("content-type", "text/html").body(Full::default()).unwrap());
    }
    // An echo server has nothing to protect, so pages of any origin may use it.
    let policy = Policy::new().origins(Origins::Any);
    let (response, opening) = sockeye_hyper::upgrade(&mut request, &policy, config);
    if let Ok(opening) = opening {
        tokio::spawn(async {
            if let Err(error) = echo(opening).await {
                eprintln!("{}", chain(&*error));
            }
        });
    }
    Ok(response)
}

async fn echo(opening: Opening) -> Result<(), BoxError> {
    let mut ws = opening.await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> io::Result<Client> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (client, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(client)
}

/// Opens each WebSocket that arrives over HTTP/1.1 as a stream of the client's connection.
async fn bridge(listener: TcpListener, client: Client) -> Result<(), BoxError> {
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        let client = client.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| cross(request, client.clone()));
            let http = hyper::server::conn::http1::Builder::new();
            http.serve_connection(TokioIo::new(stream), service).with_upgrades().await
        });
    }
}

/// Forwards the bytes of one WebSocket. The frames are the peer's own, and so are their masks.
async fn cross(
    mut request: Request<Incoming>,
    mut client: Client,
) -> Result<Response<Full<Bytes>>, BoxError> {
    let (mut response, accepted) = Policy::new().answer(&request, None, Config::new().into());
    if accepted.is_err() {
        return Ok(response.map(Full::from));
    }
    let offers = request.headers_mut().remove("sec-websocket-extensions");
    let handshake = Handshake::http2(&request, Config::new())?;
    let mut onward = handshake.request()?.map(|()| Empty::new());
    if let Some(offers) = offers {
        onward.headers_mut().insert("sec-websocket-extensions", offers);
    }
    let answer = client.send_request(onward).await?;
    if let Some(agreed) = answer.headers().get("sec-websocket-extensions") {
        response.headers_mut().insert("sec-websocket-extensions", agreed.clone());
    }
    tokio::spawn(async move {
        let near = hyper::upgrade::on(request).await?;
        let far = hyper::upgrade::on(answer).await?;
        let (from_near, to_near) = split(TokioIo::new(near));
        let (from_far, to_far) = split(TokioIo::new(far));
        tokio::join!(forward(from_near, to_far), forward(from_far, to_near));
        Ok::<_, BoxError>(())
    });
    Ok(response.map(Full::from))
}

/// Forwards one direction until it ends. If the receiver takes no more, the rest is still
/// read: otherwise the sender's connection would break, and it might miss what is on its way to it.
async fn forward(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
    let _ = copy(&mut from, &mut sink()).await;
}
