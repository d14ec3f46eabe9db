//! Iterations of training, timed beside a peer, and audits of them measured.
//!
//! `benches/peers/training.py` builds and runs this program.
//!
//! - `networks`: what is trained; `serve`: timed iterations, one a line of the
//!   input; `audit`: sizes and times of messages; `share`: what can be mined.
//! - `accuracy`, `textures`: a small VGG network on generated images, in integers
//!   and in floating point.

mod accuracy;
mod audit;
mod networks;
mod serve;
mod share;
mod textures;

use clap::{Parser, Subcommand};
use networks::Name;
use poai_engine::Cpu;

/// Why a measurement failed.
type Failure = Box<dyn std::error::Error>;

/// Measure iterations of training.
#[derive(Parser)]
struct Args {
    /// The number of threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The backend's name, such as cpu-avx512-vnni. The default is the fastest.
    #[arg(long)]
    backend: Option<String>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Run an iteration for each line of the input: step, trace, profile or
    /// memory. Print a line of JSON for each.
    Serve {
        /// The network.
        network: Name,
        /// Take exponents from the iteration before.
        #[arg(long)]
        fused: bool,
    },
    /// Print the sizes and times of an audit and of a fraud proof.
    Audit {
        /// The network.
        network: Name,
        /// The drawn iterations.
        #[arg(long, default_value_t = 40)]
        samples: u32,
    },
    /// Train a small VGG network on generated images, in integers and in floating
    /// point. Print a line of JSON for each seed.
    Accuracy {
        /// The number of seeds.
        #[arg(long, default_value_t = 5)]
        seeds: u32,
        /// Passes over the images.
        #[arg(long, default_value_t = 6)]
        epochs: u32,
        /// Images to train with.
        #[arg(long, default_value_t = 3000)]
        samples: u32,
        /// Images to test with.
        #[arg(long, default_value_t = 1000)]
        tests: u32,
    },
    /// Print the share of the MACs whose products draw tickets.
    Share {
        /// The network.
        network: Name,
    },
}

fn main() -> Result<(), Failure> {
    let Args { threads, backend, what } = Args::parse();
    let cpu = match backend {
        Some(name) => Cpu::named(&name)?,
        None => Cpu::new(),
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    match what {
        What::Serve { network, fused } => serve::serve(network, fused, &cpu),
        What::Accuracy { seeds, epochs, samples, tests } => {
            accuracy::accuracy(&cpu, seeds, epochs, [samples, tests])
        }
        What::Audit { network, samples } => audit::audit(network, &cpu, samples),
        What::Share { network } => share::share(network),
    }
}
