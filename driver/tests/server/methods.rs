//! Rows M5 to M8, M11, M13, F3: what can be asked of connections, and done to them.

use std::sync::mpsc;

use sockeye_core::http::Request;
use sockeye_core::{CloseCode, CloseFrame, Config, Frame, SendError};
use sockeye_driver::server::{
    Callbacks, Client, Decision, Handler, HandlerResult, Inbound, Port, PushError, Status,
};

use super::{Harness, Log, Running, eventually};

/// Writes messages down, and gives every client away that opens.
struct Writer(Log, mpsc::Sender<Client>);

impl Handler for Writer {
    async fn open(&self, client: &Client, _: &Request) -> HandlerResult {
        self.1.send(client.clone())?;
        Ok(())
    }

    async fn message(&self, _: &Client, message: Inbound<'_>) -> HandlerResult {
        self.0.add(message.as_text().unwrap_or_default());
        Ok(())
    }

    async fn close(&self, _: &Client, info: &sockeye_core::CloseInfo) -> HandlerResult {
        self.0.add(format!("closed {} {}", info.code.as_u16(), info.clean));
        Ok(())
    }
}

fn one<T: Harness>() -> (Running, super::Raw, Client, Log) {
    let ((tell, told), log) = (mpsc::channel(), Log::default());
    let server = Running::handler::<T>(Writer(log.clone(), tell));
    let raw = server.open();
    (server, raw, told.recv().unwrap(), log)
}

pub(crate) fn m5_disconnect_checks_its_code_and_reason_then_shakes_hands<T: Harness>() {
    let (server, mut raw, client, log) = one::<T>();
    let disconnect = |code: u16, reason: &str| server.handle.disconnect(client.id(), code.into(), reason);
    for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000] {
        let refused = SendError::InvalidCloseCode(CloseCode::from(code));
        assert_eq!(disconnect(code, ""), Err(PushError::InvalidControl(refused)));
    }
    assert_eq!(
        disconnect(1000, &"x".repeat(124)),
        Err(PushError::InvalidControl(SendError::CloseReasonTooLong(124)))
    );
    assert!(client.is_established(), "nothing was sent");
    disconnect(4999, &"x".repeat(123)).unwrap();
    assert_eq!(disconnect(1000, ""), Err(PushError::Closing));
    assert_eq!(client.info().status, Some(Status::Closing));
    raw.text("before my Close");
    raw.expect_close(4999);
    log.expect(&["before my Close", "closed 4999 true"]);
}

pub(crate) fn m6_a_pushed_close_is_the_only_one_and_what_the_peer_still_says_is_heard<T: Harness>() {
    let (_server, mut raw, client, log) = one::<T>();
    client.push_frame(&Frame::close(&CloseFrame::new(CloseCode::from(3000), "")).unwrap()).unwrap();
    let invalid = Frame::new(sockeye_core::Opcode::Close, vec![3]);
    assert_eq!(client.push_frame(&invalid), Err(PushError::InvalidControl(SendError::InvalidCloseFrame)));
    assert_eq!(client.close(CloseCode::NORMAL, ""), Err(PushError::Closing));
    raw.text("one");
    raw.text("two");
    raw.expect_close(3000);
    log.expect(&["one", "two", "closed 3000 true"]);
}

pub(crate) fn m7_m8_f3_what_is_known_of_a_connection_on_its_way<T: Harness>() {
    let (tell, told) = mpsc::channel();
    let (decide, decided) = mpsc::channel();
    let decided = std::sync::Mutex::new(decided);
    let handler = Callbacks::on_message(|_, _| async {}).on_handshake(move |client, _| {
        // On its own thread or not, nobody else is here.
        tell.send(client).unwrap();
        let decision = decided.lock().unwrap().recv().unwrap();
        async move { Ok(decision) }
    });
    let server = Running::handler::<T>(handler);
    let handle = &server.handle;
    let mut raw = server.connect();
    eventually("a connection", || handle.connections().len() == 1);
    let id = handle.connections()[0];
    assert!(handle.exists(id) && !handle.is_established(id));
    let info = handle.info(id).unwrap();
    assert_eq!((info.id, info.status), (id, None));
    assert_eq!((info.peer.as_inet(), info.local.as_inet()), (raw.local, Some(server.address())));
    assert!(info.connected_at.elapsed() < super::PATIENCE);
    assert_eq!((info.last_received, info.last_sent, info.queued), (None, None, 0));

    raw.write(super::client::upgrade_head("/", ""));
    let client = told.recv().unwrap();
    assert_eq!(client.id(), id);
    assert_eq!((client.info().status, client.is_established()), (Some(Status::Handshake), false));
    decide.send(Decision::Accept(Default::default())).unwrap();
    assert_eq!(raw.answer().status(), 101);
    eventually("an open connection", || handle.is_established(id));
    assert_eq!(client.info().status.map(Status::as_u8), Some(3));
    raw.text("x");
    eventually("a byte", || client.info().last_received.is_some());
    client.push("y").unwrap();
    raw.expect_text("y");
    eventually("a byte the other way", || client.info().last_sent.is_some());
    client.ping(b"how far").unwrap();
    let ping = raw.frame().unwrap();
    raw.send(&Frame::new(sockeye_core::Opcode::Pong, ping.data));
    eventually("a round trip", || client.info().round_trip.is_some());
    raw.close(1000, "");
    raw.expect_close(1000);
    eventually("the end", || !handle.exists(id));
    assert!(handle.info(id).is_none() && handle.client(id).is_none());

    let mut raw = server.connect();
    raw.write(super::client::upgrade_head("/", ""));
    let refused = told.recv().unwrap();
    assert!(refused.id() > id, "ids are not used again");
    decide.send(Decision::Respond(sockeye_core::http::Response::new(403))).unwrap();
    assert_eq!(raw.answer().status(), 403);
    eventually("the failure", || refused.info().status == Some(Status::HandshakeFailed));
}

