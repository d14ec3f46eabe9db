//! The evidence of a committed run in its folder, which `poai verify training` checks.
//!
//! | file | what it has |
//! | --- | --- |
//! | `job.json` | what the job fixes: parameters, roots of the dataset, beacon of the seed |
//! | `program.poai`, `exporter.poai` | the programs of an iteration and of the export |
//! | `receipt.bin`, `audit.bin` | the receipt of training, and the audit of a segment |
//! | `export.json` | the statement that the run made the network, with its roots |
//! | `export-receipt.bin`, `export-audit.bin` | receipt and audit of the exporter's trace |

use super::demonstration::AuditReport;
use super::freeze::Linked;
use super::setup::Setup;
use crate::failure::Failure;
use crate::files::{self, Destination, cannot_write};
use poai::import::store::PROGRAM_FILE;
use poai::trace::TraceHeader;
use poai::training_run::{DatasetRoots, Export, RunParameters, TrainedRun, TrainingReceipt};
use poai::verify::train::{ExportEvidence, RunChecker, TrainingError};
use poai::{Beacon, Prover};
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::Path;

/// The folder of the evidence in that of the run.
pub const FOLDER: &str = "evidence";
/// The name of [`JobFile`].
pub const JOB: &str = "job.json";
/// The iteration's program.
pub const PROGRAM: &str = PROGRAM_FILE;
/// The exporter's program.
pub const EXPORTER: &str = "exporter.poai";
/// The receipt of training.
pub const RECEIPT: &str = "receipt.bin";
/// The audit of the drawn segment.
pub const AUDIT: &str = "audit.bin";
/// The name of [`ExportFile`].
pub const EXPORT: &str = "export.json";
/// The receipt of the exporter's trace.
pub const EXPORT_RECEIPT: &str = "export-receipt.bin";
/// The audit of the exporter's trace.
pub const EXPORT_AUDIT: &str = "export-audit.bin";
/// The names of all files of the evidence.
pub const FILES: [&str; 8] =
    [JOB, PROGRAM, EXPORTER, RECEIPT, AUDIT, EXPORT, EXPORT_RECEIPT, EXPORT_AUDIT];

/// The version of the files in JSON.
const VERSION: u64 = 1;
/// The most bytes of a file in JSON: three lists of a program's most states, with room.
const JSON_MAX: u64 = 1 << 21;

/// A number below a limit, drawn by a beacon for a purpose.
pub fn drawn(beacon: &Beacon, purpose: &str, below: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(purpose.as_bytes()).update(&beacon.0);
    let mut word = [0; 8];
    hasher.finalize_xof().fill(&mut word);
    u64::from_le_bytes(word) % below.max(1)
}

/// The segment whose audit a beacon demands.
pub fn drawn_segment(beacon: &Beacon, parameters: &RunParameters) -> u32 {
    // Exact: below the number of segments.
    drawn(beacon, "segment", parameters.segments().into()) as u32
}

/// What the job fixes of a run, as a file. A verifier takes it from the requester.
pub struct JobFile {
    pub parameters: RunParameters,
    pub dataset: DatasetRoots,
    /// The beacon of the seed.
    pub beacon: Beacon,
}

