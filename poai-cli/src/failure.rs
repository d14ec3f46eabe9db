//! Failures of subcommands: an error and its exit code.

use poai::inference::{SIGNALS_MAX, SignalsError};
use poai::prover::{CircuitError, KeyError};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// The text of `--help` about exit codes.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  the work is done, and all that was checked holds
  1  a check failed: a proof is false, or no proof can be made of what was asked for
  2  arguments, files or bytes are wrong: nothing was checked
  3  mine: no tile won";

/// The meaning of an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A check failed.
    Failed = 1,
    /// Arguments are wrong, files cannot be read or written, or bytes are
    /// malformed.
    Usage = 2,
    /// No tile won.
    NoTile = 3,
}

/// An error and its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    code: Code,
    error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// An error with this exit code.
    pub fn new(code: Code, error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure { code, error: error.into() }
    }

    /// An error that the caller can fix: arguments, files, bytes.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::new(Code::Usage, error)
    }

    /// A check failed.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::new(Code::Failed, error)
    }

    /// An error about a file's content.
    pub fn in_file(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> Failure {
        move |why| Failure::usage(format!("{}: {why}", path.display()))
    }

    /// The exit code.
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.code as u8)
    }
}

/// The library's errors that the program's caller can fix.
macro_rules! usage {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::usage(error)
            }
        })*
    };
}

/// The library's errors that mean that a check failed.
macro_rules! failed {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::failed(error)
            }
        })*
    };
}

/// The verifiers' errors: malformed bytes, or a failed check.
macro_rules! verified {
    ($($error:path),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                use $error as Kind;
                let code = match error {
                    Kind::Malformed(_) => Code::Usage,
                    _ => Code::Failed,
                };
                Failure::new(code, error)
            }
        })*
    };
}

usage! {
    poai::backend::BackendError,
    poai::backend::Unsupported,
    poai::ChooseError,
    poai::execute::RunError,
    poai::execute::NetworkError,
    poai::execute::OpenError,
    poai::execute::TensorError,
    poai::execute::ValueError,
    poai::import::bert::BertError,
    poai::import::graph::GraphError,
    poai::import::quantise::QuantiseError,
    poai::import::store::StoreError,
    poai::inference::VerifyingKeyError,
    poai::inference::InferenceDecodeError,
    poai::MineError,
    poai::operand::OperandError,
    poai::program::ProgramError,
    poai::program::RunShapeError,
    poai::train::ClaimsError,
    poai::train::CommitError,
    poai::train::DataError,
    poai::train::InitialError,
    poai::train::LayersError,
    poai::train::TrainError,
    poai::train::TrainingExportError,
    poai::train::real::RealError,
    poai::verify::RulesError,
}

failed! {
    poai::prover::Defect,
    poai::prover::ProveError,
    poai::train::WatchError,
    poai::verify::inference::DeploymentError,
    poai::verify::train::RunCheckerError,
    serde_json::Error,
}

impl From<CircuitError> for Failure {
    /// Memory is the machine's; all else is what the caller asked for.
    fn from(error: CircuitError) -> Failure {
        match error {
            CircuitError::Memory(_) => Failure::failed(error),
            CircuitError::Signals(SignalsError::TooMany { input, output, .. }) => {
                Failure::usage(format!("{error} with --visibility {}", hashed(input, output)))
            }
            _ => Failure::usage(error),
        }
    }
}

/// The tensors to hash, so that few public inputs are left.
fn hashed(input: u64, output: u64) -> &'static str {
    // A hash is one public input, and committed weights are another.
    let few = SIGNALS_MAX as u64 - 2;
    match (input > few, output > few) {
        (true, true) => "input=hashed,output=hashed",
        (true, false) => "input=hashed",
        _ if input > output => "input=hashed",
        _ => "output=hashed",
    }
}

impl From<KeyError> for Failure {
    /// Files are the caller's; all else is the machine's or the key's maker's.
    fn from(error: KeyError) -> Failure {
        match error {
            KeyError::File { .. } | KeyError::Ceremony { .. } | KeyError::VerifyingKey(_) => {
                Failure::usage(error)
            }
            _ => Failure::failed(error),
        }
    }
}

verified! {
    poai::verify::VerifyError,
    poai::verify::inference::InferenceError,
    poai::verify::trace::TraceError,
    poai::verify::train::TrainingError,
}
