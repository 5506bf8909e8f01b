//! Servers and clients over real sockets.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::future::{self, FutureExt};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use smol::{Task, Timer};
use sockeye_smol::protocol::Side;
use sockeye_smol::protocol::handshake::{client, server};
use sockeye_smol::{
    Accept, AcceptError, CloseCode, CloseFrame, Config, ConnectError, Error, RecvHalf, Response, SendHalf,
    State, Url, WebSocket, WebSocketEvent,
};
use sockeye_testkit::handshake::UPGRADE_REQUEST;

/// Accepts one connection and runs `serve` with it in a task.
async fn listen<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    serve: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, Task<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, smol::spawn(async move { serve(listener.accept().await.unwrap().0).await }))
}

fn url(address: SocketAddr) -> Url {
    Url::parse(&format!("ws://{address}/")).unwrap()
}

async fn accept_any(stream: TcpStream, config: Config) -> WebSocket {
    let pending = sockeye_smol::read_upgrade(stream, Arc::new(config)).await.unwrap();
    pending.accept(&Accept::new()).await.unwrap()
}

/// Connects a client to a server.
async fn pair(client: Config, server: Config) -> (WebSocket, WebSocket) {
    let (address, serving) = listen(|stream| accept_any(stream, server)).await;
    let url = url(address);
    let (client, _) = sockeye_smol::connect_with(&url, Arc::new(client)).await.unwrap();
    (client, serving.await)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn messages_of_every_length_are_echoed_and_the_close_is_clean() {
    smol::block_on(async {
        let (mut client, mut server) = pair(Config::new(), Config::new()).await;
        let serving = smol::spawn(async move {
            while let Some(message) = server.recv().await.unwrap() {
                server.feed(message).await.unwrap();
            }
            server
        });
        for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
            client.send(vec![1; len]).await.unwrap();
            assert_eq!(client.recv().await.unwrap().unwrap().len(), len);
        }
        let info = client.close(4000, "done").await.unwrap();
        assert_eq!((info.by, info.code.as_u16(), info.clean), (Side::Local, 4000, true));
        let server = serving.await;
        let info = server.close_info().unwrap();
        assert_eq!((info.by, &*info.reason, info.clean), (Side::Peer, "done", true));
    });
}

#[test]
fn the_server_closes_and_both_ends_know_why() {
    smol::block_on(async {
        let (mut client, mut server) = pair(Config::new(), Config::new()).await;
        let closing = smol::spawn(async move { server.close(CloseCode::GOING_AWAY, "").await.unwrap() });
        assert_eq!(client.recv().await.unwrap(), None);
        assert_eq!(client.close_info().unwrap().code, CloseCode::GOING_AWAY);
        assert!(closing.await.clean);
    });
}

#[test]
fn a_vanished_peer_is_an_abnormal_end_reported_once() {
    smol::block_on(async {
        let (mut client, server) = pair(Config::new(), Config::new()).await;
        drop(server);
        let Err(Error::Abnormal(info)) = client.recv().await else {
            panic!("recv must report an abnormal end")
        };
        assert_eq!((info.by, info.code), (Side::Peer, CloseCode::ABNORMAL));
        assert_eq!(client.recv().await.unwrap(), None);
    });
}

#[test]
fn a_peer_that_does_not_read_cannot_delay_a_close() {
    smol::block_on(async {
        let begin = Instant::now();
        let config = Config::new().close_timeout(millis(150)).high_water_mark(usize::MAX);
        let (client, mut server) = pair(Config::new(), config).await;
        for _ in 0..16 {
            server.feed(vec![0; 1 << 20]).await.unwrap();
        }
        let info = server.close(CloseCode::NORMAL, "").await.unwrap();
        assert!(!info.clean && server.state() == State::Closed);
        assert!(begin.elapsed() >= millis(150));
        drop(client);
    });
}

#[test]
fn the_idle_timeout_and_the_keepalive_end_a_connection() {
    smol::block_on(async {
        let (mut client, mut server) = pair(Config::new(), Config::new().idle_timeout(millis(100))).await;
        let serving = smol::spawn(async move { server.recv().await });
        assert_eq!(client.recv().await.unwrap(), None);
        assert_eq!(client.close_info().unwrap().code, CloseCode::GOING_AWAY);
        assert_eq!(serving.await.unwrap(), None);

        let config = Config::new().keepalive(millis(60), millis(60));
        let (client, mut server) = pair(Config::new(), config).await;
        let Err(Error::Abnormal(info)) = server.recv().await else {
            panic!("recv must report an abnormal end")
        };
        assert_eq!(info.code, CloseCode::POLICY_VIOLATION);
        drop(client);
    });
}

