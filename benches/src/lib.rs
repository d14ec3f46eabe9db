//! Code that the benchmarks share.
//!
//! - [`quiet`]: timing in turns, at quiet moments only; [`pressure`]: the
//!   processor time that other programs take;
//! - [`workload`]: operands, prepared and noised; [`encoder`]: a whole network;
//! - [`peak`]: loops that stay in registers, as upper bounds for kernels;
//! - [`lines`]: the content of a report; [`render`]: its files.

pub mod encoder;
pub mod lines;
pub mod peak;
pub mod pressure;
pub mod quiet;
pub mod render;
pub mod workload;

/// Why a measurement failed.
pub type Failure = Box<dyn std::error::Error>;
