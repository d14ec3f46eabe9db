//! Trained networks, read from files into programs of exact integers.
//!
//! For feed-forward and convolutional networks: a reader of one file format
//! ([`onnx`]) makes the neutral network of [`graph`], [`float`] runs it in f32,
//! keeping every value, which is the reference for what comes after and the
//! measure of its ranges, and [`quantise`] makes a program of it, and says how
//! far from the reference each layer is. [`bert`] goes the whole way for text
//! encoders: from safetensors to a program. [`store`] keeps programs and their
//! constants in files.
//!
//! Files are not trusted: a reader bounds sizes before it allocates and
//! answers anything that it does not know with an error that names it.
// Not forbidden: ndarray's macro `s!` permits the unsafe code that it expands to.
#![deny(unsafe_code)]

pub mod bert;
pub mod float;
pub mod graph;
pub mod onnx;
pub mod quantise;
pub mod store;
