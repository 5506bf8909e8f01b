//! The opening handshake in memory: each side alone, and both together.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use sockeye_core::handshake::{client, server};
use sockeye_core::{Config, RecvBuf};

/// A request like a browser's.
const REQUEST: &[u8] = b"GET /chat?room=7 HTTP/1.1\r\nHost: server.example.com\r\nConnection: Upgrade\r\n\
    Pragma: no-cache\r\nCache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Upgrade: websocket\r\nOrigin: https://server.example.com\r\nSec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789abcdef\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// A stream that returns the request and discards writes.
struct Once<'a>(&'a [u8]);

impl Read for Once<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Once<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn accept(bytes: &mut [u8], config: &Arc<Config>) -> Vec<u8> {
    let mut handshake = server::ServerHandshake::new(Arc::clone(config));
    let request = handshake.poll_request(&mut RecvBuf::new(bytes)).expect("valid").expect("whole");
    let upgrade = server::Upgrade::new(request).expect("the request is an upgrade");
    let mut accepted =
        upgrade.accept(&server::Accept::new(), Arc::clone(config)).expect("no subprotocol was chosen");
    let response = accepted.connection.poll_transmit().expect("the response is queued").first().to_vec();
    accepted.connection.transmitted(response.len());
    response
}

fn connect(url: &client::Url, config: &Arc<Config>) -> client::ClientHandshake {
    client::ClientRequest::new(url).start(*b"the sample nonce", Box::new(|| [1, 2, 3, 4]), Arc::clone(config))
}

fn handshake(criterion: &mut Criterion) {
    let config = Arc::new(Config::new());
    let url: client::Url = "ws://server.example.com/chat?room=7".parse().expect("the URL is valid");
    let mut group = criterion.benchmark_group("handshake");

    group.bench_function("server/sockeye", |bencher| {
        let mut buffer = REQUEST.to_vec();
        bencher.iter(|| {
            buffer.copy_from_slice(REQUEST);
            accept(&mut buffer, &config)
        });
    });
    group.bench_function("server/tungstenite", |bencher| {
        bencher.iter(|| tungstenite::accept(Once(black_box(REQUEST))).expect("valid"));
    });

    let mut request = connect(&url, &config).poll_transmit().expect("the request is queued").to_vec();
    let response = accept(&mut request, &config);
    group.bench_function("client/sockeye", |bencher| {
        let mut buffer = response.clone();
        bencher.iter(|| {
            let mut handshake = connect(&url, &config);
            let written = black_box(handshake.poll_transmit().expect("the request is queued")).len();
            handshake.transmitted(written);
            buffer.copy_from_slice(&response);
            handshake.poll_response(&mut RecvBuf::new(&mut buffer)).expect("valid").expect("whole")
        });
    });
    group.bench_function("both/sockeye", |bencher| {
        bencher.iter(|| {
            let mut handshake = connect(&url, &config);
            let mut request = handshake.poll_transmit().expect("the request is queued").to_vec();
            handshake.transmitted(request.len());
            let mut response = accept(&mut request, &config);
            handshake.poll_response(&mut RecvBuf::new(&mut response)).expect("valid").expect("whole")
        });
    });
    group.finish();
}

criterion_group!(benches, handshake);
criterion_main!(benches);
