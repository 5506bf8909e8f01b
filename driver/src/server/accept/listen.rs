//! Opening listening sockets: the same for all runtimes.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::server::api::listen_options::ListenOptions;

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
