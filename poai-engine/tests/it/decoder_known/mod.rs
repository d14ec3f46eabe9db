//! Known answers of the steps of decoders, which another implementation made
//! (`test_vectors/decoder`).

mod drawn;
mod steps;
mod tiny;
