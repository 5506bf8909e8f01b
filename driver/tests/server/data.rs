//! The application's data of a connection (M14).

use std::sync::Mutex;

use sockeye_core::http::Response;
use sockeye_driver::server::{Callbacks, Client, PushError};
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::{EventLog, eventually};

use super::TestServer;

/// The user of a token. Logs when it is dropped.
struct User {
    name: String,
    log: EventLog,
    client: Client,
}

impl Drop for User {
    fn drop(&mut self) {
        // No lock is held, so all of this is allowed.
        let _ = (self.client.info(), self.client.data::<User>(), self.client.server().connections());
        self.log.add(format!("{} is dropped", self.name));
    }
}

fn name(client: &Client) -> String {
    client.data::<User>().map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

/// Logs the user in every event. The token of a request is the user's name.
fn server(log: &EventLog) -> TestServer {
    let (opens, closes, ends, refusals, users) =
        (log.clone(), log.clone(), log.clone(), log.clone(), log.clone());
    let handler = Callbacks::on_message(|client, message| async move {
        assert!(client.data::<u32>().is_none(), "the data has another type");
        client.push(format!("{} says {}", name(&client), message.as_text().unwrap()))
    })
    .on_connect(|client| async move {
        client.set_data(7_u32);
        assert_eq!(client.data::<u32>().as_deref(), Some(&7));
        assert_eq!(client.server().data::<u32>(client.id()).as_deref(), Some(&7));
        Ok(())
    })
    .on_before_handshake_response(move |client, upgrade, accept| {
        let log = users.clone();
        async move {
            let name = upgrade.request().param("token").unwrap_or_default().into_owned();
            if name == "nobody" {
                return Err(Response::new(401));
            }
            let refused = name == "refused";
            client.set_data(User { name, log, client: client.clone() });
            if refused { Err(Response::new(403)) } else { Ok(accept) }
        }
    })
    .on_open(move |client, _| {
        opens.add(format!("open {}", name(&client)));
        async {}
    })
    .on_close(move |client, _| {
        closes.add(format!("close {}", name(&client)));
        async {}
    })
    .on_disconnect(move |client| {
        ends.add(format!("disconnect {} {:?}", name(&client), client.data::<u32>()));
        async {}
    })
    .on_refused(move |client, _| refusals.add(format!("refused {}", name(client))));
    TestServer::handler(handler)
}

#[test]
fn m14_data_of_the_handshake_reaches_later_events_and_is_found_by_id() {
    let log = EventLog::default();
    let server = server(&log);
    let (mut ann, mut bob) = (server.connect(), server.connect());
    ann.upgrade("/?token=ann");
    bob.upgrade("/?token=bob");
    for (raw, line) in [(&mut ann, "ann says hi"), (&mut bob, "bob says hi")] {
        raw.text("hi");
        raw.expect_text(line);
    }
    let mut names: Vec<String> = server
        .handle
        .connections()
        .iter()
        .map(|id| server.handle.data::<User>(*id).unwrap().name.clone())
        .collect();
    names.sort();
    assert_eq!(names, ["ann", "bob"]);
    let id = server.handle.connections()[0];
    assert!(server.handle.data::<String>(id).is_none());
    ann.close(1000, "");
    ann.expect_close(1000);
    log.wait_for("ann is dropped");
    bob.text("hi");
    bob.expect_text("bob says hi");
    drop(bob);
    log.wait_for("bob is dropped");
    let lines = log.lines();
    let at = |line: &str| lines.iter().position(|known| known == line).unwrap();
    for user in ["ann", "bob"] {
        let closed = at(&format!("close {user}"));
        assert!(
            at(&format!("open {user}")) < closed && closed < at(&format!("{user} is dropped")),
            "{lines:?}"
        );
    }
    assert_eq!(lines.len(), 6);
}

#[test]
fn m14_data_reaches_the_events_of_a_connection_that_is_refused() {
    let log = EventLog::default();
    let server = server(&log);
    for (token, status, lines) in [
        ("nobody", 401, &["refused nobody", "disconnect nobody Some(7)"][..]),
        ("refused", 403, &["refused refused", "disconnect refused None", "refused is dropped"]),
    ] {
        let before = log.lines().len();
        let mut raw = server.connect();
        raw.write(upgrade_request(&format!("/?token={token}"), ""));
        assert_eq!(raw.answer().status(), status);
        raw.expect_end();
        log.wait_for_count(before + lines.len());
        assert_eq!(log.lines()[before..], *lines);
    }
}

#[test]
fn m14_data_can_be_replaced_by_id_and_is_dropped_at_the_end_even_if_its_client_is_kept() {
    let log = EventLog::default();
    let (opened, kept) = std::sync::mpsc::channel();
    let opened = Mutex::new(opened);
    let handler = Callbacks::on_message(|client, _| async move { client.push(name(&client)) }).on_open(
        move |client, _| {
            opened.lock().unwrap().send(client).unwrap();
            async {}
        },
    );
    let server = TestServer::handler(handler);
    let mut raw = server.open();
    let client: Client = kept.recv().unwrap();
    let user = |name: &str| User { name: name.to_owned(), log: log.clone(), client: client.clone() };
    server.handle.set_data(client.id(), user("first")).unwrap();
    raw.text("who?");
    raw.expect_text("first");
    let first = client.data::<User>().unwrap();
    client.set_data(user("second"));
    assert!(log.lines().is_empty(), "the value is still in use");
    drop(first);
    log.expect(&["first is dropped"]);
    raw.text("who?");
    raw.expect_text("second");
    raw.close(1000, "");
    raw.expect_close(1000);
    log.wait_for("second is dropped");
    eventually("the end", || !server.handle.exists(client.id()));
    client.set_data(user("third"));
    log.expect(&["first is dropped", "second is dropped", "third is dropped"]);
    assert!(client.data::<User>().is_none());
    let unknown = server.handle.set_data(client.id(), 1);
    assert_eq!(unknown, Err(PushError::UnknownConnection));
    assert!(server.handle.data::<i32>(client.id()).is_none());
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("as asked");
        }
    }
}

#[test]
fn m14_a_panic_while_data_is_dropped_harms_no_other_connection() {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) }).on_connect(
        |client| async move {
            client.set_data(Bomb);
            Ok(())
        },
    );
    let server = TestServer::handler(handler);
    let mut other = server.open();
    for _ in 0..3 {
        let mut raw = server.open();
        raw.close(1000, "");
        raw.expect_close(1000);
    }
    eventually("three ends", || server.handle.connections().len() == 1);
    other.text("still here");
    other.expect_text("still here");
}
