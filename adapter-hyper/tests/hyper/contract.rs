//! The transports keep the contract of the driver.

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Incoming;
use sockeye_driver::conformance::check_io;
use sockeye_hyper::client::Handshake;
use sockeye_hyper::{Config, HyperIo, Policy};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::support::{get, http1, http2, serve, soon};

/// Returns the two ends of a WebSocket's transport: the client's and the server's.
async fn pair(over_http2: bool) -> (HyperIo, HyperIo) {
    let (sender, mut upgrades) = mpsc::unbounded_channel();
    let address = serve(move |mut request: Request<Incoming>| {
        sender.send(hyper::upgrade::on(&mut request)).unwrap();
        let protocol = over_http2.then_some("websocket");
        let (response, _) = Policy::new().answer(&request, protocol, Config::new().into());
        std::future::ready(response.map(Into::into))
    })
    .await;
    let request = get(&format!("ws://{address}/"));
    let response = if over_http2 {
        let handshake = Handshake::http2(&request, Config::new()).unwrap();
        let request = handshake.request().unwrap().map(|()| Empty::new());
        soon(http2(address).await.send_request(request)).await
    } else {
        let handshake = Handshake::http1(&request, Config::new()).unwrap();
        let request = handshake.request().unwrap().map(|()| Empty::new());
        soon(http1(address).await.send_request(request)).await
    };
    let near = soon(hyper::upgrade::on(response.unwrap())).await.unwrap();
    let far = soon(soon(upgrades.recv()).await.unwrap()).await.unwrap();
    (HyperIo::new(near).0, HyperIo::new(far).0)
}

#[tokio::test]
async fn a_socket_that_hyper_hands_over_keeps_the_contract() {
    check_io(async || pair(false).await, sleep).await.unwrap();
}

#[tokio::test]
async fn a_stream_of_http_2_keeps_the_contract_on_both_ends() {
    check_io(async || pair(true).await, sleep).await.unwrap();
    let turned = async || {
        let (near, far) = pair(true).await;
        (far, near)
    };
    check_io(turned, sleep).await.unwrap();
}
