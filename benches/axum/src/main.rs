//! Measures what WebSockets in axum cost: those of sockeye-hyper beside axum's own. See
//! `benches/README.md`.
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
use load::{Client, echo, open_many};
use serve::Library;

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The number of rounds, in each of which every server has a turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure these libraries only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Library>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs an echo server, which prints its port.
    Serve { library: Library },
}

const IDLE: usize = 400;
const CONNECTIONS: usize = 32;
const IN_FLIGHT: usize = 16;

/// The sizes of messages, and how many each connection sends.
const MESSAGES: [(usize, usize); 3] = [(20, 4_000), (1 << 10, 4_000), (16 << 10, 800)];

/// The columns of the table: idle memory in KiB, then the time of a message in µs.
const COLUMNS: [&str; 7] =
    ["idle, KiB", "20 B, us", "1 KiB, us", "16 KiB, us", "h2: 20 B, us", "h2: 1 KiB, us", "h2: 16 KiB, us"];

/// The figures of one turn. Those of HTTP/2 are not numbers if the server does not speak it.
type Figures = [f64; COLUMNS.len()];

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Serve { library }) => serve::serve(library),
        None => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(compare(&arguments))
        }
    }
}

async fn compare(arguments: &Arguments) -> io::Result<()> {
    let chosen = |library: &Library| arguments.only.is_empty() || arguments.only.contains(library);
    let libraries: Vec<_> = Library::all().iter().copied().filter(chosen).collect();
    let mut figures = vec![Vec::new(); libraries.len()];
    for round in 0..arguments.rounds {
        // The order changes, so that no server always runs after the same other one.
        for i in 0..libraries.len() {
            let at = (i + round) % libraries.len();
            let measured = measure(libraries[at]).await;
            let name = libraries[at].name();
            figures[at].push(measured.map_err(|error| io::Error::other(format!("{name}: {error}")))?);
        }
    }
    print(&libraries, &figures);
    Ok(())
}

async fn measure(library: Library) -> io::Result<Figures> {
    let server = Server::start(library)?;
    let mut client = Client::new(server.port);
    // Warm-up: the buffers of threads belong to no connection.
    echo(&mut client, CONNECTIONS, (IN_FLIGHT, 16 << 10, 50), || Ok(())).await?;
    settle().await;
    let before = server.resident()?;
    let idle = open_many(&mut client, IDLE).await?;
    settle().await;
    let mut figures = [f64::NAN; COLUMNS.len()];
    figures[0] = server.resident()?.saturating_sub(before) as f64 / 1024.0 / IDLE as f64;
    drop(idle);
    settle().await;
    let mut column = 1;
    for over_http2 in [false, true] {
        if over_http2 && !library.speaks_http2() {
            break;
        }
        if over_http2 {
            client.use_http2().await?;
        }
        for (size, count) in MESSAGES {
            let before = echo(&mut client, CONNECTIONS, (IN_FLIGHT, size, count), || server.cpu()).await?;
            let used = server.cpu()? - before;
            figures[column] = used.as_secs_f64() * 1e6 / (CONNECTIONS * count) as f64;
            column += 1;
        }
    }
    Ok(figures)
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

fn print(libraries: &[Library], figures: &[Vec<Figures>]) {
    println!("medians of {} rounds; in brackets the ratio to the first row", figures[0].len());
    println!("CPU time of the server; {CONNECTIONS} WebSockets with {IN_FLIGHT} messages in flight\n");
    println!("{:16}{}", "", COLUMNS.map(|name| format!("{name:>18}")).concat());
    let medians = |of: &Vec<Figures>| std::array::from_fn::<_, { COLUMNS.len() }, _>(|i| median(of, i));
    let first = medians(&figures[0]);
    for (library, figures) in libraries.iter().zip(figures) {
        let cells: String = medians(figures)
            .iter()
            .zip(first)
            .map(|(figure, first)| match figure.is_nan() {
                true => format!("{:>18}", "-"),
                false => format!("{:>10.2} ({:>5})", figure, format!("{:.2}x", figure / first)),
            })
            .collect();
        println!("{:16}{cells}", library.name());
    }
}

fn median(figures: &[Figures], column: usize) -> f64 {
    let mut figures: Vec<f64> = figures.iter().map(|figures| figures[column]).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
