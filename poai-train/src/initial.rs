//! States before the first iteration.

use crate::iteration::{Iteration, State, StateStart};
use crate::numbers::WEIGHT;
use poai_core::program::Dtype;
use poai_engine::execute::{Tensor, TensorError};

/// 2^48, the square of the entry of a weight of 1.
const ONE_SQUARED: u64 = 1 << 48;

/// Weights drawn uniformly from ±√(6/columns) (He et al. 2015), ones for γ, and
/// zeros for biases and moments.
///
/// The entries are those of a seed on every machine: words of BLAKE3's
/// extendable output of "poai weights ", the parameter's name, a space and the
/// seed's hexadecimal digits.
///
/// # Errors
/// [`TensorError`] if a state is no tensor, which no built iteration has.
pub fn initial(iteration: &Iteration, seed: &[u8; 32]) -> Result<Vec<Tensor>, TensorError> {
    iteration.states().iter().map(|state| one(state, seed)).collect()
}

fn one(state: &State, seed: &[u8; 32]) -> Result<Tensor, TensorError> {
    let (rows, columns) = (state.rows as usize, state.columns as usize);
    let entries = match state.start {
        StateStart::Zeros => vec![0; rows * columns],
        StateStart::Ones => vec![1 << WEIGHT; rows * columns],
        StateStart::Entry(entry) => vec![entry; rows * columns],
        StateStart::Uniform => uniform(state, seed),
    };
    Tensor::new(rows, columns, Dtype::I32, &entries)
}

fn uniform(state: &State, seed: &[u8; 32]) -> Vec<i32> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("poai weights {} ", state.parameter).as_bytes());
    hasher.update(blake3::Hash::from_bytes(*seed).to_hex().as_bytes());
    let half = (6 * ONE_SQUARED / u64::from(state.columns.max(1))).isqrt();
    let mut bytes = vec![0; 4 * state.rows as usize * state.columns as usize];
    hasher.finalize_xof().fill(&mut bytes);
    let entry = |&word: &[u8; 4]| {
        // Exact: half is below 2^26.
        (u64::from(u32::from_le_bytes(word)) % (2 * half + 1)) as i32 - half as i32
    };
    bytes.as_chunks::<4>().0.iter().map(entry).collect()
}
