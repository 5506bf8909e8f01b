//! The failures of a program without a subscriber of `tracing`.

use std::process::Command;

use sockeye_core::Opcode;
use sockeye_driver::server::{BoxError, Callbacks, Limits, Port};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::sim::*;

/// Set in the process whose standard error the test reads.
const CHILD: &str = "SOCKEYE_TEST_CHILD";

#[test]
fn e10_without_a_subscriber_errors_are_written_to_the_standard_error() {
    if std::env::var_os(CHILD).is_some() {
        return fail_once();
    }
    let name = "e10_without_a_subscriber_errors_are_written_to_the_standard_error";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = "sockeye: a handler has failed: no room \\n (connection 1 from unix:)\n";
    assert!(text.contains(expected), "{text}");
    // The panic hook reports a panic, once.
    assert_eq!(text.matches("as asked").count(), 1, "{text}");
    assert!(!text.contains("silent"), "{text}");
}

/// Runs handlers that return an error, panic, and fail with a closure for `failed`.
fn fail_once() {
    let mut executor = Executor::new();
    let error = Callbacks::on_message(|_, _| async { Err::<(), BoxError>("no room \n".into()) });
    let panic = Callbacks::on_message(|_, _| async { panic!("as asked") });
    let silent =
        Callbacks::on_message(|_, _| async { Err::<(), BoxError>("silent".into()) }).on_failed(|_, _| {});
    for handler in [error, panic, silent] {
        let (_server, connector, _) = SimRuntime::serve(&mut executor, Port::new(handler), Limits::new());
        let pipe = connector.connect(1 << 20, Faults::default());
        pipe.push(UPGRADE_REQUEST);
        pipe.push(&client_frame(Opcode::Text, b"x"));
        executor.run_until_idle();
    }
}
