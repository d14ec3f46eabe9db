//! A driver that only lists GPUs (`emulated/fake_driver.c`), with answers that
//! its macros choose.

use super::{compile, rerun};
use std::env;

const INSIDE: &str = "POAI_FAKE_DRIVER";

/// Runs `check` in a process whose driver is the fake one, compiled with
/// `macros`. A test calls this once.
///
/// # Panics
/// If `check` panics.
pub fn with_driver(macros: &[&str], check: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return check();
    }
    let source = compile::emulated("fake_driver.c");
    let Some(library) = compile::library(&source, "libcuda.so", macros) else { return };
    let folder = library.parent().expect("a library is in a folder");
    let mut again = rerun::this_test(&[folder]);
    again.env(INSIDE, "1");
    rerun::pass(again);
}
