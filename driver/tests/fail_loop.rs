//! The fail loop: runs each scenario again and again while the transport fails at operation 0, 1,
//! 2, … until the scenario completes without a failure. No failure may cause a panic, a hang or a
//! busy loop, and each connection reports its end once.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::Response;
use sockeye_core::{CloseCode, Config, Frame, Message, MessageKind, Opcode};
use sockeye_driver::{Error, RecvHalf, SendHalf, accept_with, client as open_client};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

const FAILS: [Fail; 4] = [
    Fail::Eof,
    Fail::Error(ErrorKind::ConnectionReset),
    Fail::Error(ErrorKind::BrokenPipe),
    Fail::Error(ErrorKind::WriteZero),
];

/// Runs `scenario` between two ends, of which the first has a transport that fails.
fn fail_loop(scenario: impl Fn(&mut Executor, Pipe, Pipe)) {
    let shapes =
        [(1 << 20, usize::MAX, Pending::Never), (60, 20, Pending::First), (1 << 20, 50, Pending::UntilIdle)];
    for (capacity, chunk, pending) in shapes {
        for fail in FAILS {
            let mut at = 0;
            loop {
                assert!(at < 3000, "the scenario never completes");
                println!("capacity {capacity}, {pending:?}, {fail:?} at {at}");
                let faults = Faults { chunk, pending, fail: Some((at, fail)), ..Faults::default() };
                let (a, b) = pipe_with(capacity, faults);
                let probe = a.probe();
                let mut executor = Executor::new().limit(20_000);
                scenario(&mut executor, a, b);
                executor.run_with_time();
                assert!(executor.time.elapsed() < Duration::from_secs(45), "it ends in time");
                if !probe.get().failed {
                    break;
                }
                // Fail at each of the first operations, then at fewer.
                at += 1 + at / 100;
            }
        }
    }
}

fn config() -> Config {
    Config::new().high_water_mark(500).fragment_size(64)
}

/// Runs `scenario` with each role for the end that fails.
fn with_open(scenario: impl Fn(&mut Executor, Ws, Ws)) {
    for is_server in [true, false] {
        fail_loop(|executor, a, b| {
            let time = executor.time.clone();
            scenario(executor, open(is_server, a, &time, config()), open(!is_server, b, &time, config()));
        });
    }
}

async fn echo(mut ws: Ws) {
    loop {
        match ws.recv().await {
            Ok(Some(message)) => {
                if ws.feed(message).await.is_err() {
                    break;
                }
            }
            Ok(None) | Err(_) => return assert_over(ws).await,
        }
    }
    receive_all(ws).await.1.ok();
}

async fn assert_over(mut ws: Ws) {
    assert!(matches!(ws.recv().await, Ok(None)), "the end is reported once");
    assert!(ws.close_info().is_some());
    assert!(ws.send("more").await.is_err());
}

/// Closes the connection if `result` is no error, and receives to the end in either case.
async fn finish(mut ws: Ws, result: Result<(), Error>) {
    if result.is_ok() {
        ws.close(CloseCode::NORMAL, "").await.ok();
    }
    receive_all(ws).await.1.ok();
}

#[test]
fn an_echo_by_recv_and_feed() {
    with_open(|executor, mut a, b| {
        executor.spawn("a", async move {
            for i in 0..3 {
                a.feed(payload(i, 90 * i)).await.ok();
            }
            let mut echoes = 0;
            while echoes < 3 {
                match a.recv().await {
                    Ok(Some(message)) => assert_eq!(message, Message::from(payload(echoes, 90 * echoes))),
                    Ok(None) | Err(_) => return assert_over(a).await,
                }
                echoes += 1;
            }
            finish(a, Ok(())).await;
        });
        executor.spawn("b", echo(b));
    });
}

#[test]
fn an_echo_by_recv_with() {
    with_open(|executor, mut a, mut b| {
        executor.spawn("a", async move { while let Ok(Some(_)) = a.recv_with(|m, s| s.send(m)).await {} });
        executor.spawn("b", async move {
            for i in 0..4 {
                b.feed(payload(i, 200)).await.ok();
            }
            finish(b, Ok(())).await;
        });
    });
}

#[test]
fn fragments_with_pings_between() {
    with_open(|executor, mut a, b| {
        executor.spawn("a", async move {
            let sent = async {
                let mut writer = a.begin(MessageKind::Text);
                writer.write(b"one").await?;
                a.ping(b"?").await?;
                a.send_frame(&Frame::new(Opcode::Continuation, b"two".as_slice())).await
            };
            let sent = sent.await;
            finish(a, sent).await;
        });
        executor.spawn("b", echo(b));
    });
}

#[test]
fn a_message_received_in_parts() {
    with_open(|executor, mut a, mut b| {
        executor.spawn("a", async move {
            loop {
                match a.recv_part().await {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return assert_over(a).await,
                }
            }
        });
        executor.spawn("b", async move {
            let sent = b.send(payload(7, 2000)).await;
            finish(b, sent).await;
        });
    });
}

