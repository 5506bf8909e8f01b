//! permessage-deflate beside the libraries that have it: time, size, and the effect of many
//! connections.

use std::time::Duration;

use sockeye_benches::deflate::{BACKEND, LIBRARIES, OURS, Settings, Text, Work};
use sockeye_benches::{Kind, ROUNDS, Shape, Traffic, medians, settle_allocator, size_name};

/// The length of a library's turn.
const TURN: Duration = Duration::from_millis(6);

/// The length of a turn with many connections, in which each of them sends more than once.
const LONG_TURN: Duration = Duration::from_millis(25);

const SIZES: [usize; 2] = [1 << 10, 64 << 10];

fn main() {
    settle_allocator();
    // An argument selects lines: `deflate "many"`.
    let filter = std::env::args().nth(1).unwrap_or_default();
    println!(
        "us a message, medians of {ROUNDS} interleaved rounds; in brackets how many times ours (sockeye) it takes; \
         sockeye compresses with {BACKEND}\n"
    );
    let wanted = |title: &str, line: &str| format!("{title} {line}").contains(&filter);
    heading("inflate");
    for shape in SIZES.map(json) {
        for takeover in [true, false] {
            // The level is that of the traffic. A receiver has none.
            let settings = Settings { level: 6, takeover };
            let line =
                format!("{}, {}", size_name(shape.size), if takeover { "takeover" } else { "no takeover" });
            if wanted("inflate", &line) {
                let traffic = Traffic::deflated(shape, takeover);
                compare(&line, TURN, LIBRARIES.map(|library| library.inflate(&traffic, settings)).into());
            }
        }
    }
    heading("deflate");
    for (shape, settings) in
        SIZES.map(json).into_iter().flat_map(|shape| all_settings().map(move |s| (shape, s)))
    {
        let line = format!("{}, {settings}", size_name(shape.size));
        if wanted("deflate", &line) {
            let (traffic, messages) = texts(shape);
            let work = LIBRARIES.map(|library| library.deflate(&traffic, &messages, settings, 1));
            compare(&line, TURN, work.into());
        }
    }
    heading("deflate, many connections in turn");
    for level in [6, 1] {
        let settings = Settings { level, takeover: true };
        for connections in [1, 32, 512] {
            let line = format!("1 KiB, level {level}, {connections}");
            if wanted("deflate, many connections", &line) {
                let (traffic, messages) = texts(json(1 << 10));
                let work =
                    LIBRARIES.map(|library| library.deflate(&traffic, &messages, settings, connections));
                compare(&line, LONG_TURN, work.into());
            }
        }
    }
    println!("\nbytes a message on the wire; in brackets the compression ratio\n");
    heading("size");
    for (shape, settings) in
        SIZES.map(json).into_iter().flat_map(|shape| all_settings().map(move |s| (shape, s)))
    {
        let line = format!("{}, {settings}", size_name(shape.size));
        if wanted("size", &line) {
            sizes(&line, shape, settings);
        }
    }
}

fn json(size: usize) -> Shape {
    Shape::new(Kind::Json, size)
}

fn all_settings() -> impl Iterator<Item = Settings> {
    [6, 1].into_iter().flat_map(|level| [true, false].map(|takeover| Settings { level, takeover }))
}

/// Returns traffic that is not read, and its messages, to be sent.
fn texts(shape: Shape) -> (Traffic, Vec<Text>) {
    let traffic = Traffic::new(shape);
    let messages = Text::all(&traffic);
    (traffic, messages)
}

fn heading(title: &str) {
    let names: String = LIBRARIES.iter().map(|library| format!("{:>19}", library.name)).collect();
    println!("{title:34}{names}");
}

fn compare(line: &str, turn: Duration, mut rows: Vec<Work<'_>>) {
    let each = rows[0].messages as f64;
    let mut medians = medians(&mut rows, turn, |_| (), |work, (), count| work.measure(count));
    medians.iter_mut().for_each(|ns| *ns /= each);
    let ours = LIBRARIES.iter().position(|library| library.name == OURS).map_or(f64::NAN, |at| medians[at]);
    let cells = LIBRARIES.iter().zip(&medians).map(|(library, ns)| match library.ours {
        true => format!("{:>11.2}{:8}", ns / 1e3, ""),
        false => format!("{:>11.2} ({:>4.2}x)", ns / 1e3, ns / ours),
    });
    println!("{:34}{}", format!("  {line}"), cells.collect::<String>());
}

fn sizes(line: &str, shape: Shape, settings: Settings) {
    let (traffic, messages) = texts(shape);
    let cells = LIBRARIES.iter().map(|library| {
        let size = library.size(&traffic, &messages, settings) as f64 / messages.len() as f64;
        format!("{size:>11.1} ({:>4.2}x)", shape.size as f64 / size)
    });
    println!("{:34}{}", format!("  {line}"), cells.collect::<String>());
}
