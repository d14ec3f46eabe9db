//! Verifies the evidence of a run of training from its folder, with what the verifier
//! knows of the job.

use crate::failure::{EXIT_CODES, Failure};
use crate::train::evidence::{self, ExportFile, JobFile, drawn_segment, malformed};
use crate::train::setup::RULES;
use crate::train::store::{NETWORK, check_files};
use crate::{files, terminal};
use poai::import::store::{self, StoreError};
use poai::program::encoding::PROGRAM_BYTES_MAX;
use poai::trace::{self, TraceRules};
use poai::train::ClaimsFile;
use poai::training_run::{
    IterationClaim, RunParameters, Segment, TrainedRun, TrainingAudit, TrainingReceipt, chain_root,
};
use poai::verify::trace::{Checker, TraceError};
use poai::verify::train::{Exported, RunChecker, SegmentAudited, TrainingError};
use poai::{Beacon, Program, ProgramId, Prover, RunRoot};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Verify a run of training from the folder that `poai train --out` wrote: its claims chain, the
/// receipt is of it, the audit of a segment holds, and its last state makes the network.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The folder of the run.
    folder: PathBuf,
    /// What the job fixes, as the requester has it: parameters, roots of the dataset and beacon of the
    /// seed. By default evidence/job.json in the folder, which its prover wrote.
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
    /// The beacon that drew segment, iterations and tiles, fixed after the claims were published. By
    /// default the run's root, which a prover can grind.
    #[arg(long, value_name = "HEX")]
    beacon: Option<Beacon>,
    /// The root that the run has to have; by default any.
    #[arg(long, value_name = "HEX")]
    run_root: Option<RunRoot>,
    /// The prover that the receipts have to name; by default any.
    #[arg(long, value_name = "HEX")]
    prover: Option<Prover>,
    /// The program that makes constants of states, as `ExportPlan` gives it for the network's layers;
    /// by default any.
    #[arg(long, value_name = "HEX")]
    exporter_id: Option<ProgramId>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let folder = args.folder.join(evidence::FOLDER);
    check_files(&args.folder)?;
    let job = args.job.clone().unwrap_or_else(|| folder.join(evidence::JOB));
    let JobFile { parameters, dataset, beacon } = JobFile::read(&job)?;
    let start = Instant::now();
    // The parameters name the program by its id, so the folder may give its bytes.
    let program = program(&folder.join(evidence::PROGRAM))?;
    let checker = Checker::new(program, RULES.trace);
    let samples = RULES.iteration_samples;
    let checker = RunChecker::new(checker, parameters, dataset, &beacon, samples)
        .map_err(|why| Failure::failed(format!("{}: {why}", job.display())))?;

    // Exact: at most 2^31 iterations.
    let claims = ClaimsFile::read(&args.folder, parameters.iterations as u32)?;
    only_claims(&args.folder.join("claims"), claims.len() as u64)?;
    let segments = segments(&checker, &claims)?;
    let leaves: Vec<_> = claims.iter().map(IterationClaim::leaf).collect();
    let last = claims.last().map_or(parameters.first, |last| last.after);
    let trained = TrainedRun { last, chain: chain_root(&leaves) };
    let run = checker.run(&trained, &claims)?;
    same("run root", args.run_root, run)?;

    let path = folder.join(evidence::RECEIPT);
    let receipt = decoded(&path, TrainingReceipt::LEN as u64, TrainingReceipt::from_bytes)?;
    checker.receipt(&trained, &receipt).map_err(TrainingError::from)?;
    same("prover", args.prover, receipt.prover)?;

    let beacon = args.beacon.unwrap_or(Beacon(run.0));
    let index = drawn_segment(&beacon, &parameters);
    let segment = segments.get(index as usize);
    let segment = segment.ok_or_else(|| Failure::failed("invalid: the run has no segment"))?;
    let path = folder.join(evidence::AUDIT);
    let max = checker.audit_bytes_max(segment).map_err(TrainingError::from)?;
    let audit = decoded(&path, max.min(files::FILE_MAX), TrainingAudit::from_bytes)?;
    let audited = checker.audit(segment, &beacon, &audit).map_err(|why| match why {
        TrainingError::Malformed(why) => malformed(&path, &why),
        why => why.into(),
    })?;

    let (exported, exporter, network) =
        export(args, &folder, &checker, &trained, &beacon, &receipt)?;
    let time = start.elapsed();
    let sound = checker.soundness(segment, HALF, 0).map_err(TrainingError::from)?;
    let SegmentAudited { iterations, tiles, .. } = audited;
    let RunParameters { program, job, .. } = &parameters;
    let mut text = format!(
        "valid: claims chain, the receipt is theirs, an audit holds, and the last state makes the network\n\
         run root    {run}\n\
         program id  {program}\n\
         job         {job}\n\
         prover      {}\n\
         run         {} iterations in {} segment{}, {} MACs\n\
         to sign     {}\n\
         audit       segment {index}: {iterations} iterations and {tiles} tiles are right; beacon {beacon}\n\
         soundness   half of the MACs wrong pass with {:.1e}, half of the work skipped with {:.1e},\n\
         \x20           one wrong update with {:.2}\n\
         network     {network}\n\
         \x20           {} constants are of the last state, {} are of another origin\n\
         exporter    {exporter}{}\n",
        receipt.prover,
        parameters.iterations,
        parameters.segments(),
        if parameters.segments() == 1 { "" } else { "s" },
        receipt.macs,
        receipt.digest(),
        sound.macs_wrong,
        sound.work_skipped,
        sound.update_wrong,
        exported.trained.len(),
        exported.untrained.len(),
        match args.exporter_id {
            Some(_) => "",
            None => ": compare it with that of the layers, or name --exporter-id",
        },
    );
    if args.job.is_none() {
        text += "            the job was read in the folder: compare it with the requester's\n";
    }
    text += &format!("verified in {:.3} ms\n", time.as_secs_f64() * 1e3);
    terminal::print(&text)
}

