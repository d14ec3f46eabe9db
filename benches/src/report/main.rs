//! `cargo run --release -p poai-benches --bin report`: the cost of the puzzle
//! on this machine, as ratios inside one run. Writes `report.md`, `report.json`
//! and plots.
//!
//! - `sections`: the measurements; `run`: how to measure; `machine`: facts
//!   about the machine;
//! - `bandwidth`, `rten`, `child`: the memory, another library, other programs;
//! - `out`: the folder of the report.

mod bandwidth;
mod child;
mod machine;
mod out;
mod rten;
mod run;
mod sections;

use clap::Parser;
use out::Out;
use poai_benches::Failure;
use poai_benches::render::{self, Report, markdown};
use run::Run;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Measure the cost of mining and verifying on this machine.
#[derive(Parser)]
struct Args {
    /// The folder of the report.
    #[arg(long, value_name = "FOLDER", default_value = "report")]
    out: PathBuf,
    /// Measure only the sections whose title contains this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// List the sections and measure nothing.
    #[arg(long)]
    list: bool,
    /// Take fewer samples of smaller products; shows that everything works, and
    /// little else.
    #[arg(long)]
    quick: bool,
    /// A Python with the packages of scripts/requirements-onnx-runtime.txt, to
    /// compare whole networks with ONNX Runtime.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

fn main() -> ExitCode {
    match report(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(args: &Args) -> Result<(), Failure> {
    let titles = || sections::ALL.map(|planned| planned.title).join("\n  ");
    if args.list {
        println!("{}", sections::ALL.map(|planned| planned.title).join("\n"));
        return Ok(());
    }
    let mut chosen = sections::ALL.to_vec();
    chosen.retain(|planned| planned.title.to_lowercase().contains(&args.only.to_lowercase()));
    if chosen.is_empty() {
        return Err(format!("no section has {:?} in its title:\n  {}", args.only, titles()).into());
    }
    let out = Out::open(&args.out)?;
    let start = Instant::now();
    let mut report = Report {
        machine: machine::describe(),
        sections: Vec::new(),
        summary: sections::SUMMARY.to_vec(),
    };
    let mut run = Run::new(args.quick, args.python.clone());
    if run.is_quick() {
        let note = "a quick run of few samples and small products: do not compare its figures";
        report.machine.push(("note".into(), note.into()));
    }
    for (i, planned) in chosen.iter().enumerate() {
        let seconds = start.elapsed().as_secs();
        eprintln!("{} of {}, after {seconds} s: {}", i + 1, chosen.len(), planned.title);
        let section = planned.measure(&mut run)?;
        section.lines.iter().for_each(|line| eprintln!("  {}", markdown::render_line(line)));
        report.sections.push(section);
    }
    report.machine.push(("measured in".into(), format!("{} s", start.elapsed().as_secs()).into()));
    let files = render::files(&report)?;
    out.write(&files)?;
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    eprintln!("written into {}: {}", args.out.display(), names.join(", "));
    Ok(())
}
