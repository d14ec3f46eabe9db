//! Checking traces of whole networks (spec §13 and §14).
//!
//! A [`Checker`] is built from the node's own program and [`TraceRules`]. It
//! decides *audits* (sampled tiles hold), *fraud proofs* (one tile is wrong)
//! and *links* (a mined product belongs to a trace), each from one message
//! whose every length is implied. Each tile is recomputed by the same code that
//! executes programs.
//!
//! - [`rules`]: what the node permits.
//! - [`checker`]: header and records.
//! - [`bounds`]: how long messages and how large tiles can be.
//! - [`tile`]: one tile recomputed from its openings.
//! - [`audit`], [`fraud`], [`link`]: the three messages.
//! - [`receipt`]: a claim held against a trace.
//! - [`full`]: every entry, with all tensors at hand.
//! - [`mod@soundness`]: what an audit is worth.
//! - [`error`]: malformed or invalid.

pub mod audit;
pub mod bounds;
pub mod checker;
mod cursor;
pub mod error;
pub mod fraud;
pub mod full;
pub mod link;
mod reach;
pub mod receipt;
pub mod rules;
pub mod soundness;
pub mod tile;

pub use audit::Audited;
pub use checker::Checker;
pub use error::{ReceiptError, TraceError, TraceInvalid, TraceMalformed};
pub use fraud::{Fraud, Wrong};
pub use full::{Checked, Data, Method};
pub use link::Useful;
pub use reach::TileBound;
pub use rules::TraceRules;
pub use soundness::{samples_for, soundness};
