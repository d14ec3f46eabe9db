//! A program under construction, with the record that differentiates it.
//!
//! Forward calls add steps and note what they did. [`Tape::backward`] goes
//! through the notes in reverse, and each kind of note has one rule. So a rule
//! is written once, and serves every network.
//!
//! - `forward`: operands, products, embeddings, attention, sums.
//! - `norms`, `gates`, `pools`, `columns`: these layers, each with its rule.
//! - `exponents`: exponents of operands, of this iteration or the one before.
//! - `backward`: the rules of `forward`, and the sums of gradients.

mod backward;
mod columns;
mod exponents;
mod forward;
mod gates;
mod norms;
mod pools;

pub(crate) use exponents::Exponents;
pub(crate) use gates::Activation;

use crate::error::LayersError;
use crate::numbers::FULL;
use poai_core::program::training::{Shift, Sign};
use poai_core::program::{
    Builder, Clamp, ConstantId, Dtype, Form, Op, TrainingOp, ValueId, Window,
};
use poai_engine::execute::Constants;
use std::collections::{BTreeMap, BTreeSet};

/// The bits by which scores of attention are multiplied before their shift.
const SCORE_BITS: i32 = 12;

/// A parameter: its number among the tape's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ParameterId(pub(crate) usize);

/// A value whose entries stand for x·2^−fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carrier {
    pub(crate) value: ValueId,
    pub(crate) fraction: i32,
}

/// An i8 value whose entries stand for x·2^(e − fraction).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) value: ValueId,
    pub(crate) fraction: i32,
    /// e, or `None` for 0.
    pub(crate) exponent: Option<ValueId>,
}

/// A product with a parameter.
#[derive(Clone, Copy, Debug)]
struct Linear {
    x: Operand,
    weight: ParameterId,
    bias: Option<ParameterId>,
    y: ValueId,
}

/// Attention of queries, keys and values.
#[derive(Clone, Copy, Debug)]
struct Attention {
    /// Queries, keys, values.
    operands: [Operand; 3],
    /// The values whose gradients are theirs: the carriers, or the operands
    /// themselves.
    sources: [ValueId; 3],
    weights: ValueId,
    heads: u32,
    /// The multiplier of scores: 2^12 over the root of a head's width.
    multiplier: i32,
    y: ValueId,
}

/// Columns times γ, plus β.
#[derive(Clone, Copy, Debug)]
struct Affine {
    x: ValueId,
    /// The fraction of x.
    fraction: i32,
    gamma: ParameterId,
    /// γ in each row.
    gammas: ValueId,
    beta: ParameterId,
    /// A 0 for each row: the ids with which all rows read one.
    zeros: ValueId,
    y: ValueId,
}

/// What a forward call did.
#[derive(Clone, Debug)]
enum Note {
    /// Products of one operand with several parameters.
    Linear(Vec<Linear>),
    /// An operand of a carrier.
    Quantise {
        x: ValueId,
        y: ValueId,
    },
    Relu {
        x: ValueId,
        y: ValueId,
    },
    /// A function of one number.
    Gate {
        activation: Activation,
        index_shift: u8,
        x: ValueId,
        y: ValueId,
    },
    /// Entries that a mask keeps.
    Dropout {
        table: ConstantId,
        mask: ValueId,
        x: ValueId,
        y: ValueId,
    },
    Unfold {
        window: Window,
        x: ValueId,
        y: ValueId,
    },
    MaxPool {
        window: Window,
        x: ValueId,
        y: ValueId,
    },
    /// The means of squares of pixels.
    AveragePool {
        window: Window,
        x: ValueId,
        y: ValueId,
    },
    /// The mean of an item's rows.
    MeanPool {
        x: ValueId,
        y: ValueId,
    },
    Reshape {
        x: ValueId,
        y: ValueId,
    },
    /// A normalised residual stream.
    Normalise {
        centre: bool,
        x: ValueId,
        y: ValueId,
    },
    /// Columns times γ, plus β.
    Affine(Affine),
    /// Columns of one value as several values.
    Split {
        x: ValueId,
        parts: Vec<ValueId>,
    },
    /// The same numbers with another fraction or type.
    Same {
        x: ValueId,
        y: ValueId,
    },
    /// A sum of two carriers.
    Add {
        a: ValueId,
        b: ValueId,
        y: ValueId,
    },
    Attention(Attention),
    /// Rows of a parameter.
    Gather {
        table: ParameterId,
        ids: ValueId,
        y: ValueId,
    },
}

