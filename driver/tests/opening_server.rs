//! The opening handshake of a server over a transport.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::server::{Accept, Policy, Refusal, ServerHandshakeError, Upgrade};
use sockeye_core::http::Response;
use sockeye_core::{Config, Message, Opcode};
use sockeye_driver::{AcceptError, PendingUpgrade, accept_with, read_upgrade};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::SAMPLE_ACCEPT;
use sockeye_testkit::sim::*;

const REQUEST: &[u8] = b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: soap, chat\r\n\r\n";

type Opened = Result<Ws, AcceptError>;

async fn accept(io: Pipe, time: Time) -> Opened {
    accept_with(io, time.clock(), Arc::default(), async |upgrade: &Upgrade| {
        yield_now().await;
        Policy::new().subprotocol("chat").unwrap().decide(upgrade).map_err(Response::from)
    })
    .await
}

/// Asserts that a plain HTTP request was refused.
fn assert_not_websocket<T>(opened: Result<T, AcceptError>) {
    let Err(AcceptError::Refused(rejection)) = opened else { panic!("not refused") };
    assert_eq!(rejection.reason(), Refusal::NotWebSocket);
}

/// Returns the capacities and faults of transports that make the handshake wait.
fn bad_transports() -> Vec<(usize, Faults)> {
    let first = Faults { pending: Pending::First, ..Faults::default() };
    vec![
        (1 << 20, Faults::default()),
        (1, first),
        (20, Faults { pending: Pending::UntilIdle, buffer: 7, ..first }),
        (1 << 20, Faults { buffer: 1 << 20, interrupted: true, chunk: 3, ..first }),
    ]
}

#[test]
fn a_request_is_accepted_wherever_it_is_split_and_frames_after_it_are_received() {
    let frames = [client_frame(Opcode::Text, b"early"), client_frame(Opcode::Ping, b"p")].concat();
    let bytes = [REQUEST, &frames].concat();
    let accept_line = format!("\r\nSec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n");
    for (capacity, faults) in bad_transports() {
        for cut in 0..bytes.len() {
            let mut executor = Executor::new();
            let (io, mut peer) = pipe_with(capacity, faults);
            let opened = executor.spawn("server", {
                let time = executor.time.clone();
                async move {
                    let mut ws = accept(io, time).await.unwrap();
                    assert_eq!(ws.subprotocol(), Some("chat"));
                    let message = ws.recv().await.unwrap();
                    assert!(ws.recv().await.is_err());
                    message
                }
            });
            peer.push(&bytes[..cut]);
            executor.run_until_idle();
            peer.push(&bytes[cut..]);
            let answer = executor.spawn("client", async move {
                let mut answer = Vec::new();
                while !answer.ends_with(&server_frame(Opcode::Pong, b"p")) {
                    answer.extend(peer.read_some().await.unwrap());
                }
                answer
            });
            executor.run();
            assert_eq!(opened.take(), Some(Message::from("early")));
            let answer = String::from_utf8_lossy(&answer.take()).into_owned();
            assert!(
                answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n") && answer.contains(&accept_line)
            );
        }
    }
}

#[test]
fn a_refusal_reaches_a_peer_that_has_sent_more_than_was_read() {
    let refused = [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "400"),
        (
            b"POST /big HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nContent-Length: 500000\r\n\r\n".to_vec(),
            "405",
        ),
        (b"nonsense\r\n\r\n".to_vec(), "400"),
        ([b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 20_000]].concat(), "431"),
    ];
    for (capacity, faults) in bad_transports() {
        for (request, status) in &refused {
            for half_closed in [true, false] {
                let mut executor = Executor::new();
                let (io, mut peer) = pipe_with(capacity, faults);
                let time = executor.time.clone();
                let refusal = executor.spawn("server", accept(io, time));
                peer.push(request);
                peer.push(&vec![b'y'; 80_000]);
                if half_closed {
                    peer.shut();
                }
                let answer = executor.spawn("client", async move { peer.read_to_end().await });
                executor.run();
                assert!(matches!(refusal.take(), Err(AcceptError::Handshake(_) | AcceptError::Refused(_))));
                let answer = String::from_utf8(answer.take().expect("no reset")).unwrap();
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
                assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
            }
        }
    }
}

#[test]
fn the_application_refuses_with_its_own_response_even_if_the_peer_resets() {
    for reset in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let time = executor.time.clone();
        let refusal = executor.spawn("server", async move {
            let decide = async |upgrade: &Upgrade| -> Result<Accept, Response> {
                assert_eq!(upgrade.path(), "/chat");
                Err(Response::text(401, "who are you?"))
            };
            accept_with(io, time.clock(), Arc::default(), decide).await.map(|_| ())
        });
        peer.push(REQUEST);
        executor.run_until_idle();
        let answer = String::from_utf8(peer.take_all()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n") && answer.ends_with("who are you?"));
        assert!(peer.is_shut() && !refusal.is_finished(), "the server waits for the peer to read");
        if reset {
            peer.reset()
        } else {
            peer.shut()
        }
        executor.run();
        assert!(matches!(refusal.take(), Err(AcceptError::Rejected(401))));
    }
}

#[test]
fn a_refused_peer_that_neither_reads_nor_leaves_is_dropped_after_two_seconds() {
    for capacity in [10, 1 << 20] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(capacity);
        let time = executor.time.clone();
        let refusal = executor.spawn("server", accept(io, time.clone()));
        peer.push(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        executor.run_with_time();
        assert_not_websocket(refusal.take());
        assert_eq!(executor.time.elapsed(), Duration::from_secs(2));
    }
}

