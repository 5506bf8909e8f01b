//! A process that runs out of file descriptors.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::{RawClient, eventually};

/// The environment variable that makes the test of a child process serve.
const CHILD: &str = "SOCKEYE_TEST_SERVES";

/// The file descriptors of the child, which also has some open for its own use.
const LIMIT: usize = 40;

/// Checks that an accept loop survives having no file descriptors left.
///
/// The limit holds for a whole process, so the test that calls this runs itself again in a process
/// with a limit of 40. There this function passes the listening socket to `serve`, which must echo
/// the messages of every connection. `test` is the name of the calling test.
///
/// # Panics
///
/// Panics if the loop ends, or does not serve the clients that had to wait.
pub fn assert_survives_without_descriptors(test: &str, serve: impl FnOnce(TcpListener)) {
    if std::env::var_os(CHILD).is_some() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        println!("\nserving {}", listener.local_addr().unwrap());
        serve(listener);
        return;
    }
    let mut child = KillOnDrop(
        Command::new("sh")
            .args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\" --exact \"$1\" --nocapture")])
            .arg(std::env::current_exe().unwrap())
            .arg(test)
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address =
        lines.map(|line| line.strip_prefix("serving ").map(|text| text.parse::<SocketAddr>().unwrap()));
    let address = address.flatten().next().expect("the child serves");
    // More clients than the child has descriptors.
    let mut clients: Vec<RawClient> = (0..LIMIT + 20).map(|_| RawClient::connect(address)).collect();
    for client in &mut clients {
        client.write(crate::handshake::UPGRADE_REQUEST);
    }
    assert_eq!(clients[0].answer().status(), 101);
    // Give the loop time to run out of descriptors, and to fail if it does.
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(child.0.try_wait().unwrap().is_none(), "the loop has ended");
    clients[0].text("still here");
    clients[0].expect_text("still here");
    clients.drain(1..LIMIT);
    for waiting in &mut clients[1..] {
        assert_eq!(waiting.answer().status(), 101);
        waiting.text("at last");
        waiting.expect_text("at last");
    }
    drop(clients);
    eventually("a further connection", || {
        let mut client = RawClient::connect(address);
        client.write(crate::handshake::UPGRADE_REQUEST);
        client.answer().status() == 101
    });
}

struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
