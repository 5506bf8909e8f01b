//! HTTP on the port (H4 to H6).

use std::time::Duration;

use sockeye_core::Config;
use sockeye_core::http::Response;
use sockeye_driver::server::{
    BoxError, Callbacks, Client, Decision, Handler, HandlerResult, HttpExchange, HttpRequest, Inbound, Port,
};
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::{EventLog, eventually};

use super::TestServer;

/// Ignores every message.
fn silent() -> Callbacks {
    Callbacks::on_message(|_, _| async {})
}

/// Responds with a description of the request.
fn mirror() -> Callbacks {
    silent().on_request(|_, HttpExchange { head, body, .. }| async move {
        let (params, cookies): (Vec<_>, Vec<_>) = (head.params().collect(), head.cookies().collect());
        let text = format!(
            "{} {} {params:?} {cookies:?} {}",
            head.method(),
            head.path(),
            String::from_utf8_lossy(&body)
        );
        let response = Response::text(200, text).header("Set-Cookie", "a=b").unwrap();
        match head.path() {
            "/last" => response.header("Connection", "close").unwrap(),
            "/stay" => response.header("Connection", "keep-alive").unwrap(),
            _ => response,
        }
    })
}

#[test]
fn h4_without_a_request_handler_a_plain_request_gets_a_400_and_the_connection_closes() {
    let server = TestServer::handler(silent());
    let mut raw = server.connect();
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    let answer = raw.answer();
    assert_eq!((answer.status(), answer.header("Connection")), (400, Some("close")));
    assert!(answer.text().contains("WebSocket"));
    raw.expect_end();
}

