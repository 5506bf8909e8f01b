//! Limits on connections and on what they send (O8, O9).

use std::sync::mpsc;

use sockeye_core::Opcode;
use sockeye_core::http::Response;
use sockeye_driver::server::{Callbacks, Limits, Port, RateLimit};
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::{RawClient, eventually};

use super::{Echo, TestServer};

/// Starts an echo server that also answers HTTP.
fn start(limits: Limits) -> TestServer {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
        .on_request(|_, _| async { Response::text(200, "fine") });
    TestServer::limited(limits, Port::new(handler))
}

/// Expects the response of a full server.
fn expect_full(mut raw: RawClient) {
    let answer = raw.answer();
    assert_eq!((answer.status(), answer.header("Connection")), (503, Some("close")));
    raw.expect_end();
}

#[test]
fn o8_connections_above_the_limit_get_503_until_one_ends() {
    let server = start(Limits::new().max_connections(3));
    let mut inside: Vec<RawClient> = (0..3).map(|_| server.open()).collect();
    for _ in 0..5 {
        expect_full(server.connect());
    }
    let mut leaving = inside.remove(0);
    leaving.close(1000, "");
    leaving.expect_close(1000);
    drop(leaving);
    eventually("the connection to end", || server.handle.connections().len() == 2);
    // The count is updated shortly after the registry.
    eventually("a free slot", || {
        let mut raw = server.connect();
        raw.write(upgrade_request("/", ""));
        raw.answer().status() == 101
    });
    for raw in &mut inside {
        raw.text("still here");
        raw.expect_text("still here");
    }
}

#[test]
fn o8_limits_may_be_set_after_the_ports() {
    let server = TestServer::start(|builder| {
        let port = Port::new(Callbacks::on_message(|_, _| async {}));
        builder.listen("127.0.0.1:0", port).unwrap().limits(Limits::new().max_connections(1))
    });
    let _inside = server.open();
    expect_full(server.connect());
}

#[test]
fn o8_concurrent_handshakes_are_limited_and_open_connections_do_not_count() {
    let server = start(Limits::new().max_handshakes(2));
    let _open = [server.open(), server.open(), server.open()];
    let half = [server.connect(), server.connect()];
    eventually("five connections", || server.handle.connections().len() == 5);
    expect_full(server.connect());
    let [mut one, _two] = half;
    // A connection that has made a plain request is no longer a handshake.
    assert_eq!(one.get("/").status(), 200);
    eventually("a free slot", || {
        let mut raw = server.connect();
        raw.write(upgrade_request("/", ""));
        raw.answer().status() == 101
    });
}

#[test]
fn o8_connections_from_one_address_are_limited() {
    let server = start(Limits::new().max_per_address(2));
    let _inside = [server.open(), server.open()];
    expect_full(server.connect());
}

/// The limit holds for a whole process and would break the other tests. So the test runs itself in
/// a separate process, in which a shell has set the limit.
#[cfg(unix)]
#[test]
fn o8_without_file_descriptors_open_connections_work_and_accepting_resumes_later() {
    const ALONE: &str = "SOCKEYE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return out_of_descriptors();
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let name =
        format!("{module}::o8_without_file_descriptors_open_connections_work_and_accepting_resumes_later");
    let child = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 100 && exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(ALONE, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

#[cfg(unix)]
fn out_of_descriptors() {
    let server = start(Limits::new());
    let mut inside = server.open();
    let mut files: Vec<std::fs::File> = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    // One descriptor for the client, none for the server.
    drop(files.pop());
    let mut waiting = server.connect();
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        inside.text("still here");
        inside.expect_text("still here");
    }
    assert_eq!(server.handle.connections().len(), 1);
    drop(files);
    waiting.upgrade("/");
    server.open();
}

#[test]
fn o9_a_client_that_sends_too_fast_is_closed() {
    // So few a second that a slow machine makes no difference.
    let limit = RateLimit::new().messages(1, 3);
    let (opened, _has_opened) = mpsc::channel();
    let server = TestServer::port(Port::new(Echo(opened)).rate_limit(limit));
    let mut raw = server.open();
    for _ in 0..100 {
        raw.text("again");
    }
    let frames: Vec<_> =
        std::iter::from_fn(|| raw.frame()).take_while(|frame| frame.opcode == Opcode::Text).collect();
    assert!((3..100).contains(&frames.len()), "{} messages were answered", frames.len());
    eventually("the end", || server.handle.stats().total.closed.get(&1008) == Some(&1));
}
