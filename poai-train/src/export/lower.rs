//! The frozen network: the steps of a forward pass without its parameters.
//!
//! A product with a parameter becomes a linear step, and its rounding to an operand
//! part of that step. Exponents are numbers, so they join the shifts.

use super::TrainingExportError;
use super::exponents::{FrozenExponents, is_exponent};
use super::numbers::{self, Scaled};
use super::trained::{COPIED, Made, TrainedConstant};
use crate::iteration::ForwardProgram;
use crate::numbers::FULL;
use poai_core::Root;
use poai_core::program::training::{EXPONENT_SHIFT_MAX, Shift, Sign};
use poai_core::program::{
    Builder, Clamp, ConstantId, Dtype, Form, Op, Program, Step, TrainingOp, ValueId,
};
use poai_engine::execute::{Network, Tensor};
use std::collections::BTreeMap;

/// Where a constant of the frozen network comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// An output of the exporter.
    Trained(usize),
    /// It is the same for every state.
    Fixed(Tensor),
}

/// A frozen network before its trained constants are known.
pub(super) struct Lowered {
    pub(super) program: Program,
    /// The origin of each constant.
    pub(super) origins: Vec<Origin>,
    /// The trained constants, in the order of the exporter's outputs.
    pub(super) trained: Vec<TrainedConstant>,
    /// The exponent of the logits.
    pub(super) logits: i32,
}

/// What a value of the forward pass is in the frozen network.
#[derive(Clone, Debug)]
enum Meaning {
    /// A state, by the parameter's number.
    Parameter(usize),
    /// The row scales of a value, of which an exponent is made.
    Scales(ValueId),
    /// An exponent.
    Exponent(i32),
    /// An operand of a parameter.
    Weights(TrainedConstant),
    /// A product that no step has rounded yet.
    Product(Product),
    /// A value of the frozen network.
    Value(ValueId),
}

impl Meaning {
    fn text(&self) -> &'static str {
        match self {
            Meaning::Parameter(_) => "a parameter",
            Meaning::Scales(_) => "scales of rows",
            Meaning::Exponent(_) => "an exponent",
            Meaning::Weights(_) => "weights",
            Meaning::Product(_) => "a product with weights",
            Meaning::Value(_) => "a value of samples",
        }
    }
}

/// `clamp(shift(x·Wᵀ, p) + rsh(bias, s))`, with a ReLU after it or not.
#[derive(Clone, Debug)]
struct Product {
    x: ValueId,
    weights: TrainedConstant,
    /// The parameter and s.
    bias: Option<(usize, u8)>,
    /// p.
    shift: i32,
    clamp: Clamp,
    rectified: bool,
}

/// Lowers a forward pass. `roots` are those of trained constants, as far as they are
/// known.
pub(super) fn lower(
    forward: &ForwardProgram,
    frozen: &FrozenExponents,
    roots: &[Root],
) -> Result<Lowered, TrainingExportError> {
    let program = forward.network.program();
    frozen.check(program.steps().iter().filter(|step| is_exponent(step)).count())?;
    let parameters = forward.parameters.len();
    let samples = program.inputs().get(parameters..).unwrap_or_default();
    let mut meanings: Vec<Meaning> = (0..parameters).map(Meaning::Parameter).collect();
    // Exact: at most 4096 inputs.
    meanings.extend((0..samples.len() as u32).map(|input| Meaning::Value(ValueId(input))));
    let mut lowering = Lowering {
        forms: program.inputs(),
        names: &forward.parameters,
        forward: &forward.network,
        roots,
        builder: Builder::new(samples),
        meanings,
        origins: vec![],
        trained: vec![],
        known: BTreeMap::new(),
        moved: BTreeMap::new(),
    };
    let mut exponents = frozen.operands.iter();
    for step in program.steps() {
        let meaning = match is_exponent(step) {
            true => {
                let measured = exponents.next().copied().unwrap_or_default();
                lowering.exponent(step, measured)?
            }
            false => lowering.step(step)?,
        };
        lowering.meanings.push(meaning);
    }
    let logits = lowering.logits(program.output(), frozen.logits)?;
    let Lowering { builder, origins, trained, .. } = lowering;
    Ok(Lowered { program: builder.finish()?, origins, trained, logits })
}

