//! A WebSocket echo over HTTP/2 (RFC 8441) with the h2 crate, whose streams a session of the core
//! reads and writes.
//!
//! `h2 ADDRESS` speaks HTTP/2 without TLS, and `h2 ADDRESS CERTIFICATE.pem KEY.pem` over TLS.
use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use h2::{RecvStream, SendStream, ext::Protocol, server::SendResponse};
use http::Request;
use sockeye_core::handshake::server::{Accepted, Policy};
use sockeye_core::session::{InputBuffer, Session, SessionEvent};
use sockeye_core::{Bytes, Config, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

type BoxError = Box<dyn Error + Send + Sync>;

/// Echoes on one stream of HTTP/2. Its END_STREAM takes the place of the end of a TCP connection.
async fn echo(
    accepted: Accepted,
    mut from_client: RecvStream,
    mut to_client: SendStream<Bytes>,
) -> Result<(), BoxError> {
    let (start, mut has_shut_down) = (Clock::now(), false);
    let mut session = Session::opened(accepted.connection, Config::new().into());
    let mut input = InputBuffer::new();
    loop {
        while let Some(event) = session.poll_event_from(&mut input) {
            match event {
                SessionEvent::Message(message) => {
                    let message = message.into_message();
                    let _ = session.send(message); // fails only while the connection is closing
                }
                SessionEvent::Ended(_) => return Ok(()),
                _ => {}
            }
        }
        let now = Instant::from_epoch(start.elapsed());
        if session.handle_timeout(now) {
            continue;
        }
        let wait = session.poll_timeout().map_or(Duration::MAX, |at| at.since(now));
        if let Some(transmit) = session.poll_transmit() {
            to_client.reserve_capacity(transmit.first().len());
            if let Ok(room) = timeout(wait, poll_fn(|cx| to_client.poll_capacity(cx))).await {
                let room = room.ok_or("the client has reset the stream")??;
                let bytes = Bytes::copy_from_slice(&transmit.first()[..room]);
                to_client.send_data(bytes, false)?;
                session.transmitted(room);
            }
            continue;
        }
        if session.wants_shutdown() && !std::mem::replace(&mut has_shut_down, true) {
            to_client.send_data(Bytes::new(), true)?;
        }
        match timeout(wait, from_client.data()).await {
            Ok(Some(Ok(bytes))) => {
                input.extend_from_slice(&bytes);
                from_client.flow_control().release_capacity(bytes.len())?;
            }
            Ok(_) => session.handle_eof(),
            Err(_) => {}
        }
    }
}

async fn answer(request: Request<RecvStream>, mut responder: SendResponse<Bytes>) -> Result<(), BoxError> {
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    let (response, accepted) =
        Policy::new().subprotocol("echo")?.answer(&request, protocol, Config::new().into());
    let (head, content) = response.into_parts();
    let mut to_client = responder.send_response(http::Response::from_parts(head, ()), false)?;
    match accepted {
        Ok(accepted) => echo(accepted, request.into_body(), to_client).await,
        Err(_) => Ok(to_client.send_data(content.into(), true)?),
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), BoxError> {
    let mut connection = h2::server::Builder::new().enable_connect_protocol().handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, responder) = request?;
        tokio::spawn(answer(request, responder));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let tls = match &arguments[..] {
        [_] => None,
        [_, certificate, key] => {
            let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
            let key = PrivateKeyDer::from_pem_file(key)?;
            let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
            config.alpn_protocols = vec![b"h2".to_vec()];
            Some(TlsAcceptor::from(Arc::new(config)))
        }
        _ => return Err("usage: h2 ADDRESS [CERTIFICATE.pem KEY.pem]".into()),
    };
    let listener = tokio::net::TcpListener::bind(&arguments[0]).await?;
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                Some(tls) => serve(tls.accept(stream).await?).await,
                None => serve(stream).await,
            }
        });
    }
}
