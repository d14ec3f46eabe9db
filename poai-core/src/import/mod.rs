//! Trained networks, read from files into matrices that the puzzle can prove.
//!
//! The story in three steps: a reader of one file format ([`onnx`]) makes the
//! neutral network of [`graph`], whose every product is a matrix product of
//! activations (rows) with weights (outputs × inputs); [`float`] runs it in
//! f32, keeping every value, which is the reference for what comes after and
//! the measure of its ranges. [`bert`] goes the whole way for text encoders:
//! from safetensors to an integer network. [`store`] keeps such networks in
//! files.
//!
//! Files are not trusted: a reader bounds sizes before it allocates and
//! answers anything that it does not know with an error that names it.

pub mod bert;
pub mod float;
pub mod graph;
pub mod onnx;
pub mod store;
