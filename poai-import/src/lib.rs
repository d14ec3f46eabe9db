//! Conversion of trained networks from files into programs of exact integers.
//!
//! - [`Model`]: a network from a file, ready to run: the one to start with.
//! - [`onnx`]: reads ONNX files of feed-forward and convolutional networks into
//!   the float network of [`graph`].
//! - [`float`]: runs that network in f32 and keeps every value. The values are
//!   the reference for quantisation and the source of its ranges.
//! - [`quantise`]: makes a program of that network, and reports each layer's
//!   error against the reference.
//! - [`bert`]: converts text encoders from safetensors to a program.
//! - [`tensors`]: reads float tensors of safetensors files.
//! - [`store`]: keeps programs and their constants in files.
//!
//! Files are not trusted. A reader bounds sizes before it allocates. Anything
//! that it does not know is an error that names it.
// Denied and not forbidden: ndarray's macro `s!` expands to unsafe code and permits it locally.
#![deny(unsafe_code)]

pub mod bert;
pub mod float;
pub mod graph;
mod model;
pub mod onnx;
pub mod quantise;
pub mod store;
pub mod tensors;

pub use model::{Model, ModelError, TracedInference};

/// The code of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
