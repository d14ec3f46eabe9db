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
use poai::backend::{self, Backend};
use poai::operand::{Split, pseudorandom, split};
use poai::verify::{Rules, Verified, Verifier};
use poai::{Challenge, Cpu, Difficulty, Miner, Options, Params, Proof};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Failure, files};

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
    /// Which backend multiplies, by default the fastest; `list` prints them.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// How many threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    support::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.backend.as_deref() == Some("list") {
        list_backends();
        return Ok(ExitCode::SUCCESS);
    }
    let rules = support::rules(args.difficulty);
    let work = load(args)?;
    for part in work.parts() {
        let k = part.operands().shape().k;
        if !(rules.k_min..=rules.k_max).contains(&k) {
            let why = format!(
                "k = {k} after padding, but a block's statement needs {}..={}",
                rules.k_min, rules.k_max
            );
            return Err(Failure::Usage(why));
        }
    }
    let miner = Miner::new(Params::CONSENSUS, pick_backend(args)?).map_err(Failure::usage)?;
    let mined = mine(args, &work, &miner)?;
    let verified = mined.best.as_ref().map(|best| verify(&best.bytes, args, rules)).transpose()?;
    if let (Some(path), Some(best)) = (&args.out, &mined.best) {
        files::write(path, &best.bytes)?;
    }
    if let Some(path) = &args.product {
        files::write(path, &report::little_endian(&mined.product))?;
    }
    let outcome = report::Outcome { work: &work, mined: &mined, verified: verified.as_ref() };
    if args.json {
        println!("{}", outcome.json());
    } else {
        outcome.print(miner.backend().name());
        if let (Some(path), Some(_)) = (&args.out, &verified) {
            println!(
                "\ncheck it:   cargo run --release --example verify -- {} --challenge {} --difficulty {}",
                path.display(),
                args.challenge,
                args.difficulty
            );
        }
    }
    if verified.is_none() {
        eprintln!(
            "no tile won at difficulty {}: {} tickets were drawn, all in vain; try another challenge or a lower difficulty",
            args.difficulty, mined.tickets
        );
        return Ok(ExitCode::from(3));
    }
    Ok(ExitCode::SUCCESS)
}

/// The operands, padded and cut to statements that a block takes.
fn load(args: &Args) -> Result<Split, Failure> {
    let (a, bt) = match (&args.operands, args.random) {
        (Some(path), _) => files::read_operands(&files::read(path, files::OPERANDS_MAX)?)
            .map_err(|why| Failure::Usage(format!("{}: {why}", path.display())))?,
        (None, Some([m, n, k])) => {
            let seed = |side: &[u8]| [&args.challenge.0, side].concat();
            (pseudorandom(&seed(b"/a"), m, k), pseudorandom(&seed(b"/b"), n, k))
        }
        (None, None) => files::read_operands(BUNDLED)?,
    };
    Split::new(&Params::CONSENSUS, a, bt).map_err(Failure::usage)
}

/// The backend asked for, never another one in its stead.
fn pick_backend(args: &Args) -> Result<Arc<dyn Backend>, Failure> {
    let Some(threads) = args.threads else {
        return match &args.backend {
            Some(name) => backend::by_name(name).map_err(Failure::usage),
            None => Ok(Arc::new(Cpu::new())),
        };
    };
    let cpu = match args.backend.as_deref() {
        Some(poai::reference::NAME) => {
            return Err(Failure::Usage("the reference does not take --threads".into()));
        }
        Some(name) => Cpu::named(name).map_err(Failure::usage)?,
        None => Cpu::new(),
    };
    Ok(Arc::new(cpu.threads(threads.into()).map_err(Failure::usage)?))
}

fn list_backends() {
    for listed in backend::list() {
        let state = if listed.present { "present" } else { "missing" };
        println!("{:<16} {state}  needs {}", listed.name, listed.needs);
    }
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
        let options = Options::new(args.difficulty)
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
const _: () = assert!(split::K_MAX == Rules::BLOCK.k_max as usize);
