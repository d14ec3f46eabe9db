//! Tests of the readers of trained networks, and of quantisation.

mod bert;
mod encoders;
mod exported;
mod external;
mod hostile;
mod layers;
mod meaning;
mod model;
mod nodes;
mod onnx;
mod quantise;
mod quantised;
