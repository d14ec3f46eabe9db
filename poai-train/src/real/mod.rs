//! The real-valued reading of a training program: the same steps without rounding.
//!
//! Integers approximate real numbers, step by step. This module computes what they
//! approximate: it neither rounds nor clamps, and a table of exponentials is the
//! exponential itself. One iteration's program, with the same draws, rates and
//! initial weights, is then plain floating-point training of the same network.
//!
//! It is for comparison and for tests. No commitment depends on it, and its results
//! differ in the last bits from machine to machine.
//!
//! Entries keep the integers' units: an entry x of a carrier stands for x·2^−f, as
//! [`crate::numbers`] says. These steps stay integers: random draws, ids, and a
//! stochastic rescale to 0..=1, which draws the mask of a dropout.
//!
//! - [`RealRun`]: iterations one after another, as [`crate::TrainingRun`] has them.
//! - [`RealForward`]: the forward pass alone, which evaluates states.
//! - [`RealNetwork`]: one program on given inputs.
//! - `steps`: what each kind of step computes.

mod error;
mod forward;
mod loss;
mod network;
mod run;
mod steps;
mod value;

pub use error::RealError;
pub use forward::RealForward;
pub use network::RealNetwork;
pub use run::RealRun;
pub use value::{Real, RealValue};