struct Lowering<'a> {
    /// The forms of the forward pass's inputs, and the parameters' names.
    forms: &'a [Form],
    names: &'a [String],
    forward: &'a Network,
    roots: &'a [Root],
    builder: Builder,
    /// Of each value of the forward pass so far.
    meanings: Vec<Meaning>,
    origins: Vec<Origin>,
    trained: Vec<TrainedConstant>,
    /// The constants of each trained one and of each of the forward pass.
    known: BTreeMap<usize, ConstantId>,
    moved: BTreeMap<ConstantId, ConstantId>,
}

impl Lowering<'_> {
    fn meaning(&self, value: ValueId) -> Result<&Meaning, TrainingExportError> {
        let missing = TrainingExportError::Internal("a value of the forward pass");
        self.meanings.get(value.0 as usize).ok_or(missing)
    }

    fn input(&self, step: &Step, index: usize) -> Result<Meaning, TrainingExportError> {
        let missing = TrainingExportError::Internal("an input of a step");
        self.meaning(*step.inputs.get(index).ok_or(missing)?).cloned()
    }

    fn name(&self, parameter: usize) -> &str {
        self.names.get(parameter).map_or("", String::as_str)
    }

    /// The value of the frozen network that a step reads.
    fn value(&mut self, step: &Step, index: usize) -> Result<ValueId, TrainingExportError> {
        let product = match self.input(step, index)? {
            Meaning::Value(value) => return Ok(value),
            Meaning::Product(product) => product,
            other => return Err(wrong(step, "a value of samples", &other)),
        };
        // It is read as it is, so that it has the forward pass's entries.
        let value = self.linear(&product, product.shift, product.clamp)?;
        if let Some(meaning) =
            step.inputs.get(index).and_then(|read| self.meanings.get_mut(read.0 as usize))
        {
            *meaning = Meaning::Value(value);
        }
        Ok(value)
    }

    /// The exponent of an operand. It is never finer than the sums of a product, of
    /// which a finer one would keep no more.
    fn exponent(&self, step: &Step, measured: i32) -> Result<Meaning, TrainingExportError> {
        let of = match self.input(step, 0)? {
            Meaning::Scales(of) => of,
            other => return Err(wrong(step, "scales of rows", &other)),
        };
        let least = match self.meaning(of)? {
            Meaning::Product(product) => -product.shift,
            _ => 0,
        };
        Ok(Meaning::Exponent(measured.max(least)))
    }

    /// A step's shift, of which the last inputs are the exponents.
    fn shift(&self, step: &Step, shift: &Shift) -> Result<i32, TrainingExportError> {
        let first = step.inputs.len().saturating_sub(shift.signs.len());
        let mut sum = shift.base;
        for (index, sign) in (first..).zip(&shift.signs) {
            let exponent = match self.input(step, index)? {
                Meaning::Exponent(exponent) => exponent,
                other => return Err(wrong(step, "an exponent of all rows", &other)),
            };
            // Exact: at most four exponents, of 31 and of a product's shift.
            sum += match sign {
                Sign::Plus => exponent,
                Sign::Minus => -exponent,
            };
        }
        Ok(sum.clamp(-EXPONENT_SHIFT_MAX, EXPONENT_SHIFT_MAX))
    }

    fn step(&mut self, step: &Step) -> Result<Meaning, TrainingExportError> {
        match &step.op {
            Op::RowScale => {
                let missing = TrainingExportError::Internal("a value with scales");
                Ok(Meaning::Scales(*step.inputs.first().ok_or(missing)?))
            }
            Op::Relu => match self.input(step, 0)? {
                Meaning::Product(product) => {
                    Ok(Meaning::Product(Product { rectified: true, ..product }))
                }
                _ => self.copied(step, Op::Relu),
            },
            Op::Training(op) => self.training(step, op),
            op => self.copied(step, op.clone()),
        }
    }

    fn training(&mut self, step: &Step, op: &TrainingOp) -> Result<Meaning, TrainingExportError> {
        match op {
            TrainingOp::ScaledProduct { shift, bias, bias_shift, clamp } => {
                let x = self.value(step, 0)?;
                let weights = match self.input(step, 1)? {
                    Meaning::Weights(weights) => weights,
                    other => return Err(wrong(step, "weights", &other)),
                };
                let bias = match (bias, self.input(step, 2)) {
                    (false, _) => None,
                    (true, Ok(Meaning::Parameter(at))) => Some((at, *bias_shift)),
                    (true, Ok(other)) => return Err(wrong(step, "a parameter", &other)),
                    (true, Err(why)) => return Err(why),
                };
                let (shift, clamp) = (self.shift(step, shift)?, *clamp);
                Ok(Meaning::Product(Product { x, weights, bias, shift, clamp, rectified: false }))
            }
            TrainingOp::Rescale { shift, stream: None, multiplier, clamp } => {
                let by = self.shift(step, shift)?;
                match self.input(step, 0)? {
                    Meaning::Parameter(parameter) if *multiplier == 1 => {
                        let made = Made::Rescaled { shift: by, clamp: *clamp };
                        Ok(Meaning::Weights(TrainedConstant { parameter, made }))
                    }
                    // The sums are rounded once, and not to i32 before.
                    Meaning::Product(product) if *multiplier == 1 && product.clamp == FULL => {
                        let value = self.linear(&product, product.shift + by, *clamp)?;
                        Ok(Meaning::Value(value))
                    }
                    _ => {
                        let op = numbers::rescale(*multiplier, by, *clamp);
                        let x = self.value(step, 0)?;
                        Ok(Meaning::Value(self.builder.step(&step.name, op, &[x])?))
                    }
                }
            }
            TrainingOp::Gather { table: None } => {
                let parameter = match self.input(step, 0)? {
                    Meaning::Parameter(parameter) => parameter,
                    other => return Err(wrong(step, "a parameter", &other)),
                };
                let table = self.constant(TrainedConstant { parameter, made: COPIED })?;
                let ids = self.value(step, 1)?;
                let op = Op::Training(TrainingOp::Gather { table: Some(table) });
                Ok(Meaning::Value(self.builder.step(&step.name, op, &[ids])?))
            }
            TrainingOp::Block { kind, heads, shift, offset, multiplier, clamp } => {
                let shift = Shift::fixed(self.shift(step, shift)?);
                let inputs = [self.value(step, 0)?, self.value(step, 1)?];
                let (kind, heads, clamp) = (*kind, *heads, *clamp);
                let (offset, multiplier) = (*offset, *multiplier);
                let op = TrainingOp::Block { kind, heads, shift, offset, multiplier, clamp };
                let value = self.builder.step(&step.name, Op::Training(op), &inputs)?;
                Ok(Meaning::Value(value))
            }
            op => self.copied(step, Op::Training(op.clone())),
        }
    }

    /// The same step on the frozen network's values.
    fn copied(&mut self, step: &Step, mut op: Op) -> Result<Meaning, TrainingExportError> {
        let (_, constants) = op.constants();
        match &mut op {
            Op::Table { table, .. }
            | Op::Curve { table, .. }
            | Op::Softmax { table, .. }
            | Op::AddRows { table }
            | Op::Normalise { affine: table, .. }
            | Op::ScaleColumns { scale: table, .. }
            | Op::Arrange { index: table }
            | Op::Training(
                TrainingOp::Exponentials { table, .. }
                | TrainingOp::Gate { table, .. }
                | TrainingOp::Gather { table: Some(table) },
            ) => *table = self.fixed(*table)?,
            _ if constants == 0 => {}
            _ => {
                return Err(TrainingExportError::Step {
                    step: step.name.clone(),
                    kind: step.op.name(),
                    expected: "a step that exports know",
                    got: "another one with constants".to_owned(),
                });
            }
        }
        let inputs = (0..step.inputs.len()).map(|index| self.value(step, index));
        let inputs = inputs.collect::<Result<Vec<ValueId>, _>>()?;
        Ok(Meaning::Value(self.builder.step(&step.name, op, &inputs)?))
    }

    /// A constant of the forward pass, in the frozen network.
    fn fixed(&mut self, of: ConstantId) -> Result<ConstantId, TrainingExportError> {
        if let Some(id) = self.moved.get(&of) {
            return Ok(*id);
        }
        let missing = || TrainingExportError::Internal("a constant of the forward pass");
        let held = self.forward.constants().get(of.0 as usize).ok_or_else(missing)?;
        let named = self.forward.program().constants().get(of.0 as usize).ok_or_else(missing)?;
        let id = self.builder.constant(&named.name, named.root, named.extent);
        self.origins.push(Origin::Fixed(held.tensor.clone()));
        self.moved.insert(of, id);
        Ok(id)
    }

    /// A trained constant, added once.
    fn constant(&mut self, own: TrainedConstant) -> Result<ConstantId, TrainingExportError> {
        let at = self.trained.iter().position(|known| *known == own);
        if let Some(id) = at.and_then(|at| self.known.get(&at)) {
            return Ok(*id);
        }
        let missing = TrainingExportError::Internal("the extent of a trained constant");
        let extent = self.forms.get(own.parameter).and_then(|form| own.extent(form));
        let at = self.trained.len();
        let root = self.roots.get(at).copied().unwrap_or_default();
        let name = match own.made {
            Made::Rescaled { .. } => self.name(own.parameter).to_owned(),
            Made::Requantise { .. } => format!("{} requantise", self.name(own.parameter)),
        };
        let id = self.builder.constant(&name, root, extent.ok_or(missing)?);
        self.origins.push(Origin::Trained(at));
        self.known.insert(at, id);
        self.trained.push(own);
        Ok(id)
    }

    /// The step that computes a product and rounds it by a shift.
    fn linear(
        &mut self,
        product: &Product,
        shift: i32,
        clamp: Clamp,
    ) -> Result<ValueId, TrainingExportError> {
        let name = self.name(product.weights.parameter).to_owned();
        let Scaled { multiplier, shift } = numbers::scaled(shift, clamp.dtype);
        let weights = self.constant(product.weights.clone())?;
        let requantise = match product.bias {
            Some((parameter, bias)) => {
                let shift = i32::from(bias) - product.shift;
                let shift = shift.clamp(-EXPONENT_SHIFT_MAX, EXPONENT_SHIFT_MAX);
                let made = Made::Requantise { shift, multiplier };
                self.constant(TrainedConstant { parameter, made })?
            }
            None => {
                let missing = TrainingExportError::Internal("a product's weights");
                let form = self.forms.get(product.weights.parameter).ok_or(missing)?;
                let rows = form.rows.units as usize;
                let entries = [0, multiplier, 0].repeat(rows);
                let tensor = Tensor::new(rows, 3, Dtype::I32, &entries)?;
                let name = format!("{name} requantise");
                let id = self.builder.constant(&name, tensor.root(), *tensor.extent());
                self.origins.push(Origin::Fixed(tensor));
                id
            }
        };
        let min = if product.rectified { clamp.min.max(0) } else { clamp.min };
        let (shifts, clamp) = ([shift, 0, 0], Clamp { min, ..clamp });
        let op = Op::Linear { weights, requantise, shifts, clamp };
        Ok(self.builder.step(&name, op, &[product.x])?)
    }

    /// Adds the logits, and returns their exponent.
    fn logits(&mut self, output: ValueId, measured: i32) -> Result<i32, TrainingExportError> {
        let wide = Clamp::full(Dtype::I16);
        match self.meaning(output)?.clone() {
            Meaning::Product(product) => {
                let exponent = measured.max(-product.shift);
                self.linear(&product, product.shift + exponent, wide)?;
                Ok(exponent)
            }
            Meaning::Value(value) => {
                let op = numbers::rescale(1, measured, wide);
                self.builder.step("logits", op, &[value])?;
                Ok(measured)
            }
            _ => Err(TrainingExportError::Internal("logits of samples")),
        }
    }
}

fn wrong(step: &Step, expected: &'static str, got: &Meaning) -> TrainingExportError {
    let (step, kind) = (step.name.clone(), step.op.name());
    TrainingExportError::Step { step, kind, expected, got: got.text().to_owned() }
}
