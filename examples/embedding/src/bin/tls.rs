//! A WebSocket echo over TLS, with rustls.
use std::error::Error;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

type BoxError = Box<dyn Error + Send + Sync>;

async fn echo(stream: TcpStream, acceptor: TlsAcceptor) -> Result<(), BoxError> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let mut ws = sockeye_tokio::accept(stream).await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, certificate, key] = &arguments[..] else {
        return Err("usage: tls ADDRESS CERTIFICATE.pem KEY.pem".into());
    };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    // A WebSocket opens over HTTP/1.1 here. A client that also speaks HTTP/2 would choose that.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        tokio::spawn(echo(stream, acceptor.clone()));
    }
}
