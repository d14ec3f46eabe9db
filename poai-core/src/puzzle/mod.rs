//! The puzzle: one lottery ticket per tile of a useful matrix product (spec §1
//! to §7).
//!
//! Data flows one way: operands → [`commitment`] → [`seeds`] → [`noise`] →
//! product and [`transcript`] → [`ticket`] → [`proof`] → bytes. A [`statement`]
//! is the subject of a proof.

pub mod commitment;
pub mod noise;
pub mod proof;
pub mod seeds;
pub mod statement;
pub mod ticket;
pub mod transcript;
