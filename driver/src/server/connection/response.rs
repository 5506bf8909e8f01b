//! The server's own HTTP responses, and its additions to those of the application.

use std::sync::Arc;
use std::time::SystemTime;

use sockeye_core::http::Response;
use sockeye_core::session::{HttpSettings, Session};
use sockeye_core::{Config, Instant};

use crate::runtime::server::Runtime;
use crate::server::registry::settings::Settings;

/// Creates a server's session whose responses carry a `Date`.
pub(crate) fn dated_session(config: Arc<Config>) -> Session {
    Session::server(config).with_date(|| httpdate::fmt_http_date(SystemTime::now()))
}

/// Creates the session of a client whose first bytes have been read. Its deadline counts from the
/// beginning of the wait, not from the first byte.
pub(crate) fn session_since<R: Runtime>(
    since: Instant,
    is_eof: bool,
    runtime: &R,
    port: &Settings,
) -> Session {
    let mut session = http_session(runtime, port);
    session.handle_timeout(since);
    if is_eof {
        session.handle_eof();
    }
    session
}

/// Creates the session of a connection, with the port's settings.
pub(crate) fn http_session<R: Runtime>(runtime: &R, port: &Settings) -> Session {
    let settings = HttpSettings::new()
        .max_body_size(port.max_body_size)
        .body_timeout(port.body_timeout)
        .response_timeout(port.body_timeout)
        .keep_alive_timeout(port.keep_alive_timeout);
    dated_session(port.config.clone()).with_http(settings).with_codec_pool(runtime.codec_pool())
}

/// Returns the response for a connection above a limit.
pub(crate) fn server_full() -> Response {
    Response::text(503, "the server is full; try again later\n")
}

/// Returns the response for a request that the application failed to answer.
pub(crate) fn server_error() -> Response {
    Response::text(500, "the server could not answer this request\n")
}
