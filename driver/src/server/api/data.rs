//! The application's data of a connection.

use std::sync::Arc;

use crate::server::api::client::Client;
use crate::server::api::handle::ServerHandle;
use crate::server::registry::error::PushError;
use crate::server::registry::info::ConnectionId;

/// The slot for the application's data.
impl Client {
    /// Stores a value with the connection, in place of an earlier one of any type: for instance the
    /// user whom a token identifies, for all later events.
    ///
    /// It can be set from [`connect`](crate::server::Handler::connect) on. It is dropped when
    /// [`close`](crate::server::Handler::close) or
    /// [`disconnect`](crate::server::Handler::disconnect) has returned, even if clients are kept
    /// longer; after that, a value that is set is dropped at once. A connection without data needs
    /// no memory for it. To change a value, put it behind a lock of your choice.
    ///
    /// ```
    /// use sockeye_driver::server::Callbacks;
    /// use sockeye_core::http::Response;
    ///
    /// struct User {
    ///     name: String,
    /// }
    ///
    /// let handler = Callbacks::on_message(|client, message| async move {
    ///     let Some(user) = client.data::<User>() else { return Ok(()) };
    ///     client.push(format!("{} says {}", user.name, message.as_text().unwrap_or("something")))?;
    ///     Ok(())
    /// })
    /// .on_before_handshake_response(|client, upgrade, accept| async move {
    ///     let Some(name) = upgrade.request().param("token").and_then(|token| user_of(&token)) else {
    ///         return Err(Response::text(401, "the token is not valid\n"));
    ///     };
    ///     client.set_data(User { name });
    ///     Ok(accept)
    /// });
    /// # fn user_of(token: &str) -> Option<String> { Some(token.to_owned()) }
    /// ```
    pub fn set_data<T: Send + Sync + 'static>(&self, data: T) {
        self.entry().set_data(Arc::new(data));
    }

    /// Returns the value that [`set_data`](Client::set_data) stored, or `None` if there is none or
    /// it has another type.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.entry().data()?.downcast().ok()
    }
}

/// The slots for the application's data.
impl ServerHandle {
    /// Stores a value with a connection, like [`Client::set_data`].
    ///
    /// # Errors
    ///
    /// Returns [`PushError::UnknownConnection`] if the connection does not exist. The value is
    /// dropped.
    pub fn set_data<T: Send + Sync + 'static>(&self, id: ConnectionId, data: T) -> Result<(), PushError> {
        let client = self.client(id).ok_or(PushError::UnknownConnection)?;
        client.set_data(data);
        Ok(())
    }

    /// Returns the value that is stored with a connection, or `None` if the connection does not
    /// exist, has no value, or has one of another type.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(&self, id: ConnectionId) -> Option<Arc<T>> {
        self.client(id)?.data()
    }
}
