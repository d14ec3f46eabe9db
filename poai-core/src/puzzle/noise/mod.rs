//! The noise (spec §4). Both sides follow the same rule, `E_ℓ = L·R_ℓ`.
//!
//! - [`rows`]: the row factor `L`, one row per row of the operand.
//! - [`rank_steps`]: the factors `R_ℓ` of rank-steps, each of determinant ±2.

pub mod rank_steps;
pub mod rows;

pub use rank_steps::{RankStepFactor, RankStepNoise};
pub use rows::RowNoise;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Seed;
    use crate::digest::derive;
    use crate::params::Params;

    /// Devices derive the same noise from these keys.
    #[test]
    fn keys_are_of_the_seed() {
        let (params, seed) = (Params::CONSENSUS, Seed([7; 32]));
        assert_eq!(*RowNoise::new(&seed).key(), derive!("noise rows", &[7; 32]));
        assert_eq!(*RankStepNoise::new(&params, &seed).key(), derive!("noise steps", &[7; 32]));
    }
}
