//! Keeps `docs/from-axum.md` true: runs its examples, and looks for its names in the sources.
#![expect(unreachable_pub, reason = "the document shows the examples as a crate would contain them")]

mod examples;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::{Router, routing::any};
use sockeye_hyper::CloseCode;
use sockeye_testkit::PATIENCE;
use sockeye_tokio::{ConnectOptions, WebSocket};
use tokio::net::TcpListener;

use examples::{App, User};

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the future did not complete in time")
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn connect(address: SocketAddr) -> WebSocket {
    let options = ConnectOptions::new().subprotocol("chat").unwrap().compression(true);
    let url = format!("ws://{address}/ws");
    soon(sockeye_tokio::connect_with(&url, options)).await.unwrap().0
}

async fn receive(ws: &mut WebSocket) -> String {
    soon(ws.recv()).await.unwrap().unwrap().as_text().unwrap().to_owned()
}

#[tokio::test]
async fn the_echo_echoes_with_compression() {
    let mut ws = connect(serve(examples::echo::app()).await).await;
    ws.send("hello").await.unwrap();
    assert_eq!((receive(&mut ws).await.as_str(), ws.deflate().is_some()), ("hello", true));
    assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
}

#[tokio::test]
async fn the_application_has_its_state_and_its_user() {
    let authenticate = |mut request: Request, next: Next| async {
        request.extensions_mut().insert(User { name: "anna".to_owned() });
        next.run(request).await
    };
    let app = Router::new().route("/ws", any(examples::application::ws)).layer(from_fn(authenticate));
    let mut ws = connect(serve(app.with_state(App { name: "example" })).await).await;
    assert_eq!(ws.subprotocol(), Some("chat"));
    assert_eq!(receive(&mut ws).await, "hello anna on example");
    ws.send("thanks").await.unwrap();
    assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
}

#[tokio::test]
async fn the_broadcast_reaches_all() {
    let (room, _) = tokio::sync::broadcast::channel(10);
    let app = Router::new().route("/ws", any(examples::broadcast::ws)).with_state(room.clone());
    let address = serve(app).await;
    let (mut one, mut two) = (connect(address).await, connect(address).await);
    soon(async {
        while room.receiver_count() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    one.send("hello all").await.unwrap();
    assert_eq!(receive(&mut one).await, "hello all");
    assert_eq!(receive(&mut two).await, "hello all");
    assert!(soon(one.close(CloseCode::NORMAL, "")).await.unwrap().clean);
}

#[tokio::test]
async fn the_counterparts_of_tokio_tungstenite_talk_to_each_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(examples::tungstenite_server::serve(listener));
    let answer = soon(examples::tungstenite_client::ask(&format!("ws://{address}/echo"), "hello?")).await;
    assert_eq!(answer.unwrap(), "hello?");
    let refused = soon(examples::tungstenite_client::ask(&format!("ws://{address}/"), "hello?")).await;
    assert!(refused.unwrap_err().to_string().contains("404"));
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/from-axum.md")).unwrap()
}

#[test]
fn each_rust_block_is_an_example_and_each_example_has_a_block() {
    let document = document();
    let blocks = document.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let shown: BTreeSet<String> = blocks.map(str::to_owned).collect();
    let folder = root().join("adapter-hyper/tests/from_axum/examples");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.file_name().unwrap() != "mod.rs");
    let examples: BTreeSet<String> = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(shown, examples);
}

/// The second column of the tables has the names of Sockeye.
#[test]
fn the_names_of_sockeye_exist() {
    let mut sources = String::new();
    for folder in ["core/src", "driver/src", "adapter-tokio/src", "adapter-hyper/src"] {
        read_all(root().join(folder), &mut sources);
    }
    let document = document();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1));
    let names: BTreeSet<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let mut count = 0;
    for name in names {
        let last = name.rsplit("::").next().unwrap();
        let exists =
            ["fn ", "struct ", "enum ", "type ", "pub mod ", "    ", "pub const "].iter().any(|kind| {
                let declaration = format!("{kind}{last}");
                sources.match_indices(&declaration).any(|(at, found)| {
                    let after = sources[at + found.len()..].chars().next();
                    !after.is_some_and(|next| next.is_alphanumeric() || next == '_')
                })
            });
        assert!(exists, "{name} is in no source");
        count += 1;
    }
    assert!(count > 30, "the tables have {count} names");
}

fn read_all(folder: PathBuf, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(path, into);
        } else {
            into.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}
