//! The methods of a server handle and of a client (M5 to M8, M11, M13, F3).

use std::sync::mpsc;
use std::time::Duration;

use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseCode, CloseFrame, CloseInfo, Config, Frame, Opcode, SendError};
use sockeye_driver::server::{
    Callbacks, Client, Decision, Handler, HandlerResult, Inbound, Port, PushError, Status,
};
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::{EventLog, PATIENCE, RawClient, eventually};

use super::TestServer;

/// Logs messages and closes, and passes each opened client to the test.
struct MessageLogger(EventLog, mpsc::Sender<Client>);

impl Handler for MessageLogger {
    async fn open(&self, client: &Client, _: &Request) -> HandlerResult {
        self.1.send(client.clone())?;
        Ok(())
    }

    async fn message(&self, _: &Client, message: Inbound<'_>) -> HandlerResult {
        self.0.add(message.as_text().unwrap_or_default());
        Ok(())
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.0.add(format!("closed {} {}", info.code.as_u16(), info.clean));
        Ok(())
    }
}

/// Starts a server with one open connection.
fn start() -> (TestServer, RawClient, Client, EventLog) {
    let ((opened, has_opened), log) = (mpsc::channel(), EventLog::default());
    let server = TestServer::handler(MessageLogger(log.clone(), opened));
    let raw = server.open();
    (server, raw, has_opened.recv().unwrap(), log)
}

#[test]
fn m5_disconnect_checks_its_code_and_reason_then_closes_cleanly() {
    let (server, mut raw, client, log) = start();
    let disconnect = |code: u16, reason: &str| server.handle.disconnect(client.id(), code, reason);
    for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000] {
        let refused = SendError::InvalidCloseCode(CloseCode::from(code));
        assert_eq!(disconnect(code, ""), Err(PushError::InvalidControl(refused)));
    }
    assert_eq!(
        disconnect(1000, &"x".repeat(124)),
        Err(PushError::InvalidControl(SendError::CloseReasonTooLong(124)))
    );
    assert!(client.is_established(), "no Close was sent");
    disconnect(4999, &"x".repeat(123)).unwrap();
    assert_eq!(disconnect(1000, ""), Err(PushError::Closing));
    assert_eq!(client.info().status, Some(Status::Closing));
    raw.text("before my Close");
    raw.expect_close(4999);
    log.expect(&["before my Close", "closed 4999 true"]);
}

#[test]
fn m6_after_a_pushed_close_no_second_one_is_sent_and_messages_still_arrive() {
    let (_server, mut raw, client, log) = start();
    client.push_frame(&Frame::close(&CloseFrame::new(CloseCode::from(3000), "")).unwrap()).unwrap();
    let invalid = Frame::new(Opcode::Close, vec![3]);
    assert_eq!(client.push_frame(&invalid), Err(PushError::InvalidControl(SendError::InvalidCloseFrame)));
    assert_eq!(client.close(CloseCode::NORMAL, ""), Err(PushError::Closing));
    raw.text("one");
    raw.text("two");
    raw.expect_close(3000);
    log.expect(&["one", "two", "closed 3000 true"]);
}

#[test]
fn m7_m8_f3_info_and_status_follow_a_connection_through_its_phases() {
    let (asked, was_asked) = mpsc::channel();
    let (decide, decided) = mpsc::channel();
    let decided = std::sync::Mutex::new(decided);
    let handler = Callbacks::on_message(|_, _| async {}).on_handshake(move |client, _| {
        // This blocks a worker thread, but no other connection needs it.
        asked.send(client).unwrap();
        let decision = decided.lock().unwrap().recv().unwrap();
        async move { Ok(decision) }
    });
    let server = TestServer::handler(handler);
    let handle = &server.handle;
    let mut raw = server.connect();
    eventually("a connection", || handle.connections().len() == 1);
    let id = handle.connections()[0];
    assert!(handle.exists(id) && !handle.is_established(id));
    let info = handle.info(id).unwrap();
    assert_eq!((info.id, info.status), (id, None));
    assert_eq!((info.peer.as_inet(), info.local.as_inet()), (raw.local(), Some(server.address())));
    assert!(info.taken_at.since(info.connected_at) < PATIENCE);
    assert_eq!((info.last_received, info.last_sent, info.queued), (None, None, 0));

    raw.write(upgrade_request("/", ""));
    let client = was_asked.recv().unwrap();
    assert_eq!(client.id(), id);
    assert_eq!((client.info().status, client.is_established()), (Some(Status::Handshake), false));
    decide.send(Decision::Accept(Default::default())).unwrap();
    assert_eq!(raw.answer().status(), 101);
    eventually("an open connection", || handle.is_established(id));
    assert_eq!(client.info().status.map(Status::as_u8), Some(3));
    raw.text("x");
    eventually("the message to arrive", || client.info().last_received.is_some());
    client.push("y").unwrap();
    raw.expect_text("y");
    eventually("the push to be recorded", || client.info().last_sent.is_some());
    client.ping(b"round trip").unwrap();
    let ping = raw.frame().unwrap();
    raw.send(&Frame::new(Opcode::Pong, ping.data));
    eventually("a round trip", || client.info().round_trip.is_some());
    raw.close(1000, "");
    raw.expect_close(1000);
    eventually("the connection to end", || !handle.exists(id));
    assert!(handle.info(id).is_none() && handle.client(id).is_none());

    let mut raw = server.connect();
    raw.write(upgrade_request("/", ""));
    let refused = was_asked.recv().unwrap();
    assert!(refused.id() > id, "an id is never reused");
    decide.send(Decision::Respond(Response::new(403))).unwrap();
    assert_eq!(raw.answer().status(), 403);
    eventually("the handshake to fail", || refused.info().status == Some(Status::HandshakeFailed));
}

