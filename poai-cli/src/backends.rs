//! `poai backends`: the backends that this machine can use.

use crate::backend;
use crate::failure::{EXIT_CODES, Failure};
use crate::terminal;
use serde_json::{Value, json};

/// List the backends that this build knows, and which of them this machine can use.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Print one JSON array instead of text.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if !args.json {
        return terminal::print(&backend::table());
    }
    let listed = poai::choose::list().into_iter().map(
        |listed| json!({ "name": listed.name, "needs": listed.needs, "present": listed.present }),
    );
    terminal::print(&format!("{}\n", Value::Array(listed.collect())))
}