#[test]
fn k3_a_dropped_receive_loses_nothing() {
    smol::block_on(async {
        let (mut client, mut server) = pair(Config::new(), Config::new()).await;
        let timeout = async {
            Timer::after(millis(50)).await;
            Err(Error::Io(io::ErrorKind::TimedOut.into()))
        };
        assert!(client.recv().or(timeout).await.is_err());
        server.send("still there").await.unwrap();
        assert_eq!(client.recv().await.unwrap().unwrap().as_text(), Some("still there"));
    });
}

#[test]
fn a_refusal_reaches_the_client_with_its_body() {
    smol::block_on(async {
        let (address, serving) = listen(async |stream| {
            let decide = async |_: &_| Err(Response::text(403, "members only\n"));
            sockeye_smol::accept_with(stream, Arc::default(), decide).await
        })
        .await;
        let error = sockeye_smol::connect(&url(address).to_string()).await.unwrap_err();
        let ConnectError::Handshake(client::ClientHandshakeError::Refused(response)) = error else {
            panic!("{error}")
        };
        assert_eq!((response.status(), response.content()), (403, &b"members only\n"[..]));
        assert!(matches!(serving.await, Err(AcceptError::Rejected(403))));
    });
}

#[test]
fn a_stalled_handshake_times_out_at_either_end() {
    smol::block_on(async {
        let config = || Arc::new(Config::new().handshake_timeout(millis(100)));
        let (address, serving) =
            listen(move |stream| async move { sockeye_smol::read_upgrade(stream, config()).await }).await;
        let mut raw = TcpStream::connect(address).await.unwrap();
        raw.write_all(&UPGRADE_REQUEST[..50]).await.unwrap();
        let mut answer = String::new();
        raw.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        drop(raw);
        let error = serving.await.unwrap_err();
        assert!(
            matches!(error, AcceptError::Handshake(server::ServerHandshakeError::TimedOut { received: 50 })),
            "{error}"
        );

        let (address, serving) = listen(|stream| async {
            future::pending::<()>().await;
            drop(stream);
        })
        .await;
        let url = url(address);
        let error = sockeye_smol::connect_with(&url, config()).await.unwrap_err();
        assert!(
            matches!(error, ConnectError::Handshake(client::ClientHandshakeError::TimedOut { received: 0 })),
            "{error}"
        );
        serving.cancel().await;
    });
}

#[test]
fn a_thousand_messages_go_in_each_direction_at_the_same_time() {
    const COUNT: usize = 1000;

    fn message(i: usize) -> Vec<u8> {
        vec![i.to_le_bytes()[0]; i * 37 % 5000]
    }

    async fn send(mut outgoing: SendHalf) -> SendHalf {
        for i in 0..COUNT {
            outgoing.send(message(i)).await.unwrap();
            if i % 10 == 0 {
                outgoing.ping(b"").await.unwrap();
            }
        }
        outgoing
    }

    async fn receive(mut incoming: RecvHalf) -> RecvHalf {
        for i in 0..COUNT {
            assert_eq!(incoming.recv().await.unwrap().unwrap().as_bytes(), message(i));
        }
        incoming
    }

    smol::block_on(async {
        let (client, server) = pair(Config::new(), Config::new()).await;
        let ((client_out, client_in), (server_out, server_in)) = (client.split(), server.split());
        let server_sends = smol::spawn(send(server_out));
        let server_receives = smol::spawn(async {
            let mut incoming = receive(server_in).await;
            assert_eq!(incoming.recv().await.unwrap(), None);
        });
        let client_sends = smol::spawn(send(client_out));
        let client_in = receive(client_in).await;
        let mut client = client_in.join(client_sends.await).unwrap();
        assert!(client.close(CloseCode::NORMAL, "").await.unwrap().clean);
        server_receives.await;
        server_sends.await;
    });
}

#[test]
fn w10_k4_a_client_receives_its_pong_and_a_server_chooses_the_answer_to_a_close() {
    smol::block_on(async {
        let (mut client, mut server) = pair(Config::new(), Config::new().auto_close(false)).await;
        let serving = smol::spawn(async move {
            let mut events = Vec::new();
            while let Some(event) = server.recv_event().await.unwrap() {
                if let WebSocketEvent::Close(_) = event {
                    server.begin_close(CloseCode::from(4000), "see you").await.unwrap();
                }
                events.push(event);
            }
            events
        });
        client.ping(b"there?").await.unwrap();
        assert_eq!(client.recv_event().await.unwrap(), Some(WebSocketEvent::Pong("there?".into())));
        let info = client.close(CloseCode::from(4001), "bye").await.unwrap();
        assert_eq!(info.answer, Some(CloseFrame::new(CloseCode::from(4000), "see you")));
        let close = CloseFrame::new(CloseCode::from(4001), "bye");
        let events = serving.await;
        assert_eq!(events, [WebSocketEvent::Ping("there?".into()), WebSocketEvent::Close(close)]);
    });
}
