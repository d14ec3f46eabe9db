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

/// The program, to be started in other ways.
pub fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_poai"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// It succeeded, and printed this.
pub fn printed(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}", text(&output.stderr));
    text(&output.stdout)
}

/// It succeeded, and printed one JSON value in one line.
pub fn object(output: &Output) -> Value {
    let text = printed(output);
    assert_eq!(text.lines().count(), 1, "one value and nothing else: {text}");
    serde_json::from_str(&text).unwrap()
}

/// It ended with this code, printed nothing, and said so on stderr.
pub fn refused(output: &Output, expected: i32, why: &str) {
    let said = text(&output.stderr);
    assert_eq!(code(output), expected, "{said}");
    assert!(output.stdout.is_empty());
    assert!(said.contains(why), "{said:?} does not say {why:?}");
}

pub fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}
