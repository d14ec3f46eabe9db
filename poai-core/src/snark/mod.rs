//! Temporary.
pub mod circuit;
pub mod commitment;
pub mod matrices;
pub mod system;
