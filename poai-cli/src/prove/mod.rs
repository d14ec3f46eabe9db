//! `poai prove`: proves that a network of exact integers gave its output. It
//! reads and quantises the network, executes it on an input, and estimates what
//! a proof costs. It makes or reads a key, proves, verifies, and writes the
//! files that a contract takes.

mod key;
mod report;
mod statement;
mod visible;

use crate::failure::{EXIT_CODES, Failure};
use crate::files::{Destination, NewFolder};
use crate::network::{NetworkArgs, Subject};
use crate::{memory, terminal};
use key::{Key, Source};
use poai::Job;
use poai::execute::Tensor;
use poai::import::quantise::Numbers;
use poai::inference::{Address, InferenceProof, WeightsVisibility};
use poai::prover::{Circuit, CircuitBuilder, Estimate};
use poai::verify::inference::{Deployment, InferenceVerified, InferenceVerifier};
use report::{Costs, Report};
use std::path::PathBuf;
use std::time::Instant;
use visible::Visible;

/// The runs of the verifier; their median is reported.
const VERIFIED: usize = 9;

/// Prove that a quantised network gave its output on an input, with Groth16 on BN254, and verify
/// the proof.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// How many samples the input holds, from --image on.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// What every verifier sees: input and output public, hashed or private, weights fixed or
    /// committed. A part that is left out keeps its default:
    /// input=hashed,output=public,weights=fixed
    #[arg(
        long,
        value_name = "PART=HOW,…",
        default_value = "input=hashed,output=public,weights=fixed"
    )]
    visibility: Visible,
    /// With committed weights: quantise with this network's own numbers. They are finer, but the
    /// key then serves no other network.
    #[arg(long)]
    fitted: bool,
    /// The address on the EVM that may use the proof.
    #[arg(long, value_name = "0x…", default_value_t = Address([0x11; 20]))]
    prover: Address,
    /// The job that the proof is for: 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", default_value_t = Job([7; 32]))]
    job: Job,
    /// Read the key from this folder, or make one and keep it there. A key made
    /// here is a single-party key: its maker can forge proofs.
    #[arg(long, value_name = "FOLDER", conflicts_with = "zkey")]
    keys: Option<PathBuf>,
    /// Take the key of a ceremony, made with snarkjs from the file of
    /// --export-r1cs.
    #[arg(long, value_name = "FILE")]
    zkey: Option<PathBuf>,
    /// Write proof, verifying key, calldata and what a script needs to deploy
    /// into this folder, which must not exist yet.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Also print and write input, output and salts. A reader of them knows all
    /// that the proof hides.
    #[arg(long)]
    reveal: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Write the constraints for a ceremony, and stop.
    #[arg(long, value_name = "FILE")]
    export_r1cs: Option<PathBuf>,
    /// Estimate only sizes. Times need a small proof.
    #[arg(long)]
    no_timing: bool,
    /// Print the cost of setup and proof, and stop.
    #[arg(long, conflicts_with = "export_r1cs")]
    estimate_only: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    // A bad place fails before any work.
    let out = args.out.as_deref().map(NewFolder::new).transpose()?;
    let r1cs = args.export_r1cs.as_deref().map(Destination::new).transpose()?;
    let source = Source::new(args.keys.as_deref(), args.zkey.as_deref())?;
    let weights = args.visibility.0.weights;
    // Committed weights are in standard form, so that one key serves an
    // architecture.
    let standard = weights == WeightsVisibility::Committed && !args.fitted;
    let numbers = if standard { Numbers::Standard } else { Numbers::Fitted };
    let subject = args.network.subject(numbers, Some(args.batch.into()))?;
    only(&subject.inputs)?;
    let standard = standard && subject.quantised.is_some();
    let circuit = Circuit::new(&subject.network).run(subject.run).visibility(args.visibility.0);
    let circuit = if standard { circuit.standard() } else { circuit };
    if let (Some(path), Some(to)) = (&args.export_r1cs, r1cs) {
        // Another machine may prove, so the memory of this one does not count.
        let circuit = circuit.memory_limit(u64::MAX).build()?;
        to.write_with(|mut to| {
            circuit.write_r1cs(&mut to).map_err(|why| Failure::in_file(path)(&why))
        })?;
        return terminal::print(&report::exported(args.json, path, &circuit)?);
    }
    if args.estimate_only {
        let estimate = measured(args, circuit.estimate()?)?;
        let visibility = args.visibility.0;
        return terminal::print(&report::estimated(args.json, &subject, visibility, &estimate)?);
    }
    let circuit = build(circuit)?;
    let estimate = measured(args, circuit.estimate())?;
    let report = prove(args, &source, &subject, circuit, estimate)?;
    if let Some(out) = out {
        report.write(out)?;
    }
    terminal::print(&if args.json { report.json() } else { report.text() }?)
}

