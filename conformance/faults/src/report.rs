//! The output: a line for each check, and a summary.

use std::time::Duration;

/// Collects the checks of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    adapter: &'static str,
    scenario: String,
    passed: usize,
    failed: Vec<String>,
}

impl Report {
    pub(crate) fn begin(&mut self, adapter: &'static str, scenario: String) {
        (self.adapter, self.scenario) = (adapter, scenario);
    }

    /// Records and prints a check, with what it measured.
    pub(crate) fn check(&mut self, name: &str, holds: bool, detail: impl AsRef<str>) {
        let verdict = if holds { "pass" } else { "FAIL" };
        self.line(verdict, name, detail.as_ref());
        if holds {
            self.passed += 1;
        } else {
            self.failed.push(format!("{} {} {name}: {}", self.adapter, self.scenario, detail.as_ref()));
        }
    }

    /// Prints a figure without a requirement.
    pub(crate) fn note(&self, name: &str, detail: impl AsRef<str>) {
        self.line("", name, detail.as_ref());
    }

    /// Prints the summary. Returns whether all checks passed.
    pub(crate) fn end(&self, took: Duration) -> bool {
        for failed in &self.failed {
            println!("FAIL {failed}");
        }
        println!("{} passed, {} failed, {:.0} s", self.passed, self.failed.len(), took.as_secs_f64());
        self.failed.is_empty() && self.passed > 0
    }

    fn line(&self, verdict: &str, name: &str, detail: &str) {
        println!("{:<5} {:<11} {verdict:<4} {name:<44} {detail}", self.adapter, self.scenario);
    }
}

/// Formats a number of bytes.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1048576.0),
    }
}

/// Formats the distribution of some times, in milliseconds.
pub(crate) fn spread(times: &[Duration]) -> String {
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last());
    match (at(0.0), at(0.5), at(0.99), times.last()) {
        (Some(least), Some(half), Some(most), Some(last)) => {
            format!("min {least:.2} p50 {half:.2} p99 {most:.2} max {last:.2} ms of {}", times.len())
        }
        _ => "none".to_owned(),
    }
}
