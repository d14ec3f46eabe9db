//! Checks traces of whole networks (spec §13 and §14).
//!
//! A [`Checker`] is built from the node's own program and [`TraceRules`]. It
//! decides *audits* (sampled tiles are right), *fraud proofs* (one tile is
//! wrong), *answers* (a demanded tile is right) and *links* (a mined product
//! belongs to a trace). Each is one message, whose every length is implied. The
//! code that executes programs also recomputes each tile.
//!
//! - [`checker`]: header and records.
//! - [`bounds`]: how long messages and how large tiles can be.
//! - [`tile`]: recomputes one tile from its openings.
//! - [`audit`], [`fraud`], [`demand`], [`link`]: the messages.
//! - [`receipt`]: compares a claim with a trace, and decides whether a chain
//!   admits it.
//! - [`registration`]: what a program's largest run costs its checkers.
//! - [`full`]: checks every entry from all tensors.
//! - [`mod@soundness`]: how likely a false trace passes an audit.
//! - [`error`]: malformed and invalid messages.

pub mod audit;
pub mod bounds;
pub mod checker;
pub(crate) mod cursor;
pub mod demand;
pub mod error;
pub mod fraud;
pub mod full;
pub mod link;
mod reach;
pub mod receipt;
pub mod registration;
pub mod soundness;
pub mod tile;

pub use audit::Audited;
pub use checker::Checker;
pub use demand::Answered;
pub use error::{ReceiptError, TraceError, TraceInvalid, TraceMalformed};
pub use fraud::{Fraud, Wrong};
pub use full::{Checked, Data, Method};
pub use link::Useful;
pub use poai_core::trace::{
    Answer, Audit, Demand, FraudProof, Link, Receipt, TraceDecodeError, TraceHeader, TraceRules,
};
pub use reach::TileBound;
pub use registration::Largest;
pub use soundness::{Soundness, escape, samples_for};
