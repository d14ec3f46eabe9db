//! The program of a graph, layer by layer.
//!
//! - `layout`: where the entries of a value lie in the program's tensors;
//! - `products`: layers with weights, and products of values;
//! - `entries`: functions, sums and products of entries;
//! - `rows`: normalisations, softmax, means and maxima;
//! - `windows`: images.

mod entries;
mod layout;
mod products;
mod rows;
mod windows;

pub(super) use layout::{Map, input as input_rows, of_input as input_map};

use super::numbers::{self, integer};
use super::plan::{Plan, Planned};
use super::{NARROW, Numbers, QuantiseError, QuantiseOptions, WIDE};
use crate::graph::{Graph, GraphError, Kind, Layer, ValueShape};
use layout::Arranged;
use poai_core::digest::Root;
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, ProgramError, ValueId,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// The integers that an i8 range and an i16 range are scaled to.
pub(super) const NARROW_TOP: f64 = 63.0;
pub(super) const WIDE_TOP: f64 = 16384.0;
/// The range of an operand without negative numbers, and its integer for 0.
pub(super) const OFFSET_TOP: f64 = 127.0;
pub(super) const ZERO: i32 = -64;
/// Longest name of a step, in bytes.
const NAME_MAX: usize = 255;

/// A value of the graph in the program.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// The program's value.
    pub(super) id: ValueId,
    /// Its rows of one item.
    pub(super) rows: usize,
    /// Its columns.
    pub(super) columns: usize,
    /// Where each entry lies.
    pub(super) map: Map,
    /// Its type.
    pub(super) dtype: Dtype,
    /// The real value of 1.
    pub(super) scale: f64,
    /// The integer that stands for 0: [`ZERO`] in operands that use all of the
    /// type's range, and 0 otherwise.
    pub(super) zero: i32,
}

/// A network, and the program's value for every value of the graph.
pub(super) struct Lowered {
    pub(super) network: Network,
    pub(super) values: Vec<Value>,
    /// The real value of 1 in the output.
    pub(super) output_scale: f64,
}

/// A program under construction.
pub(super) struct Lower<'a> {
    graph: &'a Graph,
    shapes: &'a [ValueShape],
    plan: &'a Plan,
    options: &'a QuantiseOptions,
    builder: Builder,
    constants: Constants,
    values: Vec<Value>,
    /// The values as operands of products.
    narrow: HashMap<usize, Value>,
    /// Values that were arranged before.
    arranged: HashMap<Arranged, ValueId>,
    indices: HashMap<(usize, usize, Arc<Vec<i32>>), ConstantId>,
    /// Constants by their roots, which equal ones share.
    held: HashMap<(Root, Extent), ConstantId>,
    steps: u32,
    /// The layer that is lowered.
    name: String,
    /// Names of steps that exist, so that each is one of its own.
    named: HashMap<String, usize>,
}

/// Makes the program of a graph.
pub(super) fn lower(
    graph: &Graph,
    shapes: &[ValueShape],
    plan: &Plan,
    options: &QuantiseOptions,
) -> Result<Lowered, QuantiseError> {
    let mut forms = vec![];
    let mut values = vec![];
    for (at, input) in graph.inputs.iter().enumerate() {
        let planned = &plan.values[at];
        let (rows, columns) = layout::input(input);
        let [rows32, columns32] = [dim(&input.name, rows)?, dim(&input.name, columns)?];
        let dtype = match input.ids {
            Some(_) => Dtype::I32,
            None if planned.narrow => Dtype::I8,
            None => Dtype::I16,
        };
        forms.push(Form::new(Dim::fixed(rows32), Dim::fixed(columns32), dtype));
        let top = if planned.narrow { NARROW_TOP } else { WIDE_TOP };
        let scale = match input.ids {
            Some(_) => 1.0,
            None => scale_of(planned, top),
        };
        let (id, map) = (ValueId(at as u32), layout::of_input(input));
        values.push(Value { id, rows, columns, map, dtype, scale, zero: 0 });
    }
    let mut lower = Lower {
        graph,
        shapes,
        plan,
        options,
        builder: Builder::new(&forms),
        constants: Constants::default(),
        values,
        narrow: HashMap::new(),
        arranged: HashMap::new(),
        indices: HashMap::new(),
        held: HashMap::new(),
        steps: 0,
        name: String::new(),
        named: HashMap::new(),
    };
    for layer in &graph.layers {
        lower.name.clone_from(&layer.name);
        let value = lower.layer(layer)?;
        lower.values.push(value);
    }
    let output_scale = lower.output()?;
    let Lower { builder, constants, values, .. } = lower;
    let program = builder.finish().map_err(|error| match error {
        // Moves that leave every entry in its place are no steps.
        ProgramError::Size { steps: 0, .. } => QuantiseError::Graph(GraphError::NoLayers),
        error => error.into(),
    })?;
    let network = Network::new(program, constants.into_tensors())?;
    Ok(Lowered { network, values, output_scale })
}

