//! One adapter as the peer of another.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use sockeye_std::CloseCode;

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/")
}

#[test]
fn a_blocking_client_talks_to_a_smol_server() {
    let listener = smol::block_on(smol::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        smol::block_on(async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut ws = sockeye_smol::accept(stream).await.unwrap();
            while let Some(message) = ws.recv().await.unwrap() {
                ws.feed(message).await.unwrap();
            }
        });
    });
    let mut ws = sockeye_std::connect(&url(address)).unwrap();
    for i in 0..1000 {
        ws.feed(i.to_string()).unwrap();
    }
    for i in 0..1000 {
        assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some(&*i.to_string()));
    }
    assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
    server.join().unwrap();
}

#[test]
fn a_smol_client_talks_to_a_blocking_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut ws = sockeye_std::accept(listener.accept().unwrap().0).unwrap();
        while let Some(message) = ws.recv().unwrap() {
            ws.feed(message).unwrap();
        }
    });
    smol::block_on(async {
        let mut ws = sockeye_smol::connect(&url(address)).await.unwrap();
        let large = vec![7; 1 << 20];
        ws.send(&large).await.unwrap();
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap().unwrap().as_bytes(), large);
        assert_eq!(ws.recv().await.unwrap().unwrap().as_text(), Some("hello"));
        assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
    });
    server.join().unwrap();
}
