//! Creating sessions, and their options.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use super::{Delivery, HttpSettings, Open, Phase, Session};
use crate::deflate::CodecPool;
use crate::handshake::client::ClientRequest;
use crate::handshake::server::ServerHandshake;
use crate::{Config, Connection, MaskKeys};

impl Session {
    /// Creates a server's session on a transport that has just been accepted.
    ///
    /// The limits and deadlines of [`Config`] apply. The time for the opening handshake starts at
    /// the first [`handle_timeout`](Session::handle_timeout), which is due immediately.
    #[must_use]
    pub fn server(config: Arc<Config>) -> Self {
        let handshake = Box::new(ServerHandshake::new(Arc::clone(&config)));
        Self::new(Phase::Reading(handshake), config)
    }

    /// Creates a client's session on a transport that has just been connected. The request is the
    /// first output.
    ///
    /// `nonce` must be random and new for each connection (RFC 6455 section 4.1, item 7). `masks`
    /// generates the masking key of each frame.
    #[must_use]
    pub fn client(request: ClientRequest, nonce: [u8; 16], masks: MaskKeys, config: Arc<Config>) -> Self {
        let handshake = Box::new(request.start(nonce, masks, Arc::clone(&config)));
        Self::new(Phase::Connecting(handshake), config)
    }

    /// Creates a session for a WebSocket that is already open, for example through an HTTP library.
    #[must_use]
    pub fn opened(connection: Connection, config: Arc<Config>) -> Self {
        Self::new(Phase::Open(Open::new(connection, None)), config)
    }

    fn new(phase: Phase, config: Arc<Config>) -> Self {
        Session {
            config,
            phase,
            unsent: None,
            failure: None,
            date: None,
            pool: None,
            http: None,
            delivery: Delivery::default(),
            eof: false,
        }
    }

    /// Delivers plain HTTP requests as [`SessionEvent::Request`](super::SessionEvent::Request)
    /// instead of refusing them. Servers only.
    #[must_use]
    pub fn with_http(mut self, settings: HttpSettings) -> Self {
        self.http = Some(Box::new(settings));
        self
    }

    /// Adds a `Date` to every response, as RFC 9110 section 6.6.1 requires of a server with a
    /// clock. `date` returns the present time in the format of section 5.6.7.
    #[must_use]
    pub fn with_date(mut self, date: fn() -> String) -> Self {
        self.date = Some(date);
        self
    }

    /// Delivers messages as [`SessionEvent::Part`](super::SessionEvent::Part) while they arrive,
    /// for messages that are too long to hold.
    #[must_use]
    pub fn with_parts(mut self) -> Self {
        self.delivery.in_parts = true;
        self
    }

    /// Takes messages even while
    /// [`Config::high_water_mark`](crate::Config#structfield.high_water_mark) bytes or more wait to
    /// be written. A send can then return [`Backpressure`](crate::SendError::Backpressure).
    ///
    /// Without this, two ends that both send large amounts unprompted can wait for each other: each
    /// reads only once the other has read. With it, the application must bound what it queues for a
    /// peer that does not read.
    #[must_use]
    pub fn with_reads_while_full(mut self) -> Self {
        self.delivery.while_full = true;
        self
    }

    /// Takes compressors and decompressors from `pool` instead of creating one for each message.
    #[must_use]
    pub fn with_codec_pool(mut self, pool: Arc<dyn CodecPool>) -> Self {
        if let Phase::Open(open) = &mut self.phase {
            open.connection.set_codec_pool(&pool);
        }
        self.pool = Some(pool);
        self
    }
}