/// The bytes before the first claim in the file of claims.
const CLAIMS_HEAD: u64 = 16;
/// The bytes of a claim in that file: the claim, and its leaf.
const CLAIM: u64 = IterationClaim::LEN as u64 + 32;
/// The fraction of wrong or skipped work for which soundness is printed.
const HALF: f64 = 0.5;

/// Checks the export and its trace. Returns it, and the ids of both programs.
fn export(
    args: &Args,
    folder: &Path,
    checker: &RunChecker,
    trained: &TrainedRun,
    beacon: &Beacon,
    training: &TrainingReceipt,
) -> Result<(Exported, ProgramId, ProgramId), Failure> {
    let ExportFile { export, evidence } = ExportFile::read(&folder.join(evidence::EXPORT))?;
    let exporter = program(&folder.join(evidence::EXPORTER))?;
    let exporter = Checker::new(exporter, TraceRules::DEFAULT);
    same("exporter", args.exporter_id, *exporter.program_id())?;
    // Whole files whose constants have other roots are false, and not malformed.
    let network = store::load_quantised(&args.folder.join(NETWORK)).map_err(|why| match why {
        StoreError::Network { .. } => Failure::failed(format!("invalid: {why}")),
        _ => Failure::from(why),
    });
    let network = network?.network;
    let exported = checker.export(trained, &exporter, network.program(), &export, &evidence)?;

    let path = folder.join(evidence::EXPORT_RECEIPT);
    let receipt = decoded(&path, files::FILE_MAX, trace::Receipt::from_bytes)?;
    same("trace of the export's receipt", Some(export.trace), receipt.trace)?;
    same("job of the export's receipt", Some(training.job), receipt.job)?;
    same("prover of the export's receipt", Some(training.prover), receipt.prover)?;
    let path = folder.join(evidence::EXPORT_AUDIT);
    let audit = decoded(&path, files::FILE_MAX, trace::Audit::from_bytes)?;
    let named = |why| match why {
        TraceError::Malformed(why) => malformed(&path, &why),
        why => Failure::from(why),
    };
    check_trace(&exporter, &receipt, beacon, &audit).map_err(named)?;
    Ok((exported, *exporter.program_id(), network.program().program_id()))
}

/// Checks receipt and audit of the exporter's trace.
fn check_trace(
    exporter: &Checker,
    receipt: &trace::Receipt,
    beacon: &Beacon,
    audit: &trace::Audit,
) -> Result<(), TraceError> {
    let audited = exporter.audit(receipt, beacon, audit)?;
    exporter.receipt(receipt, &audited.header)
}

/// Refuses a file that goes on after the last of a run's claims.
fn only_claims(path: &Path, count: u64) -> Result<(), Failure> {
    let (expected, got) = (CLAIMS_HEAD + count * CLAIM, files::regular_len(path)?);
    if expected == got {
        return Ok(());
    }
    let why = format!("expected {expected} bytes of {count} claims, got {got}; take another copy");
    Err(malformed(path, &why))
}

/// The segments of a run's claims, which the checker compares with their claims.
fn segments(checker: &RunChecker, claims: &[IterationClaim]) -> Result<Vec<Segment>, Failure> {
    let parameters = checker.parameters();
    let mut all: Vec<Segment> = vec![];
    for index in 0..parameters.segments() {
        // Exact: as many claims are in memory.
        let range = parameters.iterations_of(index).unwrap_or_default();
        let own = claims.get(range.start as usize..range.end as usize).unwrap_or_default();
        let (Some(first), Some(last)) = (own.first(), own.last()) else { break };
        let leaves: Vec<_> = own.iter().map(IterationClaim::leaf).collect();
        let previous = all.last();
        let segment = Segment {
            previous: previous.map(|last| last.root(parameters)).unwrap_or_default(),
            index,
            before: first.before,
            chain: chain_root(&leaves),
            after: last.after,
        };
        checker.segment(previous, &segment)?;
        checker.claims(&segment, own)?;
        all.push(segment);
    }
    Ok(all)
}

/// Refuses another value than the verifier's, if it has one.
fn same<T: PartialEq + Display>(what: &str, expected: Option<T>, got: T) -> Result<(), Failure> {
    match expected {
        Some(expected) if expected != got => {
            Err(Failure::failed(format!("invalid: expected {what} {expected}, got {got}")))
        }
        _ => Ok(()),
    }
}

/// Reads a message of at most `max` bytes.
fn decoded<T, E: Display>(
    path: &Path,
    max: u64,
    of: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<T, Failure> {
    of(&files::read(path, max)?).map_err(|why| malformed(path, &why))
}

fn program(path: &Path) -> Result<Program, Failure> {
    decoded(path, PROGRAM_BYTES_MAX as u64, Program::from_bytes)
}
