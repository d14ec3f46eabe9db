//! Traces: every intermediate tensor of a run committed, under one root (spec
//! §13).
//!
//! - [`record`]: the record of a value, and the tree over all records.
//! - [`header`]: what the trace root binds beside the records.
//! - [`sample`]: which tiles an audit looks at.
//! - [`receipt`]: what a requester keeps.
//! - [`unclean`]: what convicts a trace whose input is unclean.
//!
//! With `std`, `execute` makes traces and opens them; the crate
//! `poai-verify` checks what was opened.

pub mod header;
pub mod receipt;
pub mod record;
pub mod sample;
pub mod unclean;

pub use header::TraceHeader;
pub use receipt::Receipt;
pub use record::{Record, RecordError};
pub use sample::Sample;
