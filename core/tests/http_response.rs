//! The header fields of responses.

use sockeye_core::http::{InvalidHeader, Response};

fn encoded(response: &Response) -> String {
    String::from_utf8(response.encode()).unwrap()
}

fn lines(response: &Response, name: &str) -> Vec<String> {
    let values = response.headers().all(name);
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

#[test]
fn h5_a_field_that_a_response_has_once_is_replaced_and_others_are_added() {
    let response = Response::text(200, "{}")
        .header("content-type", "application/json")
        .and_then(|response| response.header("Set-Cookie", "a=1"))
        .and_then(|response| response.header("Set-Cookie", "b=2"))
        .and_then(|response| response.header("Location", "/old"))
        .and_then(|response| response.header("LOCATION", "/new"))
        .and_then(|response| response.header("Date", "Thu, 01 Jan 1970 00:00:00 GMT"))
        .and_then(|response| response.header("Date", "Fri, 02 Jan 1970 00:00:00 GMT"))
        .unwrap();
    assert_eq!(lines(&response, "content-type"), ["application/json"]);
    assert_eq!(lines(&response, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(lines(&response, "location"), ["/new"]);
    assert_eq!(lines(&response, "date"), ["Fri, 02 Jan 1970 00:00:00 GMT"]);
    assert_eq!(encoded(&response).to_lowercase().matches("content-type").count(), 1);
}

#[test]
fn h5_headers_are_set_and_removed() {
    let response = Response::new(204)
        .header("Vary", "Origin")
        .and_then(|response| response.header("vary", "Cookie"))
        .and_then(|response| response.header("X-Other", "1"))
        .unwrap();
    let set = response.clone().set_header("VARY", "*").unwrap();
    assert_eq!((lines(&set, "vary"), lines(&set, "x-other")), (vec!["*".to_owned()], vec!["1".to_owned()]));
    let removed = response.remove_header("vary").remove_header("not-there");
    assert_eq!(encoded(&removed), "HTTP/1.1 204 No Content\r\nX-Other: 1\r\nConnection: close\r\n\r\n");
    assert!(matches!(Response::new(200).set_header("Content-Length", "1"), Err(InvalidHeader::Reserved)));
    assert!(matches!(Response::new(200).set_header("Transfer-Encoding", "x"), Err(InvalidHeader::Reserved)));
    assert!(Response::new(200).set_header("X", "a\r\nb").is_err());
}

#[test]
fn h5_a_last_response_does_not_say_keep_alive_beside_close() {
    let response = |value| Response::new(200).header("Connection", value).unwrap();
    assert_eq!(lines(&response("keep-alive").keep_alive(false), "connection"), ["close"]);
    assert_eq!(lines(&response("Upgrade, Keep-Alive").keep_alive(false), "connection"), ["close, Upgrade"]);
    assert_eq!(lines(&response("close").keep_alive(false), "connection"), ["close"]);
    assert_eq!(lines(&response("Upgrade").keep_alive(true), "connection"), ["Upgrade"]);
}
