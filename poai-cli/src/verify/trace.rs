//! Verifies messages about a trace (audits, fraud proofs, answers and receipts)
//! with the verifier's own program and rules.

use crate::failure::{EXIT_CODES, Failure};
use crate::rules::RulesArgs;
use crate::{files, terminal};
use poai::import::store::PROGRAM_FILE;
use poai::program::encoding::PROGRAM_BYTES_MAX;
use poai::trace::{self, Demand, TraceHeader};
use poai::verify::trace::{Answered, Checker, TraceError, Wrong};
use poai::{Beacon, Job, Program, Prover, TraceRoot};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The values that the verifier needs for every trace.
#[derive(clap::Args)]
struct Known {
    /// The program: its file, or the folder that `poai run --out` wrote.
    #[arg(long, value_name = "FILE|FOLDER")]
    program: PathBuf,
    #[command(flatten)]
    rules: RulesArgs,
}

impl Known {
    fn checker(&self) -> Result<Checker, Failure> {
        let rules = self.rules.rules()?;
        let path = match self.program.is_dir() {
            true => self.program.join(PROGRAM_FILE),
            false => self.program.clone(),
        };
        let bytes = files::read(&path, PROGRAM_BYTES_MAX as u64)?;
        let program = Program::from_bytes(&bytes).map_err(|why| Failure::in_file(&path)(&why))?;
        Ok(Checker::new(program, rules))
    }
}

/// Verify an audit of a receipt: the tiles that it opens are what the program computes.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Audit {
    /// The file of the audit.
    audit: PathBuf,
    #[command(flatten)]
    known: Known,
    /// The receipt that the prover published before the beacon was fixed.
    #[arg(long, value_name = "FILE")]
    receipt: PathBuf,
    #[command(flatten)]
    named: Named,
    /// The beacon that drew the tiles, fixed after the receipt was published.
    /// By default the trace root itself, under which a prover that hashes 2^g
    /// traces escapes 2^g times as often.
    #[arg(long, value_name = "HEX")]
    beacon: Option<Beacon>,
}

/// The values that a receipt has to name.
#[derive(clap::Args)]
struct Named {
    /// The trace root that the receipt has to name; by default any.
    #[arg(long, value_name = "HEX")]
    trace_root: Option<TraceRoot>,
    /// The job that the receipt has to name; by default any.
    #[arg(long, value_name = "HEX")]
    job: Option<Job>,
    /// The prover that the receipt has to name; by default any.
    #[arg(long, value_name = "HEX")]
    prover: Option<Prover>,
}

impl Named {
    fn check(&self, receipt: &trace::Receipt) -> Result<(), Failure> {
        let named = [
            ("trace", self.trace_root.map(|root| root.0), receipt.trace.0),
            ("job", self.job.map(|job| job.0), receipt.job.0),
            ("prover", self.prover.map(|prover| prover.0), receipt.prover.0),
        ];
        for (what, expected, got) in named {
            if let Some(expected) = expected.filter(|expected| *expected != got) {
                let [expected, got] = [expected, got].map(hex::encode);
                return Err(Failure::failed(format!(
                    "invalid: expected a receipt of {what} {expected}, got {got}"
                )));
            }
        }
        Ok(())
    }
}

pub fn audit(args: &Audit) -> Result<(), Failure> {
    let checker = args.known.checker()?;
    let receipt = read_receipt(&args.receipt)?;
    let bytes = files::read(&args.audit, files::FILE_MAX)?;
    args.named.check(&receipt)?;
    let start = Instant::now();
    let beacon = args.beacon.unwrap_or(Beacon(receipt.trace.0));
    let audit = trace::Audit::from_bytes(&bytes).map_err(TraceError::from)?;
    let audited = checker.audit(&receipt, &beacon, &audit)?;
    let time = start.elapsed();
    let sound = checker.soundness(&audited.header.run, HALF, 0).map_err(TraceError::from)?;
    terminal::print(&format!(
        "valid: {} opened tiles are right\n{}rules       {}\n\
         soundness   half of the MACs wrong pass with {:.1e}, half of the work skipped with {:.1e},\n\
         \x20           one wrong tile with {:.2}\n\
         verified in {:.3} ms\n",
        audited.tiles,
        of_run(&audited.header),
        audited.rules,
        sound.macs_wrong,
        sound.work_skipped,
        sound.answer_wrong,
        time.as_secs_f64() * 1e3,
    ))
}

/// The fraction of wrong or skipped work for which soundness is printed.
const HALF: f64 = 0.5;

/// The run of a header, as text.
fn of_run(header: &TraceHeader) -> String {
    format!(
        "trace root  {}\n\
         program id  {}\n\
         run         batch {}, sequence {}: {} MACs\n\
         input       {}\n\
         output      {}\n",
        header.root(),
        header.program,
        header.run.batch,
        header.run.sequence,
        header.macs,
        header.input,
        header.output,
    )
}

