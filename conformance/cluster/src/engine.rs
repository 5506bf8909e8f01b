//! A real engine, started on a free port of the loopback.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use sockeye_cluster::conformance;
use sockeye_cluster::nats::NatsBroker;
use sockeye_cluster::redis::RedisBroker;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

pub(crate) struct Engine {
    pub(crate) url: String,
    is_nats: bool,
    port: u16,
    process: Option<Child>,
}

impl Engine {
    pub(crate) async fn start(name: &str) -> Result<Self, String> {
        let free = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let port = free.local_addr().map_err(|error| error.to_string())?.port();
        drop(free);
        let mut engine = Engine {
            url: format!("{name}://127.0.0.1:{port}"),
            is_nats: name == "nats",
            port,
            process: None,
        };
        engine.restart().await?;
        Ok(engine)
    }

    /// Returns the path of an engine's program, or `None` if it is not installed.
    pub(crate) fn program(name: &str) -> Option<PathBuf> {
        let program = if name == "nats" { "nats-server" } else { "redis-server" };
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian installs servers where a user's path may not look.
        let mut folders: Vec<_> = std::env::split_paths(&path).collect();
        folders.push("/usr/sbin".into());
        folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file())
    }

    pub(crate) async fn restart(&mut self) -> Result<(), String> {
        let port = self.port.to_string();
        let name = if self.is_nats { "nats" } else { "redis" };
        let program = Engine::program(name).ok_or("the engine is not installed")?;
        let mut command = if self.is_nats {
            let mut command = Command::new(program);
            command.args(["-a", "127.0.0.1", "-p", &port]);
            command
        } else {
            let mut command = Command::new(program);
            command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
            command
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.process = Some(command.spawn().map_err(|error| format!("the engine does not start: {error}"))?);
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("the engine does not listen".into())
    }

    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill().await;
        }
    }

    /// Checks the contract of the broker; panics if it is broken.
    pub(crate) async fn check_contract(&self) {
        if self.is_nats {
            conformance::check(|| NatsBroker::new(&self.url)).await;
        } else {
            conformance::check(|| RedisBroker::new(&self.url)).await;
        }
    }
}