#[test]
fn m11_abort_ends_a_connection_at_once_in_every_phase() {
    let (server, mut raw, client, log) = start();
    client.abort().unwrap();
    raw.expect_end();
    log.expect(&["closed 1006 false"]);
    assert_eq!(client.abort(), Err(PushError::Closing));
    // During the handshake.
    let mut raw = server.connect();
    raw.write("GET /");
    eventually("a connection", || server.handle.connections().len() == 1);
    server.handle.abort(server.handle.connections()[0]).unwrap();
    raw.expect_end();
    assert_eq!(server.handle.abort(client.id()), Err(PushError::UnknownConnection));

    // While a handler runs that never ends.
    let handler = Callbacks::on_message(|_, _| std::future::pending::<()>());
    let server = TestServer::handler(handler);
    let mut raw = server.open();
    raw.text("hang");
    eventually("the message to be read", || {
        let connections = server.handle.connections();
        server.handle.info(connections[0]).is_some_and(|info| info.last_received.is_some())
    });
    server.handle.abort(server.handle.connections()[0]).unwrap();
    raw.expect_end();
}

#[test]
fn m11_a_paused_connection_is_written_but_not_read_until_it_is_resumed() {
    let (server, mut raw, client, log) = start();
    raw.text("one");
    log.expect(&["one"]);
    client.pause().unwrap();
    client.push("written").unwrap();
    raw.expect_text("written");
    raw.text("two");
    raw.text("three");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(log.lines(), ["one"]);
    server.handle.resume(client.id()).unwrap();
    log.expect(&["one", "two", "three"]);
    // A close ends the pause, because its answer must be read.
    client.pause().unwrap();
    raw.text("four");
    client.close(CloseCode::NORMAL, "").unwrap();
    raw.expect_close(1000);
    log.expect(&["one", "two", "three", "four", "closed 1000 true"]);
}

#[test]
fn m13_ports_have_their_own_handlers_and_options_and_form_one_server() {
    let server = TestServer::start(|builder| {
        let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
        let all = Callbacks::on_message(|client: Client, message| async move {
            client.server().broadcast(|_| true, &message);
        });
        let small = Config::new().max_message_size(4);
        builder
            .listen("127.0.0.1:0", Port::new(echo).config(small))
            .unwrap()
            .listen("127.0.0.1:0", Port::new(all))
            .unwrap()
    });
    let mut echo = server.open();
    let mut all = RawClient::connect(server.addresses[1].as_inet().unwrap());
    all.upgrade("/");
    echo.text("echo");
    echo.expect_text("echo");
    all.text("to all");
    echo.expect_text("to all");
    all.expect_text("to all");
    assert_eq!(server.handle.connections().len(), 2);
    echo.text("too long");
    echo.expect_close(1009);
    all.text("still here");
    all.expect_text("still here");
}

#[cfg(unix)]
#[test]
fn m13_a_port_can_be_a_unix_socket() {
    use std::os::unix::net::{UnixListener, UnixStream};

    let path = std::env::temp_dir().join(format!("sockeye-{}", std::process::id()));
    // The server replaces a socket file that no process listens on.
    drop(UnixListener::bind(&path).unwrap());
    let at = path.clone();
    let server = TestServer::start(move |builder| {
        let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
        builder.listen_unix(&at, Port::new(echo)).unwrap()
    });
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut raw = RawClient::over(stream);
    raw.upgrade("/");
    raw.text("hi");
    raw.expect_text("hi");
    assert_eq!(server.addresses[0].to_string(), format!("unix:{}", path.display()));
    std::fs::remove_file(path).unwrap();
}

#[cfg(unix)]
#[test]
fn m13_a_port_can_take_over_a_unix_socket_that_listens() {
    use std::os::unix::net::{UnixListener, UnixStream};

    let path = std::env::temp_dir().join(format!("sockeye-inherited-{}", std::process::id()));
    let socket = UnixListener::bind(&path).unwrap();
    let _server = TestServer::start(move |builder| {
        let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
        builder.listen_unix_on(socket, Port::new(echo)).unwrap()
    });
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut raw = RawClient::over(stream);
    raw.upgrade("/");
    raw.text("hi");
    raw.expect_text("hi");
    std::fs::remove_file(path).unwrap();
}

#[cfg(unix)]
#[test]
fn m13_each_port_has_its_own_listen_options() {
    use std::os::unix::fs::PermissionsExt;

    use sockeye_driver::server::ListenOptions;

    let modes = [0o600, 0o666];
    let at = |mode: u32| std::env::temp_dir().join(format!("sockeye-mode-{mode:o}-{}", std::process::id()));
    let _server = TestServer::start(move |builder| {
        modes.into_iter().fold(builder, |builder, mode| {
            let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
            let port = Port::new(echo).listen_options(ListenOptions::new().unix_mode(mode));
            builder.listen_unix(at(mode), port).unwrap()
        })
    });
    for mode in modes {
        let permissions = std::fs::metadata(at(mode)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode);
        std::fs::remove_file(at(mode)).unwrap();
    }
}
