//! Tests of the readers of trained networks, and of quantisation.

mod bert;
mod onnx;
mod quantise;
