//! Hiding commitments to tensors and weights: Poseidon over packed entries and
//! a salt, outside circuits as in them.

use super::multipliers;
use ark_bn254::Fr;
use ark_ff::PrimeField;
use light_poseidon::{Poseidon, PoseidonError, PoseidonHasher};
use poai_core::digest::ArchitectureId;
use poai_core::inference::packing::{PackingError, pack};
use poai_core::program::{Dtype, Extent};
use poai_engine::execute::{Network, Tensor};

/// Inputs of the widest instance of Poseidon.
const INPUTS_MAX: usize = 12;

/// Why there is no commitment: tensors have entries of their type, and the hash
/// has all instances, so that neither happens.
#[derive(Debug, thiserror::Error)]
pub enum CommitmentError {
    /// An entry is not of its type.
    #[error(transparent)]
    Packing(#[from] PackingError),
    /// The hash has no such instance.
    #[error(transparent)]
    Poseidon(#[from] PoseidonError),
}

/// What hides a commitment: 31 random bytes. Whoever has them, the tensor and
/// the commitment can check that they belong together; without them a
/// commitment to few possible tensors still tells nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 31]);

impl std::fmt::Debug for Salt {
    /// Not the bytes: they are a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(…)")
    }
}

impl Salt {
    /// As a field element; every salt another one.
    pub(super) fn element(&self) -> Fr {
        Fr::from_le_bytes_mod_order(&self.0)
    }
}

/// What a commitment is to: in its first element.
pub(super) fn tag(extent: &Extent) -> Fr {
    let mut bytes = *b"poai:tensor\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    bytes[11] = match extent.dtype {
        Dtype::I8 => 1,
        Dtype::I16 => 2,
        Dtype::I32 => 4,
    };
    bytes[12..16].copy_from_slice(&extent.rows.to_le_bytes());
    bytes[16..20].copy_from_slice(&extent.columns.to_le_bytes());
    Fr::from_le_bytes_mod_order(&bytes)
}

/// The same of the weights of an architecture.
pub(super) fn weights_tag(architecture: &ArchitectureId) -> Fr {
    let mut bytes = *b"poai:weights\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (to, from) in bytes.iter_mut().skip(12).zip(architecture.as_bytes()) {
        *to = *from;
    }
    Fr::from_le_bytes_mod_order(&bytes)
}

/// The commitment to a network's constants and to its steps' multipliers (of add
/// and requantise, where they have a shift) under a salt: what circuits of
/// committed weights have as a signal.
///
/// # Errors
/// [`CommitmentError`]: a defect of the library.
pub fn commit_weights(network: &Network, salt: &Salt) -> Result<Fr, CommitmentError> {
    let mut elements = vec![weights_tag(&network.program().architecture_id()), salt.element()];
    for held in network.constants() {
        elements.extend(pack(held.tensor.extent().dtype, &held.tensor.entries())?);
    }
    let multipliers: Vec<i32> = multipliers::of(network.program()).collect();
    elements.extend(pack(Dtype::I32, &multipliers)?);
    chain(&elements)
}

/// The commitment to a tensor under a salt.
///
/// # Errors
/// [`CommitmentError`]: a defect of the library.
pub fn commit(tensor: &Tensor, salt: &Salt) -> Result<Fr, CommitmentError> {
    let extent = tensor.extent();
    let mut elements = vec![tag(extent), salt.element()];
    elements.extend(pack(extent.dtype, &tensor.entries())?);
    chain(&elements)
}

/// [`super::circuit`]'s chain of hashes, of values.
fn chain(elements: &[Fr]) -> Result<Fr, CommitmentError> {
    let (first, rest) = elements.split_at(elements.len().min(INPUTS_MAX));
    let mut hash = Poseidon::<Fr>::new_circom(first.len())?.hash(first)?;
    for part in rest.chunks(INPUTS_MAX - 1) {
        let inputs: Vec<Fr> = [hash].into_iter().chain(part.iter().copied()).collect();
        hash = Poseidon::<Fr>::new_circom(inputs.len())?.hash(&inputs)?;
    }
    Ok(hash)
}
