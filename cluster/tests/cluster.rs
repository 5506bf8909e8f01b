//! Clusters of servers in one process, over the engine in memory. No test depends on the time:
//! deadlines are generous.

use std::time::Duration;

use sockeye_cluster::{
    Cluster, ClusterEvent, ClusterOptions, Delivery, DeliveryError, GlobalId, MemoryEngine, NodeId,
    PublishError,
};
use sockeye_tokio::server::{Callbacks, Client, ConnectionId, Server};
use sockeye_tokio::{Message, WebSocket, connect};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);

/// A node: a server whose clients subscribe to the topic that their path names.
struct Node {
    cluster: Cluster,
    url: String,
}

impl Node {
    async fn start(engine: &MemoryEngine) -> Self {
        let mut options = ClusterOptions::default();
        // A loaded machine may be slow. The expiry is tested in virtual time.
        (options.expiry, options.answer_timeout) = (DEADLINE, DEADLINE);
        let handler = Callbacks::on_message(|_client, _message| async move {}).on_open(
            |client: Client, request| async move {
                client.subscribe_with(request.path().trim_start_matches('/'), "info")?;
                client.push(client.id().to_string())
            },
        );
        let server = Server::bind("127.0.0.1:0", handler).unwrap();
        let url = format!("ws://{}", server.addresses()[0]);
        let cluster = Cluster::join_with(server.handle(), engine.broker(), options);
        tokio::spawn(server.run());
        Node { cluster, url }
    }

    /// Returns whether the node subscribes at the broker to the topics of its server.
    fn follows_all(&self) -> bool {
        self.cluster.stats().topics == self.cluster.server().topic_count() as u64
    }

    /// Opens a connection that subscribes to a topic, and returns it with its id.
    async fn open(&self, topic: &str) -> (WebSocket, GlobalId) {
        let mut socket = connect(&format!("{}/{topic}", self.url)).await.unwrap();
        let id: u64 = text(&mut socket).await.parse().unwrap();
        (socket, self.cluster.global_id(ConnectionId::from_u64(id)))
    }
}

async fn receive(socket: &mut WebSocket) -> Option<Message> {
    timeout(DEADLINE, socket.recv()).await.expect("no message arrived").unwrap()
}

async fn text(socket: &mut WebSocket) -> String {
    receive(socket).await.unwrap().as_text().expect("a text message").to_owned()
}

async fn until(mut is_true: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("the condition did not become true");
}

/// Waits until the nodes know each other, and messages of each topic reach all its subscribers.
async fn settle(nodes: &[&Node], topics: &[(&str, u64)]) {
    until(async || nodes.iter().all(|node| node.cluster.nodes().len() + 1 == nodes.len())).await;
    for (topic, count) in topics {
        until(async || nodes[0].cluster.subscriber_count(topic).await.unwrap().value == *count).await;
    }
    until(async || nodes.iter().all(|node| node.follows_all())).await;
}

async fn event(events: &mut Receiver<ClusterEvent>, is_wanted: impl Fn(ClusterEvent) -> bool) {
    let wait = async { while !is_wanted(events.recv().await.unwrap()) {} };
    timeout(DEADLINE, wait).await.expect("no such event");
}

#[tokio::test]
async fn c1_a_message_reaches_the_subscribers_of_all_nodes_once_in_order_and_keeps_its_kind() {
    let engine = MemoryEngine::new();
    let (one, two, three) =
        (Node::start(&engine).await, Node::start(&engine).await, Node::start(&engine).await);
    let (mut ann, _) = one.open("news").await;
    let (mut bob, _) = two.open("news").await;
    let (mut eve, _) = three.open("other").await;
    settle(&[&one, &two, &three], &[("news", 2), ("other", 1)]).await;
    for number in 0..500 {
        let published = one.cluster.publish("news", number.to_string());
        assert_eq!((published.local.queued, published.remote), (1, Ok(())));
    }
    assert_eq!(one.cluster.publish("news", vec![0xff, 0]).remote, Ok(()));
    assert_eq!(one.cluster.publish("other", "end").remote, Ok(()));
    for socket in [&mut ann, &mut bob] {
        for number in 0..500 {
            assert_eq!(text(socket).await, number.to_string());
        }
        assert_eq!(receive(socket).await, Some(Message::binary(vec![0xff, 0])));
    }
    assert_eq!(text(&mut eve).await, "end");
    assert_eq!(two.cluster.stats().lost + two.cluster.stats().duplicates, 0);
}

#[tokio::test]
async fn c1_a_node_receives_only_topics_that_have_subscribers_there() {
    let engine = MemoryEngine::new();
    let (one, two) = (Node::start(&engine).await, Node::start(&engine).await);
    let (bob, _) = two.open("news").await;
    settle(&[&one, &two], &[("news", 1)]).await;
    // Heartbeats are few beside the messages.
    let publish = || {
        for _ in 0..1000 {
            assert_eq!(one.cluster.publish("news", "hello").remote, Ok(()));
        }
    };
    let received = || two.cluster.stats().received;
    let before = received();
    publish();
    until(async || received() - before >= 1000).await;
    drop(bob);
    until(async || two.cluster.server().topic_count() == 0 && two.follows_all()).await;
    let before = received();
    publish();
    assert!(received() - before < 500, "the node still subscribes to the topic");
}

