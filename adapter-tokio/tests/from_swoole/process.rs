//! Runs each example that is a server in a separate process, so that tests can read its output.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use sockeye_testkit::{PATIENCE, RawClient};
use sockeye_tokio::WebSocket;
use sockeye_tokio::server::{BoxError, Callbacks, Server};

use crate::examples::{
    client_info, close_frame, compression_server, defer, first_server, handshake, ping_frame, ping_option,
    ping_server, pong_frame, pong_option, request, request_class, subprotocol,
};

const NAME: &str = "SOCKEYE_EXAMPLE";
const LISTENING: &str = "listening on ";
const ANY: &str = "127.0.0.1:0";

/// The examples that are servers.
const EXAMPLES: [&str; 14] = [
    "first_server",
    "client_info",
    "handshake",
    "defer",
    "request",
    "request_class",
    "subprotocol",
    "close_frame",
    "ping_option",
    "ping_frame",
    "pong_option",
    "pong_frame",
    "compression_server",
    "ping_server",
];

fn server(name: &str, address: &str) -> Result<Server, BoxError> {
    let talker = || Callbacks::on_message(|_, message| async move { println!("{message:?}") });
    let control = || talker().on_control(|_, frame| async move { println!("{:?}", frame.opcode) });
    let listen = |port| Ok::<_, BoxError>(Server::builder().listen(address, port)?.build());
    Ok(match name {
        "first_server" => first_server::server(address)?,
        "client_info" => client_info::server(address)?,
        "handshake" => handshake::server(address)?,
        "defer" => defer::server(address)?,
        "request" => request::server(address)?,
        "request_class" => request_class::server(address)?,
        "subprotocol" => subprotocol::server(address)?,
        "close_frame" => close_frame::server(address)?,
        "ping_option" => listen(ping_option::with_pings(control()))?,
        "ping_frame" => ping_frame::server(address)?,
        "pong_option" => listen(pong_option::with_pongs(control()))?,
        "pong_frame" => pong_frame::server(address)?,
        "compression_server" => compression_server::server(address)?,
        "ping_server" => ping_server::server(address)?,
        _ => return Err(format!("no example server is called {name}").into()),
    })
}

/// The other tests start this one in a separate process, where it runs one example server.
#[tokio::test]
async fn every_example_is_a_server_and_nothing_else_is() {
    if let Ok(name) = std::env::var(NAME) {
        return serve(&name).await;
    }
    for name in EXAMPLES {
        let server = server(name, ANY).unwrap();
        assert_eq!(server.addresses().len(), 1, "{name}");
    }
    assert!(server("another", ANY).is_err());
}

/// Runs an example until standard input ends, as it does when the test process is gone.
async fn serve(name: &str) {
    let server = server(name, ANY).unwrap();
    let handle = server.handle();
    println!("\n{LISTENING}{}", server.addresses()[0]);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        handle.shutdown(Duration::ZERO);
    });
    server.run().await.unwrap();
}

/// A running example, which is stopped when it is dropped.
pub(crate) struct Example {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
}

impl Example {
    pub(crate) fn start(name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::every_example_is_a_server_and_nothing_else_is", "--nocapture"])
            .env(NAME, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut example = Example { child, lines, address: ([127, 0, 0, 1], 0).into() };
        while example.address.port() == 0 {
            if let Some(address) = example.line().strip_prefix(LISTENING) {
                example.address = address.parse().unwrap();
            }
        }
        example
    }

    /// Returns the next line that the example prints.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the example printed no line in time")
    }

    /// Returns the next line without `start`, with which it must begin.
    pub(crate) fn rest_of_line(&self, start: &str) -> String {
        let line = self.line();
        line.strip_prefix(start)
            .unwrap_or_else(|| panic!("{line:?} does not start with {start:?}"))
            .to_owned()
    }

    pub(crate) fn connect(&self) -> RawClient {
        RawClient::connect(self.address)
    }

    /// Opens a WebSocket whose bytes the test writes and reads itself.
    pub(crate) fn open(&self) -> RawClient {
        let mut raw = self.connect();
        raw.upgrade("/");
        raw
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    pub(crate) async fn websocket(&self) -> WebSocket {
        sockeye_tokio::connect(&self.url()).await.unwrap()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
