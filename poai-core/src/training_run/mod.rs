//! Training runs: iterations of a program with state, chained from a first state
//! to a last (spec §19).
//!
//! - [`program`]: what a program needs for its iterations to be a run, and the
//!   inputs of each iteration.
//! - [`dataset`]: the samples, and the roots of states.
//! - [`parameters`]: what a job fixes before a run starts, and its seed.
//! - [`rules`]: how much an audit of a segment opens.
//! - [`iteration`]: an iteration's claim, which is a leaf of the chain.
//! - [`chain`]: the tree over claims.
//! - [`segment`]: the part of a run that is posted and audited at once, and the
//!   whole run.
//! - [`receipt`], [`export`]: what a requester keeps, and what became of the last
//!   state.
//! - [`demand`], [`message`]: demands; audits, fraud proofs and answers, as bytes.
//!   [`FraudKind`] says what a fraud proof is about.
//!
//! The crate `poai-train` makes runs. The crate `poai-verify` checks them.

pub mod chain;
pub mod dataset;
pub mod demand;
mod error;
pub mod export;
pub mod iteration;
mod kind;
pub mod message;
pub mod parameters;
pub mod program;
pub mod receipt;
pub mod rules;
pub mod segment;

pub use chain::{ChainBuilder, chain_path, chain_path_len, chain_path_root, chain_root};
pub use dataset::{DatasetRoots, state_root};
pub use demand::{Demanded, TrainingDemand};
pub use error::{RunParametersError, TrainingDecodeError};
pub use export::Export;
pub use iteration::IterationClaim;
pub use kind::FraudKind;
pub use message::{TrainingAnswer, TrainingAudit, TrainingFraud};
pub use parameters::RunParameters;
pub use program::{TrainingProgram, TrainingProgramError};
pub use receipt::{DataOrder, TrainingReceipt};
pub use rules::TrainingRules;
pub use segment::{Segment, TrainedRun};

/// The version of the messages of this module, their first four bytes.
pub const TRAINING_VERSION: u32 = 1;
