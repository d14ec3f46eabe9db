//! Three small nodes whose proof of work is matrix products.
//!
//! `cargo run --release -p example-node` starts them as separate processes, over TCP on the
//! loopback interface, and runs five scenarios. The example shows where the verifier belongs in a
//! node.
//!
//! It is not a product. It has no body, no state, no pruning, no discovery of peers and no
//! redialling, and idle peers may hold the places of others. All blocks are in memory, 66 kB each,
//! and twice that while they are read at the start.
//!
//! Exit codes: 0 all passed, 1 one failed, 2 bad arguments or files.

mod block;
mod branch;
mod chain;
mod child;
mod control;
mod events;
mod miner;
mod network;
mod node;
mod peer;
mod scenario;
mod store;
mod wire;

use clap::{Parser, Subcommand, ValueEnum};
use scenario::Scenario;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Three nodes that mine, gossip, verify, reorganise, retarget, reject
/// forgeries and survive being killed.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    node: Option<Node>,
    /// Run only this scenario; may be given again.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// Keep the databases here, in a new folder for each scenario.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Node {
    /// Run one node. It reads commands on standard input and writes events on
    /// standard output, each one JSON object on a line. It ends when its input
    /// ends.
    Node {
        /// The node's number, which is also the miner that its blocks pay.
        #[arg(long)]
        name: u32,
        /// The folder of its database.
        #[arg(long)]
        folder: PathBuf,
        /// The time at which the network began, in milliseconds since 1970.
        #[arg(long)]
        epoch: u64,
    },
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.node {
        Some(Node::Node { name, folder, epoch }) => {
            node::run(name, &folder, epoch).await.map(|()| true).map_err(|error| error.to_string())
        }
        None => scenarios(&args).await.map_err(|error| error.to_string()),
    };
    // The thread of standard input would keep the process waiting.
    std::process::exit(match result {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            eprintln!("error: {error}");
            2
        }
    })
}

/// Runs the requested scenarios. Returns whether all passed.
async fn scenarios(args: &Args) -> std::io::Result<bool> {
    let temporary = tempfile::tempdir()?;
    let folder = args.dir.as_deref().unwrap_or(temporary.path());
    let asked = match args.scenario.as_slice() {
        [] => Scenario::value_variants(),
        some => some,
    };
    let (mut passed, mut results) = (true, Vec::new());
    for scenario in asked {
        let start = Instant::now();
        let outcome = match place(folder, *scenario) {
            Ok(place) => scenario.run(&place).await.map_err(|error| error.to_string()),
            Err(error) => return Err(error),
        };
        let seconds = start.elapsed().as_secs_f64();
        passed &= outcome.is_ok();
        let name = name(*scenario);
        let lines = match &outcome {
            Ok(lines) => lines.join("\n"),
            Err(why) => why.clone(),
        };
        if !args.json {
            let verdict = if outcome.is_ok() { "PASS" } else { "FAIL" };
            println!("{verdict} {name} ({seconds:.1} s): {lines}");
        }
        results.push(json!({
            "scenario": name, "passed": outcome.is_ok(), "seconds": seconds,
            "seen": lines.lines().collect::<Vec<_>>(),
        }));
    }
    if args.json {
        println!("{}", json!({ "passed": passed, "scenarios": results }));
    }
    Ok(passed)
}

fn name(scenario: Scenario) -> String {
    scenario.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A new folder, because old databases belong to another network.
fn place(folder: &Path, scenario: Scenario) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let name = name(scenario);
    (0..)
        .map(|number| folder.join(format!("{name}-{number}")))
        .find(|place| !place.exists())
        .map_or_else(|| Ok(folder.join(&name)), |place| std::fs::create_dir(&place).map(|()| place))
}
