//! Why the example ends early.

use crate::digits::DigitsError;
use crate::statement::Unsaid;
use poai_core::program::ProgramError;
use poai_engine::execute::{NetworkError, TensorError};
use poai_import::graph::GraphError;
use poai_import::onnx::OnnxError;
use poai_import::quantise::QuantiseError;
use poai_prover::CircuitError;
use poai_prover::estimate::{EstimateError, MemoryError};
use poai_prover::iden3::r1cs::ExportError;
use poai_prover::iden3::zkey::ZkeyError;
use poai_prover::keys::{KeyFileError, KeyProblem};
use poai_prover::prove::ProveError;
use poai_prover::setup::SetupError;
use poai_verify::inference::{DeploymentError, InferenceError};
use std::path::PathBuf;

/// Why there is no proof, or none that holds.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the digits: {0}")]
    Digits(#[from] DigitsError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: more than {limit} bytes", path.display())]
    Large { path: PathBuf, limit: u64 },
    #[error("{name}: {source}")]
    Onnx { name: String, source: Box<OnnxError> },
    #[error("{}: line {line} is not {columns} finite numbers separated by commas", path.display())]
    Sample { path: PathBuf, line: usize, columns: usize },
    #[error(
        "the network's input is no image of a digit ({entries} entries): --samples has to \
             name a file of samples"
    )]
    NoSamples { entries: usize },
    #[error("--image {image} with --batch {batch}: there are {count} samples")]
    Image { image: usize, batch: usize, count: usize },
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    #[error(transparent)]
    Identity(#[from] KeyProblem),
    #[error("{}: {source}", path.display())]
    Zkey { path: PathBuf, source: ZkeyError },
    #[error("{}: {source}", path.display())]
    Export { path: PathBuf, source: ExportError },
    #[error("{}: it is there already; --out makes a new folder", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Estimate(#[from] EstimateError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Prove(#[from] ProveError),
    #[error("the verifier refuses the proof: {0}")]
    Verify(#[from] InferenceError),
    #[error("the proof holds, and does not say what it should: {0}")]
    Unsaid(#[from] Unsaid),
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot write to stdout: {0}")]
    Print(std::io::Error),
}

impl Failure {
    /// 2 where arguments or files are wrong, 1 where there is no proof of what
    /// was rightly asked for.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Estimate(_)
            | Failure::Memory(_)
            | Failure::Setup(_)
            | Failure::Prove(_)
            | Failure::Verify(_)
            | Failure::Unsaid(_)
            | Failure::Deployment(_)
            | Failure::Json(_) => 1,
            _ => 2,
        }
    }

    /// Names the file.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Failure {
        let path = path.into();
        move |source| Failure::Io { path, source }
    }
}
