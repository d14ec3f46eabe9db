//! The noise (spec §4), the same rule for both sides: `E_ℓ = L·R_ℓ`.
//!
//! - [`rows`]: the row factor `L`, one row per row of the operand.
//! - [`steps`]: the step factors `R_ℓ`, each of determinant ±2.

pub mod rows;
pub mod steps;

pub use rows::RowNoise;
pub use steps::{StepFactor, StepNoise};
