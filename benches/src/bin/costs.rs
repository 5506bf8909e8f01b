//! Prints what a message and an idle connection cost: instructions, allocations and bytes.
//!
//! The counts depend on the compiler and on the code, but not on the load of the machine. So two
//! builds can be compared to a fraction of a percent.

use std::process::{Command, exit};
use std::sync::Arc;

use sockeye_benches::{
    Kind, Shape, ToMany, Traffic, echo_alone, echo_blocking, echo_on_thread, echo_served, idle, send_to_many,
};
use sockeye_testkit::memory::{CountingAllocator, allocations, live};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

type Echo = fn(&Arc<[u8]>, u64);

const ECHOES: [(&str, Echo); 4] = [
    ("WebSocket", echo_alone),
    ("Server", echo_served),
    ("WebSocket, blocking", echo_blocking),
    ("Server, own threads", echo_on_thread),
];

/// The two servers, and whether each connection has its own thread.
const SERVERS: [(&str, bool); 2] = [("Server", false), ("Server, own threads", true)];

/// One message for many connections, on tasks.
const TO_MANY: [(&str, ToMany); 3] = [
    ("Server, broadcast to 100", ToMany::Broadcast),
    ("Server, publish to a topic of 100", ToMany::Topic),
    ("Server, publish to 10 topics of 10", ToMany::TopicsOfTen),
];

/// The number of their receivers.
const RECEIVERS: u64 = 100;

/// The numbers of repetitions of the two runs whose difference is reported. So the start of the
/// program does not count.
const FEW: u64 = 500;
const MANY: u64 = 2500;

const USAGE: &str = "costs [--beside OTHER_BUILD_OF_THIS_PROGRAM] [PART_OF_A_NAME]";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let itself = std::env::current_exe().expect("this program has a path");
    let itself = itself.to_string_lossy();
    match args[..] {
        ["run", row, count] => run(row, count.parse().expect("a number")),
        [] => print_table(&[&itself], ""),
        ["--beside", other] => print_table(&[other, &itself], ""),
        ["--beside", other, filter] => print_table(&[other, &itself], filter),
        [filter] if !filter.starts_with('-') => print_table(&[&itself], filter),
        _ => {
            eprintln!("{USAGE}");
            exit(2);
        }
    }
}

/// The traffic: messages in a batch, and their shape.
fn batches() -> Vec<(String, usize, Shape)> {
    let small = Shape::new(Kind::Binary, 16);
    let batch = |count: usize, shape: Shape| (format!("{count} x {shape}"), count, shape);
    vec![
        batch(1, small),
        batch(16, small),
        batch(16, Shape::new(Kind::Ascii, 125)),
        batch(16, Shape::new(Kind::Binary, 30).in_fragments(16)),
        batch(1, Shape::new(Kind::Ascii, 16 << 10)),
    ]
}

/// Runs one row under the profiler, and prints its allocations and live bytes.
fn run(row: &str, count: u64) {
    for (name, own_thread) in SERVERS {
        if row == format!("{name}, a connection") {
            let world = idle(own_thread, count);
            println!("counts {} {}", allocations(), live());
            drop(world);
            return;
        }
    }
    for (name, how) in TO_MANY {
        if row == name {
            send_to_many(&mut idle(false, RECEIVERS), how, count);
            println!("counts {} {}", allocations(), live());
            return;
        }
    }
    for (name, echo) in ECHOES {
        for (batch, messages, shape) in batches() {
            if row == format!("{name}, {batch}") {
                echo(&Traffic::new(shape).first(messages).into(), count);
                println!("counts {} {}", allocations(), live());
                return;
            }
        }
    }
    eprintln!("there is no row {row}");
    exit(2);
}

/// The cost of one run, one message or one connection.
#[derive(Clone, Copy)]
struct Cost {
    instructions: f64,
    allocations: f64,
    bytes: f64,
}

fn print_table(programs: &[&str], filter: &str) {
    println!("instructions and allocations a message, in batches that one read returns\n");
    print_header(programs, "");
    for (name, _) in ECHOES {
        for (batch, messages, _) in batches() {
            print_row(programs, filter, &format!("{name}, {batch}"), messages, false);
        }
    }
    println!("\na message of 100 B to 100 connections, for each of them\n");
    print_header(programs, "");
    for (name, _) in TO_MANY {
        print_row(programs, filter, name, RECEIVERS as usize, false);
    }
    println!("\na connection: its handshake, and its memory while it is idle\n");
    print_header(programs, "       bytes");
    for (name, _) in SERVERS {
        print_row(programs, filter, &format!("{name}, a connection"), 1, true);
    }
}

fn print_header(programs: &[&str], bytes: &str) {
    let titles = format!("instructions allocations{bytes}");
    match programs {
        [_] => println!("{:44}{titles}", ""),
        _ => println!("{:44}{titles} | {titles}    ratio", "the other build | this build"),
    }
}

fn print_row(programs: &[&str], filter: &str, row: &str, messages: usize, with_bytes: bool) {
    if !row.contains(filter) {
        return;
    }
    let costs: Vec<Cost> = programs.iter().map(|program| cost(program, row, messages)).collect();
    let cells: Vec<String> = costs
        .iter()
        .map(|cost| {
            let bytes = if with_bytes { format!("{:12.0}", cost.bytes) } else { String::new() };
            format!("{:12.1}{:12.2}{bytes}", cost.instructions, cost.allocations)
        })
        .collect();
    let ratio = match costs[..] {
        [before, after] => format!(" {:8.3}", after.instructions / before.instructions),
        _ => String::new(),
    };
    println!("{row:44}{}{ratio}", cells.join(" | "));
}

/// Returns the cost of one message, or of one connection.
fn cost(program: &str, row: &str, messages: usize) -> Cost {
    let (few, many) = (profile(program, row, FEW), profile(program, row, MANY));
    let per = |few: f64, many: f64| (many - few) / ((MANY - FEW) * messages as u64) as f64;
    Cost {
        instructions: per(few.instructions, many.instructions),
        allocations: per(few.allocations, many.allocations),
        bytes: per(few.bytes, many.bytes),
    }
}

/// Runs one row under valgrind, which counts its instructions.
fn profile(program: &str, row: &str, count: u64) -> Cost {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .args([program, "run", row, &count.to_string()])
        .output()
        .unwrap_or_else(|error| {
            eprintln!("cannot run valgrind, which counts the instructions: {error}");
            exit(1);
        });
    let (counts, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let instructions = log
        .lines()
        .find_map(|line| line.split_once("I   refs:").or_else(|| line.split_once("I refs:")))
        .and_then(|(_, number)| number.trim().replace(',', "").parse().ok());
    let mut counts = counts
        .lines()
        .find_map(|line| line.strip_prefix("counts "))
        .into_iter()
        .flat_map(|counts| counts.split(' '))
        .filter_map(|number| number.parse().ok());
    match (instructions, counts.next(), counts.next()) {
        (Some(instructions), Some(allocations), Some(bytes)) => Cost { instructions, allocations, bytes },
        _ => {
            eprintln!("{program} failed in {row}:\n{log}");
            exit(1);
        }
    }
}
