//! The memory and the descriptors of the server over time.

use std::io;

use crate::child::Server;
use crate::report::{Report, bytes};

#[derive(Debug, Default)]
pub(super) struct Samples {
    memory: Vec<u64>,
    descriptors: Vec<u64>,
}

impl Samples {
    pub(super) fn count(&self) -> u32 {
        self.memory.len() as u32
    }

    pub(super) async fn take(&mut self, server: &mut Server) -> io::Result<()> {
        self.memory.push(server.resident()?);
        self.descriptors.push(server.descriptors()? as u64);
        Ok(())
    }

    /// Compares the last quarter with the second one: the first is to warm up.
    ///
    /// Hostile peers come and go, so the figures vary. The bounds allow for that, and find what
    /// grows with time.
    pub(super) fn check(&self, report: &mut Report) {
        let (before, after) = quarters(&self.memory);
        report.check(
            "the memory does not grow",
            after <= before + before / 10 + (16 << 20),
            format!("{} in the second quarter, {} in the last", bytes(before), bytes(after)),
        );
        let (before, after) = quarters(&self.descriptors);
        report.check(
            "the descriptors do not grow",
            after <= before + before / 20 + 20,
            format!("{before} in the second quarter, {after} in the last"),
        );
    }
}

/// Returns the medians of the second and of the last quarter.
fn quarters(samples: &[u64]) -> (u64, u64) {
    let quarter = samples.len() / 4;
    let median = |from: usize| {
        let mut part: Vec<u64> = samples.iter().skip(from).take(quarter.max(1)).copied().collect();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or_default()
    };
    (median(quarter), median(samples.len().saturating_sub(quarter.max(1))))
}