/// Verify a fraud proof: it holds if the trace is wrong.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Fraud {
    /// The file of the fraud proof.
    proof: PathBuf,
    #[command(flatten)]
    known: Known,
    /// The trace root that is claimed to be wrong, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    trace_root: TraceRoot,
}

pub fn fraud(args: &Fraud) -> Result<(), Failure> {
    let checker = args.known.checker()?;
    let bytes = files::read(&args.proof, files::FILE_MAX)?;
    let start = Instant::now();
    let proof = trace::FraudProof::from_bytes(&bytes).map_err(TraceError::from)?;
    let fraud = checker.fraud(&args.trace_root, &proof)?;
    let time = start.elapsed();
    let (part, why) = match fraud.wrong {
        Wrong::Header(why) => ("header", why),
        Wrong::Record(why) => ("record", why),
        Wrong::Tile(why) => ("tile", why),
        Wrong::Input(why) => ("input", why),
    };
    let step = checker.program().step_of(fraud.value).map_or("input", |step| &step.name);
    let step = terminal::name(step);
    terminal::print(&format!(
        "valid: the trace is fraudulent\n\
         trace root  {}\n\
         wrong       {part} of value {} ({step}): {why}\n\
         verified in {:.3} ms\n",
        fraud.trace,
        fraud.value.0,
        time.as_secs_f64() * 1e3,
    ))
}

/// Verify a receipt: a chain can admit it with its header. It does not show that the trace is
/// right.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Receipt {
    /// The file of the receipt.
    receipt: PathBuf,
    #[command(flatten)]
    known: Known,
    /// The header of the receipt's trace.
    #[arg(long, value_name = "FILE")]
    header: PathBuf,
    #[command(flatten)]
    named: Named,
}

pub fn receipt(args: &Receipt) -> Result<(), Failure> {
    let checker = args.known.checker()?;
    let receipt = read_receipt(&args.receipt)?;
    let header = read_header(&args.header)?;
    args.named.check(&receipt)?;
    let start = Instant::now();
    checker.receipt(&receipt, &header)?;
    let time = start.elapsed();
    terminal::print(&format!(
        "valid: the receipt can be admitted\n{}\
         MACs        {} with weights, {} of activations\n\
         job         {}\n\
         prover      {}\n\
         to sign     {}\n\
         verified in {:.3} ms; an audit says whether the trace is right\n",
        of_run(&header),
        receipt.macs_weights,
        receipt.macs_activations,
        receipt.job,
        receipt.prover,
        receipt.digest(),
        time.as_secs_f64() * 1e3,
    ))
}

/// Verify an answer to a demand: it opens the demanded tile, and the tile is right.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Answer {
    /// The file of the answer.
    answer: PathBuf,
    #[command(flatten)]
    known: Known,
    /// The demand.
    #[arg(long, value_name = "FILE")]
    demand: PathBuf,
    /// The receipt that the demand is about.
    #[arg(long, value_name = "FILE")]
    receipt: PathBuf,
}

pub fn answer(args: &Answer) -> Result<(), Failure> {
    let checker = args.known.checker()?;
    let demand = files::read(&args.demand, files::FILE_MAX)?;
    let demand = Demand::from_bytes(&demand).map_err(|why| Failure::in_file(&args.demand)(&why))?;
    let receipt = read_receipt(&args.receipt)?;
    let bytes = files::read(&args.answer, files::FILE_MAX)?;
    let start = Instant::now();
    let answer = trace::Answer::from_bytes(&bytes).map_err(TraceError::from)?;
    let answered = checker.answer(&receipt, &demand, &answer)?;
    let time = start.elapsed();
    let (Demand { value, tile, .. }, root) = (demand, receipt.trace);
    match answered {
        Answered::Right => terminal::print(&format!(
            "valid: the demanded tile is right\n\
             trace root  {root}\n\
             tile        {tile} of value {}\n\
             verified in {:.3} ms\n",
            value.0,
            time.as_secs_f64() * 1e3,
        )),
        Answered::Fraud(_) => Err(Failure::failed(
            "invalid: the answer convicts its trace; `poai verify fraud` accepts it unchanged",
        )),
    }
}

fn read_header(path: &Path) -> Result<TraceHeader, Failure> {
    let bytes = files::read(path, files::FILE_MAX)?;
    TraceHeader::from_bytes(&bytes).map_err(|why| Failure::in_file(path)(&why))
}

fn read_receipt(path: &Path) -> Result<trace::Receipt, Failure> {
    let bytes = files::read(path, files::FILE_MAX)?;
    trace::Receipt::from_bytes(&bytes).map_err(|why| Failure::in_file(path)(&why))
}
