//! Execution of programs, with the same results on every backend, bit for bit.
//!
//! - [`tensor`]: tensors in the committed layout.
//! - [`network`]: a program with its constants; [`Session`]: a network on a
//!   device; [`Inputs`]: what a run takes.
//! - [`device`]: backends that sessions run on, some of which run whole networks
//!   in their own memory; `lazy`: tensors that are still on a device.
//! - [`options`]: the options of a run; [`run`]: executing a program,
//!   optionally traced and mined.
//! - `memory`: how much memory a run takes.
//! - `host`, `task`: one step, on every thread; `training`: products of training; `fast`: the steps that have
//!   loops of their own over bytes; `buffers`: memory that runs
//!   reuse.
//! - [`trace`]: a run's tensors, trees and openings; published traces as they
//!   are received, and the proof of their first false value.

mod buffers;
pub mod device;
mod error;
mod fast;
mod host;
mod inputs;
mod lazy;
mod memory;
pub mod network;
pub mod options;
pub mod run;
mod session;
mod task;
pub mod tensor;
pub mod trace;
mod training;

pub use device::{Device, Kept, Resident, ResidentRun, Traced};
pub use error::{RunError, ValueError};
pub use inputs::{Inputs, SharedInput};
pub use network::{Constants, Network, NetworkError};
pub use options::{MinedStep, Mining, RunOptions};
pub use run::{Run, TracedRun};
pub use session::Session;
pub use tensor::{Tensor, TensorBytes, TensorError};
pub use trace::{OpenError, OpenedPart, Published, ReceivedError, Trace};
