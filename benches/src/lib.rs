//! What the benchmarks share.
//!
//! - [`quiet`]: timing in turns, at quiet moments only; [`pressure`]: what other
//!   programs take;
//! - [`workload`]: operands, prepared and noised; [`encoder`]: a whole network;
//! - [`peak`]: loops that stay in registers, to hold kernels against;
//! - [`lines`]: what a report holds; [`render`]: the files made of it.

pub mod encoder;
pub mod lines;
pub mod peak;
pub mod pressure;
pub mod quiet;
pub mod render;
pub mod workload;

/// Why something could not be measured at all.
pub type Failure = Box<dyn std::error::Error>;