/// The real value of 1 of a value whose range becomes `top`.
fn scale_of(planned: &Planned, top: f64) -> f64 {
    // For a value that is always zero any scale is right.
    if planned.range > 0.0 { planned.range / top } else { 1.0 }
}

impl Lower<'_> {
    fn layer(&mut self, layer: &Layer) -> Result<Value, QuantiseError> {
        let &first = layer.inputs.first().unwrap_or(&0);
        match &layer.kind {
            Kind::Linear { weights, bias } => self.linear(first, weights, bias),
            Kind::Conv { weights, bias, window, groups } => {
                self.convolution(first, weights, bias, window, *groups)
            }
            Kind::MatMul => self.product(first, layer.inputs[1]),
            Kind::Scale { by } => self.scale(first, by),
            Kind::Offset { by } => self.offset(first, by),
            Kind::Pointwise(function) => self.function(first, function),
            Kind::Add { factors } => self.sum(first, layer.inputs[1], *factors),
            Kind::Mul => self.entry_product(first, layer.inputs[1]),
            Kind::MaxPool { window } => self.pool(first, window, false),
            Kind::AveragePool { window } => self.pool(first, window, true),
            Kind::Reduce { axes, how } => self.reduce(first, axes, *how),
            Kind::Softmax => self.softmax(first),
            Kind::Normalise { centre, gamma, beta, .. } => {
                self.normalise(first, *centre, gamma, beta)
            }
            Kind::Lookup { table } => self.lookup(first, table),
            Kind::Concat { axis } => self.concat(&layer.inputs, *axis),
            Kind::Reshape { .. } | Kind::Transpose { .. } | Kind::Take { .. } => {
                Ok(layout::moved(&self.values[first], &self.shapes[first], &layer.kind))
            }
        }
    }

    /// The value that the current layer makes.
    fn made(&self) -> usize {
        self.values.len()
    }

    fn planned(&self) -> &Planned {
        &self.plan.values[self.made()]
    }

    /// The range of the current layer's own output, and its scale.
    fn own(&self) -> (Clamp, f64) {
        let planned = self.planned();
        if let Some(high) = planned.rectified {
            let scale = scale_of(planned, OFFSET_TOP);
            let bound = (high / scale).round().clamp(0.0, OFFSET_TOP) as i32;
            return (Clamp { dtype: Dtype::I8, min: ZERO, max: ZERO + bound }, scale);
        }
        match planned.narrow {
            true => (NARROW, scale_of(planned, NARROW_TOP)),
            false => (WIDE, scale_of(planned, WIDE_TOP)),
        }
    }

    /// The scale of the current layer's output in i16.
    fn wide_scale(&self) -> f64 {
        scale_of(self.planned(), WIDE_TOP)
    }

    /// Adds a step, named by the layer and what the step does for it.
    fn step(&mut self, what: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId, QuantiseError> {
        let name = self.named(what);
        self.steps += 1;
        Ok(self.builder.step(&name, op, inputs)?)
    }

    fn named(&mut self, what: &str) -> String {
        let own = match what {
            "" => self.name.clone(),
            what => format!("{}.{what}", short(&self.name, NAME_MAX - 40)),
        };
        let own = short(&own, NAME_MAX - 12).to_owned();
        let count = self.named.entry(own.clone()).or_default();
        *count += 1;
        if *count > 1 { format!("{own}.{count}") } else { own }
    }

    fn constant(
        &mut self,
        what: &str,
        size: (usize, usize),
        dtype: Dtype,
        entries: &[i32],
    ) -> Result<ConstantId, QuantiseError> {
        let layer = self.name.clone();
        let named = |source| QuantiseError::Tensor { layer: layer.clone(), source };
        // The steps of a recurrent network have the same weights.
        let (rows, columns) = size;
        let tensor = Tensor::new(rows, columns, dtype, entries).map_err(&named)?;
        let key = (tensor.root(), *tensor.extent());
        if let Some(&held) = self.held.get(&key) {
            return Ok(held);
        }
        let name = self.named(what);
        let added = self.constants.add(&mut self.builder, &name, size, dtype, entries);
        let constant = added.map_err(named)?;
        self.held.insert(key, constant);
        Ok(constant)
    }

    fn dim(&self, size: usize) -> Result<u32, QuantiseError> {
        dim(&self.name, size)
    }

    fn unsupported(&self, what: &'static str) -> QuantiseError {
        QuantiseError::Unsupported { layer: self.name.clone(), what }
    }

    /// Refuses the current layer in standard form.
    fn fitted_only(&self) -> Result<(), QuantiseError> {
        match self.options.numbers {
            Numbers::Fitted => Ok(()),
            Numbers::Standard => Err(QuantiseError::NotStandard { layer: self.name.clone() }),
        }
    }

    /// Multipliers of the current layer with one shift.
    fn fixed_point(
        &self,
        output: Dtype,
        numbers: &[f64],
        bits: u8,
    ) -> Result<(Vec<i32>, u8), QuantiseError> {
        numbers::fixed_point(&self.name, self.options.numbers, output, numbers, bits)
    }

    /// `x·ratio`, clamped.
    fn requantised(
        &mut self,
        what: &str,
        id: ValueId,
        ratio: f64,
        clamp: Clamp,
    ) -> Result<ValueId, QuantiseError> {
        let bits = poai_core::program::standard::MULTIPLIER_BITS;
        let (multipliers, shift) = self.fixed_point(clamp.dtype, &[ratio], bits)?;
        let multiplier = multipliers.first().copied().unwrap_or(0);
        self.step(what, Op::Requantise { multiplier, shift, clamp }, &[id])
    }

    /// A value as an operand of products, in i8.
    fn narrowed(&mut self, value: usize) -> Result<Value, QuantiseError> {
        let own = self.values[value].clone();
        if own.dtype == Dtype::I8 {
            return Ok(own);
        }
        if let Some(narrow) = self.narrow.get(&value) {
            return Ok(narrow.clone());
        }
        if self.plan.values[value].offset {
            let narrow = self.offset_operand(value, &own)?;
            self.narrow.insert(value, narrow.clone());
            return Ok(narrow);
        }
        // Steps may have moved or cut off entries, so the range is measured.
        let scale = scale_of(&self.plan.values[value], NARROW_TOP).max(own.scale / 256.0);
        let id = self.requantised("narrow", own.id, own.scale / scale, NARROW)?;
        let narrow = Value { id, dtype: Dtype::I8, scale, ..own };
        self.narrow.insert(value, narrow.clone());
        Ok(narrow)
    }

    /// A value without negative entries as an operand that uses all of the
    /// type's range: a curve moves its 0 to the least integer.
    fn offset_operand(&mut self, value: usize, own: &Value) -> Result<Value, QuantiseError> {
        let scale = scale_of(&self.plan.values[value], OFFSET_TOP).max(own.scale / 256.0);
        let ratio = own.scale / scale;
        let point = |point: i32| f64::from(point - 128) * 128.0 * ratio + f64::from(ZERO);
        let entries: Vec<i32> = (0..=256).map(|at| in_i16(point(at))).collect();
        let table = self.constant("points", (257, 1), Dtype::I16, &entries)?;
        let op = Op::Curve { table, shift: 7, pass_above: false };
        let moved = self.step("offset", op, &[own.id])?;
        let clamp = Clamp::full(Dtype::I8);
        let op = Op::Requantise { multiplier: 1, shift: 0, clamp };
        let id = self.step("narrow", op, &[moved])?;
        Ok(Value { id, dtype: Dtype::I8, scale, zero: ZERO, ..own.clone() })
    }

    /// A value in i16.
    fn widened(&mut self, value: usize) -> Result<Value, QuantiseError> {
        let own = self.values[value].clone();
        match own.dtype {
            Dtype::I16 => Ok(own),
            Dtype::I32 => Err(self.unsupported("arithmetic on ids")),
            Dtype::I8 => {
                const FINER: f64 = 256.0;
                let id = self.requantised("widen", own.id, FINER, WIDE)?;
                Ok(Value { id, dtype: Dtype::I16, scale: own.scale / FINER, ..own })
            }
        }
    }

    /// Makes the last value the program's output: one row a sample if that is
    /// not too long, with the entries in the file's order.
    fn output(&mut self) -> Result<f64, QuantiseError> {
        let last = self.made() - 1;
        let value = self.values[last].clone();
        let entries = self.shapes[last].entries();
        let (rows, columns) = match entries <= poai_core::program::tensor::COLUMNS_MAX as usize {
            true => (1, entries),
            false => (self.shapes[last].rows(), self.shapes[last].last()),
        };
        let id = self.arranged(&value, rows, columns, None, "order")?;
        // The program's output is its last step.
        let made = self.graph.inputs.len() as u32 + self.steps;
        if id.0 + 1 != made {
            let clamp = Clamp::full(value.dtype);
            self.step("output", Op::Requantise { multiplier: 1, shift: 0, clamp }, &[id])?;
        }
        Ok(value.scale)
    }
}

pub(super) fn dim(layer: &str, size: usize) -> Result<u32, QuantiseError> {
    u32::try_from(size).map_err(|_| QuantiseError::TooLarge { layer: layer.to_owned() })
}

/// The longest prefix of a name with at most `bytes` bytes.
fn short(name: &str, bytes: usize) -> &str {
    &name[..name.floor_char_boundary(bytes)]
}

/// An entry of a table, in i16.
fn in_i16(x: f64) -> i32 {
    integer(x, i16::MAX.into())
}
