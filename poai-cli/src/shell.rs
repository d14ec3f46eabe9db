//! `poai completions` and `poai man`: files for shells and for manual readers.

use crate::failure::{EXIT_CODES, Failure};
use crate::files::cannot_write;
use crate::terminal;
use clap::Command;
use clap_complete::Shell;
use std::path::PathBuf;

/// Print a script that completes the program's arguments in a shell.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

/// Write the manual, a page for the program and for each subcommand.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Man {
    /// The folder for the pages; it is made if it does not exist.
    folder: PathBuf,
}

pub fn completions(args: &Completions, mut program: Command) -> Result<(), Failure> {
    let mut script = vec![];
    let name = program.get_name().to_owned();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    terminal::print(&String::from_utf8_lossy(&script))
}

pub fn man(args: &Man, program: Command) -> Result<(), Failure> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).map_err(cannot_write(folder))?;
    clap_mangen::generate_to(program, folder).map_err(cannot_write(folder))
}
