//! The PoAI-1 puzzle: a matrix product that is wanted anyway, each 32×32 tile
//! of which is also a lottery ticket.
//!
//! Data flows one way, and each room is named after what it holds:
//! operands → [`commitment`] → [`noise`] → product and [`transcript`] →
//! [`ticket`] → [`proof`] → bytes → verifier (the crate `poai-verify`).
//!
//! Without default features the crate is `no_std + alloc` and holds the
//! protocol alone; this half is what verifiers link. Feature `simd` recomputes
//! tiles with the processor's widest instructions, chosen at run time, which
//! needs the standard library; `std` adds the ndarray operands, the backends
//! and the miner; `serde` adds serialisation of every public data type of the
//! puzzle; `import` reads trained networks from files.
//!
//! The normative text is `docs/spec.md`; `docs/design.md` says why.
#![cfg_attr(not(feature = "simd"), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod commitment;
pub mod difficulty;
pub mod digest;
mod kernel;
pub mod noise;
pub mod params;
pub mod program;
pub mod proof;
pub mod recompute;
pub mod seeds;
pub mod statement;
pub mod step;
pub mod ticket;
pub mod trace;
pub mod transcript;
mod vectorise;

#[cfg(feature = "std")]
pub mod backend;
#[cfg(feature = "std")]
pub mod execute;
#[cfg(feature = "import")]
pub mod import;
#[cfg(feature = "std")]
pub mod miner;
#[cfg(feature = "std")]
pub mod operand;
#[cfg(feature = "std")]
pub mod reference;
#[cfg(feature = "snark")]
pub mod snark;

pub use difficulty::{Difficulty, Target};
pub use digest::{
    ArchitectureId, Challenge, ProgramId, Root, RulesDigest, Seed, Ticket, TraceRoot,
};
pub use params::Params;
pub use program::Program;
pub use proof::{Proof, ProofView};
pub use statement::{Shape, Side, Statement, Tile};
pub use transcript::Transcript;

#[cfg(feature = "std")]
pub use backend::{Backend, cpu::Cpu};
#[cfg(feature = "std")]
pub use miner::{Cancel, Keep, Mined, Miner, Options, Winner};
#[cfg(feature = "std")]
pub use operand::{Operand, Operands};
