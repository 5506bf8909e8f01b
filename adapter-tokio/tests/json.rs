//! Messages in JSON, between a client and a server (K9 of docs/requirements.md).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sockeye_tokio::CloseCode;
use sockeye_tokio::json::{JsonError, to_text};
use sockeye_tokio::server::{Client, Handler, HandlerResult, Inbound, Server};

#[derive(Debug, Serialize, Deserialize)]
struct Question<'a> {
    name: &'a str,
    numbers: Vec<u32>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Answer {
    name: String,
    sum: u32,
}

struct Adder;

impl Handler for Adder {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        match message.json::<Question<'_>>() {
            Ok(question) => {
                let sum = question.numbers.iter().sum();
                client.push_json(&Answer { name: question.name.into(), sum })?;
            }
            Err(invalid) => {
                client.push(invalid.to_string())?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn k9_a_client_and_a_server_exchange_json_and_continue_after_an_invalid_message() {
    let server = Server::bind("127.0.0.1:0", Adder).unwrap();
    let url = format!("ws://{}/", server.addresses()[0]);
    let running = tokio::spawn(server.run());
    talk(&url).await;
    running.abort();
}

async fn talk(url: &str) {
    let mut ws = sockeye_tokio::connect(url).await.unwrap();
    for kind in 0..2 {
        let question = Question { name: "one", numbers: vec![1, 2, 3] };
        if kind == 0 {
            ws.send_json(&question).await.unwrap();
        } else {
            ws.send(to_text(&question).unwrap().into_bytes()).await.unwrap();
        }
        let answer = ws.recv_json::<Answer>().await.unwrap().unwrap();
        assert_eq!(answer, Answer { name: "one".into(), sum: 6 });
    }
    // The server and the client continue after a message that they did not expect.
    ws.send("{}").await.unwrap();
    let JsonError::Received(invalid) = ws.recv_json::<Answer>().await.unwrap_err() else { panic!() };
    let text = "a text message of 2 bytes is not the expected JSON: missing field `name` at line 1 column 2";
    assert_eq!(invalid.message().as_text(), Some(text));
    assert!(matches!(ws.send_json(&HashMap::from([((1, 2), 3)])).await, Err(JsonError::Value(_))));
    let (mut send, mut recv) = ws.split();
    send.send_json(&Question { name: "two", numbers: vec![] }).await.unwrap();
    let answer = recv.recv_json::<Answer>().await.unwrap().unwrap();
    assert_eq!(answer, Answer { name: "two".into(), sum: 0 });
    send.close(CloseCode::NORMAL, "").await.unwrap();
}
