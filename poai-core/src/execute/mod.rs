//! Running programs: bit for bit the same on every backend.
//!
//! - [`tensor`]: tensors in the committed layout.
//! - [`network`]: a program with its constants; [`Model`]: on a backend.
//! - [`run`]: executing it, traced and mined or not.
//! - [`resident`]: networks that a device runs in its own memory.
//! - `steps`: one step, on every thread.
//! - `buffers`: memory that runs use again.
//! - `traced`: a run's tensors and trees, and what is opened of them.
//! - `challenge`: received traces, and the proof of their first lie.

mod buffers;
mod challenge;
mod model;
pub mod network;
pub mod resident;
pub mod run;
mod steps;
pub mod tensor;
mod traced;

pub use challenge::ReceivedError;
pub use model::Model;
pub use network::{Constants, Network, NetworkError};
pub use resident::{Kept, Resident, ResidentRun, Traced, ValueError};
pub use run::{ExecuteError, MinedStep, Mining, Run, RunOptions};
pub use tensor::{Tensor, TensorError};
pub use traced::{Claim, ProveError, Trace};