#[test]
fn a_refused_peer_that_keeps_sending_lets_other_tasks_run() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let (time, probe) = (executor.time.clone(), io.probe());
    let refusal = executor.spawn("server", accept(io, time));
    peer.push(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.push(&vec![0; 6 << 20]);
    peer.shut();
    executor.run();
    assert_not_websocket(refusal.take());
    let (polls, reads) = (executor.polls_of("server"), probe.get().reads);
    assert!(polls >= reads / 20 && polls >= 4, "{polls} polls for {reads} reads");
}

#[test]
fn a_slow_request_gets_a_408_and_a_silent_connection_is_closed() {
    for (sent, status) in [(&REQUEST[..50], "HTTP/1.1 408 "), (&[], "")] {
        let mut executor = Executor::new();
        let (io, mut peer) = pipe(1 << 20);
        let time = executor.time.clone();
        let refusal = executor.spawn("server", accept(io, time));
        peer.push(sent);
        executor.pass(Duration::from_secs(9));
        assert!(!refusal.is_finished());
        executor.pass(Duration::from_secs(1));
        let answer = executor.spawn("client", async move { peer.read_to_end().await.unwrap() });
        executor.run_with_time();
        assert!(String::from_utf8(answer.take()).unwrap().starts_with(status));
        let Err(AcceptError::Handshake(ServerHandshakeError::TimedOut { received })) = refusal.take() else {
            panic!()
        };
        assert_eq!(received, sent.len());
        assert_eq!(executor.time.armed(), 0);
    }
}

#[test]
fn a_peer_that_does_not_read_its_101_fails_at_the_handshake_timeout() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(10);
    let time = executor.time.clone();
    let opened = executor.spawn("server", accept(io, time));
    peer.push(REQUEST);
    executor.run_with_time();
    assert!(
        matches!(opened.take(), Err(AcceptError::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut)
    );
    assert_eq!(executor.time.elapsed(), Duration::from_secs(10));
}

#[test]
fn eof_inside_a_request_reports_how_many_bytes_arrived() {
    for cut in 0..REQUEST.len() {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        peer.push(&REQUEST[..cut]);
        peer.shut();
        let time = executor.time.clone();
        let refusal = executor.spawn("server", accept(io, time));
        executor.run();
        let Err(AcceptError::Handshake(ServerHandshakeError::Eof { received })) = refusal.take() else {
            panic!()
        };
        assert_eq!(received, cut);
    }
}

#[test]
fn dropping_a_handshake_drops_the_transport() {
    let bytes = [REQUEST, b"rest"].concat();
    for polls in 1..200 {
        let faults = Faults { pending: Pending::First, chunk: 5, ..Faults::default() };
        let (io, peer) = pipe_with(5, faults);
        peer.push(&bytes);
        let mut executor = Executor::new();
        let time = executor.time.clone();
        let done =
            executor.spawn("server", async move { poll_at_most(polls, accept(io, time)).await.is_some() });
        executor.spawn("client", async move {
            while !peer.is_shut() {
                peer.take_all();
                yield_now().await;
            }
        });
        executor.run();
        if done.take() {
            return;
        }
    }
    panic!("the handshake never completes");
}

#[test]
fn a_pending_upgrade_can_be_answered_later_by_another_task() {
    for subprotocol in ["chat", "not offered"] {
        let mut executor = Executor::new();
        let (io, mut peer) = pipe(1 << 20);
        let time = executor.time.clone();
        peer.push(&[REQUEST, &client_frame(Opcode::Text, b"early")].concat());
        let read =
            executor.spawn("read", async move { read_upgrade(io, time.clock(), Arc::default()).await });
        executor.run_until_idle();
        let pending: PendingUpgrade<_, _> = read.take().unwrap();
        assert_eq!(pending.upgrade().host(), "example.com");
        assert!(peer.take_all().is_empty());
        // The handshake timeout does not limit the decision.
        executor.pass(Duration::from_secs(1000));
        let opened = executor.spawn("answer", async move {
            let mut ws = pending.accept(&Accept::new().subprotocol(subprotocol)).await?;
            Ok::<_, AcceptError>(ws.recv().await.unwrap())
        });
        peer.shut();
        let answer = executor.spawn("client", async move { peer.read_to_end().await.unwrap() });
        executor.run();
        let answer = String::from_utf8(answer.take()).unwrap();
        match opened.take() {
            Ok(message) => assert_eq!((subprotocol, message), ("chat", Some(Message::from("early")))),
            Err(AcceptError::Subprotocol(error)) => {
                assert_eq!(error.name(), subprotocol);
                assert!(answer.starts_with("HTTP/1.1 500 "));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_handshake_keeps_the_limits_of_the_config() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let time = executor.time.clone();
    let config = Arc::new(Config::new().max_head_size(100).handshake_timeout(Duration::from_secs(1)));
    let read =
        executor.spawn("read", async move { read_upgrade(io, time.clock(), config).await.map(|_| ()) });
    peer.push(REQUEST);
    executor.run_until_idle();
    peer.shut();
    executor.run();
    assert!(matches!(read.take(), Err(AcceptError::Handshake(ServerHandshakeError::Head(_)))));
}

#[test]
fn h14_an_upgrade_that_expects_a_100_gets_it_before_the_101() {
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    let request = request.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    for (capacity, faults) in bad_transports() {
        let mut executor = Executor::new();
        let (io, mut peer) = pipe_with(capacity, faults);
        let time = executor.time.clone();
        let opened = executor.spawn("server", accept(io, time));
        peer.push(request.as_bytes());
        let answer = executor.spawn("client", async move { peer.read_to_end().await });
        executor.run_until_idle();
        drop(opened.take().unwrap());
        executor.run();
        let answer = String::from_utf8(answer.take().unwrap()).unwrap();
        let start = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n";
        assert!(answer.starts_with(start), "{answer}");
    }
}
