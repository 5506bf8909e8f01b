//! A broker over NATS, by async-nats.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Event, Subscriber};
use bytes::Bytes;
use futures_core::Stream;
use tokio::task::JoinHandle;

use crate::broker::{Broker, PublishError, Receiver};
use crate::link::{Link, Message, pause};

/// The number of messages that are taken from the queue at once.
const BATCH: usize = 256;

/// A broker over NATS.
///
/// It works with every version of the server since 2.2, and with clusters of servers, whose
/// addresses it learns.
pub struct NatsBroker {
    url: String,
    options: std::sync::Mutex<Option<ConnectOptions>>,
    link: Arc<Link>,
}

impl NatsBroker {
    /// Creates a broker that connects to `url`, such as `nats://127.0.0.1:4222`. A list of URLs has
    /// commas between them.
    pub fn new(url: impl Into<String>) -> Self {
        NatsBroker::with_options(url, ConnectOptions::new())
    }

    /// Creates a broker with options of async-nats, such as credentials and certificates. Its event
    /// callback, its reconnect delays and its echo are replaced.
    pub fn with_options(url: impl Into<String>, options: ConnectOptions) -> Self {
        NatsBroker { url: url.into(), options: std::sync::Mutex::new(Some(options)), link: Link::new() }
    }
}

impl Broker for NatsBroker {
    fn start(&self, receiver: Arc<dyn Receiver>) {
        let Some(options) = crate::node::lock(&self.options).take() else { return };
        tokio::spawn(run(self.link.clone(), receiver, self.url.clone(), options));
    }

    fn publish(&self, channel: &str, message: Bytes) -> Result<(), PublishError> {
        self.link.publish(channel, message)
    }

    fn subscribe(&self, channel: &str) {
        self.link.subscribe(channel, true);
    }

    fn unsubscribe(&self, channel: &str) {
        self.link.subscribe(channel, false);
    }

    fn stop(&self) {
        self.link.stop();
    }
}

impl fmt::Debug for NatsBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBroker").finish_non_exhaustive()
    }
}

/// The subscriptions of a client, each with the task that passes its messages on.
struct Subscriptions {
    client: Client,
    receiver: Arc<dyn Receiver>,
    tasks: HashMap<Box<str>, JoinHandle<()>>,
}

async fn run(link: Arc<Link>, receiver: Arc<dyn Receiver>, url: String, options: ConnectOptions) {
    let Some(mut queue) = link.take_queue() else { return };
    let Some(client) = connect(&link, &receiver, &url, options).await else { return };
    let mut subscriptions =
        Subscriptions { client: client.clone(), receiver: receiver.clone(), tasks: HashMap::new() };
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            // Subscriptions come before messages, so that an answer finds its subscriber.
            biased;
            () = link.changed.notified() => subscriptions.update(&link).await,
            () = link.stopped() => break,
            _ = queue.recv_many(&mut batch, BATCH) => send(&link, &client, &mut batch).await,
        }
    }
    while let Ok(message) = queue.try_recv() {
        batch.push(message);
    }
    send(&link, &client, &mut batch).await;
    subscriptions.tasks.into_values().for_each(|task| task.abort());
    // Without a connection nothing is sent.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), client.drain()).await;
}

/// Returns a client, which connects by itself; `None` if the broker is stopped meanwhile.
async fn connect(
    link: &Arc<Link>,
    receiver: &Arc<dyn Receiver>,
    url: &str,
    options: ConnectOptions,
) -> Option<Client> {
    let events = (link.clone(), receiver.clone());
    let options =
        options.no_echo().retry_on_initial_connect().reconnect_delay_callback(pause).event_callback(
            move |event| {
                match event {
                    Event::Connected => events.0.set_connected(true, &*events.1),
                    Event::Disconnected | Event::Closed => events.0.set_connected(false, &*events.1),
                    _ => {}
                }
                std::future::ready(())
            },
        );
    let addresses: Vec<String> = url.split(',').map(|url| url.trim().to_owned()).collect();
    // An error here is one of the URL or of the options, which no later attempt repairs. The node
    // stays disconnected.
    match options.connect(addresses).await {
        Ok(client) => Some(client),
        Err(_) => {
            link.stopped().await;
            None
        }
    }
}

async fn send(link: &Link, client: &Client, batch: &mut Vec<Message>) {
    link.dequeued(batch);
    for Message { channel, payload } in batch.drain(..) {
        // An error means that the client has ended. Delivery is at most once.
        let _ = client.publish(String::from(channel), payload).await;
    }
}

impl Subscriptions {
    async fn update(&mut self, link: &Link) {
        for (channel, is_wanted) in link.take_changes() {
            if !is_wanted {
                if let Some(task) = self.tasks.remove(&channel) {
                    // The dropped subscriber unsubscribes.
                    task.abort();
                }
            } else if !self.tasks.contains_key(&channel)
                && let Ok(subscriber) = self.client.subscribe(String::from(channel.clone())).await
            {
                let task = tokio::spawn(receive(subscriber, self.receiver.clone()));
                self.tasks.insert(channel, task);
            }
        }
    }
}

async fn receive(mut subscriber: Subscriber, receiver: Arc<dyn Receiver>) {
    while let Some(message) = poll_fn(|cx| Pin::new(&mut subscriber).poll_next(cx)).await {
        receiver.message(&message.payload);
    }
}
