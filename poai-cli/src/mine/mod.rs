//! `poai mine`: multiplies operands, mines every tile of the product, and
//! verifies the proof as a node does.

mod operands;
mod report;
mod work;

use crate::arguments::{self, example_challenge};
use crate::backend::BackendArgs;
use crate::failure::{Code, EXIT_CODES, Failure};
use crate::files::Destination;
use crate::terminal;
use indicatif::ProgressBar;
use poai::operand::Split;
use poai::verify::{Rules, Verified, Verifier};
use poai::{Challenge, Difficulty, Miner};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Mine a matrix product: the exact product, and a proof of AI when a tile wins.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Operands from a safetensors file: `a` i8 [m,k] and `bt` i8 [n,k],
    /// entries in -64..=63. By default a layer of all-MiniLM-L6-v2.
    #[arg(long, value_name = "FILE")]
    operands: Option<PathBuf>,
    /// Use pseudo-random operands of this shape instead.
    #[arg(long, value_name = "M,N,K", conflicts_with = "operands", value_parser = arguments::shape)]
    random: Option<[usize; 3]>,
    /// The challenge: the hash of a block's header, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", default_value_t = example_challenge())]
    challenge: Challenge,
    /// Expected multiply-accumulates per win, an integer or a number such as
    /// 5e9. Below 2^24 a proof is a pool's share, not a block's.
    #[arg(long, value_name = "MACS", default_value_t = Difficulty::BLOCK_MIN)]
    difficulty: Difficulty,
    /// Write the proof here.
    #[arg(long, value_name = "PROOF")]
    out: Option<PathBuf>,
    /// Write the product here, row-major 32-bit little-endian.
    #[arg(long, value_name = "FILE")]
    product: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(list) = args.backend.list() {
        return terminal::print(&list);
    }
    let rules = arguments::rules(args.difficulty);
    let [out, product] = destinations(args)?;
    let work = load(args)?;
    operands::check_k(&work, &rules)?;
    let miner = Miner::new(args.backend.device()?);
    let bar = match args.json {
        true => ProgressBar::hidden(),
        false => terminal::bar(work::tickets(&work, &miner), "{pos}/{len} tiles {eta}"),
    };
    let mined = work::mine(&args.challenge, args.difficulty, &work, &miner, &bar)?;
    let verified = mined.best.as_ref().map(|best| verify(&best.bytes, args, rules)).transpose()?;

    // Print the results even if writing the files fails.
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
            "\ncheck it:   poai verify {} --challenge {challenge} --difficulty {difficulty}\n",
            path.display()
        );
    }
    terminal::print(&text)?;
    product.and(written)?;
    if verified.is_none() {
        return Err(Failure::new(
            Code::NoTile,
            format!(
                "no tile won at difficulty {}: all {} tickets lost; try another challenge or a lower difficulty",
                args.difficulty, mined.tickets
            ),
        ));
    }
    Ok(())
}

/// The places of the proof and the product, checked before any work.
fn destinations(args: &Args) -> Result<[Option<Destination>; 2], Failure> {
    let open = |path: &Option<PathBuf>| path.as_deref().map(Destination::new).transpose();
    let (out, product) = (open(&args.out)?, open(&args.product)?);
    if let (Some(out), Some(product)) = (&out, &product)
        && out.is_same(product)
    {
        return Err(Failure::usage(
            "expected different files for --out and --product, got the same file; change one of them",
        ));
    }
    Ok([out, product])
}

fn load(args: &Args) -> Result<Split, Failure> {
    match (&args.operands, args.random) {
        (Some(path), _) => operands::of_file(path),
        (None, Some(shape)) => operands::random(&args.challenge, shape),
        (None, None) => operands::bundled(),
    }
}

/// Verifies the bytes as a node does, which knows only them, the challenge and
/// the difficulty.
fn verify(bytes: &[u8], args: &Args, rules: Rules) -> Result<(Verified, Duration), Failure> {
    let verifier = Verifier::new(rules, args.difficulty)?;
    let start = Instant::now();
    let verified = verifier.verify(&args.challenge, bytes).map_err(Failure::failed)?;
    Ok((verified, start.elapsed()))
}
