//! Rooms that span several servers. Start an engine and two nodes:
//!
//! ```sh
//! nats-server &
//! cargo run -p sockeye-cluster --example rooms --all-features -- --cluster nats://127.0.0.1:4222 --port 9501 &
//! cargo run -p sockeye-cluster --example rooms --all-features -- --cluster nats://127.0.0.1:4222 --port 9502
//! ```
//!
//! Open `http://127.0.0.1:9501/` and `http://127.0.0.1:9502/`. `GET /push?message=…` reaches all.

use clap::Parser;
use sockeye_cluster::Cluster;
use sockeye_cluster::nats::NatsBroker;
use sockeye_cluster::redis::RedisBroker;
use sockeye_tokio::Response;
use sockeye_tokio::server::{Callbacks, Server};
use std::sync::{Arc, OnceLock};

const PAGE: &str = r##"<!doctype html><meta charset="utf-8"><title>Rooms</title>
<p id="node">connecting</p><form><input autofocus></form><pre></pre><script>
const [node, form, input, log] = ["#node", "form", "input", "pre"].map((name) => document.querySelector(name));
const room = location.hash.slice(1) || "lobby";
const socket = new WebSocket(`ws://${location.host}/${encodeURIComponent(room)}`);
socket.onmessage = ({data}) => data.startsWith("node ") ? node.textContent = data : log.append(data + "\n");
socket.onclose = () => node.textContent = "disconnected; reload the page";
form.onsubmit = (event) => { event.preventDefault(); socket.send(input.value); form.reset(); };
</script>"##;

#[derive(Parser)]
struct Args {
    /// The engine: `nats://…` or `redis://…`.
    #[arg(long, default_value = "nats://127.0.0.1:4222")]
    cluster: String,
    #[arg(long, default_value_t = 9501)]
    port: u16,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    // The cluster needs the server's handle, and the handler needs the cluster.
    let joined = Arc::new(OnceLock::<Cluster>::new());
    let cluster = {
        let joined = joined.clone();
        move || joined.get().cloned().ok_or("the server is starting")
    };
    let (messages, opened, requests) = (cluster.clone(), cluster.clone(), cluster);
    let handler = Callbacks::on_message(move |client, message| {
        let cluster = messages();
        async move {
            let (cluster, text) = (cluster?, message.as_text().ok_or("this room is for text")?);
            let id = cluster.global_id(client.id());
            for room in client.topics() {
                // If the engine is away, the connections of this node still get it.
                let _ = cluster.publish(&room, format!("{id}: {text}"));
            }
            Ok(())
        }
    })
    .on_open(move |client, request| {
        let cluster = opened();
        async move {
            let (cluster, room) = (cluster?, request.path().trim_start_matches('/'));
            if room.len() > 100 {
                return Err("the name of the room is too long".into());
            }
            client.subscribe(room)?;
            let present = cluster.subscriber_count(room).await.map_or(1, |gathered| gathered.value);
            client.push(format!("node {}, {present} in {room}", cluster.node()))?;
            Ok(())
        }
    })
    .on_request(move |_client, request| {
        let cluster = requests();
        async move {
            Ok(match (request.path(), request.param("message")) {
                ("/", _) => Response::html(200, PAGE),
                ("/push", Some(message)) => {
                    let published = cluster?.broadcast(&*message);
                    Response::text(200, format!("{published:?}\n"))
                }
                _ => Response::text(404, "no such page\n"),
            })
        }
    });
    let server = Server::bind(("127.0.0.1", args.port), handler)?;
    let _ = joined.set(match args.cluster.starts_with("redis") {
        true => Cluster::join(server.handle(), RedisBroker::new(args.cluster)),
        false => Cluster::join(server.handle(), NatsBroker::new(args.cluster)),
    });
    server.run().await
}
