//! The program as a user runs it, one module a subcommand.

mod bench;
mod embed;
mod inspect;
#[cfg(unix)]
mod killed;
mod mine;
mod onnx;
mod program;
mod proof_of_inference;
mod prove;
mod refusals;
mod reports;
mod run;
mod samples;
mod shell;
mod train;
mod train_folder;
mod verify;
