//! The engine of PoAI: everything that needs the standard library and all
//! threads. Verifiers need nothing from this crate.
//!
//! - [`operand`]: checked i8 matrices in the layout that is committed.
//! - [`backend`]: units that multiply with the same results, bit for bit: the
//!   plain reference and one CPU backend per instruction set.
//! - `miner`, with [`Miner`] at the root: commits, noises once per challenge,
//!   multiplies, finds winners and makes proofs.
//! - [`execute`]: runs networks on a device, optionally traced and mined.
//! - [`choose`]: backends by name.
//!
//! Data flows one way: `operand` → `backend` → `miner` → `execute` → `choose`.
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod backend;
pub mod choose;
pub mod execute;
mod miner;
pub mod operand;

pub use backend::{Backend, ChooseError, Winner, cpu::Cpu};
pub use miner::{Found, Keep, MineError, MineOptions, Mined, Miner, Round};
pub use operand::{Operand, Operands};

/// The crate of the matrices that a miner takes and returns.
pub use ndarray;
