//! `poai verify`: checks the claims of others, only from the bytes and what the
//! caller knows.

mod inference;
mod mined;
mod trace;
mod training;

use crate::failure::{EXIT_CODES, Failure};
use std::ffi::OsString;

/// Verify a mined proof; with a subcommand, messages about a trace, a proof of inference or a run of
/// training.
///
/// `poai verify FILE --key KEY …` is short for `poai verify inference FILE --key KEY …`.
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
    Training(training::Args),
}

/// The program's arguments, with `verify FILE --key KEY …` spelt out as `verify
/// inference FILE --key KEY …`: only proofs of inference have keys.
pub fn expanded(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<OsString> = arguments.into_iter().collect();
    let is = |at: usize, name: &str| all.get(at).is_some_and(|own| own == name);
    let keyed = all.iter().skip(2).any(|own| {
        let text = own.to_string_lossy();
        text == "--key" || text.starts_with("--key=")
    });
    if is(1, "verify") && keyed && !is(2, "inference") {
        all.insert(2, OsString::from("inference"));
    }
    all
}

pub fn run(args: &Args) -> Result<(), Failure> {
    match (&args.claim, &args.mined) {
        (Some(Claim::Audit(args)), _) => trace::audit(args),
        (Some(Claim::Fraud(args)), _) => trace::fraud(args),
        (Some(Claim::Answer(args)), _) => trace::answer(args),
        (Some(Claim::Receipt(args)), _) => trace::receipt(args),
        (Some(Claim::Inference(args)), _) => inference::run(args),
        (Some(Claim::Training(args)), _) => training::run(args),
        (None, Some(args)) => mined::run(args),
        (None, None) => Err(Failure::usage(
            "expected the file of a proof with --challenge and --difficulty, got nothing; \
             `poai verify --help` lists what else can be verified",
        )),
    }
}
