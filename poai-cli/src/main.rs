//! The program `poai`: mines matrix products, runs and proves networks of exact
//! integers, and verifies the claims of others. Each subcommand is a thin
//! module over the crate `poai`.
// Not `forbid`, because ndarray's macro `s!` permits the unsafe code that it expands to.
#![deny(unsafe_code)]

mod arguments;
mod backend;
mod backends;
mod bench;
mod classify;
mod deployment;
mod digits;
mod embed;
mod failure;
mod fault;
mod fidelity;
mod files;
mod inspect;
mod keyfile;
mod memory;
mod mine;
mod network;
mod prove;
mod quantise;
mod rules;
mod run;
mod samples;
mod shell;
mod terminal;
mod train;
mod verify;

use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
use clap::{CommandFactory, Parser, Subcommand};
use failure::{EXIT_CODES, Failure};
use std::process::ExitCode;

/// Proof of AI: mine matrix products, run and prove networks of exact integers, and verify what
/// others claim.
#[derive(Parser)]
#[command(name = "poai", version, after_help = EXIT_CODES)]
struct Program {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Mine(mine::Args),
    Verify(verify::Args),
    Quantise(quantise::Args),
    Run(run::Args),
    Train(train::Args),
    Classify(classify::Args),
    Embed(embed::Args),
    Prove(prove::Args),
    Inspect(inspect::Args),
    Bench(bench::Args),
    Backends(backends::Args),
    Completions(shell::Completions),
    Man(shell::Man),
}

impl Task {
    fn run(&self) -> Result<(), Failure> {
        match self {
            Task::Mine(args) => mine::run(args),
            Task::Verify(args) => verify::run(args),
            Task::Quantise(args) => quantise::run(args),
            Task::Run(args) => run::run(args),
            Task::Train(args) => train::run(args),
            Task::Classify(args) => classify::run(args),
            Task::Embed(args) => embed::run(args),
            Task::Prove(args) => prove::run(args),
            Task::Inspect(args) => inspect::run(args),
            Task::Bench(args) => bench::run(args),
            Task::Backends(args) => backends::run(args),
            Task::Completions(args) => shell::completions(args, Program::command()),
            Task::Man(args) => shell::man(args, Program::command()),
        }
    }
}

fn main() -> ExitCode {
    let outcome = match Program::try_parse_from(verify::expanded(std::env::args_os())) {
        Ok(program) => program.task.run(),
        Err(help) if !help.use_stderr() => terminal::print(&help.to_string()),
        Err(help) if help.kind() == DisplayHelpOnMissingArgumentOrSubcommand => {
            help.to_string().lines().for_each(terminal::complain);
            return ExitCode::from(failure::Code::Usage as u8);
        }
        Err(error) => Err(Failure::usage(one_line(&error))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::complain(&failure.to_string());
            failure.exit()
        }
    }
}

/// The first paragraph states the error, the rest explains how to use the
/// program.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let wrong: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    wrong.join(" ")
}
