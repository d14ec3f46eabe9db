//! Runs of training: their data, their checkpoints, and that nothing but the
//! options decides their bits.

mod checkpoints;
mod data;
mod export;
mod kinds;
mod runs;
