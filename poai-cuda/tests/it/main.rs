//! Tests of the whole crate: on any GPU of this machine, on an emulated one,
//! and of the kernels by themselves.

mod detection;
#[cfg(target_os = "linux")]
mod emulated;
#[cfg(target_os = "linux")]
mod emulated_multi;
#[cfg(target_os = "linux")]
mod emulated_programs;
#[cfg(target_os = "linux")]
mod emulated_training;
mod gpu;
mod kernels_any;
mod kernels_commit;
mod kernels_noise;
mod kernels_product;
mod kernels_recover;
mod kernels_step_attention;
mod kernels_step_move;
mod kernels_step_norms;
mod kernels_step_products;
mod kernels_step_rows;
#[cfg(feature = "measure")]
mod measure;
mod ptx;
mod puzzle;
mod shim;
mod steps;
