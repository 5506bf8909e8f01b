//! A node, which takes commands from its standard input.

use std::time::Duration;

use sockeye_cluster::nats::NatsBroker;
use sockeye_cluster::redis::RedisBroker;
use sockeye_cluster::{Cluster, ClusterEvent, Published};
use sockeye_tokio::server::{Callbacks, Client, Server};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Runs a node until its standard input ends.
pub(crate) async fn run(url: &str) {
    let handler = Callbacks::on_message(|_client, _message| async move {}).on_open(
        |client: Client, request| async move {
            for topic in request.path().trim_start_matches('/').split(',') {
                client.subscribe(topic)?;
            }
            client.push("ready")
        },
    );
    let server = Server::bind("127.0.0.1:0", handler).expect("a free port");
    println!("listening {}", server.addresses()[0]);
    let handle = server.handle();
    let cluster = if url.starts_with("nats") {
        Cluster::join(handle, NatsBroker::new(url))
    } else {
        Cluster::join(handle, RedisBroker::new(url))
    };
    tokio::spawn(server.run());
    let (connected, is_connected) = tokio::sync::watch::channel(false);
    let mut events = cluster.events();
    tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(ClusterEvent::Connected) => connected.send_replace(true),
                Ok(ClusterEvent::Disconnected) => connected.send_replace(false),
                Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
                Err(_) => return,
            };
        }
    });
    let mut next = 0;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["publish", count, topics] => {
                println!("published {}", publish(&cluster, &mut next, number(count), number(topics)).await);
            }
            ["load", millis, topics] => {
                let mut refused = 0;
                // A hundred messages each 100 ms.
                for _ in 0..number(millis) / 100 {
                    refused += publish(&cluster, &mut next, 100, number(topics)).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                println!("loaded {refused}");
            }
            ["present", topic] => {
                let present = cluster.presence(topic).await.map_or(0, |present| present.value.len());
                println!("present {present}");
            }
            ["status"] => {
                let stats = cluster.stats();
                let has_all_topics = stats.topics == cluster.server().topic_count() as u64;
                let nodes = cluster.nodes().len();
                println!("status {nodes} {has_all_topics} {} {}", *is_connected.borrow(), stats.lost);
            }
            _ => println!("unknown command"),
        }
    }
}

/// Publishes numbered messages to the topics in turn. Returns how many reached no other node.
async fn publish(cluster: &Cluster, next: &mut u64, count: u64, topics: u64) -> u64 {
    let mut refused = 0;
    for index in 0..count {
        let topic = format!("t{}", *next % topics);
        let Published { remote, .. } = cluster.publish(&topic, format!("{} {topic} {next}", cluster.node()));
        refused += u64::from(remote.is_err());
        *next += 1;
        // Other tasks run, and the queue to the engine does not fill.
        if index % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    refused
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or(0)
}
