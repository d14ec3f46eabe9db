//! Tests of the readers of trained networks, and of quantisation.

mod batch;
mod bert;
mod cut;
mod encoders;
mod exported;
mod external;
mod hostile;
mod kinds;
mod layers;
mod meaning;
mod model;
mod nodes;
mod onnx;
mod operators;
mod quantise;
mod quantised;
mod refused;
