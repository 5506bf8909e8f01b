//! The READMEs show echo servers that CI runs against other implementations (`conformance/embedding`).

const PROGRAM: &str = include_str!("../examples/serve.rs");

/// Returns the part of `text` from `start` to the end of the first line that is `end`, without its
/// indentation.
fn part(text: &str, start: &str, end: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let first = lines.iter().position(|line| line.starts_with(start)).expect(start);
    let indentation = |at: usize| text.lines().nth(at).unwrap_or_default().len() - lines[at].len();
    let last = (first..lines.len()).find(|&at| lines[at] == end && indentation(at) == indentation(first));
    lines[first..=last.expect(end)].iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn the_readmes_show_the_echo_servers_of_this_program() {
    let shown = part(include_str!("../../README.md"), "async fn echo(", "}");
    assert_eq!(shown, part(PROGRAM, "async fn echo(", "}"));
    let shown = part(include_str!("../../adapter-std/README.md"), "sockeye_std::serve(", "})");
    assert_eq!(shown, part(PROGRAM, "sockeye_std::serve(", "})"));
}
