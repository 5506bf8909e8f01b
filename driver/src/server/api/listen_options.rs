//! The options of a listening socket.

/// The options of the listening socket of a [`Port`](crate::server::Port). Those of the address
/// apply to TCP only.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Whether to listen on an address on which connections of an earlier process still linger
    /// (`SO_REUSEADDR`). By default yes, except on Windows, where the option means something else.
    pub reuse_address: bool,
    /// Whether several sockets may listen on the same port, and the system divides the connections
    /// among them (`SO_REUSEPORT`, where it exists). By default no.
    pub reuse_port: bool,
    /// Whether an IPv6 socket accepts only IPv6 connections (`IPV6_V6ONLY`). By default the system
    /// decides.
    pub only_v6: Option<bool>,
    /// The number of connections that may wait to be accepted. By default 1024. The system may
    /// have a lower limit: `net.core.somaxconn` on Linux.
    pub backlog: u32,
    /// The size of the system's send buffer of each connection, in bytes (`SO_SNDBUF`). By default
    /// the system decides, and grows it to megabytes for a peer that does not read.
    ///
    /// No queue of the server counts the bytes in this buffer. Linux doubles the size for its own
    /// use. A fixed size limits the throughput of a long path to one such buffer a round trip.
    pub send_buffer: Option<usize>,
    /// The number of unsent bytes in a TCP connection's send buffer from which on it takes no more
    /// (`TCP_NOTSENT_LOWAT`, on Linux and Android). By default the system decides.
    ///
    /// Unlike [`send_buffer`](ListenOptions#structfield.send_buffer), this does not limit the
    /// throughput: bytes on their way do not count. 16 KiB to 128 KiB keep little waiting for a
    /// slow reader.
    pub unsent_low_water_mark: Option<u32>,
    /// The permissions of the files of Unix sockets, such as `0o660`. A process needs write
    /// permission to connect. By default the umask of this process decides, and most often lets
    /// only its own user connect.
    pub unix_mode: Option<u32>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            reuse_address: cfg!(not(windows)),
            reuse_port: false,
            only_v6: None,
            backlog: 1024,
            send_buffer: None,
            unsent_low_water_mark: None,
            unix_mode: None,
        }
    }
}

impl ListenOptions {
    /// Returns the defaults, which are stated at each field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`reuse_address`](ListenOptions#structfield.reuse_address).
    #[must_use]
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = reuse;
        self
    }

    /// Sets [`reuse_port`](ListenOptions#structfield.reuse_port).
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Sets [`only_v6`](ListenOptions#structfield.only_v6).
    #[must_use]
    pub fn only_v6(mut self, only: bool) -> Self {
        self.only_v6 = Some(only);
        self
    }

    /// Sets [`backlog`](ListenOptions#structfield.backlog).
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets [`send_buffer`](ListenOptions#structfield.send_buffer).
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Sets [`unsent_low_water_mark`](ListenOptions#structfield.unsent_low_water_mark).
    #[must_use]
    pub fn unsent_low_water_mark(mut self, bytes: u32) -> Self {
        self.unsent_low_water_mark = Some(bytes);
        self
    }

    /// Sets [`unix_mode`](ListenOptions#structfield.unix_mode).
    #[must_use]
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.unix_mode = Some(mode);
        self
    }
}
