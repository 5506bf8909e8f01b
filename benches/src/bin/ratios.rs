//! Prints the times of all libraries in one table.

use std::time::Duration;

use sockeye_benches::{
    FastWebSockets, Kind, Library, Memory, ROUNDS, Shape, Sockeye, SockeyeCore, SockeyeLent, TokioWebSockets,
    Traffic, Tungstenite, measure, medians, settle_allocator,
};

/// The length of a library's turn.
const TURN: Duration = Duration::from_millis(4);

type Work = fn(Memory<'_>, u64) -> u64;

struct Row {
    name: &'static str,
    decode: Work,
    echo: Work,
    ours: bool,
}

fn row<L: Library>(ours: bool) -> Row {
    Row { name: L::NAME, decode: L::decode, echo: L::echo, ours }
}

fn main() {
    settle_allocator();
    let mut rows = [
        row::<SockeyeCore>(true),
        row::<SockeyeLent>(true),
        row::<Sockeye>(true),
        row::<Tungstenite>(false),
        row::<FastWebSockets>(false),
        row::<TokioWebSockets>(false),
    ];
    // An argument selects rows: `ratios "ascii 1 KiB"`.
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut shapes = Vec::new();
    for kind in [Kind::Ascii, Kind::MultiByte, Kind::Binary] {
        shapes.extend([16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20].map(|size| Shape::new(kind, size)));
    }
    shapes.push(Shape::new(Kind::Ascii, 64 << 10).in_fragments(1 << 10));

    println!("ns a message, medians of {ROUNDS} interleaved rounds; in brackets the ratio to sockeye\n");
    let mut report = |title: &str, shapes: &[Shape], work: fn(&Row) -> Work, batch: Option<usize>| {
        let names: String = rows.iter().map(|row| format!("{:>25}", row.name)).collect();
        println!("{title:34}{names}");
        for shape in shapes.iter().filter(|shape| format!("{title} {shape}").contains(&filter)) {
            compare(&mut rows, *shape, work, batch);
        }
        println!();
    };
    report("decode", &shapes, |row| row.decode, None);
    let few: Vec<_> = [16, 1 << 10, 64 << 10].map(|size| Shape::new(Kind::Ascii, size)).to_vec();
    report("echo, one at a time", &few, |row| row.echo, Some(1));
    report("echo, 16 at a time", &few, |row| row.echo, Some(16));
}

fn compare(rows: &mut [Row], shape: Shape, work: fn(&Row) -> Work, batch: Option<usize>) {
    let traffic = Traffic::new(shape);
    let run = |row: &Row, traffic: &Traffic, count: u64| {
        let memory = match batch {
            Some(batch) => Memory::in_batches(traffic, batch),
            None => Memory::new(traffic),
        };
        let mut bytes = 0;
        let time = measure(|| bytes = work(row)(memory, count));
        assert_eq!(bytes, count * shape.size as u64, "{} lost bytes", row.name);
        time
    };
    let medians = medians(
        rows,
        TURN,
        |round| traffic.moved(round * 1031),
        |row, traffic, count| run(row, traffic, count),
    );
    let ours =
        rows.iter().zip(&medians).find(|(row, _)| row.name == Sockeye::NAME).map_or(f64::NAN, |(_, ns)| *ns);
    let cells: String = rows
        .iter()
        .zip(&medians)
        .map(|(row, ns)| match row.ours {
            true => format!("{ns:>25.1}"),
            false => format!("{ns:>17.1} ({:>4.2}x)", ns / ours),
        })
        .collect();
    println!("{:34}{cells}", format!("  {shape}"));
}
