//! Multiplies a real layer's operands, mines every tile of the product on the
//! way, and verifies the proof as a node would.
//!
//! `cargo run --release --example mine` needs no arguments.
//! Exit codes: 0 a proof was made and verified, 2 bad arguments or files,
//! 3 no tile won.

mod report;
#[path = "../support/mod.rs"]
mod support;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array2;
use poai::backends;
use poai::operand::{Split, pseudorandom, split};
use poai::verify::{Rules, Verified, Verifier};
use poai::{Challenge, Cpu, Difficulty, MineOptions, Miner, Params, Proof};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::Failure;
use support::files::{self, Destination};

/// The bundled operands: a feed-forward product of all-MiniLM-L6-v2.
const BUNDLED: &[u8] = include_bytes!("../data/minilm-ffn.safetensors");

/// Mine a matrix product: the exact product, and a proof of AI when a tile
/// wins.
#[derive(Parser)]
struct Args {
    /// Operands from a safetensors file: `a` i8 [m,k] and `bt` i8 [n,k],
    /// entries in -64..=63. By default a layer of all-MiniLM-L6-v2.
    #[arg(long, value_name = "FILE")]
    operands: Option<PathBuf>,
    /// Pseudo-random operands of this shape instead.
    #[arg(long, value_name = "M,N,K", conflicts_with = "operands", value_parser = support::shape)]
    random: Option<[usize; 3]>,
    /// The challenge: the hash of a block's header, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", default_value_t = support::example_challenge())]
    challenge: Challenge,
    /// Expected multiply-accumulates per win, an integer or like 5e9. Below
    /// 2^24 a proof is a pool's share and no block's.
    #[arg(long, value_name = "MACS", default_value_t = Difficulty::BLOCK_MIN)]
    difficulty: Difficulty,
    /// Write the proof here.
    #[arg(long, value_name = "PROOF")]
    out: Option<PathBuf>,
    /// Write the product here, row-major 32-bit little-endian.
    #[arg(long, value_name = "FILE")]
    product: Option<PathBuf>,
    /// Which backend multiplies, by default the fastest; `list` prints them. GPUs are
    /// `cuda`, `cuda:1`, `cuda:0,2` (together) or `cuda:all`, with feature cuda.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// How many threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    support::main(run)
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.backend.as_deref() == Some("list") {
        return list_backends();
    }
    let rules = support::rules(args.difficulty);
    let [out, product] = destinations(args)?;
    let work = load(args)?;
    check_k(&work, &rules)?;
    let miner = Miner::new(Params::CONSENSUS, pick_backend(args)?).map_err(Failure::usage)?;
    let mined = mine(args, &work, &miner)?;
    let verified = mined.best.as_ref().map(|best| verify(&best.bytes, args, rules)).transpose()?;

