//! Measures the libraries in short turns, and takes the medians.
//!
//! Figures of one run can be compared, because a disturbance of the machine hits all of them.
//! Figures of different runs cannot.

use std::time::Duration;

/// The number of rounds, in each of which every library has a turn. Odd, for the median.
pub const ROUNDS: usize = 15;

/// Gives each of `rows` a turn in each round, and returns the medians in ns.
///
/// A turn repeats the work until it fills `turn`. `stage` prepares a round, and `run` does a number
/// of repetitions and returns their time.
pub fn medians<Row, Stage>(
    rows: &mut [Row],
    turn: Duration,
    stage: impl Fn(usize) -> Stage,
    mut run: impl FnMut(&mut Row, &Stage, u64) -> Duration,
) -> Vec<f64> {
    let first = stage(0);
    let counts: Vec<u64> =
        rows.iter_mut().map(|row| calibrate(turn, |count| run(row, &first, count))).collect();
    let mut times = vec![Vec::new(); rows.len()];
    for round in 0..ROUNDS {
        let stage = stage(round);
        for i in 0..rows.len() {
            // The order changes, so that no library always runs after the same other one.
            let at = (i + round) % rows.len();
            times[at].push(run(&mut rows[at], &stage, counts[at]).as_nanos() as f64 / counts[at] as f64);
        }
    }
    times.into_iter().map(median).collect()
}

/// Returns the number of repetitions that fill a turn.
fn calibrate(turn: Duration, mut run: impl FnMut(u64) -> Duration) -> u64 {
    let mut count = 16;
    loop {
        let time = run(count);
        if time * 4 >= turn {
            let scale = turn.as_secs_f64() / time.as_secs_f64().max(1e-9);
            return ((count as f64 * scale) as u64).max(4);
        }
        count *= 4;
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
