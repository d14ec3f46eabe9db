//! Traces: commitments to every intermediate tensor of a run, under one root
//! (spec §13).
//!
//! - [`record`]: the record of a value, and the tree over all records.
//! - [`header`]: what the trace root binds besides the records.
//! - [`rules`]: which runs a node permits, and how much an audit opens.
//! - [`sample`]: which tiles an audit opens.
//! - [`receipt`]: what a requester keeps.
//! - [`demand`]: which tile a challenger obliges a prover to open.
//! - [`message`]: audits, fraud proofs, answers and links, as bytes.
//! - [`unclean`]: fraud proofs against a trace whose input is unclean.
//!
//! `execute` of the crate `poai-engine` makes traces and opens them. The crate
//! `poai-verify` checks the openings.

pub mod demand;
mod error;
pub mod header;
pub mod message;
pub mod receipt;
pub mod record;
pub mod rules;
pub mod sample;
pub mod unclean;

pub use demand::Demand;
pub use error::TraceDecodeError;
pub use header::TraceHeader;
pub use message::{Answer, Audit, FraudProof, Link};
pub use receipt::Receipt;
pub use record::{Record, RecordBytes, RecordError};
pub use rules::TraceRules;
pub use sample::{Sample, SampleStream, Sampling};

/// The version of headers, receipts and demands, and of all messages that begin
/// with a header. It is the first four bytes, little-endian. Version 1 had no
/// such field, so its messages read as another version.
pub const VERSION: u32 = 2;
