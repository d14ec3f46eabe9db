//! Runs of training: their data, their checkpoints, and that nothing but the
//! options decides their bits.

mod checkpoints;
mod data;
mod export;
mod gradients;
mod kinds;
mod readings;
mod real;
mod runs;
mod small;
