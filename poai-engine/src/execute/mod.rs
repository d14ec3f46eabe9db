//! Execution of programs, with the same results on every backend, bit for bit.
//!
//! - [`tensor`]: tensors in the committed layout.
//! - [`network`]: a program with its constants; [`Model`]: a network on a
//!   device.
//! - [`device`]: backends that models run on, some of which run whole networks
//!   in their own memory; `lazy`: tensors that are still on a device.
//! - [`options`]: the options of a run; [`run`]: executing a program,
//!   optionally traced and mined.
//! - `host`, `task`: one step, on every thread; `buffers`: memory that runs
//!   reuse.
//! - [`trace`]: a run's tensors, trees and openings; published traces as they
//!   are received, and the proof of their first false value.

mod buffers;
pub mod device;
mod error;
mod host;
mod lazy;
mod model;
pub mod network;
pub mod options;
pub mod run;
mod task;
pub mod tensor;
pub mod trace;

pub use device::{Device, Kept, Resident, ResidentRun, Traced};
pub use error::{ExecuteError, ValueError};
pub use model::Model;
pub use network::{Constants, Network, NetworkError};
pub use options::{MinedStep, Mining, RunOptions};
pub use run::Run;
pub use tensor::{Tensor, TensorError};
pub use trace::{Claim, OpenError, Published, ReceivedError, Trace};
