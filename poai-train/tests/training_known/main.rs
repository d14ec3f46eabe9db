//! Known answers of the steps of training, made by an independent implementation.
//!
//! `POAI_TRAINING` names another file like `test_vectors/training/steps.json`,
//! whose cases are then checked instead. A case with a changed entry fails.

mod runs;
mod sketch;
mod steps;
