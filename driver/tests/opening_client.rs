//! The opening handshake of a client over a transport.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, Url};
use sockeye_core::handshake::server::Policy;
use sockeye_core::http::Response;
use sockeye_core::{CloseCode, Config, Message, Opcode};
use sockeye_driver::{ConnectError, accept_with, client as open_client};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

type Opened = Result<(Ws, Response), ConnectError>;

async fn connect(io: Pipe, time: Time) -> Opened {
    let url = Url::parse("ws://example.com/chat").unwrap();
    open_client(io, time.clock(), ClientRequest::new(&url).subprotocol("chat").unwrap(), Arc::default()).await
}

async fn accept(io: Pipe, time: Time) -> Ws {
    let policy = Policy::new().subprotocol("chat").unwrap();
    let decide = async |upgrade: &_| policy.decide(upgrade).map_err(|refusal| refusal.response());
    accept_with(io, time.clock(), Arc::default(), decide).await.unwrap()
}

/// Returns the 101 for a request of `connect`, which depends on the random key in it.
fn response_to(request: &[u8]) -> Vec<u8> {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let time = executor.time.clone();
    peer.push(request);
    executor.spawn("server", accept(io, time));
    executor.run();
    peer.take_all()
}

fn bad_transports() -> Vec<(usize, Faults)> {
    let first = Faults { pending: Pending::First, ..Faults::default() };
    vec![
        (1 << 20, Faults::default()),
        (1, first),
        // Written bytes wait for the flush, which is pending at first too.
        (1 << 20, Faults { buffer: 1 << 20, ..first }),
        (20, Faults { pending: Pending::UntilIdle, buffer: 7, interrupted: true, chunk: 3, ..first }),
    ]
}

#[test]
fn both_ends_open_over_any_transport() {
    for (capacity, faults) in bad_transports() {
        let mut executor = Executor::new();
        let (a, b) = pipe_with(capacity, faults);
        let time = executor.time.clone();
        executor.spawn("server", {
            let time = time.clone();
            async move {
                let mut ws = accept(b.with(faults), time).await;
                ws.send("welcome").await.unwrap();
                assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
            }
        });
        executor.spawn("client", async move {
            let (ws, response) = connect(a, time).await.unwrap();
            assert_eq!((response.status(), ws.subprotocol()), (101, Some("chat")));
            let (messages, end) = receive_all(ws).await;
            assert!(end.is_ok());
            assert_eq!(messages, [Message::from("welcome")]);
        });
        executor.run();
    }
}

#[test]
fn a_response_is_accepted_wherever_it_is_split_and_frames_after_it_are_received() {
    for (capacity, faults) in bad_transports() {
        let mut cut = 0;
        loop {
            let mut executor = Executor::new();
            let (io, mut peer) = pipe_with(capacity, faults);
            let time = executor.time.clone();
            let received = executor.spawn("client", async move {
                let (mut ws, _) = connect(io, time).await.unwrap();
                ws.recv().await.unwrap()
            });
            let whole = executor.spawn("server", async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.extend(peer.read_some().await.unwrap());
                }
                let mut bytes = response_to(&request);
                bytes.extend(server_frame(Opcode::Text, b"early"));
                peer.push(&bytes[..cut.min(bytes.len())]);
                for _ in 0..20 {
                    yield_now().await;
                }
                peer.push(&bytes[cut.min(bytes.len())..]);
                (cut >= bytes.len(), peer)
            });
            executor.run();
            assert_eq!(received.take(), Some(Message::from("early")), "cut at {cut}");
            if whole.take().0 {
                break;
            }
            cut += 1;
        }
    }
}

#[test]
fn t8_a_client_reads_any_frames_behind_the_101_the_same_at_every_split() {
    let frames = [
        server_frame(Opcode::Text, b"one"),
        FrameWriter::to(false).frame(Opcode::Text, false, b"tw"),
        server_frame(Opcode::Ping, b"between"),
        FrameWriter::to(false).frame(Opcode::Continuation, true, b"o"),
        server_frame(Opcode::Binary, &[7; 300]),
        server_frame(Opcode::Close, &close_payload(4000, "bye")),
    ]
    .concat();
    let mut cut = 0;
    loop {
        let mut executor = Executor::new();
        let (io, mut peer) = pipe(1 << 20);
        let time = executor.time.clone();
        let received = executor.spawn("client", async move {
            let (mut ws, _) = connect(io, time).await.unwrap();
            let mut messages = Vec::new();
            while let Some(message) = ws.recv().await.unwrap() {
                messages.push(message);
            }
            (messages, ws.close_info().unwrap().code)
        });
        let frames = frames.clone();
        let server = executor.spawn("server", async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.extend(peer.read_some().await.unwrap());
            }
            let bytes = [response_to(&request), frames].concat();
            peer.push(&bytes[..cut.min(bytes.len())]);
            for _ in 0..20 {
                yield_now().await;
            }
            peer.push(&bytes[cut.min(bytes.len())..]);
            let mut answer = Vec::new();
            while read_frames_until(&answer, true).len() < 2 {
                answer.extend(peer.read_some().await.unwrap());
            }
            peer.shut();
            (cut >= bytes.len(), read_frames(&answer))
        });
        executor.run();
        let (is_whole, answer) = server.take();
        let expected = ["one".into(), "two".into(), Message::binary(vec![7; 300])];
        assert_eq!(received.take(), (expected.to_vec(), CloseCode::from(4000)), "cut at {cut}");
        let answer: Vec<_> = answer.iter().map(|frame| (frame.first, frame.payload.as_slice())).collect();
        let close = close_payload(4000, "bye");
        assert_eq!(answer, [(PONG, &b"between"[..]), (CLOSE, &close[..])], "cut at {cut}");
        if is_whole {
            break;
        }
        cut += 1;
    }
}

