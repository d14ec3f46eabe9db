//! Verifies Groth16 proofs of inference with the verifier's own key, against
//! the program, job, prover and MACs that it expects.

use crate::deployment::Deployment;
use crate::failure::{EXIT_CODES, Failure};
use crate::{files, keyfile, terminal};
use poai::inference::{Address, Binding, InferenceProof, VerifyingKey};
use poai::verify::inference::{InferenceVerifier, solidity};
use poai::{Job, ProgramId};
use std::path::PathBuf;
use std::time::Instant;

/// The key beside a deployment; `poai prove --out` writes both.
const KEY_BESIDE: &str = "verifying-key.bin";

/// Verify a Groth16 proof that a program gave an output.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The file of the proof (proof.bin), or of a deployment (deployment.json),
    /// which holds the proof and the values it is bound to.
    proof: PathBuf,
    /// The verifying key: verifying-key.bin, or verifying.key of a folder of
    /// keys. For a deployment, by default the verifying-key.bin beside it.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Take from this deployment the values that the proof has to be bound to.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["program_id", "job", "prover", "macs"])]
    deployment: Option<PathBuf>,
    /// The program that the proof has to be bound to.
    #[arg(long, value_name = "HEX")]
    program_id: Option<ProgramId>,
    /// The job that it has to be bound to.
    #[arg(long, value_name = "HEX")]
    job: Option<Job>,
    /// The prover that it has to be bound to.
    #[arg(long, value_name = "0x…")]
    prover: Option<Address>,
    /// The multiply-accumulates that it has to be bound to.
    #[arg(long, value_name = "N")]
    macs: Option<u64>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let bytes = files::read(&args.proof, files::FILE_MAX)?;
    // A deployment is longer than any proof. The bytes of a proof may look like
    // anything, so the length decides.
    let deployment = match bytes.len() > InferenceProof::LEN_MAX {
        true => Some(Deployment::of_file(&args.proof, &bytes)?),
        false => None,
    };
    let proof = match &deployment {
        Some(deployment) => deployment.proof.clone(),
        None => InferenceProof::from_bytes(&bytes).map_err(|why| {
            Failure::usage(format!("malformed: {why}; name proof.bin or deployment.json"))
        })?,
    };
    let binding = binding(args, deployment.as_ref())?;
    let (key, beside) = key(args, deployment.is_some())?;
    let verifier = InferenceVerifier::new(binding.program, binding.macs, key);
    let start = Instant::now();
    let verified = verifier.verify_proof(binding.job, binding.prover, &proof)?;
    let time = start.elapsed();
    if let Some(deployment) = &deployment {
        consistent(deployment, verifier.key())?;
    }
    let mut text = format!(
        "valid: the program gave an output as the signals say\n\
         program id  {}\n\
         bound to    prover {}, job {}, {} MACs\n\
         key         {}\n",
        binding.program, binding.prover, binding.job, binding.macs, verified.key,
    );
    if beside {
        text +=
            "            read beside the deployment: compare its digest with the registered one\n";
    }
    for word in verified.signals.words() {
        text += &format!("signal      {}\n", hex::encode(word));
    }
    text += &format!("verified in {:.3} ms\n", time.as_secs_f64() * 1e3);
    terminal::print(&text)
}

/// The values that the proof has to be bound to: each flag, or else those of a
/// deployment.
fn binding(args: &Args, own: Option<&Deployment>) -> Result<Binding, Failure> {
    let other = match &args.deployment {
        Some(path) => {
            let bytes = files::read(path, files::FILE_MAX)?;
            Some(Deployment::of_file(path, &bytes)?.binding)
        }
        None => own.map(|deployment| deployment.binding),
    };
    let missing = |flag: &str| {
        Failure::usage(format!(
            "expected {flag}, got none; name it, or --deployment FILE with all that is bound"
        ))
    };
    Ok(Binding {
        program: args
            .program_id
            .or(other.map(|binding| binding.program))
            .ok_or_else(|| missing("--program-id HEX"))?,
        job: args.job.or(other.map(|binding| binding.job)).ok_or_else(|| missing("--job HEX"))?,
        prover: args
            .prover
            .or(other.map(|binding| binding.prover))
            .ok_or_else(|| missing("--prover 0x…"))?,
        macs: args.macs.or(other.map(|binding| binding.macs)).ok_or_else(|| missing("--macs N"))?,
    })
}

/// The key, and whether it was only found beside the deployment.
fn key(args: &Args, is_deployment: bool) -> Result<(VerifyingKey, bool), Failure> {
    match &args.key {
        Some(path) => Ok((keyfile::verifying(path)?, false)),
        None if is_deployment => {
            Ok((keyfile::verifying(&args.proof.with_file_name(KEY_BESIDE))?, true))
        }
        None => {
            Err(Failure::usage("expected a verifying key, got none; name its file with --key FILE"))
        }
    }
}

/// Checks the rest of a deployment: its calldata must be of the proof, its
/// contract of the key.
fn consistent(deployment: &Deployment, key: &VerifyingKey) -> Result<(), Failure> {
    if deployment.calldata != deployment.implied_calldata() {
        return Err(Failure::failed(
            "invalid: expected the calldata of the deployment's proof, got other calldata",
        ));
    }
    match solidity(key, &deployment.contract) {
        Ok(source) if source == deployment.source => Ok(()),
        _ => Err(Failure::failed("invalid: the deployment's contract is not of the key")),
    }
}
