//! The puzzle: one lottery ticket per tile of a matrix product that somebody
//! wants anyway (spec §1 to §7).
//!
//! Data flows one way: operands → [`commitment`] → [`seeds`] → [`noise`] →
//! product and [`transcript`] → [`ticket`] → [`proof`] → bytes. A [`statement`]
//! is what a proof is about.

pub mod commitment;
pub mod noise;
pub mod proof;
pub mod seeds;
pub mod statement;
pub mod ticket;
pub mod transcript;
