//! Compares the signals of a proof that holds with the run.

use crate::failure::Failure;
use poai::execute::Tensor;
use poai::inference::packing::{PackingError, pack};
use poai::inference::{FieldElement, Signals, SignalsError, TensorVisibility};
use poai::prover::{Circuit, Defect, Proven, Salt, commit, commit_weights};

/// Why a proof's signals do not match the run.
#[derive(Debug, thiserror::Error)]
pub enum Unsaid {
    #[error(transparent)]
    Signals(#[from] SignalsError),
    #[error(transparent)]
    Packing(#[from] PackingError),
    #[error(transparent)]
    Commitment(#[from] Defect),
    #[error("its {0} differs")]
    Differs(&'static str),
}

impl From<Unsaid> for Failure {
    fn from(error: Unsaid) -> Failure {
        Failure::failed(format!(
            "expected signals of this run, got a valid proof of another statement: {error}"
        ))
    }
}

/// Compares signals with input, weights and output. A verifier does the same
/// that knows them and the salts of the hashed ones.
///
/// # Errors
/// [`Unsaid::Differs`] names the part.
pub fn check(
    circuit: &Circuit,
    input: &Tensor,
    proven: &Proven,
    signals: &Signals,
) -> Result<(), Unsaid> {
    let layout = circuit.layout();
    let visibility = layout.visibility();
    let parts = layout.split(signals)?;
    let salts = &proven.salts;
    if parts.input != shown(visibility.input, input, &salts.input)? {
        return Err(Unsaid::Differs("input"));
    }
    if let Some(weights) = parts.weights
        && weights != commit_weights(circuit.network(), &salts.weights)?
    {
        return Err(Unsaid::Differs("weights"));
    }
    match parts.output == shown(visibility.output, &proven.output, &salts.output)? {
        true => Ok(()),
        false => Err(Unsaid::Differs("output")),
    }
}

fn shown(
    visibility: TensorVisibility,
    tensor: &Tensor,
    salt: &Salt,
) -> Result<Vec<FieldElement>, Unsaid> {
    Ok(match visibility {
        TensorVisibility::Public => pack(tensor.extent().dtype, &tensor.entries())?,
        TensorVisibility::Hashed => vec![commit(tensor, salt)?],
        TensorVisibility::Private => vec![],
    })
}
