//! First programs of newcomers, in the forms that they try first. Compiling them is the test.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_tokio::server::{
    Callbacks, Client, ConnectionId, Decision, Handler, HandlerResult, Inbound, Limits, Port, PushError,
    Refused, Server, SlowReader,
};
use sockeye_tokio::{
    Accept, CloseCode, CloseInfo, Config, ConnectOptions, MessageKind, Response, Upgrade, Url, WebSocket,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const ANY: &str = "127.0.0.1:0";

#[tokio::test]
async fn the_servers_start() {
    let builders: [fn() -> Result<Server, AnyError>; 8] =
        [echo, chat, token, close_codes, http, panics, every_option, rooms];
    for build in builders {
        build().unwrap();
    }
    timers().unwrap();
}

fn echo() -> Result<Server, AnyError> {
    let handler = Callbacks::on_message(|client, message| async move {
        client.push(message)?;
        Ok(())
    });
    Ok(Server::bind(ANY, handler)?)
}

fn chat() -> Result<Server, AnyError> {
    let names: Arc<Mutex<HashMap<ConnectionId, String>>> = Arc::default();
    let (opened, closed) = (names.clone(), names.clone());
    let handler = Callbacks::on_message(move |client, message| {
        let names = names.clone();
        async move {
            let name = names.lock().unwrap().get(&client.id()).cloned().ok_or("no name")?;
            for id in client.server().connections() {
                client.server().push(id, format!("{name}: {message:?}"))?;
            }
            Ok(())
        }
    })
    .on_open(move |client, request| {
        let names = opened.clone();
        async move {
            let name = request.param("name").ok_or("no name")?;
            names.lock().unwrap().insert(client.id(), name.to_string());
            client.push("welcome")?;
            Ok(())
        }
    })
    .on_close(move |client, _info| {
        let names = closed.clone();
        async move {
            names.lock().unwrap().remove(&client.id());
        }
    });
    Ok(Server::bind(ANY, handler)?)
}

async fn user_of(token: &str) -> io::Result<u32> {
    token.parse().map_err(io::Error::other)
}

fn token() -> Result<Server, AnyError> {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
        .on_before_handshake_response(|_client, upgrade, accept| async move {
            let Some(token) = upgrade.request().param("token") else {
                return Err(Response::new(401).header("WWW-Authenticate", "Bearer")?);
            };
            let user = user_of(&token).await.map_err(Response::server_error)?;
            Ok(accept.header("Set-Cookie", format!("user={user}"))?)
        });
    Ok(Server::bind(ANY, handler)?)
}

fn close_codes() -> Result<Server, AnyError> {
    let handler = Callbacks::on_message(|client, message| async move {
        match message.as_text() {
            Some("bye") => client.close(1000, ""),
            Some("bad") => client.close(CloseCode::POLICY_VIOLATION, "bad"),
            Some(number) => client.server().disconnect(client.id(), number.parse::<u16>()?, "as you wish"),
            None => client.push(message),
        }?;
        Ok(())
    });
    Ok(Server::bind(ANY, handler)?)
}

fn http() -> Result<Server, AnyError> {
    let handler = Callbacks::on_message(|_, _| async {}).on_request(|client, request| async move {
        match request.path() {
            "/" => Ok(Response::new(200).header("Content-Type", "text/html")?.body("<h1>hi</h1>")),
            "/push" => {
                client.server().broadcast(|_| true, &request.body);
                Ok(Response::new(204))
            }
            _ => Ok(Response::text(404, "not here\n")),
        }
    });
    Ok(Server::bind(ANY, handler)?)
}

fn panics() -> Result<Server, AnyError> {
    let handler = Callbacks::on_message(|_, _| async { panic!() })
        .on_request(|_, _| async { panic!("no page") })
        .on_before_handshake_response(|_, _, _| async { panic!("no room") });
    Ok(Server::bind(ANY, handler)?)
}

fn every_option() -> Result<Server, AnyError> {
    let handler = Callbacks::on_message(|client, message| async move {
        match client.push(&message) {
            Err(PushError::Backpressure { .. }) => client.send(message).await,
            pushed => pushed,
        }
    })
    .on_connect(|client| async move {
        if client.server().connections().len() > 1000 { Err(Refused::silently()) } else { Ok(()) }
    })
    .on_handshake(|_client, upgrade| async move {
        if upgrade.path() == "/no" {
            return Decision::Respond(Response::text(403, "no\n"));
        }
        Decision::Accept(Accept::new())
    })
    .on_drained(|client| async move { client.push("there is room again") })
    .on_disconnect(|client| async move { println!("{}", client.id()) })
    .on_failed(|client, failure| eprintln!("{}: {failure}", client.id()));
    let port = Port::new(handler)
        .low_water_mark(1000)
        .config(Config::new().deflate(true).keepalive(Duration::from_secs(20), Duration::from_secs(20)))
        .slow_reader(SlowReader::Drop);
    let other = Port::new(Callbacks::on_message(|client, _| async move { client.ping(b"") }));
    Ok(Server::builder()
        .limits(Limits::new().max_connections(100))
        .listen(ANY, port)?
        .listen(ANY, other)?
        .build())
}

#[derive(Default)]
struct Rooms(Mutex<HashMap<String, HashSet<ConnectionId>>>);

impl Handler for Rooms {
    async fn before_handshake_response(
        &self,
        _client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        if upgrade.request().headers().first("authorization").is_none() {
            return Err(Response::new(401).header("WWW-Authenticate", "Bearer")?);
        }
        Ok(accept.header("X-Rooms", "yes")?)
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        match message.as_text().ok_or("text only")?.split_once(' ') {
            Some(("join", room)) => {
                self.0.lock().unwrap().entry(room.into()).or_default().insert(client.id());
            }
            Some((room, text)) => {
                let members = self.0.lock().unwrap().get(room).cloned().unwrap_or_default();
                client.server().broadcast_to(members, text);
            }
            None => {
                client.push("what?")?;
            }
        }
        Ok(())
    }

    async fn close(&self, client: &Client, _info: &CloseInfo) -> HandlerResult {
        for room in self.0.lock().unwrap().values_mut() {
            room.remove(&client.id());
        }
        Ok(())
    }
}

fn rooms() -> Result<Server, AnyError> {
    let port = Port::shared(Arc::new(Rooms::default()));
    Ok(Server::builder().listen(ANY, port)?.build())
}

fn timers() -> io::Result<()> {
    let handler = Callbacks::on_message(|_, _| async {}).on_open(|client, _| async move {
        tokio::spawn(async move {
            while client.push("tick").is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    });
    let server = Server::bind(ANY, handler)?;
    let handle = server.handle();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        handle.shutdown(Duration::from_secs(5));
    });
    Ok(())
}

#[tokio::test]
async fn the_clients_connect() {
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = format!("ws://{}/chat", listener.local_addr().unwrap());
    let (served, talked) = tokio::join!(accept(listener), talk(&address));
    served.unwrap();
    talked.unwrap();
}

async fn accept(listener: tokio::net::TcpListener) -> Result<(), AnyError> {
    for _ in 0..3 {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut ws = sockeye_tokio::accept_with(stream, Config::new().deflate(true), async |upgrade| {
                if upgrade.path() != "/chat" {
                    return Err(Response::text(404, "not here\n"));
                }
                Ok(Accept::new().header("Set-Cookie", "seen=1")?)
            })
            .await?;
            while let Some(message) = ws.recv().await? {
                ws.send(message).await?;
            }
            Ok::<_, AnyError>(())
        });
    }
    Ok(())
}

async fn talk(address: &str) -> Result<(), AnyError> {
    let options = ConnectOptions::new().header("Authorization", "Bearer 7")?.compression(true);
    let (ws, response) = sockeye_tokio::connect_with(address, options).await?;
    assert_eq!(response.status(), 101);
    say(ws).await?;
    let (ws, _) = sockeye_tokio::connect_with(&Url::parse(address)?, Config::new()).await?;
    say(ws).await?;
    say(sockeye_tokio::connect(address).await?).await
}

async fn say(mut ws: WebSocket) -> Result<(), AnyError> {
    let mut message = ws.begin(MessageKind::Text);
    message.write("one, ").await?;
    message.write(b"two, ").await?;
    message.write(String::from("three")).await?;
    message.finish().await?;
    assert_eq!(ws.recv().await?.unwrap().as_text(), Some("one, two, three"));
    ws.ping(b"").await?;
    let info = ws.close(1000, "").await?;
    assert!(info.clean);
    Ok(())
}
