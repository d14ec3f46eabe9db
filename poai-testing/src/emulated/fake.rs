//! A driver that lists GPUs and does no more (`emulated/fake_driver.c`), and
//! that answers as its macros say.

use super::{compile, rerun};
use std::env;

const INSIDE: &str = "POAI_FAKE_DRIVER";

/// Runs `check` where the driver is the fake one, compiled with `macros`. The
/// calling test calls this once.
///
/// # Panics
/// If `check` does.
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
