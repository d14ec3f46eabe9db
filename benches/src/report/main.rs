//! `cargo run --release -p poai-benches --bin report`: what the puzzle costs on
//! this machine, as ratios inside one run, written to `report.md` and
//! `report.json`.
//!
//! - `machine`: what it ran on;
//! - `lines`: what is measured, section by section;
//! - `peers`: other libraries' products, where they are present.

mod lines;
mod machine;
mod peers;

use clap::Parser;
use poai_benches::quiet::Quiet;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Measure what mining and verifying cost here.
#[derive(Parser)]
struct Args {
    /// Where the report goes.
    #[arg(long, value_name = "FOLDER", default_value = "report")]
    out: PathBuf,
    /// Measure only the sections whose title contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// One measured line.
pub struct Line {
    /// What was measured.
    pub what: String,
    /// The figure, or why there is none.
    pub outcome: Outcome,
}

/// A figure or its absence.
pub enum Outcome {
    /// A number with its unit, of so many samples kept and taken.
    Figure {
        /// The number.
        value: f64,
        /// Its unit, empty for ratios.
        unit: &'static str,
        /// Samples that count.
        kept: usize,
        /// Samples taken.
        taken: usize,
    },
    /// A known answer, by which a fast wrong result would be seen.
    Digest(String),
    /// Not measured, and why.
    Skipped(String),
}

impl Line {
    fn figure(
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        (kept, taken): (usize, usize),
    ) -> Line {
        Line { what: what.into(), outcome: Outcome::Figure { value, unit, kept, taken } }
    }

    fn digest(what: impl Into<String>, digest: String) -> Line {
        Line { what: what.into(), outcome: Outcome::Digest(digest) }
    }

    fn skipped(what: impl Into<String>, why: impl Into<String>) -> Line {
        Line { what: what.into(), outcome: Outcome::Skipped(why.into()) }
    }

    fn markdown(&self) -> String {
        match &self.outcome {
            Outcome::Figure { value, unit, kept, taken } => {
                format!("| {} | {} {unit} | {kept} of {taken} |", self.what, digits(*value))
            }
            Outcome::Digest(digest) => format!("| {} | `{digest}` | |", self.what),
            Outcome::Skipped(why) => format!("| {} | SKIPPED: {why} | |", self.what),
        }
    }

    fn json(&self) -> Value {
        match &self.outcome {
            Outcome::Figure { value, unit, kept, taken } => {
                json!({ "what": self.what, "value": value, "unit": unit, "kept": kept, "taken": taken })
            }
            Outcome::Digest(digest) => json!({ "what": self.what, "digest": digest }),
            Outcome::Skipped(why) => json!({ "what": self.what, "skipped": why }),
        }
    }
}

/// Three significant digits, or whole numbers.
fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let machine = machine::describe();
    let mut quiet = Quiet::new();
    let mut sections = Vec::new();
    for (title, measure) in
        lines::SECTIONS.into_iter().filter(|(title, _)| title.contains(&args.only))
    {
        eprintln!("measuring: {title}");
        let lines = measure(&mut quiet)?;
        lines.iter().for_each(|line| eprintln!("  {}", line.markdown()));
        sections.push((title, lines));
    }
    std::fs::create_dir_all(&args.out)?;
    std::fs::write(args.out.join("report.md"), markdown(&machine, &sections))?;
    let json = json!({
        "machine": machine.iter().cloned().collect::<serde_json::Map<_, _>>(),
        "sections": sections.iter().map(|(title, lines)| {
            json!({ "title": title, "lines": lines.iter().map(Line::json).collect::<Vec<_>>() })
        }).collect::<Vec<_>>(),
    });
    std::fs::write(args.out.join("report.json"), serde_json::to_string_pretty(&json)? + "\n")?;
    eprintln!("written: {}", args.out.join("report.md").display());
    Ok(())
}

fn markdown(machine: &[(String, Value)], sections: &[(&str, Vec<Line>)]) -> String {
    let mut text = String::from("# What poai costs on this machine\n\n");
    for (key, value) in machine {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text += &format!("- {key}: {value}\n");
    }
    text += "\nRatios are of medians measured in turns inside this one run. The last column is the share of samples\n\
             kept: those around which a probe on every thread found the machine quiet.\n";
    for (title, lines) in sections {
        text += &format!("\n## {title}\n\n| what | measured | kept |\n| --- | --- | --- |\n");
        lines.iter().for_each(|line| text += &(line.markdown() + "\n"));
    }
    text
}
