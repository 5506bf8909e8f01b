use std::io;

use sockeye_tokio::CloseInfo;
use sockeye_tokio::protocol::http::{Request, Response};
use sockeye_tokio::server::{BoxError, Client, Handler, HandlerResult, HttpRequest, Inbound, Server};

pub struct WebSocketServer;

impl Handler for WebSocketServer {
    async fn open(&self, client: &Client, _request: &Request) -> HandlerResult {
        println!("server: handshake success with {}", client.id());
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        println!("receive from {}: {:?}", client.id(), message.as_ref());
        client.push("this is server")?;
        Ok(())
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        println!("client {} {info}", client.id());
        Ok(())
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        let message = request.param("message").unwrap_or_default();
        let sent = client.server().broadcast(|_id| true, message);
        Ok(Some(Response::text(200, format!("pushed to {}\n", sent.queued))))
    }
}

pub fn server(address: &str) -> io::Result<Server> {
    Server::bind(address, WebSocketServer)
}
