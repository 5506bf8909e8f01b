//! First programs of newcomers, in the forms that they try first. Compiling them is the test.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sockeye_std::server::{
    Callbacks, Client, Decision, Handler, HandlerResult, Inbound, Limits, Port, Refused, Server, SlowReader,
};
use sockeye_std::{Accept, CloseCode, Config, Response, Upgrade};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const ANY: &str = "127.0.0.1:0";

#[test]
fn the_servers_start() {
    Server::bind(ANY, Callbacks::on_message(|client, message| client.push(message))).unwrap();
    every_event().unwrap();
    let _numbers = Server::builder().listen(ANY, Port::new(Numbers)).unwrap().build();
}

fn every_event() -> Result<Server, AnyError> {
    let paths = Arc::new(Mutex::new(HashMap::new()));
    let closed = paths.clone();
    let handler = Callbacks::on_message(|client, message| {
        match message.as_text() {
            Some("bye") => client.close(1000, ""),
            Some("bad") => client.close(CloseCode::POLICY_VIOLATION, "no"),
            Some(_) => client.push(message),
            None => return Err("text only".into()),
        }?;
        Ok(())
    })
    .on_connect(|client| println!("{}", client.id()))
    .on_handshake(|_client, upgrade| match upgrade.path() {
        "/no" => Decision::Respond(Response::new(404)),
        _ => Decision::Policy,
    })
    .on_before_handshake_response(|_client, upgrade, accept| {
        let user = upgrade.request().param("user").ok_or_else(|| Response::text(401, "who?\n"))?;
        Ok(accept.header("Set-Cookie", format!("user={user}"))?)
    })
    .on_open(move |client, request| {
        paths.lock().unwrap().insert(client.id(), request.path().to_string());
    })
    .on_close(move |client, info| println!("{info}: {:?}", closed.lock().unwrap().remove(&client.id())))
    .on_drained(|client| client.push("there is room again"))
    .on_disconnect(|client| println!("{} was only HTTP", client.id()))
    .on_request(|client, request| {
        client.server().broadcast(|_| true, &request.body);
        Ok(Response::new(200).header("Cache-Control", "no-store")?.body("sent\n"))
    });
    let port = Port::new(handler)
        .low_water_mark(1000)
        .config(Config::new().deflate(true))
        .slow_reader(SlowReader::Drop);
    let waits = Callbacks::on_message(|client, message| client.send_blocking(message))
        .on_connect(|_| Err(Refused::silently()));
    Ok(Server::builder()
        .limits(Limits::new().max_connections(100))
        .listen(ANY, port)?
        .listen(ANY, Port::blocking(waits))?
        .listen(ANY, Port::new(Callbacks::on_message(|_, _| panic!())))?
        .build())
}

struct Numbers;

impl Handler for Numbers {
    fn before_handshake_response(
        &self,
        _client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        let number: u32 =
            upgrade.request().param("number").unwrap_or_default().parse().map_err(Response::server_error)?;
        Ok(accept.header("X-Number", number.to_string())?)
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }
}
