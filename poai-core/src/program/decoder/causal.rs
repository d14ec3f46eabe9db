//! Causal programs: no value of a token depends on later tokens (spec §11).
//!
//! The check is static: it follows where each step keeps a token's entries.
//! Decoding token by token with a cache then gives the values of one pass over
//! the whole sequence, bit for bit.

use super::DecoderOp;
use crate::program::op::{Op, ValueId};
use crate::program::tensor::{BatchAxis, Dim, Form, Per};
use crate::program::{Program, Step};
use alloc::string::String;
use alloc::vec::Vec;

/// Where a value has the entries of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In rows: token i of an item has `parts` rows, from i·parts on.
    Rows {
        /// Rows of a token.
        parts: u32,
    },
    /// In the rows head·sequence + i of each of several heads.
    Heads {
        /// The number of heads, at least 2: one head has plain rows.
        heads: u32,
    },
    /// In column i.
    Columns,
    /// In no place of its own, but for each answer one row.
    Answers,
}

/// Why the values of a step do not follow the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Uncausal {
    /// The step's kind may mix tokens.
    Kind,
    /// An input has its tokens elsewhere than the step reads them, or nowhere.
    Input {
        /// Which input.
        input: usize,
    },
}

impl core::fmt::Display for Uncausal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Uncausal::Kind => f.write_str("got a kind that may mix tokens"),
            Uncausal::Input { input } => {
                write!(f, "got tokens in other places, or in none, in input {input}")
            }
        }
    }
}

/// Why a program is not causal: the first step whose values may depend on later
/// tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "step {step} ({op}), value {}: expected values of a token from this token and earlier ones, {why}",
    value.0
)]
pub struct CausalityError {
    /// The step's name.
    pub step: String,
    /// The step's kind.
    pub op: &'static str,
    /// The step's value.
    pub value: ValueId,
    /// What is wrong.
    pub why: Uncausal,
}

impl Program {
    /// Checks that the program is causal: that no value of a token, or of an
    /// answer, depends on later tokens (spec §11).
    ///
    /// # Errors
    /// [`CausalityError`] names the first step that may mix tokens.
    pub fn causality(&self) -> Result<(), CausalityError> {
        let mut places: Vec<Option<Place>> = self.inputs().iter().map(of_input).collect();
        for (index, step) in self.steps().iter().enumerate() {
            let value = ValueId((self.inputs().len() + index) as u32);
            let place = of_step(self, step, &places).map_err(|why| CausalityError {
                step: step.name.clone(),
                op: step.op.name(),
                value,
                why,
            })?;
            places.push(Some(place));
        }
        Ok(())
    }

    /// Whether [`Program::causality`] holds.
    pub fn is_causal(&self) -> bool {
        self.causality().is_ok()
    }
}

/// Where an input of the program has its tokens.
fn of_input(form: &Form) -> Option<Place> {
    let plain = form.rows == Dim::TOKENS && form.columns.is_fixed();
    (plain && form.batch == BatchAxis::Rows).then_some(Place::Rows { parts: 1 })
}

/// The rows of one or several heads.
fn heads(heads: u32) -> Place {
    if heads == 1 { Place::Rows { parts: 1 } } else { Place::Heads { heads } }
}

/// Where a step's output has its tokens.
fn of_step(program: &Program, step: &Step, places: &[Option<Place>]) -> Result<Place, Uncausal> {
    let place = |input: usize| {
        let value = step.inputs.get(input);
        value.and_then(|value| *places.get(value.0 as usize)?).ok_or(Uncausal::Input { input })
    };
    let expect = |input: usize, expected: Place| match place(input)? {
        got if got == expected => Ok(()),
        _ => Err(Uncausal::Input { input }),
    };
    // Lengths, starts and requests are inputs of the program: a step with one row
    // an item has no place, and fails by itself.
    const PLAIN: Place = Place::Rows { parts: 1 };
    match &step.op {
        Op::Linear { .. }
        | Op::Add { .. }
        | Op::Requantise { .. }
        | Op::Relu
        | Op::Table { .. }
        | Op::Curve { .. }
        | Op::Mul { .. }
        | Op::Normalise { .. }
        | Op::L2Normalise
        | Op::ScaleColumns { .. }
        | Op::RowScale
        | Op::Quantise
        | Op::Embed { .. }
        | Op::Decoder(DecoderOp::RmsNorm { .. } | DecoderOp::Limb { .. }) => {
            let first = place(0)?;
            if first == Place::Columns {
                return Err(Uncausal::Input { input: 0 });
            }
            (1..step.inputs.len()).try_for_each(|input| expect(input, first))?;
            Ok(first)
        }
        Op::Decoder(DecoderOp::Mix { scale, .. }) => {
            let first = place(0)?;
            let scale = program.constants().get(scale.0 as usize);
            let own = scale.map_or(0, |scale| scale.extent.rows) / step.form.columns.units.max(1);
            // Scales of several heads belong to rows of (head, i).
            match first {
                Place::Columns => Err(Uncausal::Input { input: 0 }),
                Place::Heads { heads } if own == heads => Ok(first),
                _ if own == 1 => Ok(first),
                _ => Err(Uncausal::Input { input: 0 }),
            }
        }
        // Row i of the table belongs to place i only in plain rows.
        Op::AddRows { .. } => expect(0, PLAIN).map(|()| PLAIN),
        Op::Reshape { rows, columns } => {
            let Place::Rows { .. } = place(0)? else { return Err(Uncausal::Input { input: 0 }) };
            if rows.per != Per::Token || !columns.is_fixed() {
                return Err(Uncausal::Kind);
            }
            Ok(Place::Rows { parts: rows.units })
        }
        Op::Transpose => match place(0)? {
            PLAIN => Ok(Place::Columns),
            Place::Columns => Ok(PLAIN),
            _ => Err(Uncausal::Input { input: 0 }),
        },
        Op::Decoder(DecoderOp::Rotary { heads: count, .. }) => {
            expect(0, PLAIN).map(|()| heads(*count))
        }
        Op::Decoder(DecoderOp::Attention { heads: queries, key_heads, .. }) => {
            for (input, count) in [*queries, *queries, *key_heads, *key_heads].iter().enumerate() {
                expect(input, heads(*count))?;
            }
            expect(4, Place::Columns)?;
            Ok(PLAIN)
        }
        Op::Decoder(DecoderOp::Tail) => {
            expect(0, PLAIN)?;
            Ok(Place::Answers)
        }
        Op::Decoder(DecoderOp::Sample { .. }) => {
            let rows = place(0)?;
            match rows {
                PLAIN | Place::Answers => Ok(rows),
                _ => Err(Uncausal::Input { input: 0 }),
            }
        }
        _ => Err(Uncausal::Kind),
    }
}
