//! Temporary.
pub mod circuit;
pub mod commitment;
pub mod matrices;
pub mod reduction;
pub mod setup;
pub mod system;
