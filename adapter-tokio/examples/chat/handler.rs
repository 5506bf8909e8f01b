//! The events, for runtimes with async functions.

use sockeye::CloseInfo;
use sockeye::core::http::{Request, Response};
use sockeye::server::{BoxError, Client, Failure, Handler, HandlerResult, HttpRequest, Inbound};

use crate::chat::Chat;

impl Handler for Chat {
    async fn open(&self, _: &Client, _: &Request) -> HandlerResult {
        self.opened();
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.heard(client, message);
        Ok(())
    }

    async fn close(&self, client: &Client, _: &CloseInfo) -> HandlerResult {
        self.closed(client);
        Ok(())
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        self.answer(&client.server(), request).map(Some)
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        eprintln!("{}: {failure}", client.peer());
    }
}
