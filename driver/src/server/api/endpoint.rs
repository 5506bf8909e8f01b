//! A port without a socket.

use std::sync::Arc;

use sockeye_core::Config;
use sockeye_core::handshake::server::Policy;

use crate::lock::lock;
use crate::server::api::port::Port;
use crate::server::registry::settings::Settings;
use crate::sync::Mutex;

/// A handler with the options of its connections, for WebSockets that something else opens:
/// [`ServerHandle::adopt`](crate::server::ServerHandle::adopt) has an example.
///
/// It is made of a [`Port`], whose settings apply except for those of its socket: the
/// [`ListenOptions`](crate::server::ListenOptions), the certificates, the PROXY protocol, and the
/// deadlines and limits of HTTP requests.
///
/// The limits, deadlines and compression of a connection are fixed when it opens. Use
/// [`config`](Endpoint::config) and [`policy`](Endpoint::policy) there, so that adopted connections
/// are like those of a port.
///
/// It is cheap to clone.
#[derive(Debug)]
pub struct Endpoint<H> {
    handler: Arc<H>,
    settings: Arc<Settings>,
    /// The settings with the config of the connection that was adopted last, if that is another
    /// one. So connections that share a config share the settings, and a broadcast is encoded once
    /// for all of them.
    other: Arc<Mutex<Option<Arc<Settings>>>>,
}

impl<H> Endpoint<H> {
    /// Creates an endpoint with the handler and the options of a port.
    #[must_use]
    pub fn new(port: Port<H>) -> Self {
        let settings = Arc::new(port.settings.with_implied());
        Self::with_settings(port.handler, settings)
    }

    pub(crate) fn with_settings(handler: Arc<H>, settings: Arc<Settings>) -> Self {
        Endpoint { handler, settings, other: Arc::default() }
    }

    /// Returns the limits, deadlines and compression of the connections.
    ///
    /// They are those of [`Port::config`] with the changes that a port makes: the default keepalive,
    /// and no answers to the control frames that the handler answers.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.settings.config
    }

    /// Returns the subprotocols, origins and hosts that the port accepts.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// Returns the handler.
    #[must_use]
    pub fn handler(&self) -> &Arc<H> {
        &self.handler
    }

    /// Returns the settings for a connection that was opened with `config`.
    pub(crate) fn settings_with(&self, config: &Arc<Config>) -> Arc<Settings> {
        if Arc::ptr_eq(config, &self.settings.config) {
            return self.settings.clone();
        }
        let mut other = lock(&self.other);
        match &*other {
            Some(settings) if Arc::ptr_eq(config, &settings.config) => settings.clone(),
            _ => {
                let settings = Settings { config: config.clone(), ..Settings::clone(&self.settings) };
                other.insert(Arc::new(settings)).clone()
            }
        }
    }
}

impl<H> Clone for Endpoint<H> {
    fn clone(&self) -> Self {
        Endpoint { handler: self.handler.clone(), settings: self.settings.clone(), other: self.other.clone() }
    }
}

impl<H> From<Port<H>> for Endpoint<H> {
    fn from(port: Port<H>) -> Self {
        Endpoint::new(port)
    }
}
