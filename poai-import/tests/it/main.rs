//! Readers of trained networks, and quantisation.

mod bert;
mod onnx;
mod quantise;
