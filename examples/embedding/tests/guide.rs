//! The guide shows code that CI runs.

const GUIDE: &str = include_str!("../../../docs/embedding.md");
const PROGRAMS: [&str; 9] = [
    include_str!("../../../core/examples/echo.rs"),
    include_str!("../../c/echo.c"),
    include_str!("../src/bin/axum.rs"),
    include_str!("../src/bin/h2.rs"),
    include_str!("../src/bin/http2.rs"),
    include_str!("../src/bin/hyper.rs"),
    include_str!("../src/bin/mio.rs"),
    include_str!("../src/bin/simulator.rs"),
    include_str!("../src/bin/tls.rs"),
];

#[test]
fn all_rust_code_of_the_guide_is_part_of_a_program() {
    let blocks: Vec<_> =
        GUIDE.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        assert!(PROGRAMS.iter().any(|program| program.contains(block)), "{block}");
    }
}
