//! Where a response points (RFC 9110 15.4), and whether a client may follow.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::handshake::client::{Url, UrlError};
use crate::http::Response;

/// Returns the URL that a redirect points to, or `None` if the response is none: its status is not
/// 301, 302, 303, 307 or 308, or it has no `Location`.
///
/// A relative reference is resolved against `url`, the URL of the request (RFC 3986 5). `http` and
/// `https` count as `ws` and `wss`. A fragment is dropped.
///
/// ```
/// use sockeye_core::dial::redirect;
/// use sockeye_core::http::Response;
///
/// let url = "ws://example.com/old".parse()?;
/// let response = Response::new(301).header("Location", "https://example.com/new")?;
/// assert_eq!(redirect(&url, &response), Some(Ok("wss://example.com/new".parse()?)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns an error if `Location` is not such a URL, or leads from `wss` to `ws`. A redirect to
/// another origin than that of `url` is none: send it no credentials
/// ([`is_same_origin`](Url::is_same_origin)).
#[must_use]
pub fn redirect(url: &Url, response: &Response) -> Option<Result<Url, RedirectError>> {
    if !matches!(response.status(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().all("location").next()?;
    Some(
        match core::str::from_utf8(location).map_err(|_| UrlError::Scheme).and_then(|text| resolve(url, text))
        {
            Ok(to) if url.is_secure() && !to.is_secure() => Err(RedirectError::Insecure),
            Ok(to) => Ok(to),
            Err(error) => Err(RedirectError::Location(error)),
        },
    )
}

/// The reason why a redirect was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectError {
    /// `Location` is not a URL of a WebSocket.
    Location(UrlError),
    /// The redirect leads from `wss` to `ws`: anyone on the way could read and change everything.
    Insecure,
    /// The server redirected more often than the client allows. It may be a loop.
    TooMany {
        /// The limit.
        limit: u8,
    },
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedirectError::Location(error) => {
                write!(f, "the server redirects to an invalid location: {error}")
            }
            RedirectError::Insecure => {
                f.write_str("the server redirects from wss:// to ws://, which is not followed")
            }
            RedirectError::TooMany { limit } => {
                write!(f, "the server redirects more than {limit} times; it may be a loop")
            }
        }
    }
}

impl core::error::Error for RedirectError {}

/// Resolves a reference (RFC 3986 5.2.2).
fn resolve(base: &Url, reference: &str) -> Result<Url, UrlError> {
    // RFC 9110 10.2.2: a fragment is for the client alone.
    let reference = reference.split('#').next().unwrap_or_default();
    if let Some((scheme, rest)) = scheme(reference) {
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(UrlError::Scheme),
        };
        return Url::parse(&format!("{}:{rest}", name(secure)));
    }
    let scheme = name(base.is_secure());
    if reference.starts_with("//") {
        return Url::parse(&format!("{scheme}:{reference}"));
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let (base_path, base_query) = match base.target().split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (base.target(), None),
    };
    let (path, query) = match path {
        "" => (String::from(base_path), query.or(base_query)),
        _ if path.starts_with('/') => (remove_dots(path), query),
        _ => {
            // RFC 3986 5.2.3: the last segment of the base's path is replaced.
            let folder = base_path.rfind('/').and_then(|at| base_path.get(..=at)).unwrap_or("/");
            (remove_dots(&format!("{folder}{path}")), query)
        }
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    base.with_target(&format!("{path}{query}"))
}

fn name(secure: bool) -> &'static str {
    if secure { "wss" } else { "ws" }
}

/// Splits a reference that begins with a scheme (RFC 3986 3.1).
fn scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    (is_scheme && scheme.starts_with(|first: char| first.is_ascii_alphabetic())).then_some((scheme, rest))
}

/// Removes the segments `.` and `..` (RFC 3986 5.2.4). The path begins with a slash.
fn remove_dots(path: &str) -> String {
    let mut out = String::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.truncate(out.rfind('/').unwrap_or_default());
                }
                if is_last {
                    out.push('/');
                }
            }
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    out
}