impl JobFile {
    fn text(&self) -> String {
        let JobFile { parameters, dataset, beacon } = self;
        let parameters = hex::encode(parameters.to_bytes());
        let (version, beacon) = (VERSION, beacon.to_string());
        json!({ "version": version, "parameters": parameters, "dataset": dataset, "beacon": beacon })
            .to_string()
            + "\n"
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<JobFile, Failure> {
        let fields = Fields::read(path)?;
        Ok(JobFile {
            parameters: fields.bytes("parameters", RunParameters::from_bytes)?,
            dataset: fields.json("dataset", serde_json::from_value)?,
            beacon: fields.json("beacon", serde_json::from_value)?,
        })
    }
}

/// The statement that a run made a network, with its roots, as a file.
pub struct ExportFile {
    pub export: Export,
    pub evidence: ExportEvidence,
}

impl ExportFile {
    fn text(export: &Export, evidence: &ExportEvidence) -> String {
        let ExportEvidence { states, taken, header, outputs } = evidence;
        json!({
            "version": VERSION,
            "export": hex::encode(export.to_bytes()),
            "states": states,
            "taken": taken,
            "header": hex::encode(header.to_bytes()),
            "outputs": outputs,
        })
        .to_string()
            + "\n"
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<ExportFile, Failure> {
        let fields = Fields::read(path)?;
        Ok(ExportFile {
            export: fields.bytes("export", Export::from_bytes)?,
            evidence: ExportEvidence {
                states: fields.json("states", serde_json::from_value)?,
                taken: fields.json("taken", serde_json::from_value)?,
                header: fields.bytes("header", TraceHeader::from_bytes)?,
                outputs: fields.json("outputs", serde_json::from_value)?,
            },
        })
    }
}

/// Writes the evidence of a complete run, whose checks all held. Each file is written
/// whole or not at all; a run without its report writes them again.
pub fn write(
    folder: &Path,
    setup: &Setup,
    checker: &RunChecker,
    trained: &TrainedRun,
    audit: &AuditReport,
    linked: &Linked,
    prover: Prover,
) -> Result<(), Failure> {
    let (parameters, dataset) = (setup.job.parameters, setup.job.dataset.clone());
    let receipt = TrainingReceipt::of(&parameters, trained, checker.macs(), prover);
    checker.receipt(trained, &receipt).map_err(TrainingError::from)?;
    let job = JobFile { parameters, dataset, beacon: setup.beacon };
    let folder = folder.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(cannot_write(&folder))?;
    let program = setup.iteration.network().program();
    for (name, bytes) in [
        (JOB, job.text().into_bytes()),
        (PROGRAM, program.to_bytes()),
        (RECEIPT, receipt.to_bytes()),
        (AUDIT, audit.audit.to_bytes()),
        (EXPORT, ExportFile::text(&linked.export, &linked.evidence).into_bytes()),
        (EXPORTER, linked.exporter.to_bytes()),
        (EXPORT_RECEIPT, linked.receipt.to_bytes()),
        (EXPORT_AUDIT, linked.audit.to_bytes()),
    ] {
        Destination::new(&folder.join(name))?.write(&bytes)?;
    }
    Ok(())
}

/// The fields of a file in JSON.
struct Fields<'a> {
    path: &'a Path,
    object: Value,
}

impl Fields<'_> {
    fn read(path: &Path) -> Result<Fields<'_>, Failure> {
        let bytes = files::read(path, JSON_MAX)?;
        let object: Value = serde_json::from_slice(&bytes).map_err(|why| malformed(path, &why))?;
        let version = &object["version"];
        if *version != VERSION {
            let why = format!("expected version {VERSION}, got {version}; make the file again");
            return Err(malformed(path, &why));
        }
        Ok(Fields { path, object })
    }

    fn json<T>(
        &self,
        name: &str,
        of: impl Fn(Value) -> Result<T, serde_json::Error>,
    ) -> Result<T, Failure> {
        let field = self.object[name].clone();
        of(field).map_err(|why| malformed(self.path, &format!("{name}: {why}")))
    }

    fn bytes<T, E: Display>(
        &self,
        name: &str,
        of: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let text = self.object[name].as_str();
        let bytes = text.and_then(|text| hex::decode(text).ok());
        let why = || format!("{name}: expected hexadecimal digits, got {}", self.object[name]);
        let bytes = bytes.ok_or_else(|| malformed(self.path, &why()))?;
        of(&bytes).map_err(|why| malformed(self.path, &format!("{name}: {why}")))
    }
}

/// An error about a file that says nothing that could be checked.
pub fn malformed(path: &Path, why: &dyn Display) -> Failure {
    Failure::usage(format!("{}: malformed: {why}", path.display()))
}
