//! What the benchmarks share.
//!
//! - [`quiet`]: timing in turns, at quiet moments only;
//! - [`workload`]: operands, prepared and noised.

pub mod quiet;
pub mod workload;
