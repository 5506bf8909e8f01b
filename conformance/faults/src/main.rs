//! Faults and scale, and how the servers of Sockeye survive them: see the README of this folder's parent.
//!
//! The server under test is this program again, as a child, so that its memory, descriptors and CPU are its own.
#![forbid(unsafe_code)]

mod child;
mod peer;
mod report;
mod scenario;
mod serve;

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
    /// Runs the scenarios; exits with 1 when a check fails.
    Run(scenario::Options),
    /// The server under test, told what to do on its standard input.
    Serve(serve::Options),
    /// Opens connections, says so, and does nothing more until its standard input ends.
    Hold(peer::HoldOptions),
}

/// Which server.
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
