//! Tests of the facade, its backends and the glossary.

mod backend;
#[cfg(all(feature = "import", feature = "inference", feature = "train"))]
mod frozen;
#[cfg(all(feature = "import", feature = "train"))]
mod last_layers;
mod names;
