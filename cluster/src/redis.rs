//! A broker over Redis, by redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisResult, Value,
};
use tokio::sync::{Notify, mpsc};

use crate::broker::{Broker, PublishError, Receiver};
use crate::link::{Link, Message, pause};

/// The number of commands that are sent at once.
const BATCH: usize = 256;

/// The time for connecting, and for the answer to a command. Heartbeats are commands, so it also
/// bounds the time after which a silent server is noticed.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A broker over the pub/sub of Redis.
///
/// It needs version 6 or later, or another server that speaks RESP3, such as Valkey. It uses one
/// connection.
pub struct RedisBroker {
    url: String,
    link: Arc<Link>,
}

impl RedisBroker {
    /// Creates a broker that connects to `url`, such as `redis://127.0.0.1:6379`.
    pub fn new(url: impl Into<String>) -> Self {
        RedisBroker { url: url.into(), link: Link::new() }
    }
}

impl Broker for RedisBroker {
    fn start(&self, receiver: Arc<dyn Receiver>) {
        tokio::spawn(run(self.link.clone(), receiver, self.url.clone()));
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

impl fmt::Debug for RedisBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBroker").finish_non_exhaustive()
    }
}

/// Why a connection is no longer used.
#[derive(PartialEq, Eq)]
enum End {
    Lost,
    Stopped,
}

async fn run(link: Arc<Link>, receiver: Arc<dyn Receiver>, url: String) {
    let Some(mut queue) = link.take_queue() else { return };
    let mut attempt = 0;
    loop {
        let lost = Arc::new(Notify::new());
        let connected = tokio::select! {
            connected = connect(&url, receiver.clone(), lost.clone()) => connected,
            () = link.stopped() => return,
        };
        if let Ok(connection) = connected {
            let end = serve(&link, &*receiver, connection, &lost, &mut queue, &mut attempt).await;
            if end == End::Stopped {
                return;
            }
            link.set_connected(false, &*receiver);
            // They would arrive late, after the nodes have counted them as lost.
            while let Ok(message) = queue.try_recv() {
                link.dequeued(&[message]);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause(attempt)) => attempt += 1,
            () = link.stopped() => return,
        }
    }
}

async fn connect(
    url: &str,
    receiver: Arc<dyn Receiver>,
    lost: Arc<Notify>,
) -> RedisResult<MultiplexedConnection> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = redis::Client::open(info.set_redis_settings(settings))?;
    // The messages are passed on where they are read: no queue can grow.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT))
        .set_push_sender(move |push: PushInfo| {
            match push.kind {
                PushKind::Message => {
                    if let Some(Value::BulkString(payload)) = push.data.get(1) {
                        receiver.message(payload);
                    }
                }
                PushKind::Disconnection => lost.notify_one(),
                _ => {}
            }
            Ok::<(), std::convert::Infallible>(())
        });
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Subscribes and publishes over a connection until it is lost or the broker is stopped.
async fn serve(
    link: &Link,
    receiver: &dyn Receiver,
    mut connection: MultiplexedConnection,
    lost: &Notify,
    queue: &mut mpsc::Receiver<Message>,
    attempt: &mut usize,
) -> End {
    let wanted = link.wanted().into_iter().map(|channel| (channel, true)).collect();
    if subscribe(&mut connection, wanted).await.is_err() {
        return End::Lost;
    }
    *attempt = 0;
    link.set_connected(true, receiver);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let result = tokio::select! {
            // Subscriptions come before messages, so that an answer finds its subscriber.
            biased;
            () = link.changed.notified() => subscribe(&mut connection, link.take_changes()).await,
            () = lost.notified() => return End::Lost,
            () = link.stopped() => break,
            _ = queue.recv_many(&mut batch, BATCH) => send(link, &mut connection, &mut batch).await,
        };
        if result.is_err() {
            return End::Lost;
        }
    }
    while let Ok(message) = queue.try_recv() {
        batch.push(message);
    }
    // Without a connection nothing is sent.
    let _ = send(link, &mut connection, &mut batch).await;
    End::Stopped
}

async fn subscribe(
    connection: &mut MultiplexedConnection,
    changes: Vec<(Box<str>, bool)>,
) -> RedisResult<()> {
    for changes in changes.chunks(BATCH) {
        let mut commands = redis::pipe();
        for (channel, is_wanted) in changes {
            let command = if *is_wanted { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
            commands.cmd(command).arg(&**channel).ignore();
        }
        commands.query_async::<()>(connection).await?;
    }
    Ok(())
}

async fn send(
    link: &Link,
    connection: &mut MultiplexedConnection,
    batch: &mut Vec<Message>,
) -> RedisResult<()> {
    link.dequeued(batch);
    if batch.is_empty() {
        return Ok(());
    }
    let mut commands = redis::pipe();
    for Message { channel, payload } in batch.drain(..) {
        commands.cmd("PUBLISH").arg(&*channel).arg(&payload[..]).ignore();
    }
    commands.query_async::<()>(connection).await
}
