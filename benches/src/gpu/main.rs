//! `cargo run --release -p poai-benches --bin gpu -- table`: the cost of products
//! on a GPU, beside cuBLASLt, the GPU's own limits and the CPU.
//! `-- soak`: continuous mining, checked by the CPU.
//!
//! Every result is checked before it is timed. The exit code is 0 if everything
//! succeeded, or if there is no GPU, which the program reports. It is 1 if
//! something failed or was wrong.
//!
//! - `product`, `parts`: products of one size, whole and by kernel, of a `pair` of operands;
//!   `network`: a text encoder; `soak`: mining;
//! - `check`: comparison with the CPU; `turns`: medians by the GPU's events; `roof`: the GPU's
//!   limits; `cublaslt`: another library;
//! - `table`: all figures as Markdown and JSON.

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

/// Measure and test a GPU.
#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the table of figures.
    Table(Table),
    /// Mine for a while and recompute samples on the CPU.
    Soak(Soak),
}

/// Options of the table.
#[derive(Args)]
struct Table {
    /// Measure small products with few samples, and a small encoder; shows that
    /// everything works, and little else.
    #[arg(long)]
    quick: bool,
    /// Sizes of products, m = n = k, multiples of 128.
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',', value_parser = size)]
    sizes: Vec<u32>,
    /// Samples of each figure.
    #[arg(long, value_name = "N")]
    repeats: Option<usize>,
    /// The backend's name; `cuda` means the fastest kernels of the first GPU.
    #[arg(long, value_name = "NAME", default_value = choose::FASTEST)]
    backend: String,
    /// Print JSON in place of Markdown.
    #[arg(long)]
    json: bool,
    /// Also write gpu.md and gpu.json to this folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The file or folder of libcublasLt; by default the usual places are
    /// searched.
    #[arg(long, value_name = "PATH", env = "POAI_CUBLASLT")]
    cublaslt: Option<PathBuf>,
    /// The folder of all-MiniLM-L6-v2.
    #[arg(long, value_name = "FOLDER", env = "POAI_MINILM")]
    minilm: Option<PathBuf>,
}

/// Options of mining.
#[derive(Args)]
struct Soak {
    /// How long to mine, in seconds.
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// The seed of the products; another number gives other products.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The index of the first product.
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Tiles per side of the largest product.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    tiles: u64,
    /// The backend's name; `cuda` means the fastest kernels of the first GPU,
    /// and `cuda:all` means several GPUs.
    #[arg(long, value_name = "NAME", default_value = choose::FASTEST)]
    backend: String,
}

fn size(text: &str) -> Result<u32, String> {
    let size = text.parse::<u32>().map_err(|error| error.to_string())?;
    match size {
        128..=65_536 if size.is_multiple_of(128) => Ok(size),
        _ => Err("expected a multiple of 128 from 128 to 65536".into()),
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

/// Calls `work` with the opened GPU, and prints SKIPPED if there is no GPU.
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
        None => Err(format!("expected the name of a GPU backend, got {name}; try cuda").into()),
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
