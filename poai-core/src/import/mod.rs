//! Trained networks, read from files into matrices that the puzzle can prove.
//!
//! The story in four steps: a reader of one file format ([`onnx`]) makes the
//! neutral network of [`graph`], whose every product is a matrix product of
//! activations (rows) with weights (outputs × inputs); [`float`] runs it in
//! f32, keeping every value, which is the reference for what comes after and
//! the measure of its ranges; [`quantise`] makes a program of exact integers of
//! it, and says how far from the reference each layer is.
//!
//! Files are not trusted: a reader bounds sizes before it allocates and
//! answers anything that it does not know with an error that names it.

pub mod float;
pub mod graph;
pub mod onnx;
pub mod quantise;
