use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use sockeye_tokio::Response;
use sockeye_tokio::core::http::Request;
use sockeye_tokio::server::{BoxError, Client, Handler, HandlerResult, HttpRequest, Inbound, Server};

/// What the connections share is in here.
#[derive(Default)]
pub struct WebSocketServer {
    messages: AtomicU64,
}

impl Handler for WebSocketServer {
    async fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        println!("server: handshake success with {}, for {}", client.id(), request.path());
        Ok(())
    }

    async fn message(&self, client: &Client, _message: Inbound<'_>) -> HandlerResult {
        let number = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        client.push(format!("this is server, and this was message {number}"))?;
        Ok(())
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        let message = request.param("message").unwrap_or_default();
        // To all that are established, encoded once.
        let told = client.server().broadcast(|_id| true, message);
        Ok(Some(Response::text(200, format!("told {}\n", told.queued))))
    }
}

pub fn server(address: &str) -> io::Result<Server> {
    Server::bind(address, WebSocketServer::default())
}
