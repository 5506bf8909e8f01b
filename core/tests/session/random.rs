//! Any order of calls, any chunking, any time: no panic, no stall, and the same events.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sockeye_core::http::Response;
use sockeye_core::session::{HttpSettings, Session};
use sockeye_core::{CloseCode, Config};

use super::support::*;

#[derive(Debug, Clone)]
enum Call {
    Receive(usize),
    Write(usize),
    Advance(u64),
    Send(usize),
    Ping,
    Close,
    Abort,
    Accept,
    Reject,
    Respond,
    Eof,
    WriteError,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        20 => (1..400usize).prop_map(Call::Receive),
        8 => (1..400usize).prop_map(Call::Write),
        4 => (0..3000u64).prop_map(Call::Advance),
        4 => (0..300usize).prop_map(Call::Send),
        2 => Just(Call::Ping),
        1 => Just(Call::Close),
        1 => Just(Call::Abort),
        4 => Just(Call::Accept),
        1 => Just(Call::Reject),
        4 => Just(Call::Respond),
        1 => Just(Call::Eof),
        1 => Just(Call::WriteError),
    ];
    prop::collection::vec(call, 0..200)
}

/// Returns valid traffic of a client, with the byte at `at` changed.
fn traffic(at: usize, to: u8) -> Vec<u8> {
    let mut bytes = [
        b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n",
        &b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n0\r\n\r\n"[..],
        UPGRADE,
        b"\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b",
        b"\x82\xfe\x01\x00\0\0\0\0",
        &[0; 256],
        b"\x88\x80\0\0\0\0",
    ]
    .concat();
    if let Some(byte) = bytes.get_mut(at) {
        *byte = to;
    }
    bytes
}

proptest! {
    #[test]
    fn no_order_of_calls_panics_or_stalls(calls in calls(), at in 0..900usize, to: u8, http: bool) {
        let config = Arc::new(Config::new().high_water_mark(300).keepalive(Duration::from_secs(5), Duration::from_secs(5)));
        let mut session = Session::server(config);
        if http {
            session = session.with_http(HttpSettings::new().max_body_size(100));
        }
        let mut server = End::new(session, App::Hold);
        let bytes = traffic(at, to);
        let (mut rest, mut now) = (&bytes[..], Duration::ZERO);
        for call in calls {
            match call {
                Call::Receive(n) => {
                    let (chunk, after) = rest.split_at(n.min(rest.len()));
                    rest = after;
                    server.receive(chunk);
                }
                Call::Write(n) => drop(server.write(n)),
                Call::Advance(millis) => {
                    now += Duration::from_millis(millis);
                    server.at(now);
                }
                Call::Send(n) => drop(server.session.send(vec![1; n])),
                Call::Ping => drop(server.session.ping(b"?")),
                Call::Close => drop(server.session.close(CloseCode::NORMAL, "")),
                Call::Abort => server.session.abort(),
                Call::Accept => {
                    if let Some(upgrade) = server.held.take() {
                        let _ = server.session.accept(upgrade, &sockeye_core::handshake::server::Accept::new());
                    }
                }
                Call::Reject => server.session.reject(Response::new(403)),
                Call::Respond => server.session.respond(Response::text(200, "ok")),
                Call::Eof => server.eof(),
                Call::WriteError => server.session.handle_write_error(),
            }
            server.poll();
            prop_assert!(server.ended <= 1);
        }
        // From here on only the transport's end and time are needed.
        server.session.reject(Response::new(403));
        server.session.respond(Response::new(200));
        server.eof();
        for _ in 0..40 {
            server.write_all();
            server.poll();
            now += Duration::from_secs(1);
            server.at(now);
        }
        prop_assert_eq!(server.ended, 1, "{:?}", server.log);
    }

    #[test]
    fn events_do_not_depend_on_the_chunking(sizes in prop::collection::vec(1..100usize, 1..50), at in 0..900usize, to: u8) {
        let bytes = traffic(at, to);
        let log = |sizes: &[usize]| {
            let mut server = End::new(Session::server(Arc::new(Config::new())).with_http(HttpSettings::new().max_body_size(100)), App::Patient);
            let (mut rest, mut sizes) = (&bytes[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                rest = after;
                server.receive(chunk);
                server.settle();
            }
            server.eof();
            server.settle();
            server.log
        };
        prop_assert_eq!(log(&sizes), log(&[usize::MAX]));
    }
}
