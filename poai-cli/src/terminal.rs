//! The program's output: text on stdout, one line for an error on stderr, and
//! progress bars if stderr is a terminal.

use crate::failure::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use poai::Progress;
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

/// Prints one line to stderr, with names from files escaped. If stderr is closed,
/// only the exit code remains.
pub fn complain(line: &str) {
    _ = writeln!(std::io::stderr(), "{}", name(line));
}

/// A name from a file, to be printed as text. What would move the cursor, begin a
/// line or turn the direction of writing is escaped.
pub fn name(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(
            character,
            '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        match character.is_control() || turns {
            true => escaped.extend(character.escape_default()),
            false => escaped.push(character),
        }
    }
    escaped
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
pub fn follow(bar: &ProgressBar) -> impl Fn(Progress) + Send + Sync + 'static {
    let bar = bar.clone();
    move |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
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

/// A field of a file, in quotes: its first 40 characters.
pub fn quoted(field: &str) -> String {
    match field.char_indices().nth(40) {
        Some((end, _)) => format!("{:?}…", &field[..end]),
        None => format!("{field:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        for (text, expected) in [
            ("/gemm/1 × \"é\" \\", "/gemm/1 × \"é\" \\"),
            ("a\u{1b}[2J\nb\r\t\0", r"a\u{1b}[2J\nb\r\t\u{0}"),
            ("\u{7f}\u{9b}\u{202e}\u{2028}\u{2066}", r"\u{7f}\u{9b}\u{202e}\u{2028}\u{2066}"),
        ] {
            assert_eq!(name(text), expected);
        }
    }

    #[test]
    fn long_fields_are_cut() {
        assert_eq!(quoted("x\ny"), r#""x\ny""#);
        assert_eq!(quoted(&"é".repeat(40)), format!("{:?}", "é".repeat(40)));
        assert_eq!(quoted(&"é".repeat(41)), format!("{:?}…", "é".repeat(40)));
    }
}
