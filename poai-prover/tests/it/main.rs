//! Circuits, keys, ceremonies and proofs.

mod circuits;
mod commitment;
mod setup;
mod standard;
