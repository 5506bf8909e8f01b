//! Measures what servers with TLS cost, beside other libraries. See `benches/README.md`.
//!
//! Each server is a child process of the same program with one thread, so that its CPU time and its
//! memory can be measured apart from the clients.

mod child;
mod load;
mod serve;

use std::io;
use std::time::Duration;

use clap::{Parser, Subcommand};

use child::Server;
use load::{Client, echo, open_many, open_one_by_one};
use serve::Library;

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs an echo server, which prints its port.
    Serve { library: Library },
}

#[derive(Debug, clap::Args)]
struct Options {
    /// The number of rounds, in each of which every server has a turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure these libraries only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Library>,
    /// Another server to measure, as NAME=COMMAND. `{port}`, `{cert}` and `{key}` are replaced.
    #[arg(long)]
    also: Vec<String>,
}

/// The columns of the table, and the unit of each.
const COLUMNS: [(&str, &str); 5] = [
    ("idle", "KiB"),
    ("full handshake", "us"),
    ("resumed handshake", "us"),
    ("20 B", "us"),
    ("16 KiB", "us"),
];

const IDLE: usize = 400;
const HANDSHAKES: usize = 400;
const CONNECTIONS: usize = 32;
const IN_FLIGHT: usize = 16;
/// The sizes of messages, and how many each connection sends.
const MESSAGES: [(usize, usize); 2] = [(20, 6_000), (16 << 10, 800)];

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Serve { library }) => serve::serve(library),
        None => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(compare(&arguments.options))
        }
    }
}

/// A row of the table: a server, and its figures of each round.
struct Row {
    name: String,
    start: Box<dyn Fn() -> io::Result<Server>>,
    figures: Vec<[f64; COLUMNS.len()]>,
}

async fn compare(options: &Options) -> io::Result<()> {
    let mut rows = Vec::new();
    for &library in Library::all().iter().filter(|l| options.only.is_empty() || options.only.contains(l)) {
        let start = Box::new(move || Server::start(library));
        rows.push(Row { name: library.name().to_owned(), start, figures: Vec::new() });
    }
    for also in &options.also {
        let (name, command) =
            also.split_once('=').ok_or_else(|| io::Error::other("--also needs NAME=COMMAND"))?;
        let command = command.to_owned();
        let start = Box::new(move || Server::start_other(&command));
        rows.push(Row { name: name.to_owned(), start, figures: Vec::new() });
    }
    for round in 0..options.rounds {
        // The order changes, so that no server always runs after the same other one.
        for i in 0..rows.len() {
            let at = (i + round) % rows.len();
            let row = &mut rows[at];
            let figures = measure(&(row.start)()?).await;
            row.figures.push(figures.map_err(|error| io::Error::other(format!("{}: {error}", row.name)))?);
        }
    }
    print(&rows, options.rounds);
    Ok(())
}

async fn measure(server: &Server) -> io::Result<[f64; COLUMNS.len()]> {
    let client = Client::new(server.port)?;
    // Warm-up: the buffers of threads belong to no connection.
    echo(&client, CONNECTIONS, IN_FLIGHT, 16 << 10, 50).await?;
    settle().await;
    let before = server.resident()?;
    let idle = open_many(&client, IDLE).await?;
    settle().await;
    let memory = server.resident()?.saturating_sub(before) as f64 / 1024.0 / IDLE as f64;
    drop(idle);
    settle().await;
    let mut figures = vec![memory];
    for resumes in [false, true] {
        let client = if resumes { client.resuming() } else { client.clone() };
        let resumed = open_one_by_one(&client, 20).await?;
        if resumes && resumed < 10 {
            return Err(io::Error::other("the server resumes no sessions"));
        }
        let before = server.cpu()?;
        open_one_by_one(&client, HANDSHAKES).await?;
        settle().await;
        figures.push(microseconds(server.cpu()? - before, HANDSHAKES));
    }
    for (size, count) in MESSAGES {
        let before = server.cpu()?;
        echo(&client, CONNECTIONS, IN_FLIGHT, size, count).await?;
        let used = server.cpu()? - before;
        // The handshakes are not a part of it.
        let used = used.as_secs_f64() * 1e6 - figures[1] * CONNECTIONS as f64;
        figures.push(used / (CONNECTIONS * count) as f64);
    }
    figures.try_into().map_err(|_| io::Error::other("a figure is missing"))
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

fn microseconds(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

fn print(rows: &[Row], rounds: usize) {
    println!(
        "a connection and a message with TLS: medians of {rounds} rounds; in brackets the ratio to the first row"
    );
    println!("CPU time of the server; {CONNECTIONS} connections with {IN_FLIGHT} messages in flight\n");
    let titles: String =
        COLUMNS.iter().map(|(name, unit)| format!("{:>26}", format!("{name}, {unit}"))).collect();
    println!("{:22}{titles}", "");
    let medians = |row: &Row| -> Vec<f64> { (0..COLUMNS.len()).map(|i| median(row, i)).collect() };
    let first = rows.first().map(medians).unwrap_or_default();
    for row in rows {
        let cells: String = medians(row)
            .iter()
            .zip(&first)
            .map(|(figure, first)| format!("{:>18.2} ({:>4.2}x)", figure, figure / first))
            .collect();
        println!("{:22}{cells}", row.name);
    }
}

fn median(row: &Row, column: usize) -> f64 {
    let mut figures: Vec<f64> = row.figures.iter().map(|figures| figures[column]).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