    // What was found is printed whatever becomes of the files.
    let product = product.map_or(Ok(()), |to| to.write(&report::little_endian(&mined.product)));
    let best = out.zip(mined.best.as_ref());
    let written = best.map_or(Ok(()), |(to, best)| to.write(&best.bytes));
    let outcome = report::Outcome { work: &work, mined: &mined, verified: verified.as_ref() };
    let mut text = match args.json {
        true => outcome.json().to_string() + "\n",
        false => outcome.text(miner.backend().name()),
    };
    if let (false, Some(path), Some(_)) = (args.json, &args.out, &verified) {
        let Args { challenge, difficulty, .. } = args;
        text += &format!(
            "\ncheck it:   cargo run --release --example verify -- {} --challenge {challenge} --difficulty {difficulty}\n",
            path.display()
        );
    }
    support::print(&text)?;
    product.and(written)?;
    if verified.is_none() {
        support::complain(&format!(
            "no tile won at difficulty {}: {} tickets were drawn, all in vain; try another challenge or a lower difficulty",
            args.difficulty, mined.tickets
        ));
        return Ok(ExitCode::from(3));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the proof and the product go; checked before any work.
fn destinations(args: &Args) -> Result<[Option<Destination>; 2], Failure> {
    let open = |path: &Option<PathBuf>| path.as_deref().map(Destination::new).transpose();
    let (out, product) = (open(&args.out)?, open(&args.product)?);
    if let (Some(out), Some(product)) = (&out, &product)
        && out.is_same(product)
    {
        return Err(Failure::Usage("--out and --product name the same file".into()));
    }
    Ok([out, product])
}

/// The operands, padded and cut to statements that a block takes.
fn load(args: &Args) -> Result<Split, Failure> {
    let split = |(a, bt)| Split::new(&Params::CONSENSUS, a, bt).map_err(Failure::usage);
    match (&args.operands, args.random) {
        (Some(path), _) => {
            let len = files::regular_len(path)?;
            support::check_memory(u128::from(len) * 4)?;
            let operands = files::read_operands(&files::read(path, len)?);
            let in_file = |why| Failure::Usage(format!("{}: {why}", path.display()));
            let (a, bt) = operands.map_err(in_file)?;
            support::check_memory(support::mining_bytes([a.nrows(), bt.nrows(), a.ncols()]))?;
            split((a, bt)).map_err(in_file)
        }
        (None, Some(shape @ [m, n, k])) => {
            support::check_memory(support::mining_bytes(shape))?;
            let seed = |side: &[u8]| [&args.challenge.0, side].concat();
            split((pseudorandom(&seed(b"/a"), m, k), pseudorandom(&seed(b"/b"), n, k)))
        }
        (None, None) => split(files::read_operands(BUNDLED)?),
    }
}

/// Refuses what no block would take before it is mined.
fn check_k(work: &Split, rules: &Rules) -> Result<(), Failure> {
    let depths = work.parts().iter().map(|part| part.operands().shape().k);
    match depths.into_iter().find(|k| !(rules.k_min..=rules.k_max).contains(k)) {
        Some(k) => Err(Failure::Usage(format!(
            "k = {k} after padding, but a block's statement needs {}..={}",
            rules.k_min, rules.k_max
        ))),
        None => Ok(()),
    }
}

/// The backend asked for, never another one in its stead.
fn pick_backend(args: &Args) -> Result<Arc<dyn poai::execute::Device>, Failure> {
    let Some(threads) = args.threads else {
        return match &args.backend {
            Some(name) => backends::by_name(name).map_err(Failure::usage),
            None => Ok(Arc::new(Cpu::new())),
        };
    };
    let cpu = match args.backend.as_deref() {
        Some(poai::backend::error::REFERENCE) => {
            return Err(Failure::Usage("the reference does not take --threads".into()));
        }
        Some(name) => Cpu::named(name).map_err(Failure::usage)?,
        None => Cpu::new(),
    };
    Ok(Arc::new(cpu.threads(threads.into()).map_err(Failure::usage)?))
}

fn list_backends() -> Result<ExitCode, Failure> {
    let lines = backends::list().into_iter().map(|listed| format!("{listed}\n"));
    support::print(&lines.collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

/// All parts of the work, mined.
struct AllMined {
    product: Array2<i32>,
    macs: u128,
    tickets: u64,
    won: u64,
    time: Duration,
    best: Option<Best>,
    roots: [poai::Root; 2],
}

/// The proof of the lowest ticket.
struct Best {
    proof: Proof,
    bytes: Vec<u8>,
    ticket: poai::Ticket,
}

fn mine(args: &Args, work: &Split, miner: &Miner) -> Result<AllMined, Failure> {
    let total =
        work.parts().iter().map(|part| part.operands().shape().tickets(miner.params())).sum();
    let bar = progress_bar(total, args.json);
    let start = Instant::now();
    let (mut products, mut found) = (Vec::new(), Vec::new());
    for part in work.parts() {
        let operands = part.operands();
        let bt = miner.prepare(operands.bt().clone()).map_err(Failure::usage)?;
        let a = miner.prepare(operands.a().clone()).map_err(Failure::usage)?;
        let round = miner.round(&args.challenge, &bt).map_err(Failure::usage)?;
        let (on_tiles, before) = (bar.clone(), bar.position());
        let options = MineOptions::new(args.difficulty)
            .progress(move |progress| on_tiles.set_position(before + progress.done));
        let mined = round.mine(&a, &options).map_err(Failure::usage)?;
        bar.set_position(before + mined.found.drawn());
        products.push(mined.product);
        found.push(mined.found);
    }
    let time = start.elapsed();
    bar.finish_and_clear();
    let product =
        work.assemble(products).ok_or(Failure::Usage("the parts do not add up".into()))?;
    let winner = |found: &&poai::miner::Found| found.best().map(|best| best.ticket);
    let best = found.iter().filter(|found| found.best().is_some()).min_by_key(winner);
    let statement = *best.unwrap_or(&found[0]).statement();
    let best = best
        .and_then(|found| Some((found.proof()?, found.best()?.ticket)))
        .map(|(proof, ticket)| {
            let bytes = proof.encode(miner.params()).map_err(Failure::usage)?;
            Ok::<_, Failure>(Best { proof, bytes, ticket })
        })
        .transpose()?;
    Ok(AllMined {
        product,
        macs: work.parts().iter().map(|part| part.operands().shape().macs()).sum(),
        tickets: found.iter().map(|found| found.drawn()).sum(),
        won: found.iter().map(|found| found.won()).sum(),
        time,
        best,
        roots: [statement.root_a, statement.root_b],
    })
}

fn progress_bar(total: u64, hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} tiles {eta}");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What a node does with the bytes: it knows them, the challenge and the
/// difficulty, and nothing else.
fn verify(bytes: &[u8], args: &Args, rules: Rules) -> Result<(Verified, Duration), Failure> {
    let verifier = Verifier::new(rules, args.difficulty).map_err(Failure::usage)?;
    let start = Instant::now();
    let verified = verifier
        .verify(&args.challenge, bytes)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    Ok((verified, start.elapsed()))
}

// The largest k of one statement is the miner's business; it is a block's too.
const _: () = assert!(split::K_MAX == Rules::CONSENSUS.k_max as usize);
