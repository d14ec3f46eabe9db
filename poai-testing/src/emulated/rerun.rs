//! Runs the current test again, in a process that finds some library before any
//! other. The search path is fixed when a process starts.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

/// A program that looks for libraries in these folders first.
///
/// # Panics
/// If a folder's name cannot be part of a search path.
pub fn searching(folders: &[&Path], program: impl AsRef<OsStr>) -> Command {
    let search = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = folders.iter().map(|folder| folder.to_path_buf());
    let search = env::join_paths(folders.chain(env::split_paths(&search)));
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", search.expect("folders that can be searched"));
    command
}

/// This program, with arguments to run only the calling test.
///
/// # Panics
/// If the caller is not a test: tests run in threads with their names.
pub fn this_test(folders: &[&Path]) -> Command {
    let thread = thread::current();
    let test = thread.name().filter(|name| *name != "main");
    let test = test.expect("expected a test's own thread; call this from a test");
    let mut command = searching(folders, env::current_exe().expect("a program knows its path"));
    command.args(["--exact", test, "--nocapture"]);
    command
}

/// The output of a program that must have succeeded.
///
/// # Panics
/// If the program failed.
pub fn succeed(output: Output) -> String {
    let [seen, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{}\n{seen}\n{errors}", output.status);
    seen
}

/// Runs a test again, which must pass.
///
/// # Panics
/// If the test fails.
pub fn pass(mut test: Command) {
    let seen = succeed(test.output().unwrap());
    // With the name of no test, the program would succeed by running nothing.
    assert!(seen.contains("ok. 1 passed; 0 failed"), "{seen}");
}
