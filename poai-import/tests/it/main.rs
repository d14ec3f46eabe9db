//! Tests of the readers of trained networks, and of quantisation.

mod bert;
mod encoders;
mod model;
mod onnx;
mod quantise;
mod quantised;