/// A parameter with its state.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// The weights as they are before the iteration.
    pub(crate) state: ValueId,
    /// The fraction of its gradient.
    pub(crate) gradient_fraction: i32,
    /// Whether it is trained.
    pub(crate) trained: bool,
}

/// The tape.
pub(crate) struct Tape {
    pub(crate) builder: Builder,
    pub(crate) constants: Constants,
    parameters: Vec<Parameter>,
    operands: BTreeMap<ParameterId, Operand>,
    /// The operand of a carrier.
    of_carrier: BTreeMap<ValueId, Operand>,
    transposes: BTreeMap<ValueId, ValueId>,
    notes: Vec<Note>,
    /// Values that depend on a parameter.
    live: BTreeSet<ValueId>,
    gradients: BTreeMap<ValueId, ValueId>,
    /// The carriers whose ReLU's gate reads them, and not their operands.
    carriers_read: BTreeSet<ValueId>,
    /// Whether other gates read operands.
    operand_gates: bool,
    pub(crate) weight_gradients: BTreeMap<ParameterId, ValueId>,
    /// The seed and the iteration.
    random: (ValueId, ValueId),
    streams: Box<dyn Iterator<Item = u32>>,
    names: BTreeMap<&'static str, usize>,
    tables: BTreeMap<String, ConstantId>,
    pub(crate) exponents: Exponents,
    /// A 0 for each row, for values of a number of rows an item.
    zeros: BTreeMap<u32, ValueId>,
}

impl Tape {
    /// A tape without steps.
    pub(crate) fn new(
        builder: Builder,
        parameters: Vec<Parameter>,
        random: (ValueId, ValueId),
        streams: Box<dyn Iterator<Item = u32>>,
        exponents: Exponents,
    ) -> Tape {
        Tape {
            builder,
            constants: Constants::default(),
            parameters,
            operands: BTreeMap::new(),
            of_carrier: BTreeMap::new(),
            transposes: BTreeMap::new(),
            notes: vec![],
            live: BTreeSet::new(),
            gradients: BTreeMap::new(),
            carriers_read: BTreeSet::new(),
            operand_gates: false,
            weight_gradients: BTreeMap::new(),
            random,
            streams,
            names: BTreeMap::new(),
            tables: BTreeMap::new(),
            exponents,
            zeros: BTreeMap::new(),
        }
    }

    /// As [`crate::Layers::with_operand_gates`].
    pub(crate) fn read_operands_by_gates(&mut self, operands: bool) {
        self.operand_gates = operands;
    }

    pub(crate) fn parameter(&self, id: ParameterId) -> &Parameter {
        &self.parameters[id.0]
    }

    /// The seed and the iteration.
    pub(crate) fn random(&self) -> (ValueId, ValueId) {
        self.random
    }

