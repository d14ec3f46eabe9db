//! The noise (spec §4), the same rule for both sides: `E_ℓ = L·R_ℓ`.
//!
//! - [`rows`]: the row factor `L`, one row per row of the operand.
//! - [`steps`]: the step factors `R_ℓ`, each of determinant ±2.

pub mod rows;
pub mod steps;

pub use rows::RowNoise;
pub use steps::{RankStepFactor, RankStepNoise};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Seed;
    use crate::digest::derive;
    use crate::params::Params;

    /// What devices are given to make the same noise.
    #[test]
    fn keys_are_of_the_seed() {
        let (params, seed) = (Params::CONSENSUS, Seed([7; 32]));
        assert_eq!(*RowNoise::new(&seed).key(), derive!("noise rows", &[7; 32]));
        assert_eq!(*RankStepNoise::new(&params, &seed).key(), derive!("noise steps", &[7; 32]));
    }
}
