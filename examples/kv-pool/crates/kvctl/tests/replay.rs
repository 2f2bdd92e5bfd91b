//! The program itself, on a trace from a file.

use std::process::Command;

#[test]
fn help_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_kvctl")).arg("--help").output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"usage: kvctl"));
}

#[test]
fn a_missing_trace_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_kvctl")).arg("no-such-trace").output().unwrap();
    assert_eq!(Some(2), output.status.code());
}
