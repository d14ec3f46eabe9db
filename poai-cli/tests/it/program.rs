//! Runs the program, and reads what it prints.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// The program with arguments. It never panics.
pub fn poai(arguments: &[&str]) -> Output {
    let output = command().args(arguments).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    output
}

/// The program as a command that a test can start in other ways.
pub fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_poai"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Checks that the program succeeded, and returns what it printed.
pub fn printed(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Checks that the program succeeded and printed one JSON value in one line.
pub fn object(output: &Output) -> Value {
    let text = printed(output);
    assert_eq!(text.lines().count(), 1, "one value and nothing else: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Checks that the program ended with this code, printed nothing, and gave the
/// reason on stderr.
pub fn refused(output: &Output, expected: i32, why: &str) {
    let said = text(&output.stderr);
    assert_eq!(code(output), expected, "{said}");
    assert!(output.stdout.is_empty());
    assert!(said.contains(why), "{said:?} does not say {why:?}");
}

pub fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}
