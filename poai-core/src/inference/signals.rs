//! A proof's public inputs: at most six field elements.

use super::binding::Binding;
use super::packing::Entries;
use super::visibility::{TensorVisibility, Visibility, WeightsVisibility};
use super::{Fr, field};
use crate::encoding::bytes::through_bytes;
use alloc::vec::Vec;

/// The most signals of a statement: each costs gas on the EVM.
pub const SIGNALS_MAX: usize = 6;

/// Why there are no such signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalsError {
    /// Public tensors have too many entries.
    #[error(
        "{count} public inputs, of them {input} for the input and {output} for the output, where \
         {SIGNALS_MAX} are the most: let large tensors be hashed"
    )]
    TooMany {
        /// All that there would be.
        count: u64,
        /// The input's.
        input: u64,
        /// The output's.
        output: u64,
    },
    /// A number of elements that no statement has.
    #[error("{0} signals: 1 to {SIGNALS_MAX} are permitted")]
    Count(usize),
    /// A number of bytes that no signals have.
    #[error("{0} bytes are no 1 to {SIGNALS_MAX} words of 32")]
    Length(usize),
    /// A word is not below the field's modulus.
    #[error("signal {index} is not below the field's modulus")]
    Element {
        /// Which.
        index: usize,
    },
    /// A part of the statement has another number of elements than its layout
    /// says.
    #[error("the {part} is {expected} signals by the layout, got {got}")]
    Part {
        /// Which: "input", "weights", "output" or "whole".
        part: &'static str,
        /// By the layout.
        expected: usize,
        /// What came.
        got: usize,
    },
}

/// The public inputs, one to six, in the order of [`Layout`].
///
/// A verifier compares the first with the binding. The others say which input,
/// weights and output were proven: callers split them ([`Layout::split`]) and
/// compare them with what they asked for. None says the run (batch, sequence):
/// a key is of one run, which is registered with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signals(Vec<Fr>);

through_bytes!(Signals);

impl Signals {
    /// Signals of these elements.
    ///
    /// # Errors
    /// [`SignalsError::Count`].
    pub fn new(elements: Vec<Fr>) -> Result<Signals, SignalsError> {
        match elements.len() {
            1..=SIGNALS_MAX => Ok(Signals(elements)),
            count => Err(SignalsError::Count(count)),
        }
    }

    /// The elements.
    pub fn elements(&self) -> &[Fr] {
        &self.0
    }

    /// The first one, which binds program, job, prover and MACs.
    pub fn binding(&self) -> Fr {
        // There is at least one.
        self.0.first().copied().unwrap_or_default()
    }

    /// As 32-byte big-endian words, the EVM's way.
    pub fn words(&self) -> Vec<[u8; 32]> {
        self.0.iter().map(field::to_word).collect()
    }

    /// The canonical bytes: the words one after another.
    pub fn encode(&self) -> Vec<u8> {
        self.words().into_flattened()
    }

    /// Reads the canonical bytes; how many signals follows from the length.
    ///
    /// # Errors
    /// [`SignalsError::Length`], [`SignalsError::Element`].
    pub fn decode(bytes: &[u8]) -> Result<Signals, SignalsError> {
        let (words, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || !(1..=SIGNALS_MAX).contains(&words.len()) {
            return Err(SignalsError::Length(bytes.len()));
        }
        let element = |(index, word)| field::of_word(word).ok_or(SignalsError::Element { index });
        Ok(Signals(words.iter().enumerate().map(element).collect::<Result<_, _>>()?))
    }
}

/// Where each signal stands: the binding, the input's, the weights' commitment,
/// the output's. It follows from the visibility and the tensors' sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    visibility: Visibility,
    input: usize,
    output: usize,
}

/// The signals of a statement, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Binds program, job, prover and MACs.
    pub binding: Fr,
    /// Packed entries, a commitment, or nothing.
    pub input: &'a [Fr],
    /// The weights' commitment where weights are committed.
    pub weights: Option<Fr>,
    /// Packed entries, a commitment, or nothing.
    pub output: &'a [Fr],
}

impl Layout {
    /// The layout for an input and an output of these entries.
    ///
    /// # Errors
    /// [`SignalsError::TooMany`] says how many there would be.
    pub fn new(
        visibility: Visibility,
        input: Entries,
        output: Entries,
    ) -> Result<Layout, SignalsError> {
        let signals = |visibility, entries: Entries| match visibility {
            TensorVisibility::Public => entries.elements(),
            TensorVisibility::Hashed => 1,
            TensorVisibility::Private => 0,
        };
        let input = signals(visibility.input, input);
        let output = signals(visibility.output, output);
        let weights = weights(visibility) as u64;
        let count = input.saturating_add(output).saturating_add(1 + weights);
        if count > SIGNALS_MAX as u64 {
            return Err(SignalsError::TooMany { count, input, output });
        }
        // Exact: at most six.
        Ok(Layout { visibility, input: input as usize, output: output as usize })
    }

    /// The visibility.
    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// How many signals there are.
    pub fn count(&self) -> usize {
        1 + self.input + weights(self.visibility) + self.output
    }

    /// How many of them are the input's.
    pub fn input(&self) -> usize {
        self.input
    }

    /// How many of them are the output's.
    pub fn output(&self) -> usize {
        self.output
    }

    /// Puts the signals of a statement together.
    ///
    /// # Errors
    /// [`SignalsError::Part`] for a part of another size.
    pub fn assemble(
        &self,
        binding: &Binding,
        input: &[Fr],
        weights: Option<Fr>,
        output: &[Fr],
    ) -> Result<Signals, SignalsError> {
        let parts = [
            ("input", self.input, input.len()),
            ("weights", self::weights(self.visibility), usize::from(weights.is_some())),
            ("output", self.output, output.len()),
        ];
        for (part, expected, got) in parts {
            if expected != got {
                return Err(SignalsError::Part { part, expected, got });
            }
        }
        let mut elements = Vec::with_capacity(self.count());
        elements.push(binding.signal());
        elements.extend(input);
        elements.extend(weights);
        elements.extend(output);
        Signals::new(elements)
    }

    /// Takes the signals of a statement apart.
    ///
    /// # Errors
    /// [`SignalsError::Part`] where there are more or fewer.
    pub fn split<'a>(&self, signals: &'a Signals) -> Result<Parts<'a>, SignalsError> {
        let elements = signals.elements();
        let parts = || {
            let (binding, rest) = elements.split_first()?;
            let (input, rest) = rest.split_at_checked(self.input)?;
            let (weights, output) = rest.split_at_checked(weights(self.visibility))?;
            let weights = weights.first().copied();
            let parts = Parts { binding: *binding, input, weights, output };
            (output.len() == self.output).then_some(parts)
        };
        let (part, expected, got) = ("whole", self.count(), elements.len());
        parts().ok_or(SignalsError::Part { part, expected, got })
    }
}

/// The number of signals for the weights.
const fn weights(visibility: Visibility) -> usize {
    match visibility.weights {
        WeightsVisibility::Fixed => 0,
        WeightsVisibility::Committed => 1,
    }
}
