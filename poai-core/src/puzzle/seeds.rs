//! The seed chain and the domain-separated hashes (spec §2 and §3).
//!
//! B is fixed before A's seed exists, and B's noise does not depend on A. One
//! challenge can therefore serve many activations with the same noised weights.

use crate::digest::{Challenge, Root, Seed, derive};
use crate::params::Params;
use crate::puzzle::statement::Statement;

/// The seeds of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seeds {
    /// Side A's seed, which also keys the tickets.
    pub a: Seed,
    /// Side B's seed.
    pub b: Seed,
}

impl Seeds {
    /// Both seeds of a statement under a challenge (spec §3).
    pub fn derive(params: &Params, challenge: &Challenge, statement: &Statement) -> Seeds {
        let shape = &statement.shape;
        let b = seed_b(params, challenge, shape.n, shape.k, &statement.root_b);
        let a = seed_a(&b, shape.m, &statement.root_a);
        Seeds { a, b }
    }
}

/// `seed_b = H("seed b", challenge ‖ n ‖ k ‖ r ‖ t ‖ root_b)`.
pub fn seed_b(params: &Params, challenge: &Challenge, n: u32, k: u32, root_b: &Root) -> Seed {
    // Exact: rank and tile are at most 256.
    let (rank, tile) = (params.rank() as u16, params.tile() as u16);
    Seed(derive!(
        "seed b",
        &challenge.0,
        &n.to_le_bytes(),
        &k.to_le_bytes(),
        &rank.to_le_bytes(),
        &tile.to_le_bytes(),
        &root_b.0,
    ))
}

/// `seed_a = H("seed a", seed_b ‖ m ‖ root_a)`.
pub fn seed_a(seed_b: &Seed, m: u32, root_a: &Root) -> Seed {
    Seed(derive!("seed a", &seed_b.0, &m.to_le_bytes(), &root_a.0))
}