    /// Adds a step, under the name of its kind and a number.
    pub(crate) fn step(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, LayersError> {
        let count = self.names.entry(op.name()).or_default();
        *count += 1;
        let name = format!("{} {count}", op.name());
        Ok(self.builder.step(&name, op, inputs)?)
    }

    pub(crate) fn train(
        &mut self,
        op: TrainingOp,
        inputs: &[ValueId],
    ) -> Result<ValueId, LayersError> {
        self.step(Op::Training(op), inputs)
    }

    pub(crate) fn form(&self, value: ValueId) -> Result<Form, LayersError> {
        self.builder.form(value).ok_or(LayersError::Internal("a value without a form"))
    }

    /// A constant of one column, added once under its name.
    pub(crate) fn table(
        &mut self,
        name: &str,
        dtype: Dtype,
        entries: &[i32],
    ) -> Result<ConstantId, LayersError> {
        self.sized(name, (entries.len(), 1), dtype, entries)
    }

    /// A constant of rows and columns, added once under its name.
    fn sized(
        &mut self,
        name: &str,
        size: (usize, usize),
        dtype: Dtype,
        entries: &[i32],
    ) -> Result<ConstantId, LayersError> {
        if let Some(id) = self.tables.get(name) {
            return Ok(*id);
        }
        let id = self.constants.add(&mut self.builder, name, size, dtype, entries)?;
        self.tables.insert(name.into(), id);
        Ok(id)
    }

    /// The operand of a parameter, made once.
    pub(crate) fn weight(&mut self, id: ParameterId) -> Result<Operand, LayersError> {
        if let Some(operand) = self.operands.get(&id) {
            return Ok(*operand);
        }
        let state = self.parameters[id.0].state;
        let x = Carrier { value: state, fraction: crate::numbers::WEIGHT };
        let operand = self.quantise(x, exponents::Role::Weight)?;
        self.operands.insert(id, operand);
        Ok(operand)
    }

    /// The state of a parameter that is not trained, after the iteration.
    pub(crate) fn keep(&mut self, id: ParameterId) -> Result<ValueId, LayersError> {
        let state = self.parameters[id.0].state;
        self.step(Op::Requantise { multiplier: 1, shift: 0, clamp: FULL }, &[state])
    }

    /// The transpose of a whole value, made once.
    fn transpose(&mut self, x: ValueId) -> Result<ValueId, LayersError> {
        if let Some(value) = self.transposes.get(&x) {
            return Ok(*value);
        }
        let value = self.train(TrainingOp::TransposeTiles, &[x])?;
        self.transposes.insert(x, value);
        Ok(value)
    }

    /// A product of operands, shifted from their fractions to another.
    fn product(
        &mut self,
        a: Operand,
        b: Operand,
        bias: Option<ValueId>,
        fraction: i32,
        clamp: Clamp,
    ) -> Result<ValueId, LayersError> {
        let (shift, exponents) = shift_to(&[a, b], fraction);
        self.scaled(a, b, bias.map(|bias| (bias, fraction)), shift, &exponents, clamp)
    }

    /// A product of operands with a shift. A bias comes with the fraction that it
    /// takes on, without exponents.
    fn scaled(
        &mut self,
        a: Operand,
        b: Operand,
        bias: Option<(ValueId, i32)>,
        shift: Shift,
        exponents: &[ValueId],
        clamp: Clamp,
    ) -> Result<ValueId, LayersError> {
        let bias_shift = match bias {
            Some((_, fraction)) => u8::try_from(crate::numbers::WEIGHT - fraction)
                .map_err(|_| LayersError::Internal("a bias of too few bits"))?,
            None => 0,
        };
        let bias = bias.map(|(bias, _)| bias);
        let op = TrainingOp::ScaledProduct { shift, bias: bias.is_some(), bias_shift, clamp };
        let inputs: Vec<ValueId> =
            [a.value, b.value].into_iter().chain(bias).chain(exponents.to_vec()).collect();
        self.train(op, &inputs)
    }

    /// The sum of two carriers of the same fraction, i32.
    fn add(&mut self, a: ValueId, b: ValueId) -> Result<ValueId, LayersError> {
        self.step(Op::Add { multipliers: [1, 1], shift: 0, clamp: FULL }, &[a, b])
    }
}

/// The shift that takes a product of operands to a fraction, and the exponents
/// that it reads.
fn shift_to(operands: &[Operand], fraction: i32) -> (Shift, Vec<ValueId>) {
    let own: i32 = operands.iter().map(|operand| operand.fraction).sum();
    let exponents: Vec<ValueId> = operands.iter().filter_map(|operand| operand.exponent).collect();
    (Shift::new(own - fraction, &vec![Sign::Minus; exponents.len()]), exponents)
}
