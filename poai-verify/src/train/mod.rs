//! Checks training runs: chains of iterations of a program with state (spec §19).
//!
//! A [`RunChecker`] is built from a [`crate::trace::Checker`] of the program and
//! from what the job fixes. It decides whether claims chain, whether an *audit* of a
//! segment holds, and whether a *fraud proof* convicts an iteration. It checks the
//! *receipt* of a run, and the *export* of its last state into another program.
//!
//! - [`checker`]: the job, segments and claims.
//! - [`opening`]: an iteration's claim, header and roots.
//! - [`audit`], [`fraud`], [`demand`]: the messages.
//! - [`receipt`], [`export`]: a finished run.
//! - [`bounds`]: how long messages can be.
//! - [`mod@soundness`]: how likely a false segment passes an audit.
//! - [`error`]: malformed and invalid messages.
//!
//! An audit licenses payment for work. It never shows that a model can be trusted:
//! one wrong update of one weight passes nearly every audit. Re-execution by a
//! watcher and the time for fraud proofs decide that.

pub mod audit;
pub mod bounds;
pub mod checker;
pub mod demand;
pub mod error;
pub mod export;
pub mod fraud;
pub mod opening;
pub mod receipt;
pub mod soundness;

pub use audit::SegmentAudited;
pub use checker::RunChecker;
pub use demand::TrainingAnswered;
pub use error::{RunCheckerError, TrainingError, TrainingInvalid, TrainingMalformed};
pub use export::{ExportEvidence, Exported};
pub use fraud::{TrainingConviction, TrainingWrong};
pub use opening::IterationOpening;
pub use poai_core::training_run::{
    DatasetRoots, Export, FraudKind, IterationClaim, RunParameters, Segment, TrainedRun,
    TrainingAnswer, TrainingAudit, TrainingDecodeError, TrainingDemand, TrainingFraud,
    TrainingReceipt, TrainingRules,
};
pub use soundness::TrainingSoundness;
