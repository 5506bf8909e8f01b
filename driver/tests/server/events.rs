//! Rows E: what is told to the handler, and when. E1 is a test of the documentation of `Handler`.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseInfo, Config, Frame};
use sockeye_driver::server::{
    Callbacks, Client, Failure, Handler, HandlerResult, HttpRequest, Inbound, Port, Refused,
};

use super::{Harness, Log, Running};

/// Writes everything down.
#[derive(Default)]
pub(super) struct Writer(pub(super) Log);

impl Handler for Writer {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        assert!(client.peer().ip().unwrap().is_loopback());
        self.0.add("connect");
        Ok(())
    }

    async fn open(&self, _: &Client, request: &Request) -> HandlerResult {
        self.0.add(format!("open {}", request.target()));
        Ok(())
    }

    async fn message(&self, _: &Client, message: Inbound<'_>) -> HandlerResult {
        self.0.add(format!("message {:?} {}", message.kind(), String::from_utf8_lossy(message.as_bytes())));
        match message.as_text() {
            Some("panic") => panic!("as asked"),
            Some("error") => Err("as asked".into()),
            _ => Ok(()),
        }
    }

    async fn control(&self, _: &Client, frame: &Frame<'_>) -> HandlerResult {
        self.0.add(format!("{:?} {:?}", frame.opcode, frame.data));
        Ok(())
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        assert!(!client.server().exists(client.id()));
        self.0.add(format!("close {:?} {} {:?} {}", info.by, info.code.as_u16(), info.reason, info.clean));
        Ok(())
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        assert!(!client.server().exists(client.id()));
        self.0.add("disconnect");
        Ok(())
    }

    async fn request(
        &self,
        _: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, sockeye_driver::server::BoxError> {
        self.0.add(format!("request {}", request.path()));
        match request.path() {
            "/panic" => panic!("as asked"),
            "/error" => Err("as asked".into()),
            _ => Ok(Some(Response::text(200, "fine"))),
        }
    }

    fn failed(&self, _: &Client, failure: &Failure) {
        self.0.add(format!("failed: {failure}"));
    }
}

pub(crate) fn e5_the_end_is_told_once_with_who_why_and_how<T: Harness>() {
    let log = Log::default();
    let server = Running::handler::<T>(Writer(log.clone()));
    let mut raw = server.open();
    raw.close(4001, "done");
    raw.expect_close(4001);
    log.expect(&["connect", "open /", "close Peer 4001 \"done\" true"]);
    let raw = server.open();
    drop(raw);
    log.wait_for("close Peer 1006 \"\" false");
    let mut raw = server.open();
    raw.write([0x83, 0x80, 0, 0, 0, 0]);
    raw.expect_close(1002);
    log.wait_for("close Local 1002 \"the peer used the reserved opcode 3\" false");
    assert_eq!(log.lines().iter().filter(|line| line.starts_with("close")).count(), 3);
    assert!(!log.lines().contains(&"disconnect".to_owned()));
}

pub(crate) fn e6_what_never_became_a_websocket_disconnects<T: Harness>() {
    let log = Log::default();
    let server = Running::handler::<T>(Writer(log.clone()));
    drop(server.connect());
    log.expect(&["connect", "disconnect"]);
    let mut raw = server.connect();
    assert_eq!(raw.get("/a").text(), "fine");
    drop(raw);
    log.expect(&["connect", "disconnect", "connect", "request /a", "disconnect"]);
    let mut raw = server.connect();
    raw.write("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(raw.answer().status(), 400);
    raw.expect_end();
    drop(raw);
    log.expect(&["connect", "disconnect", "connect", "request /a", "disconnect", "connect", "disconnect"]);
}

pub(crate) fn e8_who_connects_may_be_refused_with_a_response_or_without<T: Harness>() {
    let log = Log::default();
    let count = AtomicUsize::new(0);
    let disconnected = log.clone();
    let handler = Callbacks::on_message(|_, _| async {})
        .on_connect(move |_, ()| {
            let refused = match count.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Refused::silently()),
                1 => Err(Refused::with(Response::text(403, "not you"))),
                _ => Ok(()),
            };
            async { refused }
        })
        .on_disconnect(move |_, ()| {
            disconnected.add("disconnect");
            async {}
        });
    let server = Running::handler::<T>(handler);
    server.connect().expect_end();
    let mut raw = server.connect();
    let answer = raw.answer();
    assert_eq!((answer.status(), answer.text()), (403, "not you"));
    raw.expect_end();
    drop(raw);
    server.open().close(1000, "");
    super::eventually("nobody", || server.handle.connections().is_empty());
    log.expect(&[]);
}

/// Lets two in at a time, and only together.
#[derive(Default)]
struct Meeting(Mutex<Vec<Waker>>);

impl Meeting {
    async fn attend(&self) {
        let mut is_in = false;
        poll_fn(|cx| {
            let mut inside = self.0.lock().unwrap();
            if !std::mem::replace(&mut is_in, true) {
                inside.push(cx.waker().clone());
            }
            if inside.len() < 2 {
                return Poll::Pending;
            }
            inside.iter().for_each(Waker::wake_by_ref);
            Poll::Ready(())
        })
        .await;
    }
}

