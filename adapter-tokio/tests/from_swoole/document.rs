//! Compares the document with the code.

use std::collections::BTreeSet;
use std::path::Path;

use sockeye_tokio::Config;
use sockeye_tokio::protocol::MAX_CLOSE_REASON;

use crate::names::{NAMES, numbers};

const EXAMPLES: &str = "adapter-tokio/tests/from_swoole/examples/";

/// The file of the whole program of an adapter, without its folder.
const PROGRAM: &str = "examples/room.rs";

/// Swoole's examples, in the order of its manual.
const HEADINGS: &[&str] = &[
    "A server",
    "Is it a WebSocket?",
    "onHandShake",
    "onHandShake and defer",
    "onRequest",
    "onRequest in a class",
    "pack, without a server",
    "websocket_subprotocol",
    "open_websocket_close_frame",
    "open_websocket_ping_frame",
    "Pings answered by hand",
    "open_websocket_pong_frame",
    "Pongs received",
    "Compression: the server",
    "Compression: the client",
    "Ping: the server",
    "Ping: the client",
];

/// The names of Swoole's manual.
const SWOOLE: &str = "\
    onConnect onHandShake onBeforeHandshakeResponse onOpen onMessage onRequest onClose onDisconnect \
    WorkerStart receive set on start push exist isEstablished pack unpack disconnect close getClientInfo \
    connection_info websocket_status defer send connections Frame Frame->fd Frame->data Frame->opcode \
    Frame->finish Frame->flags Frame::pack Frame::unpack CloseFrame CloseFrame->opcode CloseFrame->code \
    CloseFrame->reason WEBSOCKET_OPCODE_TEXT WEBSOCKET_OPCODE_BINARY WEBSOCKET_OPCODE_CLOSE \
    WEBSOCKET_OPCODE_PING WEBSOCKET_OPCODE_PONG WEBSOCKET_STATUS_CONNECTION WEBSOCKET_STATUS_HANDSHAKE \
    WEBSOCKET_STATUS_ACTIVE WEBSOCKET_STATUS_CLOSING WEBSOCKET_CLOSE_NORMAL WEBSOCKET_CLOSE_GOING_AWAY \
    WEBSOCKET_CLOSE_PROTOCOL_ERROR WEBSOCKET_CLOSE_DATA_ERROR WEBSOCKET_CLOSE_STATUS_ERROR \
    WEBSOCKET_CLOSE_ABNORMAL WEBSOCKET_CLOSE_MESSAGE_ERROR WEBSOCKET_CLOSE_POLICY_ERROR \
    WEBSOCKET_CLOSE_MESSAGE_TOO_BIG WEBSOCKET_CLOSE_EXTENSION_MISSING WEBSOCKET_CLOSE_SERVER_ERROR \
    WEBSOCKET_CLOSE_TLS SWOOLE_WEBSOCKET_FLAG_FIN SWOOLE_WEBSOCKET_FLAG_COMPRESS SWOOLE_BASE log_file \
    websocket_subprotocol open_websocket_close_frame open_websocket_ping_frame open_websocket_pong_frame \
    websocket_compression";

#[test]
fn every_rust_block_equals_its_file_and_every_file_has_a_block() {
    let mut shown = BTreeSet::new();
    for block in read().blocks.iter().filter(|block| block.language == "rust") {
        if block.source.ends_with(PROGRAM) {
            assert_eq!(block.text, file(&block.source), "{} differs from its block", block.source);
            continue;
        }
        let name = block
            .source
            .strip_prefix(EXAMPLES)
            .unwrap_or_else(|| panic!("not an example: {:?}", block.source));
        assert_eq!(block.text, file(&block.source), "{name} differs from its block in the document");
        assert!(shown.insert(name.to_owned()), "{name} is shown twice");
    }
    let files = std::fs::read_dir(root().join(EXAMPLES)).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(shown, files.filter(|name| name != "mod.rs").collect());
}

#[test]
fn the_program_of_each_adapter_has_a_manifest_with_what_it_uses() {
    let document = read();
    let programs = document.blocks.windows(2).filter(|pair| pair[1].source.ends_with(PROGRAM));
    let mut adapters = Vec::new();
    for pair in programs {
        let [manifest, program] = pair else { unreachable!() };
        assert_eq!((&*manifest.language, &manifest.heading), ("toml", &program.heading));
        let adapter = program.source.strip_suffix(PROGRAM).unwrap();
        let known = file(&format!("{adapter}Cargo.toml"));
        let (_, dependencies) = manifest.text.split_once("[dependencies]\n").unwrap();
        for (name, value) in dependencies.lines().map(|line| line.split_once(" = ").unwrap()) {
            let root = format!("{}::", name.replace('-', "_"));
            assert!(program.text.contains(&root), "the program on {adapter} does not use {name}");
            if name.starts_with("sockeye") {
                assert!(known.contains(&format!("name = \"{name}\"")), "{adapter} is not {name}");
                let version = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
                assert_eq!(value.split('"').nth(1), Some(version), "{name}");
                for feature in value.split('"').skip(3).step_by(2) {
                    assert!(known.contains(&format!("\n{feature} = [")), "{name} has no {feature}");
                }
            }
        }
        adapters.push(adapter.to_owned());
    }
    assert_eq!(adapters, ["adapter-tokio/", "adapter-smol/", "adapter-std/"]);
}

