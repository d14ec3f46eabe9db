//! Tests of the protocol against the plain reference and known answers.

mod chance;
mod decoder;
mod difficulty;
mod imported_checks;
mod kernels;
mod modular;
mod noise;
mod openings;
mod program_checks;
mod rank;
mod recompute;
mod records;
mod serialisation;
mod training;
mod training_run;
