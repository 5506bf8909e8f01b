//! TLS over real sockets.

use std::time::Duration;

use sockeye_testkit::tls::*;
use sockeye_tokio::server::{Callbacks, Limits, Port, Server};
use sockeye_tokio::tls::{ClientTls, ServerTls};
use sockeye_tokio::{CloseCode, Config, ConnectError, ConnectOptions, TokioIo, WebSocket};
use tokio::net::{TcpListener, TcpStream};

fn trusting() -> ClientTls {
    ClientTls::with_ca_pem(CA).unwrap()
}

fn serving() -> ServerTls {
    ServerTls::from_pem(SERVER.certificate, SERVER.key).unwrap()
}

async fn connect(url: &str, tls: &ClientTls) -> Result<WebSocket, ConnectError> {
    let (ws, _) = sockeye_tokio::connect_with(url, ConnectOptions::new().tls(tls.clone())).await?;
    Ok(ws)
}

#[tokio::test]
async fn k7_one_type_serves_ws_and_wss() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for is_secure in [false, true] {
            let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
            let mut ws: WebSocket = match is_secure {
                false => sockeye_tokio::accept(stream).await.unwrap(),
                true => sockeye_tokio::accept_tls(stream, &serving()).await.unwrap(),
            };
            assert_eq!(ws.io().tls().is_some(), is_secure);
            while let Some(message) = ws.recv().await.unwrap() {
                ws.send(message).await.unwrap();
            }
        }
    });
    for scheme in ["ws", "wss"] {
        let mut ws = connect(&format!("{scheme}://localhost:{port}/"), &trusting()).await.unwrap();
        assert_eq!(ws.io().get_ref().peer_addr().unwrap().port(), port);
        for len in [0, 5, 100_000] {
            ws.send(vec![7; len]).await.unwrap();
            assert_eq!(ws.recv().await.unwrap().unwrap().as_bytes(), vec![7; len]);
        }
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert!(ws.recv().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn k7_a_certificate_that_the_system_does_not_trust_is_refused() {
    let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
    let server = Server::builder().listen_tls("127.0.0.1:0", serving(), Port::new(echo)).unwrap().build();
    let (handle, address) = (server.handle(), server.addresses()[0].clone());
    let running = tokio::spawn(server.run());
    let error = sockeye_tokio::connect(&format!("wss://{address}/")).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ConnectError::TlsHandshake(_)), "{error:?}");
    assert!(text.contains("self-signed, or from an issuer that is not trusted"), "{text}");
    handle.shutdown(Duration::ZERO);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn m13_a_tls_port_serves_tasks_that_send_and_receive_at_once() {
    let echo = Callbacks::on_message(|client, message| async move { client.send(message).await });
    let port = Port::new(echo).config(Config::new());
    let server = Server::builder().limits(Limits::new()).listen_tls("127.0.0.1:0", serving(), port).unwrap();
    let server = server.build();
    let (handle, address) = (server.handle(), server.addresses()[0].clone());
    let running = tokio::spawn(server.run());
    let ws = connect(&format!("wss://{address}/"), &trusting()).await.unwrap();
    let (mut send, mut recv) = ws.split();
    let sending = tokio::spawn(async move {
        for i in 0..200_u32 {
            send.send(vec![i as u8; 20_000]).await.unwrap();
        }
        send
    });
    for i in 0..200_u32 {
        assert_eq!(recv.recv().await.unwrap().unwrap().as_bytes(), vec![i as u8; 20_000]);
    }
    let mut send = sending.await.unwrap();
    send.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(recv.recv().await.unwrap().is_none());
    handle.shutdown(Duration::from_secs(10));
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn k7_the_connection_of_tls_is_as_large_as_one_without() {
    // The state of TLS is boxed.
    assert!(size_of::<TokioIo<TcpStream>>() <= size_of::<TcpStream>() + size_of::<usize>());
}
