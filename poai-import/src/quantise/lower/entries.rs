//! Functions, sums and products of entries, and constants over them.

use super::layout::Map;
use super::{Lower, NARROW, Value, WIDE, WIDE_TOP, in_i16, scale_of};
use crate::graph::expression::Expression;
use crate::graph::{GraphConstant, ValueShape, moves};
use crate::quantise::QuantiseError;
use crate::quantise::numbers::fitted;
use poai_core::program::{Clamp, Dtype, Op, standard};
use std::sync::Arc;

/// The shift of a curve whose 256 pieces cover −2^14..=2^14, the range to which
/// i16 values are scaled.
const CURVE_SHIFT: u8 = 7;

impl Lower<'_> {
    /// A function of every entry.
    pub(super) fn function(
        &mut self,
        input: usize,
        function: &Expression,
    ) -> Result<Value, QuantiseError> {
        let x = self.values[input].clone();
        // The product before it has applied the Relu.
        if self.plan.values[input].rectified.is_some() {
            return Ok(x);
        }
        let x = self.whole(&x, &self.shapes[input].clone())?;
        if function.is_relu() {
            return Ok(Value { id: self.step("", Op::Relu, &[x.id])?, ..x });
        }
        let (least, most) = x.dtype.range();
        if let Some((low, high)) = function.clip() {
            let bound = |bound: f64| (bound / x.scale).round().clamp(least.into(), most.into());
            let clamp = Clamp {
                dtype: x.dtype,
                min: (bound(low) as i32).max(-most),
                max: bound(high) as i32,
            };
            if clamp.min <= clamp.max {
                let op = Op::Requantise { multiplier: 1, shift: 0, clamp };
                return Ok(Value { id: self.step("", op, &[x.id])?, ..x });
            }
        }
        self.fitted_only()?;
        let x = if x.dtype == Dtype::I16 { x } else { self.widened(input)? };
        let x = self.whole(&x, &self.shapes[input].clone())?;
        let scale = self.wide_scale();
        let (piece, first) = (f64::from(1u32 << CURVE_SHIFT), -f64::from(128u32 << CURVE_SHIFT));
        let points: Vec<f64> = (0..=256)
            .map(|point| function.at((first + f64::from(point) * piece) * x.scale) / scale)
            .collect();
        // Where a function has no value, its nearest one is as good as any.
        let near = |at: usize| {
            (0..points.len())
                .filter(|&other| points[other].is_finite())
                .min_by_key(|&other| other.abs_diff(at))
                .map_or(0.0, |other| points[other])
        };
        let entries: Vec<i32> = (0..points.len())
            .map(|at| in_i16(if points[at].is_nan() { near(at) } else { points[at] }))
            .collect();
        let table = self.constant("points", (257, 1), Dtype::I16, &entries)?;
        let op = Op::Curve { table, shift: CURVE_SHIFT, pass_above: false };
        Ok(Value { id: self.step("", op, &[x.id])?, dtype: Dtype::I16, scale, ..x })
    }

    /// Two values in one layout.
    fn aligned(&mut self, first: usize, second: usize) -> Result<[Value; 2], QuantiseError> {
        let shape = self.shapes[first].clone();
        let [mut a, mut b] = [first, second].map(|value| self.values[value].clone());
        if !a.map.is_whole() && b.map.is_whole() {
            let (rows, columns, map) = (b.rows, b.columns, b.map.clone());
            a = self.laid_out(&a, rows, columns, map, "aligned")?;
        } else {
            a = self.whole(&a, &shape)?;
            let (rows, columns, map) = (a.rows, a.columns, a.map.clone());
            b = self.laid_out(&b, rows, columns, map, "aligned")?;
        }
        Ok([a, b])
    }

    /// `a·f0 + b·f1`.
    pub(super) fn sum(
        &mut self,
        first: usize,
        second: usize,
        factors: [f32; 2],
    ) -> Result<Value, QuantiseError> {
        let [a, b] = self.aligned(first, second)?;
        let (clamp, scale) = self.own();
        let ratios = [&a, &b].map(|value| value.scale / scale);
        let ratios = [ratios[0] * f64::from(factors[0]), ratios[1] * f64::from(factors[1])];
        let bits = standard::MULTIPLIER_BITS;
        let (multipliers, shift) = self.fixed_point(clamp.dtype, &ratios, bits)?;
        let multipliers = [multipliers[0], multipliers[1]];
        let id = self.step("", Op::Add { multipliers, shift, clamp }, &[a.id, b.id])?;
        Ok(Value { id, dtype: clamp.dtype, scale, ..a })
    }

    /// `a·b`, entry by entry.
    pub(super) fn entry_product(
        &mut self,
        first: usize,
        second: usize,
    ) -> Result<Value, QuantiseError> {
        self.fitted_only()?;
        let [a, b] = self.aligned(first, second)?;
        let planned = self.planned();
        let (clamp, top) = match planned.narrow {
            true => (NARROW, super::NARROW_TOP),
            false => (WIDE, WIDE_TOP),
        };
        // The scale is a power of two away from the product of both scales.
        let both = a.scale * b.scale;
        let needed = if planned.range > 0.0 { planned.range / top / both } else { 1.0 };
        // A narrow value would lose up to half of its range, so it becomes one
        // in a step of its own.
        let (clamp, needed) = match clamp.dtype {
            Dtype::I8 => (WIDE, scale_of(planned, WIDE_TOP) / both),
            _ => (clamp, needed),
        };
        let shift = needed.log2().ceil().clamp(0.0, 40.0) as u8;
        let scale = both * 2f64.powi(shift.into());
        let id = self.step("", Op::Mul { shift, clamp }, &[a.id, b.id])?;
        Ok(Value { id, dtype: clamp.dtype, scale, ..a })
    }

    /// `x·c` for a constant c.
    pub(super) fn scale(
        &mut self,
        input: usize,
        by: &GraphConstant,
    ) -> Result<Value, QuantiseError> {
        let x = self.values[input].clone();
        if let Some(by) = by.uniform() {
            let by = f64::from(by);
            if by > 0.0 {
                return Ok(Value { scale: x.scale * by, ..x });
            }
            let x = self.whole(&x, &self.shapes[input].clone())?;
            let clamp = if x.dtype == Dtype::I8 { NARROW } else { Clamp::full(x.dtype) };
            let multiplier = if by < 0.0 { -1 } else { 0 };
            let op = Op::Requantise { multiplier, shift: 0, clamp };
            let scale = if by < 0.0 { x.scale * -by } else { x.scale };
            return Ok(Value { id: self.step("", op, &[x.id])?, scale, ..x });
        }
        self.fitted_only()?;
        let shape = self.shapes[input].clone();
        let by = moves::broadcast(&by.shape, &shape.0, &by.entries);
        let x = self.whole(&x, &shape)?;
        let (x, columns) = self.by_columns(x, &shape, &by)?;
        let (clamp, scale) = self.own();
        let ratios: Vec<f64> = columns.iter().map(|&by| f64::from(by) * x.scale / scale).collect();
        let (multipliers, shift) = fitted(&ratios);
        let factor = self.constant("scale", (multipliers.len(), 1), Dtype::I32, &multipliers)?;
        let op = Op::ScaleColumns { scale: factor, shift, clamp };
        Ok(Value { id: self.step("", op, &[x.id])?, dtype: clamp.dtype, scale, ..x })
    }

    /// A layout in which the constant has one entry for each column.
    fn by_columns(
        &mut self,
        x: Value,
        shape: &ValueShape,
        by: &[f32],
    ) -> Result<(Value, Vec<f32>), QuantiseError> {
        if let Some(columns) = columns_of(&x, by) {
            return Ok((x, columns));
        }
        if let Some([channels, height, width]) = shape.image() {
            // Only a layout that fits becomes a step.
            let pixels = height * width;
            let map = super::layout::channels_last(channels, pixels);
            let planned = Value { rows: pixels, columns: channels, map, ..x.clone() };
            if columns_of(&planned, by).is_some() {
                let image = self.image(&x, shape)?;
                if let Some(columns) = columns_of(&image, by) {
                    return Ok((image, columns));
                }
            }
        }
        let all = shape.entries();
        if all > poai_core::program::tensor::COLUMNS_MAX as usize {
            return Err(self.unsupported("a constant that varies over more than 65536 entries"));
        }
        let row = self.laid_out(&x, 1, all, Map::Identity(all), "row")?;
        Ok((row, by.to_vec()))
    }

    /// `x + c` for a constant c.
    pub(super) fn offset(
        &mut self,
        input: usize,
        by: &GraphConstant,
    ) -> Result<Value, QuantiseError> {
        self.fitted_only()?;
        let shape = self.shapes[input].clone();
        let x = self.widened(input)?;
        let x = self.whole(&x, &shape)?;
        // Both terms and their sum must fit the type.
        let largest = by.entries.iter().fold(0.0, |largest: f32, entry| largest.max(entry.abs()));
        let scale = self.wide_scale().max(x.scale).max(f64::from(largest) / f64::from(i16::MAX));
        let ratio = x.scale / scale;
        let id = match ratio == 1.0 {
            true => x.id,
            false => self.requantised("scaled", x.id, ratio, Clamp::full(Dtype::I16))?,
        };
        let by = moves::broadcast(&by.shape, &shape.0, &by.entries);
        let entries: Vec<i32> =
            x.map.entries().iter().map(|&entry| in_i16(f64::from(by[entry]) / scale)).collect();
        let table = self.constant("offset", (x.rows, x.columns), Dtype::I16, &entries)?;
        let id = self.step("", Op::AddRows { table }, &[id])?;
        Ok(Value { id, dtype: Dtype::I16, scale, ..x })
    }

    /// Several values, one after another along an axis.
    pub(super) fn concat(&mut self, inputs: &[usize], axis: usize) -> Result<Value, QuantiseError> {
        let (clamp, scale) = self.own();
        let ids = inputs.iter().all(|&input| self.values[input].dtype == Dtype::I32);
        let mut parts = vec![];
        for &input in inputs {
            let part = self.values[input].clone();
            let same = part.dtype == clamp.dtype && (part.scale / scale - 1.0).abs() < 1e-9;
            parts.push(if same || ids {
                part
            } else {
                let part = self.whole(&part, &self.shapes[input].clone())?;
                let id = self.requantised("scaled", part.id, part.scale / scale, clamp)?;
                Value { id, dtype: clamp.dtype, scale, ..part }
            });
        }
        // Equal values are one input of the step.
        let (mut firsts, mut sources): (Vec<i32>, Vec<Value>) = (vec![], vec![]);
        let mut next = 0;
        let mut places = vec![];
        for part in &parts {
            let known = sources.iter().position(|source| source.id == part.id);
            let first = match known {
                Some(at) => firsts[at],
                None => {
                    firsts.push(next);
                    sources.push(part.clone());
                    next += (part.rows * part.columns) as i32;
                    next - (part.rows * part.columns) as i32
                }
            };
            let own = (0..part.map.len())
                .map(|entry| part.map.at(entry).map_or(-1, |place| first + place as i32));
            places.push(own.collect::<Vec<i32>>());
        }
        if sources.len() > INPUTS_MAX {
            return self.concat_many(inputs, axis, &parts);
        }
        let shapes = inputs.iter().map(|&input| &self.shapes[input]);
        let all: Vec<(&ValueShape, &[i32])> =
            shapes.zip(places.iter().map(Vec::as_slice)).collect();
        let places = moves::concat(&all, axis);
        let shape = self.shapes[self.made()].clone();
        // Images keep a row for each pixel.
        let (rows, columns, map) = match shape.image() {
            Some([channels, height, width]) if height * width > 1 => {
                let pixels = height * width;
                (pixels, channels, super::layout::channels_last(channels, pixels))
            }
            _ => (shape.rows(), shape.last(), Map::Identity(shape.entries())),
        };
        let order = map.entries();
        let index = Arc::new(order.iter().map(|&entry| places[entry]).collect::<Vec<i32>>());
        let index = self.index(rows, columns, index)?;
        let ids: Vec<_> = sources.iter().map(|source| source.id).collect();
        let id = self.step("", Op::Arrange { index }, &ids)?;
        let (dtype, scale) = match parts.first() {
            Some(part) => (part.dtype, part.scale),
            None => (clamp.dtype, scale),
        };
        Ok(Value { id, rows, columns, map, dtype, scale, zero: 0 })
    }

    /// More values than a step reads: groups of them first.
    fn concat_many(
        &mut self,
        inputs: &[usize],
        axis: usize,
        parts: &[Value],
    ) -> Result<Value, QuantiseError> {
        let mut joined: Vec<(ValueShape, Value)> = inputs
            .iter()
            .zip(parts)
            .map(|(&input, part)| (self.shapes[input].clone(), part.clone()))
            .collect();
        while joined.len() > 1 {
            let mut next = vec![];
            for group in joined.chunks(INPUTS_MAX) {
                let mut shape = group[0].0.clone();
                shape.0[axis] = group.iter().map(|(shape, _)| shape.0[axis]).sum();
                let mut first = 0;
                let mut places = vec![];
                for (_, part) in group {
                    let own = (0..part.map.len())
                        .map(|entry| part.map.at(entry).map_or(-1, |place| first + place as i32));
                    places.push(own.collect::<Vec<i32>>());
                    first += (part.rows * part.columns) as i32;
                }
                let all: Vec<(&ValueShape, &[i32])> = group
                    .iter()
                    .map(|(shape, _)| shape)
                    .zip(places.iter().map(Vec::as_slice))
                    .collect();
                let index = Arc::new(moves::concat(&all, axis));
                let (rows, columns) = (shape.rows(), shape.last());
                let index = self.index(rows, columns, index)?;
                let ids: Vec<_> = group.iter().map(|(_, part)| part.id).collect();
                let id = self.step("joined", Op::Arrange { index }, &ids)?;
                let map = Map::Identity(shape.entries());
                let value = Value { id, rows, columns, map, ..group[0].1.clone() };
                next.push((shape, value));
            }
            joined = next;
        }
        joined.pop().map(|(_, value)| value).ok_or_else(|| self.unsupported("no values"))
    }
}

/// The most inputs of a step.
const INPUTS_MAX: usize = 16;

/// The entries of a constant by the tensor's columns, if it varies along them
/// alone.
fn columns_of(x: &Value, by: &[f32]) -> Option<Vec<f32>> {
    let mut columns = vec![None; x.columns];
    for (entry, &by) in by.iter().enumerate() {
        let column = &mut columns[x.map.at(entry)? % x.columns];
        if column.get_or_insert(by) != &by {
            return None;
        }
    }
    columns.into_iter().collect()
}