#[test]
fn a_close_by_this_end() {
    with_open(|executor, mut a, b| {
        executor.spawn("a", async move {
            a.feed("bye").await.ok();
            let info = a.close(CloseCode::GOING_AWAY, "").await.unwrap();
            assert_eq!(info.code.as_u16(), if info.clean { 1001 } else { info.code.as_u16() });
            assert_over(a).await;
        });
        executor.spawn("b", async move { receive_all(b).await.1.ok() });
    });
}

#[test]
fn a_close_by_the_peer() {
    with_open(|executor, a, mut b| {
        executor.spawn("a", async move { receive_all(a).await.1.ok() });
        executor.spawn("b", async move {
            b.feed("bye").await.ok();
            b.close(CloseCode::NORMAL, "").await.unwrap();
        });
    });
}

#[test]
fn a_simultaneous_close() {
    with_open(|executor, mut a, mut b| {
        executor.spawn("a", async move {
            a.begin_close(CloseCode::NORMAL, "a").await.ok();
            receive_all(a).await.1.ok()
        });
        executor.spawn("b", async move {
            b.close(CloseCode::NORMAL, "b").await.unwrap();
        });
    });
}

#[test]
fn a_peer_that_violates_the_protocol() {
    for is_server in [true, false] {
        fail_loop(|executor, a, b| {
            let a = open(is_server, a, &executor.time, config());
            let wire = FrameWriter::to(is_server);
            b.push(&[wire.text("fine"), wire.frame(Opcode::Text, true, b"\xff"), vec![0; 5000]].concat());
            let mut b = open(!is_server, b, &executor.time, config());
            executor.spawn("a", async move {
                if let Err(Error::Protocol(error)) = receive_all(a).await.1 {
                    assert_eq!(error.close_code(), CloseCode::INVALID_PAYLOAD);
                }
            });
            executor.spawn("b", async move {
                b.recv().await.ok();
            });
        });
    }
}

#[test]
fn split_halves() {
    async fn receive(mut recv: RecvHalf<Pipe, TestClock>) {
        while let Ok(Some(_)) = recv.recv().await {}
        assert!(matches!(recv.recv().await, Ok(None)));
    }
    async fn send(mut send: SendHalf<Pipe, TestClock>) {
        for i in 0..3 {
            if send.send(payload(i, 300)).await.is_err() {
                return;
            }
        }
        send.close(CloseCode::NORMAL, "").await.ok();
    }
    with_open(|executor, a, b| {
        for ws in [a, b] {
            let (send_half, recv_half) = ws.split();
            executor.spawn("recv", receive(recv_half));
            executor.spawn("send", send(send_half));
        }
    });
}

#[test]
fn keepalive_and_idle_timeouts() {
    for is_server in [true, false] {
        fail_loop(|executor, a, _b| {
            let config = config()
                .keepalive(Duration::from_secs(3), Duration::from_secs(10))
                .idle_timeout(Duration::from_secs(8));
            let a = open(is_server, a, &executor.time, config);
            let ended = receive_all(a);
            executor.spawn("a", async move {
                assert!(ended.await.1.is_err());
                drop(_b);
            });
        });
    }
}

fn request() -> ClientRequest {
    ClientRequest::new(&Url::parse("ws://example.com/chat").unwrap())
}

async fn serve(io: Pipe, time: Time, accept: bool) {
    let decide = async |_: &Upgrade| if accept { Ok(Accept::new()) } else { Err(Response::text(403, "no")) };
    let ws = accept_with(io, time.clock(), Arc::new(config()), decide).await;
    if let Ok(ws) = ws {
        echo(ws).await;
    }
}

async fn connect(io: Pipe, time: Time) {
    if let Ok((mut ws, _)) = open_client(io, time.clock(), request(), Arc::new(config())).await {
        ws.send("hi").await.ok();
        let received = ws.recv().await;
        if received.is_ok() {
            ws.close(CloseCode::NORMAL, "").await.unwrap();
        }
        assert_over(ws).await;
    }
}

#[test]
fn an_opening_handshake_of_either_role() {
    for is_server in [true, false] {
        fail_loop(|executor, a, b| {
            let (server, client) = if is_server { (a, b) } else { (b, a) };
            let time = executor.time.clone();
            executor.spawn("server", serve(server, time.clone(), true));
            executor.spawn("client", connect(client, time));
        });
    }
}

#[test]
fn a_refused_handshake_of_either_role() {
    for is_server in [true, false] {
        fail_loop(|executor, a, b| {
            let (server, client) = if is_server { (a, b) } else { (b, a) };
            let time = executor.time.clone();
            executor.spawn("server", serve(server, time.clone(), false));
            executor.spawn("client", connect(client, time));
        });
    }
}

#[test]
fn a_request_that_is_not_an_upgrade() {
    fail_loop(|executor, a, mut b| {
        b.push(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        let time = executor.time.clone();
        executor.spawn("server", serve(a, time, true));
        executor.spawn("client", async move {
            b.read_to_end().await.ok();
        });
    });
}