#[test]
fn h5_requests_have_query_cookies_and_bodies_and_keep_the_connection_alive() {
    let server = TestServer::handler(mirror());
    let mut raw = server.connect();
    let answer = raw.get("/a?x=1&message=a+b%21");
    assert_eq!(answer.text(), r#"GET /a [("x", "1"), ("message", "a b!")] [] "#);
    assert_eq!((answer.header("Connection"), answer.header("Set-Cookie")), (Some("keep-alive"), Some("a=b")));
    let date = answer.header("Date").unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");

    raw.write("POST /b HTTP/1.1\r\nHost: a\r\nCookie: c=d; e=f\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(raw.answer().text(), r#"POST /b [] [("c", "d"), ("e", "f")] hello"#);
    raw.write("PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n");
    raw.write("3;x=y\r\nbar\r\n0\r\nT: r\r\n\r\n");
    assert_eq!(raw.answer().text(), "PUT /c [] [] foobar");

    // Pipelined requests are answered in order.
    raw.write("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((raw.answer().text(), raw.answer().text()), ("GET /1 [] [] ", "GET /2 [] [] "));

    // A HEAD gets the head of the response to a GET.
    raw.write("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\nGET /g HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Content-Length: 14\r\n"), "{head}");
    assert_eq!(raw.answer().text(), "GET /g [] [] ");

    raw.write("GET /d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(raw.answer().header("Connection"), Some("close"));
    raw.expect_end();
    let mut raw = server.connect();
    assert_eq!(raw.get("/last").header("Connection"), Some("close"));
    raw.expect_end();
    // The response says what the server does, even if the handler set something else.
    let mut raw = server.connect();
    assert_eq!(raw.get("/stay").header("Connection"), Some("keep-alive"));
    raw.write("HEAD /stay HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(raw.head().contains("Connection: close\r\n"));
    raw.expect_end();
    let mut raw = server.connect();
    raw.write("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(raw.answer().header("Connection"), Some("close"));
    raw.expect_end();
    let mut raw = server.connect();
    raw.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(raw.answer().header("Connection"), Some("keep-alive"));
    raw.get("/");
}

#[test]
fn h5_the_method_connect_is_refused() {
    let server = TestServer::handler(mirror());
    let mut raw = server.connect();
    raw.write("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    assert_eq!(raw.answer().status(), 501);
    raw.expect_end();
}

#[test]
fn h5_an_interim_status_from_a_handler_becomes_a_500() {
    let interim = |status| async move { Response::new(status) };
    let handler = silent()
        .on_request(move |_, request| interim(request.param("status").unwrap().parse().unwrap()))
        .on_handshake(|_, _| async { Ok(Decision::Respond(Response::new(101))) });
    let server = TestServer::handler(handler);
    for status in [100, 101, 103] {
        assert_eq!(server.connect().get(&format!("/?status={status}")).status(), 500);
    }
    let mut raw = server.connect();
    raw.write(upgrade_request("/", ""));
    assert_eq!(raw.answer().status(), 500);
    raw.expect_end();
}

#[test]
fn h5_a_connection_can_be_upgraded_after_a_get() {
    let server = TestServer::handler(mirror());
    let mut raw = server.connect();
    assert_eq!(raw.get("/").status(), 200);
    raw.upgrade("/");
    raw.close(1000, "");
    raw.expect_close(1000);
}

#[test]
fn h5_a_client_that_expects_100_continue_gets_it_when_the_body_is_wanted() {
    let server = TestServer::handler(mirror());
    let mut raw = server.connect();
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(raw.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    raw.write("hi");
    assert_eq!(raw.answer().text(), "POST / [] [] hi");
    // The body is here already: no 100 is needed.
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(raw.answer().text(), "POST / [] [] hi");
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(raw.answer().status(), 417);
    // Without a request handler the body is not wanted.
    let server = TestServer::handler(silent());
    let mut raw = server.connect();
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(raw.answer().status(), 400);
    raw.expect_end();
}

#[test]
fn h5_a_request_handler_can_push_to_all_websockets() {
    let handler = silent().on_request(|client, request| async move {
        let server = client.server();
        let message = request.param("message").unwrap_or_default();
        let mut pushed = 0;
        for id in server.connections() {
            if server.is_established(id) && server.push(id, &message).is_ok() {
                pushed += 1;
            }
        }
        Response::text(200, format!("{pushed}"))
    });
    let server = TestServer::handler(handler);
    let (mut one, mut two) = (server.open(), server.open());
    eventually("two open connections", || {
        server.handle.connections().iter().filter(|id| server.handle.is_established(**id)).count() == 2
    });
    assert_eq!(server.connect().get("/push?message=to+all").text(), "2");
    one.expect_text("to all");
    two.expect_text("to all");
}

#[test]
fn h5_a_refused_head_request_gets_no_content() {
    let server = TestServer::handler(mirror());
    for head in [
        upgrade_request("/", "").replacen("GET", "HEAD", 1),
        "HEAD / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n".to_owned(),
    ] {
        let mut raw = server.connect();
        raw.write(&head);
        let answer = raw.head();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        raw.expect_end();
    }
}

#[test]
fn h6_malformed_and_ambiguous_requests_are_refused_and_the_connection_closed() {
    let port = Port::new(mirror()).max_body_size(10);
    let server = TestServer::port(port);
    for (request, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("\u{16}\u{3}\u{1}", 400),
    ] {
        let mut raw = server.connect();
        raw.write(request);
        let answer = raw.answer();
        assert_eq!(answer.status(), status, "{request:?}");
        assert_eq!(answer.header("Connection"), Some("close"));
        raw.expect_end();
    }
    let mut raw = server.connect();
    raw.write(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(16 << 10)));
    assert_eq!(raw.answer().status(), 431);
}

#[test]
fn h5_the_body_and_the_next_request_have_timeouts() {
    let log = EventLog::default();
    let disconnected = log.clone();
    let handler = mirror().on_disconnect(move |_| {
        disconnected.add("disconnect");
        async {}
    });
    let port = Port::new(handler)
        .config(Config::new())
        .body_timeout(Duration::from_millis(100))
        .keep_alive_timeout(Duration::from_millis(100));
    let server = TestServer::port(port);
    let mut raw = server.connect();
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    assert_eq!(raw.answer().status(), 408);
    raw.expect_end();
    let mut raw = server.connect();
    assert_eq!(raw.get("/").status(), 200);
    raw.expect_end();
    drop(raw);
    log.expect(&["disconnect", "disconnect"]);
}

#[test]
fn h5_the_fields_of_a_form_are_decoded() {
    struct Form;

    impl Handler for Form {
        async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
            Ok(())
        }

        async fn request(
            &self,
            _: &Client,
            request: &mut HttpRequest<'_>,
        ) -> Result<Option<Response>, BoxError> {
            let fields = request.form().await?;
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            Ok(Some(Response::text(200, fields.join(";"))))
        }
    }

    let server = TestServer::handler(Form);
    let mut raw = server.connect();
    let body = "name=Ada+L&remember=%E2%9C%93&empty=";
    for (content_type, expected) in [
        ("application/x-www-form-urlencoded", "name=Ada L;remember=\u{2713};empty="),
        ("Application/X-WWW-Form-Urlencoded ; charset=UTF-8", "name=Ada L;remember=\u{2713};empty="),
        ("text/plain", ""),
    ] {
        raw.write(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(raw.answer().text(), expected, "{content_type}");
    }
}
