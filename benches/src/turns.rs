//! Who is faster: short rounds of everybody in turn, and the medians of them.
//!
//! The figures of one run compare with one another, for whatever disturbs the machine disturbs all of them. Figures of
//! different runs do not compare.

use std::time::Duration;

/// Rounds that everybody has a turn in; odd, for the median.
pub const ROUNDS: usize = 15;

/// Has each of `rows` take its turn in each round, as often as fills `turn`; answers the medians in ns. `stage` makes what a
/// round is played on, `run` does so many repetitions and answers what they took.
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
            // Nobody always comes behind the same neighbour.
            let at = (i + round) % rows.len();
            times[at].push(run(&mut rows[at], &stage, counts[at]).as_nanos() as f64 / counts[at] as f64);
        }
    }
    times.into_iter().map(median).collect()
}

/// How many repetitions fill a turn.
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
