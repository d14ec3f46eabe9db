//! Reads `deployment.json`, as `poai prove --out` writes it. The library only
//! writes it.

use crate::failure::Failure;
use poai::Job;
use poai::inference::{
    Address, Binding, Calldata, Groth16Proof, InferenceProof, Signals, VerifyingKeyDigest, evm,
};
use serde_json::Value;
use std::path::Path;
use std::str::FromStr;

/// The fields that are read of a deployment.
pub struct Deployment {
    /// The values that the proof is bound to.
    pub binding: Binding,
    /// The proof with its signals and its key's digest.
    pub proof: InferenceProof,
    /// The call that the prover sends to the registry.
    pub calldata: Calldata,
    /// The contract's name.
    pub contract: String,
    /// The contract's source.
    pub source: String,
}

/// Why a text is not a deployment.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentFileError {
    /// The text is not JSON.
    #[error(
        "expected the JSON of a deployment, got other text ({0}); take deployment.json of `poai prove --out`"
    )]
    Json(#[from] serde_json::Error),
    /// A field is missing or has another type.
    #[error(
        "expected a deployment, got no usable field `{0}`; take deployment.json of `poai prove --out`"
    )]
    Field(&'static str),
    /// Words are not a proof or not signals.
    #[error("field `{field}`: {why}")]
    Words {
        /// The field.
        field: &'static str,
        /// The reason.
        why: String,
    },
}

impl Deployment {
    /// Reads the JSON of a deployment.
    pub fn parse(text: &[u8]) -> Result<Deployment, DeploymentFileError> {
        let object: Value = serde_json::from_slice(text)?;
        let binding = Binding {
            program: parsed(&object, "program_id")?,
            job: parsed::<Job>(&object, "job")?,
            prover: parsed::<Address>(&object, "prover")?,
            macs: parsed(&object, "macs")?,
        };
        let words = words(&object, "proof")?;
        let words: [[u8; 32]; 8] =
            words.try_into().map_err(|_| DeploymentFileError::Field("proof"))?;
        let wrong = |field| move |why: String| DeploymentFileError::Words { field, why };
        let proof =
            Groth16Proof::of_words(&words).map_err(|why| wrong("proof")(why.to_string()))?;
        let signals = self::words(&object, "signals")?.concat();
        let signals =
            Signals::from_bytes(&signals).map_err(|why| wrong("signals")(why.to_string()))?;
        let key: VerifyingKeyDigest = parsed(&object, "verifying_key")?;
        let calldata = object.get("calldata").cloned().map(serde_json::from_value);
        let calldata =
            calldata.and_then(Result::ok).ok_or(DeploymentFileError::Field("calldata"))?;
        let verifier = object.get("verifier").unwrap_or(&Value::Null);
        Ok(Deployment {
            binding,
            proof: InferenceProof { proof, key, signals },
            calldata,
            contract: text_of(verifier, "name")?.to_owned(),
            source: text_of(verifier, "source")?.to_owned(),
        })
    }

    /// Reads a file's bytes, naming the file in errors.
    pub fn of_file(path: &Path, bytes: &[u8]) -> Result<Deployment, Failure> {
        Deployment::parse(bytes).map_err(|why| Failure::in_file(path)(&why))
    }

    /// The calldata that follows from the proof and its binding.
    pub fn implied_calldata(&self) -> Calldata {
        let Binding { program, job, .. } = &self.binding;
        evm::verify_inference_calldata(program, job, &self.proof)
    }
}

fn text_of<'a>(object: &'a Value, field: &'static str) -> Result<&'a str, DeploymentFileError> {
    object.get(field).and_then(Value::as_str).ok_or(DeploymentFileError::Field(field))
}

fn parsed<T: FromStr>(object: &Value, field: &'static str) -> Result<T, DeploymentFileError> {
    text_of(object, field)?.parse().map_err(|_| DeploymentFileError::Field(field))
}

fn words(object: &Value, field: &'static str) -> Result<Vec<[u8; 32]>, DeploymentFileError> {
    let wrong = || DeploymentFileError::Field(field);
    let list = object.get(field).and_then(Value::as_array).ok_or_else(wrong)?;
    let word =
        |value: &Value| -> Option<[u8; 32]> { hex::decode(value.as_str()?).ok()?.try_into().ok() };
    list.iter().map(|value| word(value).ok_or_else(wrong)).collect()
}
