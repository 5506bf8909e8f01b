//! Ports on which another HTTP implementation speaks.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;

use crate::runtime::address::Address;
use crate::runtime::server::Runtime;
use crate::server::accept::listen;
use crate::server::api::handler::Handler;
use crate::server::api::port::Port;
use crate::server::lifecycle::ServerBuilder;
use crate::server::service::HttpService;

impl<R: Runtime> ServerBuilder<R> {
    /// Listens on a TCP port like [`listen`](ServerBuilder::listen), and lets `service` speak HTTP
    /// on it, in place of the small HTTP/1.1 of this crate.
    ///
    /// The [`Limits`](crate::server::Limits) apply to its connections, and the handler gets the same
    /// events. Plain requests go to the service and not to
    /// [`Handler::request`](crate::server::Handler::request).
    ///
    /// # Errors
    ///
    /// Returns an error like [`listen`](ServerBuilder::listen).
    pub fn listen_http<H, S>(
        self,
        address: impl ToSocketAddrs,
        port: Port<H>,
        service: impl Into<Arc<S>>,
    ) -> io::Result<Self>
    where
        H: Handler,
        S: HttpService<R::Io>,
    {
        let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
        for address in address.to_socket_addrs()? {
            match listen::listen_tcp(address, &port.listen_options) {
                Ok(socket) => return self.listen_http_on(socket, port, service),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Takes over a TCP socket that already listens, like [`listen_on`](ServerBuilder::listen_on),
    /// for a port on which `service` speaks.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot take the socket.
    pub fn listen_http_on<H, S>(
        self,
        socket: std::net::TcpListener,
        port: Port<H>,
        service: impl Into<Arc<S>>,
    ) -> io::Result<Self>
    where
        H: Handler,
        S: HttpService<R::Io>,
    {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?.into();
        let listener = self.server.runtime.listen(socket)?;
        Ok(self.listen_http_with(listener, address, port, service))
    }

    /// Accepts connections from any listener of the runtime's type, like
    /// [`listen_with`](ServerBuilder::listen_with), for a port on which `service` speaks.
    #[must_use]
    pub fn listen_http_with<H, S>(
        mut self,
        listener: R::Listener,
        address: Address,
        port: Port<H>,
        service: impl Into<Arc<S>>,
    ) -> Self
    where
        H: Handler,
        S: HttpService<R::Io>,
    {
        self.server.add_port(address, listener, port, Some(service.into()));
        self
    }
}
