//! Opening listening sockets: the same for all runtimes.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// The options of listening sockets. Those of the address apply to TCP only.
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
    /// What waits in this buffer is not counted in any queue of the server. Linux doubles the size
    /// for its own use. A fixed size limits the throughput of a long path to one such buffer a
    /// round trip.
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

/// Opens a nonblocking TCP socket that listens on `address`.
///
/// # Errors
///
/// Returns an error if the address is in use, does not belong to this machine, or is not permitted.
pub(crate) fn listen_tcp(address: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(options.reuse_address)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if let Some(only) = options.only_v6.filter(|_| address.is_ipv6()) {
        socket.set_only_v6(only)?;
    }
    // Accepted sockets inherit these.
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(bytes) = options.unsent_low_water_mark {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog(options))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn backlog(options: &ListenOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

/// Opens a nonblocking Unix socket that listens at `path`.
///
/// Removes a socket there on which no process listens any more. It does not remove anything else.
///
/// # Errors
///
/// Returns an error if the path is in use or not permitted.
#[cfg(unix)]
pub(crate) fn listen_unix(
    path: &std::path::Path,
    options: &ListenOptions,
) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::os::unix::net::UnixStream;

    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    if let Some(mode) = options.unix_mode {
        // No client can connect before `listen`, so none finds the permissions of the umask.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog(options))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn m13_only_an_abandoned_socket_is_removed() {
        let path = std::env::temp_dir().join(format!("sockeye-listen-{}", std::process::id()));
        let options = ListenOptions::new();
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(listen_unix(&path, &options).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        std::fs::remove_file(&path).unwrap();

        let busy = UnixListener::bind(&path).unwrap();
        assert_eq!(listen_unix(&path, &options).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(busy);
        listen_unix(&path, &options).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn m13_a_unix_socket_has_the_given_mode() {
        use std::os::unix::fs::PermissionsExt;

        let path = std::env::temp_dir().join(format!("sockeye-mode-{}", std::process::id()));
        for mode in [0o660, 0o666, 0o600] {
            let _socket = listen_unix(&path, &ListenOptions::new().unix_mode(mode)).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
