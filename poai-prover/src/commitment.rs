//! Hiding commitments to tensors and weights.
//!
//! A commitment is Poseidon over packed entries and a salt. This module
//! computes it outside circuits, as [`super::circuit`] does inside them.

use super::defect::Defect;
use super::indices;
use super::multipliers;
use super::random::{self, RandomError};
use ark_bn254::Fr;
use ark_ff::PrimeField;
use light_poseidon::{Poseidon, PoseidonError, PoseidonHasher};
use poai_core::digest::{ArchitectureId, Root};
use poai_core::inference::FieldElement;
use poai_core::inference::packing::{PackingError, pack};
use poai_core::program::{Dtype, Extent};
use poai_engine::execute::{Network, Tensor};

/// Number of inputs of the widest instance of Poseidon.
const INPUTS_MAX: usize = 12;

/// 31 random bytes that hide a commitment.
///
/// A party that has the salt and the tensor can check that a commitment belongs
/// to them. Without the salt, the commitment reveals nothing, even if only a
/// few tensors are possible.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 31]);

impl std::fmt::Debug for Salt {
    /// Omits the bytes, because they are a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(…)")
    }
}

impl Salt {
    /// A new salt, from the operating system's randomness.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn random() -> Result<Salt, RandomError> {
        random::bytes().map(Salt)
    }

    /// The salt as a field element. Different salts give different elements.
    pub(super) fn element(&self) -> Fr {
        Fr::from_le_bytes_mod_order(&self.0)
    }
}

/// The salts of a proof's commitments to input, weights and output. A part that
/// is not committed does not use its salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salts {
    /// The salt of the input's commitment.
    pub input: Salt,
    /// The salt of the weights' commitment.
    pub weights: Salt,
    /// The salt of the output's commitment.
    pub output: Salt,
}

impl Salts {
    /// New salts, from the operating system's randomness.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn random() -> Result<Salts, RandomError> {
        let [input, weights, output] = [Salt::random()?, Salt::random()?, Salt::random()?];
        Ok(Salts { input, weights, output })
    }
}

/// The first element of a tensor's hash, which states the tensor's type and
/// extent.
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

/// The first element of the hash of weights, which states their architecture.
pub(super) fn weights_tag(architecture: &ArchitectureId) -> Fr {
    let mut bytes = *b"poai:weights\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (to, from) in bytes.iter_mut().skip(12).zip(architecture.as_bytes()) {
        *to = *from;
    }
    Fr::from_le_bytes_mod_order(&bytes)
}

/// The element by which a commitment to weights binds an index.
pub(super) fn index_element(root: &Root) -> Fr {
    let bytes = root.as_bytes();
    Fr::from_le_bytes_mod_order(bytes.get(..31).unwrap_or(bytes))
}

/// The commitment to a network's weights under a salt.
///
/// It covers the network's constants and the multipliers of its add and requantise steps that have
/// a shift. It binds the indices of arrange steps by their roots, because they are part of a
/// circuit. A circuit of committed weights has it as a signal.
///
/// # Errors
/// [`Defect`]: a tensor's entries are of its type, and the hash has every
/// instance that is used here.
pub fn commit_weights(network: &Network, salt: &Salt) -> Result<FieldElement, Defect> {
    let mut elements = vec![weights_tag(&network.program().architecture_id()), salt.element()];
    let program = network.program();
    let all = network.constants().iter().zip(program.constants()).zip(indices::of(program));
    for ((held, constant), is_index) in all {
        if is_index {
            elements.push(index_element(&constant.root));
        } else {
            elements.extend(packed(held.tensor.extent().dtype, &held.tensor.entries())?);
        }
    }
    let multipliers: Vec<i32> = multipliers::of(network.program()).collect();
    elements.extend(packed(Dtype::I32, &multipliers)?);
    chain(&elements)
}

/// The commitment to a tensor under a salt.
///
/// # Errors
/// [`Defect`]: a tensor's entries are of its type, and the hash has every
/// instance that is used here.
pub fn commit(tensor: &Tensor, salt: &Salt) -> Result<FieldElement, Defect> {
    let extent = tensor.extent();
    let mut elements = vec![tag(extent), salt.element()];
    elements.extend(packed(extent.dtype, &tensor.entries())?);
    chain(&elements)
}

fn packed(dtype: Dtype, entries: &[i32]) -> Result<impl Iterator<Item = Fr>, Defect> {
    let what = "expected entries of their tensor's type, got others";
    let elements = pack(dtype, entries).map_err(Defect::of::<PackingError>(what))?;
    Ok(elements.into_iter().map(Fr::from))
}

/// The chain of hashes of [`super::circuit`], computed on values.
fn chain(elements: &[Fr]) -> Result<FieldElement, Defect> {
    hashed(elements)
        .map(FieldElement::from)
        .map_err(Defect::of("expected an instance of Poseidon, got none"))
}

fn hashed(elements: &[Fr]) -> Result<Fr, PoseidonError> {
    let (first, rest) = elements.split_at(elements.len().min(INPUTS_MAX));
    let mut hash = Poseidon::<Fr>::new_circom(first.len())?.hash(first)?;
    for part in rest.chunks(INPUTS_MAX - 1) {
        let inputs: Vec<Fr> = [hash].into_iter().chain(part.iter().copied()).collect();
        hash = Poseidon::<Fr>::new_circom(inputs.len())?.hash(&inputs)?;
    }
    Ok(hash)
}
