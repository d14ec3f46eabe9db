//! Verified training: exact integer iterations as programs with state (spec §12,
//! steps of training).
//!
//! [`Layers`] describe a network once. [`Iteration`] is the program of one
//! iteration of its training: it draws a batch, goes forward, differentiates and
//! updates every state, in exact integers.
//!
//! - [`layers`]: the description of a network.
//! - [`iteration`]: the program of an iteration.
//! - [`optimiser`]: SGD, Lion, Adam, and their rates.
//! - [`numbers`]: what an entry stands for.
//! - [`dataset`], [`initial`], [`run`]: samples, states before the first
//!   iteration, and iterations one after another with checkpoints.
//! - [`commit`]: claims, segments and audits of a run, and the messages that convict
//!   one (spec §19).
//! - [`export`]: a trained state as a frozen network, which is proven like any other.
//! - [`real`]: the same programs in real numbers, for comparison and tests.
//! - `tape`: the steps under construction, and their differentiation.

pub mod commit;
pub mod dataset;
mod error;
pub mod export;
mod initial;
pub mod iteration;
pub mod layers;
pub mod numbers;
pub mod optimiser;
pub mod real;
pub mod run;
mod schedule;
mod tape;

pub use commit::{
    ClaimsError, ClaimsFile, CommitError, Committer, JobParameters, Lie, WatchError, Watcher,
};
pub use dataset::{DataError, Dataset};
pub use error::LayersError;
pub use export::{ExportPlan, FrozenExponents, FrozenNetwork, TrainingExportError};
pub use initial::{InitialError, imported, initial};
pub use iteration::{Iteration, IterationOptions, Source};
pub use layers::{Layers, TrainLayer, TrainLoss};
pub use optimiser::Optimiser;
pub use run::{TrainError, TrainingRun};
pub use schedule::Schedule;
