//! Messages about a trace: audits, fraud proofs and receipts, checked with the
//! verifier's own program and rules.

use crate::arguments::{bytes32, tiles};
use crate::failure::{EXIT_CODES, Failure};
use crate::{files, terminal};
use poai::import::store::PROGRAM_FILE;
use poai::program::encoding::PROGRAM_BYTES_MAX;
use poai::verify::trace::{Audited, Checker, TraceRules, Wrong};
use poai::{Program, TraceRoot};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the verifier knows of any trace.
#[derive(clap::Args)]
struct Known {
    /// The program: its file, or the folder that `poai run --out` wrote.
    #[arg(long, value_name = "FILE|FOLDER")]
    program: PathBuf,
    /// How many tiles an audit opens.
    #[arg(long, value_name = "N", default_value_t = TraceRules::DEFAULT.samples, value_parser = tiles())]
    tiles: u32,
    /// The most items of a run.
    #[arg(long, value_name = "N", default_value_t = TraceRules::DEFAULT.batch_max)]
    batch_max: u32,
    /// The most tokens of an item.
    #[arg(long, value_name = "N", default_value_t = TraceRules::DEFAULT.sequence_max)]
    sequence_max: u32,
}

impl Known {
    fn checker(&self) -> Result<Checker, Failure> {
        let path = match self.program.is_dir() {
            true => self.program.join(PROGRAM_FILE),
            false => self.program.clone(),
        };
        let bytes = files::read(&path, PROGRAM_BYTES_MAX as u64)?;
        let program = Program::decode(&bytes).map_err(|why| Failure::in_file(&path)(&why))?;
        let Known { tiles: samples, batch_max, sequence_max, .. } = *self;
        Ok(Checker::new(program, TraceRules { batch_max, sequence_max, samples }))
    }
}

/// Verify an audit: its sampled tiles are what the program computes.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Audit {
    /// The file of the audit.
    audit: PathBuf,
    #[command(flatten)]
    known: Known,
    /// The trace root that the prover published, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    trace_root: TraceRoot,
    /// What drew the tiles: fixed after the trace root was published. By default
    /// the trace root itself, under which a prover that hashes 2^g traces
    /// escapes 2^g times as often.
    #[arg(long, value_name = "HEX", value_parser = bytes32)]
    beacon: Option<[u8; 32]>,
}

pub fn audit(args: &Audit) -> Result<(), Failure> {
    let checker = args.known.checker()?;
    let bytes = files::read(&args.audit, files::FILE_MAX)?;
    let start = Instant::now();
    let beacon = args.beacon.unwrap_or(args.trace_root.0);
    let audited = checker.audit(&args.trace_root, &beacon, &bytes)?;
    let time = start.elapsed();
    terminal::print(&format!(
        "valid: {} sampled tiles are right\n{}rules       {}\nverified in {:.3} ms\n",
        audited.samples,
        of_run(&audited),
        audited.rules,
        time.as_secs_f64() * 1e3,
    ))
}

/// The run that an audit is about.
fn of_run(audited: &Audited) -> String {
    let header = &audited.header;
    format!(
        "trace root  {}\n\
         program id  {}\n\
         run         batch {}, sequence {}: {} MACs\n\
         input       {}\n\
         output      {}\n",
        audited.trace,
        header.program,
        header.run.batch,
        header.run.sequence,
        header.macs,
        header.input,
        header.output,
    )
}

/// Verify a fraud proof: it holds where the trace is wrong.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Fraud {
    /// The file of the fraud proof.
    proof: PathBuf,
    #[command(flatten)]
    known: Known,
    /// The trace root that is said to be wrong, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    trace_root: TraceRoot,
}

pub fn fraud(args: &Fraud) -> Result<(), Failure> {
    let checker = args.known.checker()?;
    let bytes = files::read(&args.proof, files::FILE_MAX)?;
    let start = Instant::now();
    let fraud = checker.fraud(&args.trace_root, &bytes)?;
    let time = start.elapsed();
    let (part, why) = match fraud.wrong {
        Wrong::Header(why) => ("header", why),
        Wrong::Record(why) => ("record", why),
        Wrong::Tile(why) => ("tile", why),
        Wrong::Input(why) => ("input", why),
    };
    let step = checker.program().step_of(fraud.value).map_or("input", |step| &step.name);
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

/// Verify a receipt: it says of a trace what an audit of the trace shows.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Receipt {
    /// The file of the receipt.
    receipt: PathBuf,
    #[command(flatten)]
    known: Known,
    /// An audit of the receipt's trace.
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    /// What drew the audit's tiles; by default the trace root.
    #[arg(long, value_name = "HEX", value_parser = bytes32)]
    beacon: Option<[u8; 32]>,
    /// The trace root that the receipt has to name; by default any.
    #[arg(long, value_name = "HEX")]
    trace_root: Option<TraceRoot>,
    /// The job that the receipt has to name; by default any.
    #[arg(long, value_name = "HEX", value_parser = bytes32)]
    job: Option<[u8; 32]>,
    /// The prover that the receipt has to name; by default any.
    #[arg(long, value_name = "HEX", value_parser = bytes32)]
    prover: Option<[u8; 32]>,
}

pub fn receipt(args: &Receipt) -> Result<(), Failure> {
    let checker = args.known.checker()?;
    let receipt = read_receipt(&args.receipt)?;
    let audit = files::read(&args.audit, files::FILE_MAX)?;
    let start = Instant::now();
    let named = [
        ("trace", args.trace_root.map(|root| root.0), receipt.trace.0),
        ("job", args.job, receipt.job),
        ("prover", args.prover, receipt.prover),
    ];
    for (what, expected, got) in named {
        if let Some(expected) = expected.filter(|expected| *expected != got) {
            let [expected, got] = [expected, got].map(hex::encode);
            return Err(Failure::failed(format!(
                "invalid: expected a receipt of {what} {expected}, got {got}"
            )));
        }
    }
    let beacon = args.beacon.unwrap_or(receipt.trace.0);
    let audited = checker.audit(&receipt.trace, &beacon, &audit)?;
    checker.receipt(&receipt, &audited.header)?;
    let time = start.elapsed();
    terminal::print(&format!(
        "valid: the receipt is of the audited trace\n{}\
         MACs        {} with weights, {} of activations\n\
         job         {}\n\
         prover      {}\n\
         to sign     {}\n\
         verified in {:.3} ms, the audit of {} tiles included\n",
        of_run(&audited),
        receipt.macs_weights,
        receipt.macs_activations,
        hex::encode(receipt.job),
        hex::encode(receipt.prover),
        hex::encode(receipt.digest()),
        time.as_secs_f64() * 1e3,
        audited.samples,
    ))
}

fn read_receipt(path: &Path) -> Result<poai::trace::Receipt, Failure> {
    let bytes = files::read(path, files::FILE_MAX)?;
    let length = poai::trace::Receipt::LEN;
    poai::trace::Receipt::decode(&bytes).ok_or_else(|| {
        let why = format!("expected a receipt of {length} bytes, got {}", bytes.len());
        Failure::in_file(path)(&why)
    })
}
