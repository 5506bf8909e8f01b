//! Tests how the servers of Sockeye survive faults and scale. See `conformance/README.md`.
//!
//! The server under test is a child process of the same program, so that its memory, descriptors
//! and CPU can be measured apart from the peers.
#![forbid(unsafe_code)]

mod child;
mod peer;
mod report;
mod scenario;
mod serve;
mod soak;
mod stalls;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the scenarios. Exits with 1 if a check fails.
    Run(scenario::Options),
    /// Measures how long busy peers keep a server's threads from everything else.
    Stalls(stalls::Options),
    /// Holds many connections for a long time, a few of them hostile. Exits with 1 if something is
    /// lost or grows.
    Soak(soak::Options),
    /// Runs the server under test, which takes commands on its standard input.
    Serve(serve::Options),
    /// Opens connections, prints `ready`, and holds them until its standard input ends.
    Hold(peer::HoldOptions),
}

/// The adapter whose server is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Adapter {
    Tokio,
    Smol,
    Std,
}

impl Adapter {
    fn name(self) -> &'static str {
        match self {
            Adapter::Tokio => "tokio",
            Adapter::Smol => "smol",
            Adapter::Std => "std",
        }
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => scenario::run(options),
        Command::Stalls(options) => stalls::run(&options),
        Command::Soak(options) => soak::run(options),
        Command::Serve(options) => serve::serve(&options).map(|()| true),
        Command::Hold(options) => peer::hold(&options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sockeye-faults: {error}");
            ExitCode::from(2)
        }
    }
}