#[test]
fn every_example_of_the_manual_has_a_counterpart() {
    let document = read();
    let examples = || document.blocks.iter().skip_while(|block| block.language != "php");
    let sides = |language| examples().filter(move |block| block.language == language);
    assert_eq!(sides("php").map(|block| &*block.heading).collect::<Vec<_>>(), HEADINGS);
    assert_eq!(sides("rust").map(|block| &*block.heading).collect::<Vec<_>>(), HEADINGS);
    assert_eq!(examples().count(), 2 * HEADINGS.len());
}

#[test]
fn every_name_of_the_manual_is_in_a_table() {
    let rows = read().rows;
    let known: BTreeSet<&str> = rows.iter().flat_map(|row| spans(&row[0])).collect();
    for name in SWOOLE.split_whitespace() {
        assert!(known.contains(name), "no table has {name}");
    }
}

#[test]
fn the_names_of_sockeye_exist_and_all_of_them_are_used() {
    let document = read();
    let ours = document.rows.iter().flat_map(|row| spans(&row[1]));
    let elsewhere = document.rows.iter().flat_map(|row| &row[2..]).chain(&document.prose);
    let elsewhere =
        elsewhere.flat_map(|text| spans(text)).filter(|name| name.contains("::") || NAMES.contains(name));
    let used: BTreeSet<&str> = ours.chain(elsewhere).collect();
    let existing = NAMES.iter().copied().collect();
    assert_eq!(used.symmetric_difference(&existing).collect::<Vec<_>>(), [&""; 0]);
}

#[test]
fn the_numbers_match_the_code() {
    let rows = read().rows;
    let value = |name: &str| {
        let row = rows.iter().find(|row| row.len() == 4 && spans(&row[1]).eq([name]));
        row.unwrap_or_else(|| panic!("no table has a value for {name}"))[2].clone()
    };
    for (name, number) in numbers() {
        assert_eq!(value(name), number.to_string(), "{name}");
    }
    let config = Config::new();
    assert_eq!(value("Config::max_send_size"), format!("{} MiB", config.max_send_size >> 20));
    assert_eq!(value("Config::max_message_size"), format!("{} MiB", config.max_message_size >> 20));
    assert_eq!(value("Config::high_water_mark"), format!("{} KiB", config.high_water_mark >> 10));
    assert_eq!(value("Config::close_timeout"), format!("{} s", config.close_timeout.as_secs()));
    assert_eq!(value("MAX_CLOSE_REASON"), format!("{MAX_CLOSE_REASON} bytes"));
}

#[test]
fn every_link_inside_the_document_has_its_heading() {
    let document = read();
    let anchors: BTreeSet<String> = document.headings.iter().map(|heading| anchor(heading)).collect();
    let all = document.prose.iter().chain(document.rows.iter().flatten());
    let links = all.flat_map(|text| text.split("](#").skip(1)).map(|rest| rest.split(')').next().unwrap());
    let mut count = 0;
    for link in links {
        assert!(anchors.contains(link), "#{link}");
        count += 1;
    }
    assert!(count > 0);
}

/// The parts of the document.
#[derive(Default)]
struct Document {
    headings: Vec<String>,
    blocks: Vec<Block>,
    /// The cells of the rows of all tables, without the head rows.
    rows: Vec<Vec<String>>,
    /// All other lines.
    prose: Vec<String>,
}

struct Block {
    language: String,
    heading: String,
    /// The file of the last link before the block.
    source: String,
    text: String,
}

fn read() -> Document {
    let text = file("docs/from-swoole.md");
    let (mut document, mut source) = (Document::default(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body =
                lines.by_ref().take_while(|&line| line != "```").flat_map(|line| [line, "\n"]).collect();
            let heading = document.headings.last().unwrap().clone();
            let source = std::mem::take(&mut source);
            document.blocks.push(Block { language: language.to_owned(), heading, source, text: body });
        } else if let Some(heading) = line.strip_prefix('#') {
            document.headings.push(heading.trim_start_matches('#').trim().to_owned());
        } else if let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) {
            document.rows.push(row.split('|').map(|cell| cell.trim().to_owned()).collect());
        } else {
            if let Some((_, link)) = line.split_once("](../") {
                source = link.split(')').next().unwrap().to_owned();
            }
            document.prose.push(line.to_owned());
        }
    }
    document.rows.retain(|row| row[0] != "Swoole" && row[0] != "---");
    document
}

/// Returns the code spans of a line.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
