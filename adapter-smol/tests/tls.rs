//! TLS over real sockets.

use std::time::Duration;

use smol::net::TcpListener;
use sockeye_smol::server::{Callbacks, Port, Server};
use sockeye_smol::tls::{ClientTls, ServerTls};
use sockeye_smol::{CloseCode, ConnectError, ConnectOptions, WebSocket};
use sockeye_testkit::tls::*;

fn trusting() -> ClientTls {
    ClientTls::with_ca_pem(CA).unwrap()
}

fn serving() -> ServerTls {
    ServerTls::from_pem(SERVER.certificate, SERVER.key).unwrap()
}

async fn connect(url: &str, tls: &ClientTls) -> Result<WebSocket, ConnectError> {
    let (ws, _) = sockeye_smol::connect_with(url, ConnectOptions::new().tls(tls.clone())).await?;
    Ok(ws)
}

#[test]
fn k7_one_type_serves_ws_and_wss() {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = smol::spawn(async move {
            for is_secure in [false, true] {
                let (stream, _) = sockeye_smol::accept_tcp(&listener).await;
                let mut ws: WebSocket = match is_secure {
                    false => sockeye_smol::accept(stream).await.unwrap(),
                    true => sockeye_smol::accept_tls(stream, &serving()).await.unwrap(),
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
        server.await;
    });
}

#[test]
fn m13_a_tls_port_serves_tasks_that_send_and_receive_at_once() {
    smol::block_on(async {
        let echo = Callbacks::on_message(|client, message| async move { client.send(message).await });
        let server = Server::builder().listen_tls("127.0.0.1:0", serving(), Port::new(echo)).unwrap().build();
        let (handle, address) = (server.handle(), server.addresses()[0].clone());
        let running = smol::spawn(server.run());
        let ws = connect(&format!("wss://{address}/"), &trusting()).await.unwrap();
        let (mut send, mut recv) = ws.split();
        let sending = smol::spawn(async move {
            for i in 0..200_u32 {
                send.send(vec![i as u8; 20_000]).await.unwrap();
            }
            send
        });
        for i in 0..200_u32 {
            assert_eq!(recv.recv().await.unwrap().unwrap().as_bytes(), vec![i as u8; 20_000]);
        }
        let mut send = sending.await;
        send.close(CloseCode::NORMAL, "").await.unwrap();
        assert!(recv.recv().await.unwrap().is_none());
        handle.shutdown(Duration::from_secs(10));
        running.await.unwrap();
    });
}