pub(crate) fn m11_abort_ends_it_at_once_wherever_it_is<T: Harness>() {
    let (server, mut raw, client, log) = one::<T>();
    client.abort().unwrap();
    raw.expect_end();
    log.expect(&["closed 1006 false"]);
    assert_eq!(client.abort(), Err(PushError::Closing));
    // Before it is a WebSocket.
    let mut raw = server.connect();
    raw.write("GET /");
    eventually("a connection", || server.handle.connections().len() == 1);
    server.handle.abort(server.handle.connections()[0]).unwrap();
    raw.expect_end();
    assert_eq!(server.handle.abort(client.id()), Err(PushError::UnknownConnection));

    // In the middle of a handler that would never end.
    let handler = Callbacks::on_message(|_, _| std::future::pending::<()>());
    let server = Running::handler::<T>(handler);
    let mut raw = server.open();
    raw.text("hang");
    eventually("the message to be read", || {
        let connections = server.handle.connections();
        server.handle.info(connections[0]).is_some_and(|info| info.last_received.is_some())
    });
    server.handle.abort(server.handle.connections()[0]).unwrap();
    raw.expect_end();
}

pub(crate) fn m11_a_paused_connection_is_written_to_and_not_read_until_it_is_resumed<T: Harness>() {
    let (server, mut raw, client, log) = one::<T>();
    raw.text("one");
    log.expect(&["one"]);
    client.pause().unwrap();
    client.push("written").unwrap();
    raw.expect_text("written");
    raw.text("two");
    raw.text("three");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(log.lines(), ["one"]);
    server.handle.resume(client.id()).unwrap();
    log.expect(&["one", "two", "three"]);
    // A Close ends the pause, for its answer has to be read.
    client.pause().unwrap();
    raw.text("four");
    client.close(CloseCode::NORMAL, "").unwrap();
    raw.expect_close(1000);
    log.expect(&["one", "two", "three", "four", "closed 1000 true"]);
}

pub(crate) fn m13_each_port_has_its_own_handler_and_options_and_all_are_one_server<T: Harness>() {
    let server = Running::start::<T>(|builder| {
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
    let mut all = super::Raw::connect(server.addresses[1].as_inet().unwrap());
    all.upgrade("/");
    echo.text("echo");
    echo.expect_text("echo");
    all.text("everybody");
    echo.expect_text("everybody");
    all.expect_text("everybody");
    assert_eq!(server.handle.connections().len(), 2);
    echo.text("too long");
    echo.expect_close(1009);
    all.text("still here");
    all.expect_text("still here");
}

#[cfg(unix)]
pub(crate) fn m13_a_port_may_be_a_unix_socket<T: Harness>() {
    use std::os::unix::net::{UnixListener, UnixStream};

    let path =
        std::env::temp_dir().join(format!("sockeye-{}-{}", std::process::id(), std::any::type_name::<T>()));
    // What a server that has ended leaves there is no hindrance; one that is there is.
    drop(UnixListener::bind(&path).unwrap());
    let at = path.clone();
    let server = Running::start::<T>(move |builder| {
        let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
        builder.listen_unix(&at, Port::new(echo)).unwrap()
    });
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let mut raw = super::Raw::over(stream);
    raw.upgrade("/");
    raw.text("hi");
    raw.expect_text("hi");
    assert_eq!(server.addresses[0].to_string(), format!("unix:{}", path.display()));
    std::fs::remove_file(path).unwrap();
}
