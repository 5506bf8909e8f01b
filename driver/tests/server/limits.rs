//! Row O8: how many may come in.

use sockeye_driver::server::{Callbacks, Limits, Port};

use super::{Harness, Raw, Running, eventually};

fn start<T: Harness>(limits: Limits) -> Running {
    Running::start::<T>(move |builder| {
        let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
            .on_request(|_, _| async { sockeye_core::http::Response::text(200, "fine") });
        builder.limits(limits).listen("127.0.0.1:0", Port::new(handler)).unwrap()
    })
}

fn expect_full(mut raw: Raw) {
    let answer = raw.answer();
    assert_eq!((answer.status(), answer.header("Connection")), (503, Some("close")));
    raw.expect_end();
}

pub(crate) fn o8_above_the_limit_of_connections_there_is_503_until_one_leaves<T: Harness>() {
    let server = start::<T>(Limits::new().max_connections(3));
    let mut inside: Vec<Raw> = (0..3).map(|_| server.open()).collect();
    for _ in 0..5 {
        expect_full(server.connect());
    }
    let mut leaving = inside.remove(0);
    leaving.close(1000, "");
    leaving.expect_close(1000);
    drop(leaving);
    eventually("room", || server.handle.connections().len() == 2);
    // The count follows the registry at once, but not in the same moment.
    eventually("room", || {
        let mut raw = server.connect();
        raw.write(super::client::upgrade_head("/", ""));
        raw.answer().status() == 101
    });
    for raw in &mut inside {
        raw.text("still here");
        raw.expect_text("still here");
    }
}

pub(crate) fn o8_handshakes_at_a_time_are_limited_and_open_connections_do_not_count<T: Harness>() {
    let server = start::<T>(Limits::new().max_handshakes(2));
    let _open = [server.open(), server.open(), server.open()];
    let half = [server.connect(), server.connect()];
    eventually("two that say nothing", || server.handle.connections().len() == 5);
    expect_full(server.connect());
    let [mut one, _two] = half;
    // One that speaks plain HTTP is no handshake either.
    assert_eq!(one.get("/").status(), 200);
    eventually("room", || {
        let mut raw = server.connect();
        raw.write(super::client::upgrade_head("/", ""));
        raw.answer().status() == 101
    });
}

pub(crate) fn o8_connections_from_one_address_are_limited<T: Harness>() {
    let server = start::<T>(Limits::new().max_per_address(2));
    let _inside = [server.open(), server.open()];
    expect_full(server.connect());
}

/// Every process has its own descriptors, and all tests of this one would feel it: a process of its own does. A shell
/// limits them.
#[cfg(unix)]
pub(crate) fn o8_out_of_descriptors_the_rest_goes_on_and_accepting_comes_back<T: Harness>() {
    const ALONE: &str = "SOCKEYE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return out_of_descriptors::<T>();
    }
    let name = "limits::o8_out_of_descriptors_the_rest_goes_on_and_accepting_comes_back";
    let child = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 100 && exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(unix)]
fn out_of_descriptors<T: Harness>() {
    let server = start::<T>(Limits::new());
    let mut inside = server.open();
    let mut files: Vec<std::fs::File> = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    // One for this end; for the server's there is none.
    drop(files.pop());
    let mut waiting = server.connect();
    waiting.write(super::client::upgrade_head("/", ""));
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        inside.text("still here");
        inside.expect_text("still here");
    }
    assert_eq!(server.handle.connections().len(), 1);
    drop(files);
    assert_eq!(waiting.answer().status(), 101);
    server.open();
}
