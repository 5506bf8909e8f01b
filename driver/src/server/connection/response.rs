//! The server's own HTTP responses, and its additions to those of the application.

use std::time::SystemTime;

use sockeye_core::Config;
use sockeye_core::http::Response;
use sockeye_core::session::Session;

use std::sync::Arc;

/// Creates a server's session whose responses carry a `Date`.
pub(crate) fn dated_session(config: Arc<Config>) -> Session {
    Session::server(config).with_date(|| httpdate::fmt_http_date(SystemTime::now()))
}

/// Returns the response for a connection above a limit.
pub(crate) fn server_full() -> Response {
    Response::text(503, "the server is full; try again later\n")
}

/// Returns the response for a request that the application failed to answer.
pub(crate) fn server_error() -> Response {
    Response::text(500, "the server could not answer this request\n")
}