#[test]
fn a_refusal_has_status_headers_and_body_even_if_the_request_could_not_be_written() {
    let refusal = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nnot today";
    for refuses_writes in [true, false] {
        for byte_by_byte in [true, false] {
            let mut executor = Executor::new();
            let (io, peer) = pipe(50);
            let peer = if refuses_writes { peer.refuse_writes() } else { peer };
            let time = executor.time.clone();
            let refused = executor.spawn("client", connect(io, time));
            if byte_by_byte {
                for byte in refusal {
                    peer.push(&[*byte]);
                    executor.run_until_idle();
                }
            }
            peer.push(if byte_by_byte { &[] } else { refusal });
            peer.shut();
            executor.run();
            let Err(ConnectError::Handshake(ClientHandshakeError::Refused(response))) = refused.take() else {
                panic!()
            };
            assert_eq!((response.status(), response.content()), (429, &b"not today"[..]));
            assert_eq!(response.headers().first("retry-after"), Some("7"));
            assert!(!response.is_truncated());
        }
    }
}

#[test]
fn a_broken_transport_and_an_early_eof_are_different_errors() {
    for (reset, refuses_writes) in [(true, false), (false, false), (false, true)] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(50);
        let time = executor.time.clone();
        let failed = executor.spawn("client", connect(io, time));
        let peer = if refuses_writes { peer.refuse_writes() } else { peer };
        peer.push(b"HTTP/1.1 101 Swi");
        executor.run_until_idle();
        if reset {
            peer.reset()
        } else {
            peer.shut()
        }
        executor.run();
        match failed.take() {
            Err(ConnectError::Io(_)) => assert!(reset || refuses_writes),
            Err(ConnectError::Handshake(ClientHandshakeError::Eof { received: 16 })) => {
                assert!(!reset && !refuses_writes)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_server_that_sends_or_reads_nothing_fails_at_the_handshake_timeout() {
    for capacity in [10, 1 << 20] {
        let mut executor = Executor::new();
        let (io, _peer) = pipe(capacity);
        let time = executor.time.clone();
        let failed = executor.spawn("client", connect(io, time));
        executor.run_with_time();
        assert!(matches!(
            failed.take(),
            Err(ConnectError::Handshake(ClientHandshakeError::TimedOut { received: 0 }))
        ));
        assert_eq!(executor.time.elapsed(), Duration::from_secs(10));
        assert_eq!(executor.time.armed(), 0);
    }
}

#[test]
fn k1_a_refusal_without_a_length_is_returned_while_the_server_keeps_the_connection_open() {
    for body in ["", "log in first"] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let time = executor.time.clone();
        let refused = executor.spawn("client", connect(io, time));
        peer.push(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n\r\n");
        executor.run_until_idle();
        peer.push(body.as_bytes());
        executor.run_with_time();
        let Err(ConnectError::Handshake(ClientHandshakeError::Refused(response))) = refused.take() else {
            panic!()
        };
        assert_eq!((response.status(), response.content()), (401, body.as_bytes()));
        assert_eq!(response.headers().first("www-authenticate"), Some("Bearer"));
        assert_eq!(executor.time.elapsed(), Duration::from_millis(500));
        assert_eq!(executor.time.armed(), 0);
    }
}

#[test]
fn k1_a_body_that_never_ends_is_cut_although_it_keeps_arriving() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let time = executor.time.clone();
    let refused = executor.spawn("client", connect(io, time));
    peer.push(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    let mut parts = 0;
    while !refused.is_finished() {
        peer.push(b"data: x\n\n");
        parts += 1;
        executor.pass(Duration::from_millis(100));
    }
    assert_eq!(parts, 5);
    let Err(ConnectError::Handshake(ClientHandshakeError::Refused(response))) = refused.take() else {
        panic!()
    };
    assert!(response.is_truncated() && response.content().starts_with(b"data: x\n\ndata: x\n\n"));
}

#[test]
fn an_open_connection_has_no_timer_left_from_its_handshake() {
    let mut executor = Executor::new();
    let (a, b) = pipe(1 << 20);
    let time = executor.time.clone();
    let server = executor.spawn("server", accept(b, time.clone()));
    let client = executor.spawn("client", connect(a, time));
    executor.run();
    let _both = (server.take(), client.take().unwrap());
    assert_eq!(executor.time.armed(), 0);
}

#[test]
fn futures_are_small() {
    let time = Time::new();
    let (io, _peer) = pipe(1 << 20);
    let (other, _other_peer) = pipe(1 << 20);
    let url = Url::parse("ws://example.com/").unwrap();
    let mut ws = server(io, &time, Config::new());
    let sizes = [
        ("recv", size(ws.recv())),
        ("recv_with", size(ws.recv_with(|_, _| ()))),
        ("recv_part", size(ws.recv_part())),
        ("send", size(ws.send("text"))),
        ("feed", size(ws.feed(vec![1, 2, 3]))),
        ("ping", size(ws.ping(b""))),
        ("close", size(ws.close(CloseCode::NORMAL, ""))),
    ];
    for (name, size) in sizes {
        println!("{name}: {size}");
        assert!(size <= 512, "{name}: {size}");
    }
    let opening = [
        ("accept_with", size(accept(other, time.clone()))),
        ("client", size(open_client(pipe(1).0, time.clock(), ClientRequest::new(&url), Arc::default()))),
    ];
    println!("WebSocket: {}", size_of::<Ws>());
    for (name, size) in opening {
        println!("{name}: {size}");
        assert!(size <= 1024, "{name}: {size}");
    }
}

fn size<T>(value: T) -> usize {
    size_of_val(&value)
}
