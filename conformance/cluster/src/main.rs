//! Tests clusters with a real nats-server and redis-server: exactly-once delivery in order, a killed
//! node, a stopped node, and an engine that disappears under load.
//!
//! `cluster` runs everything, `cluster --quick` its short form. Each node is a process: the program
//! starts itself.

mod engine;
mod load;
mod node;
mod process;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use engine::Engine;
use load::Clients;
use process::NodeProcess;

/// Without `--node` this is the test.
#[derive(Parser, Clone)]
struct Args {
    /// Use a smaller load.
    #[arg(long)]
    quick: bool,
    /// The engines.
    #[arg(long, value_delimiter = ',', default_value = "nats,redis")]
    engines: Vec<String>,
    /// Fail if an engine is not installed.
    #[arg(long)]
    require_all: bool,
    #[arg(long)]
    connections: Option<usize>,
    #[arg(long)]
    topics: Option<usize>,
    /// The number of publishes from all nodes together.
    #[arg(long)]
    publishes: Option<u64>,
    /// Run a node with the engine at this URL. The program starts these itself.
    #[arg(long, hide = true)]
    node: Option<String>,
}

/// The size of a test.
#[derive(Clone, Copy)]
struct Size {
    connections: usize,
    topics: usize,
    publishes: u64,
    outage: Duration,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(url) = &args.node {
        node::run(url).await;
        return ExitCode::SUCCESS;
    }
    let (connections, topics, publishes, outage) =
        if args.quick { (300, 60, 6000, 3) } else { (3000, 300, 100_000, 10) };
    let size = Size {
        connections: args.connections.unwrap_or(connections),
        topics: args.topics.unwrap_or(topics),
        publishes: args.publishes.unwrap_or(publishes),
        outage: Duration::from_secs(outage),
    };
    let mut has_failed = false;
    for name in &args.engines {
        if Engine::program(name).is_none() {
            println!("{name}: skipped, its server is not installed");
            has_failed |= args.require_all;
            continue;
        }
        println!(
            "{name}: {} connections, {} topics, {} publishes",
            size.connections, size.topics, size.publishes
        );
        if let Err(error) = check(name, size).await {
            println!("{name}: FAILED: {error}");
            has_failed = true;
        }
    }
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn check(name: &str, size: Size) -> Result<(), String> {
    let mut engine = Engine::start(name).await?;
    engine.check_contract().await;
    report("the broker keeps its contract", "");

    let mut nodes = Vec::new();
    for index in 0..3 {
        nodes.push(NodeProcess::start(&engine.url, index).await?);
    }
    let mut clients = Clients::open(&nodes, size.connections, size.topics).await?;
    for node in &mut nodes {
        node.wait_for("2 nodes and all topics", 20, |status| status.nodes == 2 && status.has_all_topics)
            .await?;
    }

    let began = Instant::now();
    publish(&mut nodes, &mut clients, size).await?;
    let deliveries = clients.expect_all(&[0, 1, 2]).await?;
    let took = began.elapsed().as_secs_f64();
    report("each message arrives once and in order", &format!("{deliveries} deliveries in {took:.1} s"));

    stop_a_node(&mut nodes, &mut clients, size).await?;
    lose_the_engine(&mut engine, &mut nodes, &mut clients, size).await?;
    kill_a_node(&mut nodes, &mut clients, size).await
}

/// Publishes the whole number of messages, spread over the nodes.
async fn publish(nodes: &mut [NodeProcess], clients: &mut Clients, size: Size) -> Result<(), String> {
    let count = size.publishes / nodes.len() as u64;
    for node in nodes.iter_mut() {
        node.send(&format!("publish {count} {}", size.topics)).await?;
        clients.expect(node.index, count);
    }
    for node in nodes.iter_mut() {
        let refused = node.answer("published").await?;
        if refused != "0" {
            return Err(format!("node {} could not publish {refused} messages", node.index));
        }
    }
    Ok(())
}

/// A node that is stopped for 2 s does not slow the others.
async fn stop_a_node(nodes: &mut [NodeProcess], clients: &mut Clients, size: Size) -> Result<(), String> {
    let [first, second, slow] = nodes else { return Err("there are not three nodes".into()) };
    slow.signal("STOP").await?;
    let began = Instant::now();
    for node in [&mut *first, &mut *second] {
        node.send(&format!("publish {} {}", size.publishes / 10, size.topics)).await?;
        clients.expect(node.index, size.publishes / 10);
    }
    for node in [&mut *first, &mut *second] {
        node.answer("published").await?;
    }
    let result = clients.expect_all(&[0, 1]).await;
    let took = began.elapsed().as_secs_f64();
    slow.signal("CONT").await?;
    result?;
    report("a stopped node does not slow the others", &format!("{took:.1} s"));
    clients.expect_all(&[2]).await?;
    report("the stopped node catches up", "");
    Ok(())
}

/// The engine is killed under load and returns later.
async fn lose_the_engine(
    engine: &mut Engine,
    nodes: &mut [NodeProcess],
    clients: &mut Clients,
    size: Size,
) -> Result<(), String> {
    clients.expect_gaps();
    let millis = (size.outage.as_secs() + 2) * 1000;
    for node in nodes.iter_mut() {
        node.send(&format!("load {millis} {}", size.topics)).await?;
        clients.expect(node.index, millis);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.kill().await;
    tokio::time::sleep(size.outage / 2).await;
    let local_before = clients.received(0);
    tokio::time::sleep(size.outage / 2).await;
    if clients.received(0) == local_before {
        return Err("local delivery did not continue".into());
    }
    let mut refused = 0_u64;
    for node in nodes.iter_mut() {
        refused += node.answer("loaded").await?.parse::<u64>().unwrap_or(0);
    }
    if refused == 0 {
        return Err("no publish said that the engine was away".into());
    }
    engine.restart().await?;
    let began = Instant::now();
    for node in nodes.iter_mut() {
        node.wait_for("the connection", 30, |status| status.is_connected).await?;
    }
    let took = began.elapsed().as_secs_f64();
    // They wait 2 s at most; a loaded machine may be slow.
    if took > 20.0 {
        return Err(format!("the nodes took {took:.1} s to connect again"));
    }
    report("local delivery continues without the engine", &format!("{refused} publishes say so"));
    clients.settle().await;
    publish(nodes, clients, size).await?;
    clients.expect_all(&[0, 1, 2]).await?;
    let mut lost = 0;
    for node in nodes.iter_mut() {
        lost += node.status().await?.lost;
    }
    if lost == 0 {
        return Err("no loss was counted".into());
    }
    report("all is well after its return", &format!("connected after {took:.1} s, {lost} losses counted"));
    Ok(())
}

/// A node is killed; the others lose nothing, and notice within 4 s.
async fn kill_a_node(nodes: &mut Vec<NodeProcess>, clients: &mut Clients, size: Size) -> Result<(), String> {
    let Some(killed) = nodes.pop() else { return Err("there is no node".into()) };
    let before = nodes[0].present("t0").await?;
    killed.kill().await;
    let began = Instant::now();
    publish(nodes, clients, size).await?;
    clients.expect_all(&[0, 1]).await?;
    for node in nodes.iter_mut() {
        node.wait_for("the end of the killed node", 20, |status| status.nodes == 1).await?;
    }
    let took = began.elapsed().as_secs_f64();
    let after = nodes[0].present("t0").await?;
    let expected = clients.subscribers("t0", &[0, 1]);
    if after != expected || before != clients.subscribers("t0", &[0, 1, 2]) {
        return Err(format!("presence was {before} and then {after} instead of {expected}"));
    }
    report(
        "a killed node is noticed, and the others lose nothing",
        &format!("within {took:.1} s, presence {before} to {after}"),
    );
    Ok(())
}

fn report(check: &str, detail: &str) {
    println!("  ok: {check}{}{detail}", if detail.is_empty() { "" } else { ": " });
}
