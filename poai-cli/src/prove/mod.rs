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
use ark_std::rand::rngs::OsRng;
use key::Source;
use poai::import::quantise::Numbers;
use poai::inference::{Address, Binding, InferenceProof, Job, WeightsVisibility};
use poai::prover::iden3::r1cs::write_r1cs;
use poai::prover::prove::For;
use poai::prover::{Circuit, Estimate, Matrices, Prover, estimate};
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
    let standard = standard && subject.classifies;
    let circuit = if standard { Circuit::standard } else { Circuit::new };
    let circuit = circuit(subject.network.clone(), subject.run, args.visibility.0)?;
    if let (Some(path), Some(to)) = (&args.export_r1cs, r1cs) {
        let matrices = matrices(&circuit)?;
        to.write_with(|mut to| {
            write_r1cs(&matrices, &mut to).map_err(|why| Failure::in_file(path)(&why))
        })?;
        return terminal::print(&report::exported(args.json, path, &matrices)?);
    }
    let estimate = if args.no_timing {
        Estimate::of(&circuit.build(None, false)?.system)
    } else {
        let waiting = terminal::spinner("estimating", None);
        let estimate = estimate(&circuit);
        waiting.finish_and_clear();
        estimate?
    };
    if args.estimate_only {
        return terminal::print(&report::estimated(args.json, &subject, &circuit, &estimate)?);
    }
    estimate.check_memory()?;
    let report = prove(args, &source, &subject, circuit, estimate)?;
    if let Some(out) = out {
        report.write(out)?;
    }
    terminal::print(&if args.json { report.json() } else { report.text() }?)
}

fn matrices(circuit: &Circuit) -> Result<Matrices, Failure> {
    Ok(circuit.build(None, true)?.system.into_parts().0)
}

/// Makes key and proof, and verifies the proof.
fn prove<'a>(
    args: &Args,
    source: &Source,
    subject: &'a Subject,
    circuit: Circuit,
    estimate: Estimate,
) -> Result<Report<'a>, Failure> {
    let key = source.key(&circuit, &matrices(&circuit)?, &estimate)?;
    let prover = Prover::new(circuit, key.key)?;
    let what_for = For { job: args.job, prover: args.prover };
    let waiting = terminal::spinner("proving", estimate.prove_seconds);
    let start = Instant::now();
    let proven = prover.prove(&subject.input, &what_for, &mut OsRng);
    let prove_seconds = start.elapsed().as_secs_f64();
    waiting.finish_and_clear();
    let proven = proven?;
    let peak_memory = memory::peak();

    let circuit = prover.circuit();
    let program = circuit.network().program();
    // The verifier's inputs, without the prover.
    let binding = Binding {
        program: program.program_id(),
        job: args.job,
        prover: args.prover,
        macs: program.total_macs(circuit.run()),
    };
    let verifier = InferenceVerifier::new(prover.verifying_key().clone());
    let bytes = proven.proof.to_bytes();
    let (verified, verify_seconds) = verify(&verifier, &binding, &bytes)?;
    statement::check(circuit, &subject.input, &proven, &verified.signals)?;
    let read_back = InferenceProof::from_bytes(&bytes).map_err(Failure::failed)?;
    let deployment =
        Deployment::new(&binding, circuit.layout(), verifier.key(), &read_back, "Verifier")?;
    Ok(Report {
        subject,
        visibility: args.visibility.0,
        estimate,
        binding,
        origin: key.origin,
        verifying_key: verifier.key().clone(),
        proven,
        bytes,
        deployment,
        reveal: args.reveal,
        costs: Costs {
            setup_seconds: key.setup_seconds,
            load_seconds: key.load_seconds,
            prove_seconds,
            verify_seconds,
            peak_memory,
        },
    })
}

/// Verifies the bytes several times, and returns the median time.
fn verify(
    verifier: &InferenceVerifier,
    binding: &Binding,
    bytes: &[u8],
) -> Result<(InferenceVerified, f64), Failure> {
    let mut verified = verifier.verify_bytes(binding, bytes)?;
    let mut seconds = vec![];
    for _ in 0..VERIFIED {
        let start = Instant::now();
        verified = verifier.verify_bytes(binding, bytes)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok((verified, seconds.get(VERIFIED / 2).copied().unwrap_or_default()))
}
