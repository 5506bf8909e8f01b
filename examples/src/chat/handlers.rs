//! The two kinds of handlers: async functions for tokio and smol, plain functions for threads.

use sockeye_core::CloseInfo;
use sockeye_core::http::{Request, Response};
use sockeye_driver::server::{
    BoxError, Client, Failure, Handler, HandlerResult, HttpRequest, Inbound, blocking,
};

use super::Chat;

impl Handler for Chat {
    async fn open(&self, _: &Client, _: &Request) -> HandlerResult {
        self.on_open();
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.on_message(client, message);
        Ok(())
    }

    async fn close(&self, client: &Client, _: &CloseInfo) -> HandlerResult {
        self.on_close(client);
        Ok(())
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        self.respond(&client.server(), request).map(Some)
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        eprintln!("{}: {}", client.peer(), crate::chain(failure));
    }
}

impl blocking::Handler for Chat {
    fn open(&self, _: &Client, _: &Request) -> HandlerResult {
        self.on_open();
        Ok(())
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.on_message(client, message);
        Ok(())
    }

    fn close(&self, client: &Client, _: &CloseInfo) -> HandlerResult {
        self.on_close(client);
        Ok(())
    }

    fn request(
        &self,
        client: &Client,
        request: &mut blocking::HttpRequest<'_, '_>,
    ) -> Result<Option<Response>, BoxError> {
        self.respond(&client.server(), request).map(Some)
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        eprintln!("{}: {}", client.peer(), crate::chain(failure));
    }
}
