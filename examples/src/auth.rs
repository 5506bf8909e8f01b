//! The token of a request, compared in constant time.

use sockeye_core::http::Request;
use subtle::ConstantTimeEq;

/// Returns whether a request has the token: in `Authorization: Bearer …` (RFC 6750 2.1), or in the
/// parameter `token`, because a page in a browser cannot set header fields of a WebSocket.
///
/// The time of the comparison says nothing about the token but its length. With `==` it would tell
/// a client how many of its first bytes are right.
///
/// ```
/// use sockeye_core::http::{Request, Version};
/// use sockeye_examples::auth::is_authorized;
///
/// let fields = [("Host", "a"), ("Authorization", "Bearer secret")];
/// let request = Request::from_parts("GET", "/", Version::Http11, fields)?;
/// assert!(is_authorized(&request, "secret"));
/// # Ok::<(), sockeye_core::http::HeadError>(())
/// ```
#[must_use]
pub fn is_authorized(request: &Request, token: &str) -> bool {
    let bearer = request.headers().first("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let is_token = |sent: &str| bool::from(sent.as_bytes().ct_eq(token.as_bytes()));
    match bearer {
        Some(sent) => is_token(sent),
        None => request.param("token").is_some_and(|sent| is_token(&sent)),
    }
}

#[cfg(test)]
mod tests {
    use sockeye_core::http::Version;

    use super::*;

    #[test]
    fn t36_only_the_whole_token_is_accepted() {
        let request = |target: &str, value: Option<&str>| {
            let field = value.map(|value| ("authorization", value));
            let fields = [("host", "a")].into_iter().chain(field);
            is_authorized(&Request::from_parts("GET", target, Version::Http11, fields).unwrap(), "s3cret")
        };
        assert!(request("/", Some("Bearer s3cret")) && request("/?token=s3cret", None));
        assert!(request("/?token=wrong", Some("Bearer s3cret")));
        for wrong in ["s", "s3cre", "S3cret", "s3cres", "t3cret", "s3crets"] {
            assert!(!request("/", Some(&format!("Bearer {wrong}"))), "{wrong}");
            assert!(!request(&format!("/?token={wrong}"), None), "{wrong}");
        }
        assert!(!request("/?token=", None) && !request("/?token=s3cret%20", None));
        assert!(!request("/", None) && !request("/", Some("Basic s3cret")) && !request("/?token", None));
        assert!(!request("/?token=s3cret", Some("Bearer wrong")));
    }
}
