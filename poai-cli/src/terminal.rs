//! The program's output: text on stdout, one line for an error on stderr, and
//! progress bars if stderr is a terminal.

use crate::failure::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// Prints to stdout. If the reader has closed the pipe, that is not an error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line to stderr. If stderr is closed, only the exit code remains.
pub fn complain(line: &str) {
    _ = writeln!(std::io::stderr(), "{line}");
}

/// A bar of `total` units; `tail` follows it, in indicatif's template.
pub fn bar(total: u64, tail: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{msg}}{{bar:40}} {tail}"));
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A bar of bytes, whose total the work reports.
pub fn bar_of_bytes(what: &'static str) -> ProgressBar {
    bar(0, "{bytes}/{total_bytes}, {eta} left").with_message(format!("{what} "))
}

/// Moves a bar to the work's position.
pub fn follow(bar: &ProgressBar) -> impl FnMut(u64, u64) {
    |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// A spinner for work that cannot report its progress.
pub fn spinner(what: &str, expected: Option<f64>) -> ProgressBar {
    let message = match expected {
        Some(seconds) => format!("{what}, about {seconds:.1} s"),
        None => what.to_owned(),
    };
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
