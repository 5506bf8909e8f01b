//! Rows M1 to M4, M9: sending to connections.

use std::sync::mpsc;

use sockeye_core::http::Request;
use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound};

use super::{Harness, Running};

/// Sends back what it gets, and gives every client away that opens.
struct Echo(mpsc::Sender<Client>);

impl Handler for Echo {
    async fn open(&self, client: &Client, _: &Request) -> HandlerResult {
        self.0.send(client.clone())?;
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }
}

pub(crate) fn m1_an_echo_and_a_push_from_another_thread_arrive_in_order<T: Harness>() {
    let (tell, told) = mpsc::channel();
    let server = Running::handler::<T>(Echo(tell));
    let mut raw = server.open();
    let client = told.recv().unwrap();
    raw.text("asked");
    raw.expect_text("asked");
    let handle = server.handle.clone();
    let pusher = std::thread::spawn(move || {
        for n in 0..1000 {
            handle.push(client.id(), format!("{n}")).unwrap();
        }
    });
    for n in 0..1000 {
        raw.expect_text(&format!("{n}"));
    }
    pusher.join().unwrap();
    raw.close(1000, "");
    raw.expect_close(1000);
}