pub(crate) fn e9_events_of_one_never_overlap_and_different_ones_run_at_once<T: Harness>() {
    let (busy, log) = (Arc::new(AtomicUsize::new(0)), Log::default());
    let seen = log.clone();
    let server = Running::handler::<T>(Callbacks::on_message(move |client, message| {
        let (busy, seen) = (busy.clone(), seen.clone());
        async move {
            assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
            // Others have their turn in the middle of it.
            for _ in 0..3 {
                yield_once().await;
            }
            seen.add(message.as_text().unwrap());
            client.push(message)?;
            busy.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, sockeye_driver::server::PushError>(())
        }
    }));
    let mut raw = server.open();
    let all: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    all.iter().for_each(|text| raw.text(text));
    all.iter().for_each(|text| raw.expect_text(text));
    assert_eq!(log.lines(), all);

    let meeting = Arc::new(Meeting::default());
    let server = Running::handler::<T>(Callbacks::on_message(move |client, message| {
        let meeting = meeting.clone();
        async move {
            // Both must be in here before either gets out.
            meeting.attend().await;
            client.push(message)
        }
    }));
    let (mut one, mut two) = (server.open(), server.open());
    one.text("a");
    two.text("b");
    one.expect_text("a");
    two.expect_text("b");
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(crate) fn e10_an_error_or_a_panic_costs_its_own_connection_only<T: Harness>() {
    let log = Log::default();
    let server = Running::handler::<T>(Writer(log.clone()));
    let mut other = server.open();
    log.expect(&["connect", "open /"]);
    for how in ["error", "panic"] {
        let mut raw = server.open();
        raw.text(how);
        raw.text("not heard any more");
        raw.expect_close(1011);
    }
    log.wait_for("failed: as asked");
    log.wait_for("failed: the handler panicked: as asked");
    log.wait_for("close Local 1011 \"\" true");
    assert!(!log.lines().contains(&"message Text not heard any more".to_owned()));
    for how in ["/error", "/panic"] {
        let mut raw = server.connect();
        assert_eq!(raw.get(how).status(), 500);
        raw.expect_end();
    }
    other.text("still here");
    log.wait_for("message Text still here");
}

/// Its methods do their work before they return a future, and it cannot even be told that it has failed.
struct Eager(Log);

impl Handler for Eager {
    fn open(&self, _: &Client, request: &Request) -> impl Future<Output = HandlerResult> + Send {
        assert_ne!(request.path(), "/panic", "as asked");
        std::future::ready(Ok(()))
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> impl Future<Output = HandlerResult> + Send {
        assert_ne!(message.as_text(), Some("panic"), "as asked");
        std::future::ready(client.push(message).map_err(Into::into))
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.0.add(info.code.to_string());
        Ok(())
    }

    fn failed(&self, _: &Client, failure: &Failure) {
        panic!("again: {failure}");
    }
}

pub(crate) fn e10_a_panic_outside_of_any_future_is_the_same<T: Harness>() {
    let log = Log::default();
    let server = Running::handler::<T>(Eager(log.clone()));
    let mut other = server.open();
    let mut raw = server.connect();
    raw.upgrade("/panic");
    raw.expect_close(1011);
    let mut raw = server.open();
    raw.text("panic");
    raw.expect_close(1011);
    super::eventually("two ends", || log.lines().len() == 2);
    assert!(log.lines().iter().all(|line| line.contains("1011")), "{:?}", log.lines());
    other.text("still here");
    other.expect_text("still here");
}

pub(crate) fn e10_closures_are_told_of_failures_too<T: Harness>() {
    let log = Log::default();
    let told = log.clone();
    let handler = Callbacks::on_message(|_, _| async { Err("as asked") })
        .on_failed(move |client, failure| told.add(format!("{} {failure}", client.is_established())));
    let server = Running::handler::<T>(handler);
    let mut raw = server.open();
    raw.text("x");
    raw.expect_close(1011);
    log.expect(&["false as asked"]);
}

pub(crate) fn e7_a_push_goes_out_while_its_connections_handler_waits<T: Harness>() {
    let gate = Arc::new(Mutex::new(Vec::<Waker>::new()));
    let opened = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (wakers, is_open) = (gate.clone(), opened.clone());
    let handler = Callbacks::on_message(move |client: Client, _| {
        let (wakers, is_open) = (wakers.clone(), is_open.clone());
        async move {
            poll_fn(|cx| {
                wakers.lock().unwrap().push(cx.waker().clone());
                if is_open.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            client.push("at last")
        }
    });
    let server = Running::port::<T, _>(Port::new(handler).config(Config::new()));
    let mut raw = server.open();
    raw.text("wait");
    super::eventually("the handler", || !gate.lock().unwrap().is_empty());
    let id = server.handle.connections()[0];
    server.handle.push(id, "meanwhile").unwrap();
    raw.expect_text("meanwhile");
    opened.store(true, Ordering::SeqCst);
    gate.lock().unwrap().drain(..).for_each(Waker::wake);
    raw.expect_text("at last");
}
