//! Why the example ends early.

use poai::backends::ChooseError;
use poai_core::puzzle::proof::EncodeError;
use poai_engine::execute::{ExecuteError, OpenError};
use poai_import::bert::BertError;
use poai_verify::trace::TraceError;
use poai_verify::{RulesError, VerifyError};
use std::path::PathBuf;

/// Why the example ends early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file of the model cannot be read.
    #[error("{}: {source}; scripts/fetch-minilm.sh gets the model", path.display())]
    Model { path: PathBuf, source: std::io::Error },
    /// The tokeniser's file is none.
    #[error("{}: {why}", path.display())]
    Tokeniser { path: PathBuf, why: String },
    /// A sentence is not tokenised.
    #[error("cannot tokenise: {0}")]
    Tokenise(String),
    /// The sentences cannot be read.
    #[error("{}: {source}", path.display())]
    Text { path: PathBuf, source: std::io::Error },
    /// The sentences are too many.
    #[error("{} has more than {limit} bytes", path.display())]
    Long { path: PathBuf, limit: u64 },
    /// There are no sentences.
    #[error("{} holds no sentence: one a line is wanted", path.display())]
    Empty { path: PathBuf },
    /// The model's files hold none.
    #[error("the model in {}: {source}", directory.display())]
    Weights { directory: PathBuf, source: Box<BertError> },
    /// The model does not take the sentences.
    #[error(transparent)]
    Bert(#[from] BertError),
    /// There is no such backend here.
    #[error(transparent)]
    Backend(#[from] ChooseError),
    /// The run failed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Nothing can be opened of the trace.
    #[error(transparent)]
    Prove(#[from] OpenError),
    /// The trace does not hold.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A proof has no bytes.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The difficulty is not permitted.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A win does not verify.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Standard output is closed or full.
    #[error("cannot write to stdout: {0}")]
    Print(std::io::Error),
}
