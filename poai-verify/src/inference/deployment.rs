//! Everything that a script needs to send a proof to the contracts, as one
//! object.

use super::solidity::{NameError, solidity};
use alloc::string::String;
use poai_core::inference::{
    Address, Binding, Calldata, FieldElement, InferenceProof, Layout, Signals, SignalsError,
    VerifyingKey, VerifyingKeyDigest, Visibility, evm,
};
use poai_core::{Job, ProgramId};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

/// Why the object cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeploymentError {
    /// The contract's name is invalid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The signals do not match the layout.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// The proof is for another key.
    #[error("expected a proof of the given key, got one of {0}")]
    Key(VerifyingKeyDigest),
    /// The proof has another binding.
    #[error("expected a proof of this program, job, prover and MACs, got another binding")]
    Binding,
}

/// The source of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractSource {
    /// The contract's name.
    pub name: String,
    /// Its text in Solidity.
    pub source: String,
}

/// A verifier to deploy, a model to register and a proof to send, for scripts
/// that use a chain.
///
/// Words and calldata are hex without a prefix. The number of MACs is a decimal
/// string, because JavaScript's numbers have 53 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deployment {
    /// The contract that checks proofs of this key.
    pub verifier: ContractSource,
    /// The key's digest, under which the registry stores the program.
    pub verifying_key: VerifyingKeyDigest,
    /// The program.
    pub program_id: ProgramId,
    /// The job.
    pub job: Job,
    /// The prover, which has to send the proof.
    pub prover: Address,
    /// Multiply-accumulates of the run, which are part of the binding.
    #[serde(serialize_with = "decimal")]
    pub macs: u64,
    /// The visibility of input, output and weights.
    pub visibility: Visibility,
    /// Number of signals for the input.
    pub input_signals: usize,
    /// Number of signals for the output.
    pub output_signals: usize,
    /// The weights' commitment, if weights are committed.
    pub weights: Option<FieldElement>,
    /// The proof's eight words.
    #[serde(serialize_with = "words")]
    pub proof: [[u8; 32]; 8],
    /// The signals' words.
    #[serde(serialize_with = "signal_words")]
    pub signals: Signals,
    /// The calldata that the prover sends to the registry.
    pub calldata: Calldata,
}

impl Deployment {
    /// Assembles the object. `name` is the contract's name.
    ///
    /// # Errors
    /// [`DeploymentError`] if the parts do not belong together. It does not
    /// check whether the proof is valid.
    pub fn new(
        binding: &Binding,
        layout: &Layout,
        key: &VerifyingKey,
        proof: &InferenceProof,
        name: &str,
    ) -> Result<Deployment, DeploymentError> {
        if proof.key != key.digest() {
            return Err(DeploymentError::Key(proof.key));
        }
        let parts = layout.split(&proof.signals)?;
        if parts.binding != binding.signal() {
            return Err(DeploymentError::Binding);
        }
        Ok(Deployment {
            verifier: ContractSource { name: name.into(), source: solidity(key, name)? },
            verifying_key: proof.key,
            program_id: binding.program,
            job: binding.job,
            prover: binding.prover,
            macs: binding.macs,
            visibility: layout.visibility(),
            input_signals: layout.input(),
            output_signals: layout.output(),
            weights: parts.weights,
            proof: proof.proof.words(),
            signals: proof.signals.clone(),
            calldata: evm::verify_inference_calldata(&binding.program, &binding.job, proof),
        })
    }
}

fn decimal<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(number)
}

fn words<S: Serializer>(words: &[[u8; 32]], to: S) -> Result<S::Ok, S::Error> {
    let mut sequence = to.serialize_seq(Some(words.len()))?;
    for word in words {
        sequence.serialize_element(&super::solidity::hex(word))?;
    }
    sequence.end()
}

fn signal_words<S: Serializer>(signals: &Signals, to: S) -> Result<S::Ok, S::Error> {
    words(&signals.words(), to)
}
