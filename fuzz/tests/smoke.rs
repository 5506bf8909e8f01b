//! Runs the targets on any compiler: with their seeds, with every prefix of a seed, and with random
//! inputs.

use std::path::{Path, PathBuf};

/// Returns the number of random inputs for each target, which the variable `FUZZ_INPUTS` sets.
fn count() -> u64 {
    std::env::var("FUZZ_INPUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(3000)
}

/// Returns the folder of the corpora that the variable `FUZZ_CORPUS` names, if it is set.
fn corpora() -> Option<PathBuf> {
    std::env::var_os("FUZZ_CORPUS").map(PathBuf::from)
}

/// Returns the inputs in a folder.
fn read(folder: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder).expect("the folder of inputs exists");
    let mut inputs: Vec<Vec<u8>> =
        files.map(|file| std::fs::read(file.expect("a file").path()).expect("readable")).collect();
    inputs.sort();
    inputs
}

fn run(name: &str, target: fn(&[u8]), random_inputs: u64) {
    let mut inputs = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name));
    for seed in &inputs {
        for end in 0..=seed.len() {
            check(name, target, &seed[..end]);
        }
    }
    if let Some(corpora) = corpora() {
        inputs.extend(read(&corpora.join(name)));
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..random_inputs {
        // Most of them are seeds with a few bytes changed: random bytes seldom get past the first
        // byte.
        let mut input = match random.below(4) {
            0 => (0..random.below(300)).map(|_| random.below(256) as u8).collect(),
            _ => inputs[random.below(inputs.len())].clone(),
        };
        for _ in 0..random.below(4) {
            let at = random.below(input.len() + 1);
            match random.below(3) {
                0 => input.insert(at, random.below(256) as u8),
                1 if at < input.len() => input[at] = random.below(256) as u8,
                _ => input.truncate(at.max(2)),
            }
        }
        check(name, target, &input);
    }
}

/// Runs a target. If it panics, writes the input to a file, as cargo-fuzz does.
fn check(name: &str, target: fn(&[u8]), input: &[u8]) {
    struct Found<'a>(&'a str, &'a [u8]);
    impl Drop for Found<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(self.0);
                let file = folder.join("crash-smoke");
                let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, self.1));
                eprintln!("the input: {} ({written:?})", file.display());
            }
        }
    }
    let _found = Found(name, input);
    target(input);
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

#[test]
fn frames() {
    run("frames", sockeye_fuzz::frames, count());
}

#[test]
fn ops() {
    run("ops", sockeye_fuzz::ops, count());
}

#[test]
fn handshake() {
    run("handshake", sockeye_fuzz::handshake, count());
}

#[test]
fn deflate() {
    run("deflate", sockeye_fuzz::deflate, count());
}

#[test]
fn deflate_differential() {
    // Each input is compressed once and inflated three times, bit by bit.
    run("deflate_differential", sockeye_fuzz::deflate_differential, count() / 10);
}

#[test]
fn extensions() {
    run("extensions", sockeye_fuzz::extensions, count());
}

#[test]
fn session() {
    run("session", sockeye_fuzz::session, count());
}

#[test]
fn proxies() {
    run("proxies", sockeye_fuzz::proxies, count());
}

#[test]
fn server() {
    // Each input runs a server with several clients.
    run("server", sockeye_fuzz::server, count());
}
