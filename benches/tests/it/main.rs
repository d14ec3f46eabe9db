//! Tests of the measuring code: samples, loops and reports, and the program
//! `gpu` on an emulated GPU.

#[cfg(target_os = "linux")]
mod gpu;
mod peak;
mod quiet;
mod render;
