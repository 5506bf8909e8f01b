//! Peers that make the server hold or do as much as they can, vanish, and come again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::talker::Said;
use crate::peer::{BINARY, Peer, dial, masked, masked_with_first_byte};
use crate::scenario::budgets::{self, Kind};

/// The number of the first source address of hostile peers, see [`dial`].
const FIRST: usize = 100_000;
/// The time for which a flooder floods. It then rests, because a few of them could use up the
/// processors of the machine, which the peers share with the server.
const FLOOD: Duration = Duration::from_millis(100);

/// The kinds of peers, besides those that fill memory.
const OTHERS: [&str; 4] = ["silent", "vanishing", "violating", "flooding"];

pub(super) struct Hostile {
    tasks: JoinSet<BTreeMap<&'static str, usize>>,
}

impl Hostile {
    pub(super) fn start(to: SocketAddr, count: usize, over: watch::Receiver<Said>) -> io::Result<Self> {
        let (kinds, mut tasks) = (Arc::new(budgets::kinds()?), JoinSet::new());
        for n in 0..count {
            tasks.spawn(attack(to, n, kinds.clone(), over.clone()));
        }
        Ok(Hostile { tasks })
    }

    /// Waits for the peers. Returns how often each kind has connected.
    pub(super) async fn end(mut self) -> String {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        while let Some(done) = self.tasks.join_next().await {
            for (name, count) in done.unwrap_or_default() {
                *counts.entry(name).or_default() += count;
            }
        }
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    }
}

/// Is one hostile peer after another until it is over.
async fn attack(
    to: SocketAddr,
    n: usize,
    kinds: Arc<Vec<Kind>>,
    mut over: watch::Receiver<Said>,
) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for round in n.. {
        let choice = round % (kinds.len() + OTHERS.len());
        let (name, peer) = match kinds.get(choice) {
            Some(kind) => {
                let attack = budgets::send(to, FIRST + n, kind.opens, kind.wire.clone(), kind.times);
                (kind.name, within(&mut over, attack).await)
            }
            None => {
                let name = OTHERS.get(choice - kinds.len()).copied().unwrap_or_default();
                (name, within(&mut over, other(to, FIRST + n, name)).await)
            }
        };
        let Some(peer) = peer else { break };
        *counts.entry(name).or_default() += 1;
        // Errors do not matter: the server may have cut the peer off.
        let held = Duration::from_millis(1000 + (round * 7919 % 5000) as u64);
        if within(&mut over, tokio::time::sleep(held)).await.is_none() {
            break;
        }
        drop(peer);
    }
    counts
}

/// Runs `attack` unless it is over before. Returns `None` if it is.
async fn within<T>(over: &mut watch::Receiver<Said>, attack: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = attack => Some(done),
        _ = over.wait_for(|said| said.is_over) => None,
    }
}

async fn other(to: SocketAddr, n: usize, name: &str) -> Option<tokio::net::TcpStream> {
    let stream = dial(to, n, None).await.ok()?;
    if name == "silent" {
        return Some(stream);
    }
    let mut peer = Peer::open_on(stream, "/").await.ok()?;
    match name {
        "vanishing" => {
            peer.send(BINARY, b"an echo that is never read").await.ok()?;
            None
        }
        "violating" => {
            let reserved = masked_with_first_byte(0x83, b"a reserved opcode");
            peer.stream.write_all(&reserved).await.ok()?;
            peer.read_to_end().await.ok()?;
            None
        }
        _ => {
            let flood = masked(BINARY, b"x").repeat(2000);
            let (mut reads, mut writes) = peer.stream.split();
            let write = async { while writes.write_all(&flood).await.is_ok() {} };
            let read = async {
                let mut answers = vec![0; 64 << 10];
                while reads.read(&mut answers).await.is_ok_and(|n| n > 0) {}
            };
            let _ = tokio::time::timeout(FLOOD, async { tokio::join!(write, read) }).await;
            Some(peer.stream)
        }
    }
}
