//! `poai verify`: checks the claims of others, only from the bytes and what the
//! caller knows.

mod inference;
mod mined;
mod trace;

use crate::failure::{EXIT_CODES, Failure};

/// Verify a mined proof; with a subcommand, messages about a trace or a proof of inference.
#[derive(clap::Args)]
#[command(
    after_help = EXIT_CODES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Args {
    #[command(subcommand)]
    claim: Option<Claim>,
    #[command(flatten)]
    mined: Option<mined::Mined>,
}

/// The other kinds of claims that can be verified.
#[derive(clap::Subcommand)]
enum Claim {
    Audit(trace::Audit),
    Fraud(trace::Fraud),
    Answer(trace::Answer),
    Receipt(trace::Receipt),
    Inference(inference::Args),
}

pub fn run(args: &Args) -> Result<(), Failure> {
    match (&args.claim, &args.mined) {
        (Some(Claim::Audit(args)), _) => trace::audit(args),
        (Some(Claim::Fraud(args)), _) => trace::fraud(args),
        (Some(Claim::Answer(args)), _) => trace::answer(args),
        (Some(Claim::Receipt(args)), _) => trace::receipt(args),
        (Some(Claim::Inference(args)), _) => inference::run(args),
        (None, Some(args)) => mined::run(args),
        (None, None) => Err(Failure::usage(
            "expected the file of a proof with --challenge and --difficulty, got nothing; \
             `poai verify --help` lists what else can be verified",
        )),
    }
}
