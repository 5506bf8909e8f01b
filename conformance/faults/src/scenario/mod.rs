//! The scenarios. Each runs on every adapter.

pub(crate) mod budgets;
mod bytes;
mod descriptors;
mod handlers;
mod handshakes;
mod healthy;
mod scale;
mod shutdown;
mod slow;
mod vanishing;

use std::io;
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::Adapter;
use crate::report::Report;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run these adapters only.
    #[arg(long, value_delimiter = ',')]
    adapter: Vec<Adapter>,
    /// Run these scenarios only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Let `budgets` run with these kinds of peers only, such as `pings` or `messages`.
    #[arg(long, value_delimiter = ',')]
    kind: Vec<String>,
    /// Use smaller numbers: two minutes in all. Leaves out `budgets` unless it is named: its bounds
    /// allow for the allocator and for the buffers of threads, by estimates.
    #[arg(long)]
    quick: bool,
    /// Rewrite the expected answers of the byte scenario instead of comparing with them.
    #[arg(long)]
    bless: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Handshakes that never complete.
    Handshakes,
    /// Peers that never read.
    Slow,
    /// Peers that vanish without closing.
    Vanishing,
    /// A server without descriptors left.
    Descriptors,
    /// Handlers that fail.
    Handlers,
    /// A shutdown under load.
    Shutdown,
    /// Peers that make the server hold much.
    Budgets,
    /// Many connections.
    Scale,
    /// Exact answers to raw bytes.
    Bytes,
}

/// The options and the report, which every scenario receives.
struct Context<'r> {
    adapter: Adapter,
    quick: bool,
    bless: bool,
    kinds: &'r [String],
    report: &'r mut Report,
}

impl Context<'_> {
    /// Returns the number for the quick form or the one for the full form.
    fn size<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

pub(crate) fn run(options: Options) -> io::Result<bool> {
    crate::serve::limit_descriptors(None)?;
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::default();
    let adapters = or_all(&options.adapter);
    let mut scenarios = or_all(&options.only);
    scenarios.retain(|&scenario| {
        scenario != Scenario::Budgets || !options.quick || options.only.contains(&scenario)
    });
    for scenario in scenarios {
        for &adapter in &adapters {
            let name = scenario.to_possible_value().map(|value| value.get_name().to_owned());
            report.begin(adapter.name(), name.unwrap_or_default());
            let Options { quick, bless, kind: kinds, .. } = &options;
            let context = Context { adapter, quick: *quick, bless: *bless, kinds, report: &mut report };
            if let Err(error) = runtime.block_on(scenario.run(context)) {
                report.check("the scenario completes", false, error.to_string());
            }
        }
    }
    Ok(report.end(begun.elapsed()))
}

fn or_all<T: ValueEnum + Copy>(chosen: &[T]) -> Vec<T> {
    if chosen.is_empty() { T::value_variants().to_vec() } else { chosen.to_vec() }
}

impl Scenario {
    async fn run(self, mut context: Context<'_>) -> io::Result<()> {
        let context = &mut context;
        match self {
            Scenario::Handshakes => handshakes::run(context).await,
            Scenario::Slow => slow::run(context).await,
            Scenario::Vanishing => vanishing::run(context).await,
            Scenario::Descriptors => descriptors::run(context).await,
            Scenario::Handlers => handlers::run(context).await,
            Scenario::Shutdown => shutdown::run(context).await,
            Scenario::Budgets => budgets::run(context).await,
            Scenario::Scale => scale::run(context).await,
            Scenario::Bytes => bytes::run(context).await,
        }
    }
}
