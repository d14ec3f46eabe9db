//! Running programs: bit for bit the same on every backend.
//!
//! - [`tensor`]: tensors in the committed layout.
//! - [`network`]: a program with its constants; [`Model`]: on a device.
//! - [`device`]: backends that models run on, some of which run networks whole
//!   in memory of their own; `lazy`: tensors that are still there.
//! - [`options`]: what a run is asked for; [`run`]: executing it, traced and
//!   mined or not.
//! - `host`, `task`: one step, on every thread; `buffers`: memory that runs
//!   use again.
//! - [`trace`]: a run's tensors and trees, and what is opened of them; published
//!   traces as they are received, and the proof of their first lie.

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
