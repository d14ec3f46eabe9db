//! `cargo run --release -p poai-benches --bin gpu -- table`: what products cost
//! on a GPU, against cuBLASLt, its own limits and the CPU beside it.
//! `-- soak`: mining on and on, compared with the CPU.
//!
//! Every result is checked before it is timed. Exit codes: 0 all went well or
//! there is no GPU, which it says; 1 something failed or was wrong.
//!
//! - `product`, `parts`: products of one size, whole and by kernel, of a `pair` of
//!   operands; `network`: a text encoder; `soak`: mining;
//! - `check`: against the CPU; `turns`: medians by the GPU's events; `roof`:
//!   what the GPU can do; `cublaslt`: another library;
//! - `table`: all of it as Markdown and JSON.

mod check;
mod cublaslt;
mod network;
mod pair;
mod parts;
mod product;
mod roof;
mod soak;
mod table;
mod turns;

use clap::{Args, Parser, Subcommand};
use poai_benches::Failure;
use poai_cuda::{CudaError, MultiGpuError, choose};
use poai_engine::execute::Device;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Measure and try a GPU.
#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the table of figures.
    Table(Table),
    /// Mine for a while and recompute what is found on the CPU.
    Soak(Soak),
}

/// What the table is made of.
#[derive(Args)]
struct Table {
    /// Small products, a few samples, a small encoder: shows that everything
    /// works, and little else.
    #[arg(long)]
    quick: bool,
    /// Sizes of products, m = n = k, multiples of 128.
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',', value_parser = size)]
    sizes: Vec<u32>,
    /// Samples of each figure.
    #[arg(long, value_name = "N")]
    repeats: Option<usize>,
    /// The backend's name, `cuda` for the fastest kernels of the first GPU.
    #[arg(long, value_name = "NAME", default_value = choose::FASTEST)]
    backend: String,
    /// Print JSON in place of Markdown.
    #[arg(long)]
    json: bool,
    /// Write gpu.md and gpu.json there, too.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// libcublasLt, or the folder that it is in; else wherever it is found.
    #[arg(long, value_name = "PATH", env = "POAI_CUBLASLT")]
    cublaslt: Option<PathBuf>,
    /// The folder of all-MiniLM-L6-v2.
    #[arg(long, value_name = "FOLDER", env = "POAI_MINILM")]
    minilm: Option<PathBuf>,
}

/// What is mined.
#[derive(Args)]
struct Soak {
    /// For how long.
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Which products: others for another number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The product to begin with.
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Tiles a side of the largest product.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    tiles: u64,
    /// The backend's name, `cuda` for the fastest kernels of the first GPU;
    /// several GPUs like `cuda:all`.
    #[arg(long, value_name = "NAME", default_value = choose::FASTEST)]
    backend: String,
}

fn size(text: &str) -> Result<u32, String> {
    let size = text.parse::<u32>().map_err(|error| error.to_string())?;
    match size {
        128..=65_536 if size.is_multiple_of(128) => Ok(size),
        _ => Err("a multiple of 128 from 128 to 65536 is wanted".into()),
    }
}

fn main() -> ExitCode {
    let command = Line::parse().command;
    let done = match &command {
        Command::Table(options) => {
            let opened = choose::one_by_name(&options.backend);
            let opened = opened.map(|opened| opened.map_err(MultiGpuError::from));
            with_opened(&options.backend, opened, |cuda| table::print(&cuda, options))
        }
        Command::Soak(options) => {
            let opened = choose::by_name(&options.backend);
            with_opened(&options.backend, opened, |backend| soak(&backend, options))
        }
    };
    done.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

/// Works with what has a name, and says so where there is no GPU.
fn with_opened<T>(
    name: &str,
    opened: Option<Result<T, MultiGpuError>>,
    work: impl FnOnce(T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match opened {
        Some(Ok(opened)) => work(opened),
        Some(Err(MultiGpuError::Cuda(error @ (CudaError::NoDriver | CudaError::NoGpu)))) => {
            println!("SKIPPED: no GPU: {error}");
            Ok(())
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(format!("{name}: not the name of what this takes").into()),
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn soak(backend: &Arc<dyn Device>, options: &Soak) -> Result<(), Failure> {
    let &Soak { seconds, seed, first, tiles, .. } = options;
    let soaked = soak::run(backend, seed, first, tiles, Duration::from_secs(seconds))?;
    let soak::Soaked { products, tickets, tiles, proofs } = soaked;
    println!(
        "{products} products of seed {seed}: {tickets} tickets drawn, {tiles} tiles recomputed, \
         {proofs} proofs verified, all right"
    );
    Ok(())
}
