//! States before the first iteration.

use crate::iteration::{Iteration, State, StateStart};
use crate::numbers::WEIGHT;
use poai_core::program::Dtype;
use poai_engine::execute::{Tensor, TensorError};
use std::collections::BTreeMap;

/// 2^48, the square of the entry of a weight of 1.
const ONE_SQUARED: u64 = 1 << 48;
/// What a weight cannot reach.
const WEIGHT_MAX: f32 = 128.0;

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

/// Why numbers of another model are no first states.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InitialError {
    /// No parameter has the name.
    #[error("expected names of the iteration's parameters, got {0:?}; see Iteration::states")]
    Name(String),
    /// A parameter has another number of entries.
    #[error("{parameter}: expected {expected} numbers, got {got}; give them row by row")]
    Length {
        /// The parameter.
        parameter: String,
        /// Its entries.
        expected: usize,
        /// The numbers.
        got: usize,
    },
    /// A number does not fit a state.
    #[error("{parameter}: expected finite numbers below 128, got {got} at {at}; scale the model")]
    Range {
        /// The parameter.
        parameter: String,
        /// The entry, row by row from 0.
        at: usize,
        /// The number.
        got: f32,
    },
    /// A state is no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// States that begin with another model's numbers: those of some parameters, by name
/// and row by row, each rounded to 2^−24. The rest is as [`initial`] makes it.
///
/// # Errors
/// [`InitialError`] names the parameter.
pub fn imported(
    iteration: &Iteration,
    seed: &[u8; 32],
    numbers: &BTreeMap<String, Vec<f32>>,
) -> Result<Vec<Tensor>, InitialError> {
    let states = iteration.states();
    let own = |name: &String| {
        states.iter().any(|state| state.moment.is_none() && state.parameter == *name)
    };
    if let Some(name) = numbers.keys().find(|name| !own(name)) {
        return Err(InitialError::Name(name.clone()));
    }
    let mut tensors = vec![];
    for state in states {
        let given = numbers.get(&state.parameter).filter(|_| state.moment.is_none());
        tensors.push(match given {
            Some(numbers) => of_numbers(state, numbers)?,
            None => one(state, seed)?,
        });
    }
    Ok(tensors)
}

fn of_numbers(state: &State, numbers: &[f32]) -> Result<Tensor, InitialError> {
    let (rows, columns) = (state.rows as usize, state.columns as usize);
    let parameter = || state.parameter.clone();
    let (expected, got) = (rows * columns, numbers.len());
    if expected != got {
        return Err(InitialError::Length { parameter: parameter(), expected, got });
    }
    if let Some(at) = numbers.iter().position(|x| !x.is_finite() || x.abs() >= WEIGHT_MAX) {
        return Err(InitialError::Range { parameter: parameter(), at, got: numbers[at] });
    }
    let one = f64::from(1 << WEIGHT);
    // A number next to 128 saturates.
    let entries: Vec<i32> = numbers.iter().map(|&x| (f64::from(x) * one).round() as i32).collect();
    Ok(Tensor::new(rows, columns, Dtype::I32, &entries)?)
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