#[tokio::test]
async fn c2_one_connection_is_reached_wherever_it_is() {
    let engine = MemoryEngine::new();
    let (one, two) = (Node::start(&engine).await, Node::start(&engine).await);
    let (mut bob, id) = two.open("news").await;
    settle(&[&one, &two], &[]).await;
    assert_eq!(one.cluster.push(id, "remote"), Ok(Delivery::Sent));
    assert_eq!(text(&mut bob).await, "remote");
    assert!(matches!(two.cluster.push(id, "local"), Ok(Delivery::Local(_))));
    assert_eq!(text(&mut bob).await, "local");
    for node in [&one, &two] {
        let info = node.cluster.info(id).await.unwrap().unwrap();
        assert!(info.is_established && info.peer.starts_with("127.0.0.1"));
    }
    let gone = GlobalId { connection: ConnectionId::from_u64(1 << 60), ..id };
    assert_eq!(one.cluster.info(gone).await, Ok(None));
    let unknown = GlobalId { node: NodeId::from_u64(1), ..id };
    assert_eq!(one.cluster.push(unknown, "lost"), Err(DeliveryError::UnknownNode));
    assert_eq!(one.cluster.disconnect(id, 4001, "moved"), Ok(Delivery::Sent));
    assert_eq!(receive(&mut bob).await, None);
    assert_eq!(&*bob.close_info().unwrap().reason, "moved");
}

#[tokio::test]
async fn c2_a_broadcast_reaches_all_connections_of_all_nodes() {
    let engine = MemoryEngine::new();
    let (one, two) = (Node::start(&engine).await, Node::start(&engine).await);
    let ((mut ann, _), (mut bob, _)) = (one.open("a").await, two.open("b").await);
    settle(&[&one, &two], &[]).await;
    assert_eq!(one.cluster.broadcast("all").remote, Ok(()));
    assert_eq!(text(&mut ann).await, "all");
    assert_eq!(text(&mut bob).await, "all");
}

#[tokio::test]
async fn c3_presence_spans_the_nodes_and_a_large_one_arrives_in_parts() {
    let engine = MemoryEngine::new();
    let (one, two) = (Node::start(&engine).await, Node::start(&engine).await);
    let (_ann, ann_id) = one.open("news").await;
    let mut ids = vec![ann_id];
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let (socket, id) = two.open("news").await;
        let info = vec![b'x'; 60_000];
        two.cluster.server().subscribe_with(id.connection, "news", info).unwrap();
        sockets.push(socket);
        ids.push(id);
    }
    settle(&[&one, &two], &[("news", 6)]).await;
    let present = one.cluster.presence("news").await.unwrap();
    assert_eq!(present.missing, []);
    let mut found: Vec<_> = present.value.iter().map(|member| member.id).collect();
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
    assert!(present.value.iter().all(|member| member.id == ann_id || member.info.len() == 60_000));
}

#[tokio::test]
async fn c3_a_node_that_leaves_or_stops_is_gone_at_once() {
    let engine = MemoryEngine::new();
    let (one, two, three) =
        (Node::start(&engine).await, Node::start(&engine).await, Node::start(&engine).await);
    settle(&[&one, &two, &three], &[]).await;
    let mut events = one.cluster.events();
    two.cluster.leave();
    event(&mut events, |event| event == ClusterEvent::NodeLeft(two.cluster.node())).await;
    until(async || two.cluster.publish("news", "alone").remote == Err(PublishError::Stopped)).await;
    three.cluster.server().shutdown(Duration::ZERO);
    event(&mut events, |event| event == ClusterEvent::NodeLeft(three.cluster.node())).await;
    assert_eq!(one.cluster.nodes(), []);
}

#[tokio::test]
async fn c4_without_a_broker_local_delivery_continues_and_the_gap_is_counted() {
    let engine = MemoryEngine::new();
    let (one, two) = (Node::start(&engine).await, Node::start(&engine).await);
    let ((mut ann, _), (mut bob, _)) = (one.open("news").await, two.open("news").await);
    settle(&[&one, &two], &[("news", 2)]).await;
    let mut events = two.cluster.events();
    assert_eq!(one.cluster.publish("news", "before").remote, Ok(()));
    engine.set_up(false);
    for _ in 0..3 {
        let published = one.cluster.publish("news", "meanwhile");
        assert_eq!((published.local.queued, published.remote), (1, Err(PublishError::Disconnected)));
    }
    engine.set_up(true);
    assert_eq!(one.cluster.publish("news", "after").remote, Ok(()));
    for expected in ["before", "meanwhile", "meanwhile", "meanwhile", "after"] {
        assert_eq!(text(&mut ann).await, expected);
    }
    assert_eq!(text(&mut bob).await, "before");
    assert_eq!(text(&mut bob).await, "after");
    assert_eq!(two.cluster.stats().lost, 3);
    assert!(one.cluster.stats().refused >= 3);
    assert_eq!(two.cluster.stats().disconnects, 1);
    event(&mut events, |event| event == ClusterEvent::Disconnected).await;
    event(&mut events, |event| event == ClusterEvent::Connected).await;
    event(&mut events, |event| event == ClusterEvent::Lost { node: one.cluster.node(), messages: 3 }).await;
}

#[tokio::test]
async fn c1_messages_and_topics_that_are_too_large_are_errors_and_stay_local() {
    let engine = MemoryEngine::new();
    let one = Node::start(&engine).await;
    let too_large = |result| matches!(result, Err(PublishError::TooLarge { .. }));
    assert!(too_large(one.cluster.publish("news", vec![0; 1_000_001]).remote));
    assert!(too_large(one.cluster.publish("x".repeat(256), "hello").remote));
    let (_socket, _) = one.open(&"x".repeat(256)).await;
    assert_eq!(one.cluster.publish("x".repeat(256), "hello").local.queued, 1);
}

#[tokio::test]
async fn c4_the_broker_in_memory_keeps_the_contract() {
    let engine = MemoryEngine::new();
    sockeye_cluster::conformance::check(|| engine.broker()).await;
}