fn build(circuit: CircuitBuilder) -> Result<Circuit, Failure> {
    let bar = terminal::bar(0, "{pos}/{len} steps").with_message("building the circuit ");
    let circuit = circuit.progress(terminal::follow(&bar)).build();
    bar.finish_and_clear();
    Ok(circuit?)
}

/// Adds times to an estimate, unless the caller wants none.
fn measured(args: &Args, estimate: Estimate) -> Result<Estimate, Failure> {
    if args.no_timing {
        return Ok(estimate);
    }
    let waiting = terminal::spinner("estimating", None);
    let estimate = estimate.measure();
    waiting.finish_and_clear();
    Ok(estimate?)
}

/// The one input of a network that is proven.
fn only(inputs: &[Tensor]) -> Result<&Tensor, Failure> {
    let [only] = inputs else {
        let got = inputs.len();
        return Err(Failure::usage(format!(
            "expected a network of one input, got {got} inputs; run and audit it with poai run"
        )));
    };
    Ok(only)
}

/// Makes key and proof, and verifies the proof.
fn prove<'a>(
    args: &Args,
    source: &Source,
    subject: &'a Subject,
    circuit: Circuit,
    estimate: Estimate,
) -> Result<Report<'a>, Failure> {
    let input = only(&subject.inputs)?;
    let Key { key, origin, setup_seconds, load_seconds } = source.key(&circuit, &estimate)?;
    let waiting = terminal::spinner("proving", estimate.prove_seconds);
    let start = Instant::now();
    let proven = key.prove(input, args.job, args.prover);
    let prove_seconds = start.elapsed().as_secs_f64();
    waiting.finish_and_clear();
    let proven = proven?;
    let peak_memory = memory::peak();

    // The verifier has its own inputs, and nothing of the proof.
    let program = circuit.network().program();
    let (program_id, macs) = (program.program_id(), program.total_macs(circuit.run()));
    let verifier = InferenceVerifier::new(program_id, macs, key.verifying_key().clone());
    let binding = verifier.binding(args.job, args.prover);
    let bytes = proven.to_bytes();
    let (verified, verify_seconds) = verify(args, &verifier, &bytes)?;
    statement::check(&circuit, input, &proven, &verified.signals)?;
    let read_back = InferenceProof::from_bytes(&bytes).map_err(Failure::failed)?;
    let deployment =
        Deployment::new(&binding, circuit.layout(), verifier.key(), &read_back, "Verifier")?;
    Ok(Report {
        subject,
        visibility: args.visibility.0,
        estimate,
        binding,
        origin,
        verifying_key: verifier.key().clone(),
        proven,
        bytes,
        deployment,
        reveal: args.reveal,
        costs: Costs { setup_seconds, load_seconds, prove_seconds, verify_seconds, peak_memory },
    })
}

/// Verifies the bytes several times, and returns the median time.
fn verify(
    args: &Args,
    verifier: &InferenceVerifier,
    bytes: &[u8],
) -> Result<(InferenceVerified, f64), Failure> {
    let mut verified = verifier.verify(args.job, args.prover, bytes)?;
    let mut seconds = vec![];
    for _ in 0..VERIFIED {
        let start = Instant::now();
        verified = verifier.verify(args.job, args.prover, bytes)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok((verified, seconds.get(VERIFIED / 2).copied().unwrap_or_default()))
}
