//! NVIDIA GPUs in software: the processor runs the kernels of
//! `poai-cuda/kernels` and a driver that launches them.
//!
//! - [`Kernels`]: kernels by themselves, launched by name in several orders of
//!   their threads; [`launch`]: the inputs and failures of a launch.
//! - [`harness`]: runs a test again with the emulated driver
//!   (`emulated/driver.cpp`); [`fake`]: with a driver that only lists GPUs.
//! - [`compile`]: libraries from sources; [`cache`]: each compiled once for all
//!   test programs.
//!
//! ```ignore
//! let Some(kernels) = Kernels::compile("commit.cu") else { return };
//! let out = kernels.run("name", Shape::new(2, 64), &[input(&words), Arg::Out(64), Arg::U64(9)]);
//! ```

mod buffer;
pub mod cache;
pub mod compile;
mod entries;
pub mod fake;
pub mod harness;
mod kernels;
pub mod launch;
pub mod rerun;

pub use harness::{
    DRIVER, Driver, Settings, Wrong, counted, output_of, with_driver, with_driver_today,
    with_driver_without_maps,
};
pub use kernels::Kernels;
pub use launch::{Arg, Failure, ORDERS, Order, Shape, input, values};
pub use rerun::succeed;
