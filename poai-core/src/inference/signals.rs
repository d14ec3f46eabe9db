//! The signals of a proof: one to six field elements, which are its public
//! inputs.

use super::binding::Binding;
use super::element::FieldElement;
use super::field;
use super::packing::Entries;
use super::visibility::{TensorVisibility, Visibility, WeightsVisibility};
use crate::encoding::bytes::through_bytes;
use crate::program::{Extent, Program, RunShape, RunShapeError};
use alloc::vec::Vec;

/// The largest number of signals of a statement. Each costs gas on the EVM.
pub const SIGNALS_MAX: usize = 6;

/// Why elements or bytes are not signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalsError {
    /// Public tensors have too many entries.
    #[error(
        "expected at most {SIGNALS_MAX} public inputs, got {count}, of them {input} for the input \
         and {output} for the output; let large tensors be hashed"
    )]
    TooMany {
        /// Number of all signals.
        count: u64,
        /// Number of signals for the input.
        input: u64,
        /// Number of signals for the output.
        output: u64,
    },
    /// The number of elements does not fit any statement.
    #[error("expected 1 to {SIGNALS_MAX} signals, got {0}")]
    Count(usize),
    /// The bytes do not have the length of signals.
    #[error("expected 1 to {SIGNALS_MAX} words of 32 bytes, got {0} bytes")]
    Length(usize),
    /// A word is not below the field's modulus.
    #[error("expected signal {index} below the field's modulus, got a larger word")]
    Element {
        /// Index of the signal.
        index: usize,
    },
    /// The program has no run of this shape.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// A part of the statement has another number of elements than its layout.
    #[error("expected {expected} signals for the {part} by the layout, got {got}")]
    Part {
        /// The part: "input", "weights", "output" or "whole".
        part: &'static str,
        /// Number of signals in the layout.
        expected: usize,
        /// Number of given signals.
        got: usize,
    },
}

/// The public inputs, one to six, in the order of [`Layout`].
///
/// A verifier compares the first signal with the binding. The others identify
/// the input, weights and output that were proven. Callers must split them
/// ([`Layout::split`]) and compare them with their request. No signal states
/// the run (batch, sequence): a key is for one run, which is registered with
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signals(Vec<FieldElement>);

through_bytes!(Signals);

impl Signals {
    /// Signals with these elements.
    ///
    /// # Errors
    /// [`SignalsError::Count`].
    pub fn new(elements: Vec<FieldElement>) -> Result<Signals, SignalsError> {
        match elements.len() {
            1..=SIGNALS_MAX => Ok(Signals(elements)),
            count => Err(SignalsError::Count(count)),
        }
    }

    /// The elements.
    pub fn elements(&self) -> &[FieldElement] {
        &self.0
    }

    /// The first signal, which binds program, job, prover and MACs.
    pub fn binding(&self) -> FieldElement {
        // There is at least one.
        self.0.first().copied().unwrap_or_default()
    }

    /// The signals as 32-byte big-endian words, in the EVM's format.
    pub fn words(&self) -> Vec<[u8; 32]> {
        self.0.iter().map(FieldElement::to_bytes).collect()
    }

    /// The canonical bytes: the words one after another.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words().into_flattened()
    }

    /// Reads the canonical bytes. The number of signals follows from the
    /// length.
    ///
    /// # Errors
    /// [`SignalsError::Length`], [`SignalsError::Element`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Signals, SignalsError> {
        let (words, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || !(1..=SIGNALS_MAX).contains(&words.len()) {
            return Err(SignalsError::Length(bytes.len()));
        }
        let element = |(index, word)| {
            field::of_word(word).map(FieldElement).ok_or(SignalsError::Element { index })
        };
        Ok(Signals(words.iter().enumerate().map(element).collect::<Result<_, _>>()?))
    }
}

/// The place of each signal: the binding, the input's, the weights' commitment,
/// the output's.
///
/// It follows from the visibility and the tensors' sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    visibility: Visibility,
    input: usize,
    output: usize,
}

/// The signals of a statement, split into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The binding of program, job, prover and MACs.
    pub binding: FieldElement,
    /// The input: packed entries, a commitment, or empty.
    pub input: &'a [FieldElement],
    /// The weights' commitment, if weights are committed.
    pub weights: Option<FieldElement>,
    /// The output: packed entries, a commitment, or empty.
    pub output: &'a [FieldElement],
}

impl Layout {
    /// The layout for an input and an output with these entries.
    ///
    /// # Errors
    /// [`SignalsError::TooMany`] states the number of signals that it would
    /// have.
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

    /// The layout for a run of a program. A verifier computes it from what a
    /// registrar registered, and never takes it from a prover.
    ///
    /// # Errors
    /// [`SignalsError::TooMany`], and [`SignalsError::Run`] if the program has
    /// no run of this shape.
    pub fn of(
        program: &Program,
        run: &RunShape,
        visibility: Visibility,
    ) -> Result<Layout, SignalsError> {
        let extents = program.extents(run)?;
        let entries = |extent: Option<&Extent>| extent.map_or(Entries::NONE, Entries::of);
        Layout::new(visibility, entries(extents.first()), entries(extents.last()))
    }

    /// The visibility.
    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// Number of signals.
    pub fn count(&self) -> usize {
        1 + self.input + weights(self.visibility) + self.output
    }

    /// Number of signals for the input.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Number of signals for the output.
    pub fn output(&self) -> usize {
        self.output
    }

    /// Assembles the signals of a statement.
    ///
    /// # Errors
    /// [`SignalsError::Part`] for a part of another size.
    pub fn assemble(
        &self,
        binding: &Binding,
        input: &[FieldElement],
        weights: Option<FieldElement>,
        output: &[FieldElement],
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

    /// Splits the signals of a statement into parts.
    ///
    /// # Errors
    /// [`SignalsError::Part`] if there are more or fewer signals.
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
