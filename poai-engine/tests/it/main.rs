//! Tests of operands, backends, the miner and execution, compared with the
//! reference.

mod amx;
mod backends;
mod decoder_known;
mod dual;
mod fast;
mod fast_training;
mod miner;
mod operands;
mod programs;
mod reads;
mod reads_decoder;
mod reads_training;
mod reuse;
mod steps;
mod tiles;
mod vectors;
