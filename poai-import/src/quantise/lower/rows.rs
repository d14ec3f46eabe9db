//! Normalisations, softmax, means and maxima.

use super::layout::Map;
use super::{Lower, Value};
use crate::graph::Reduction;
use crate::quantise::QuantiseError;
use crate::quantise::numbers::fitted;
use poai_core::program::{Clamp, Dtype, Op, Window};

/// The output of a softmax that stands for 1.
const ONE: i32 = 1 << 14;
/// The largest entry of a softmax's table.
const PEAK: f64 = 127.0;

impl Lower<'_> {
    /// Softmax along the last axis.
    pub(super) fn softmax(&mut self, input: usize) -> Result<Value, QuantiseError> {
        self.fitted_only()?;
        let x = self.widened(input)?;
        let (x, ..) = self.by_rows(&x, &self.shapes[input].clone())?;
        // The last of 256 entries would be a half. It is 0, because all that is
        // farther takes it: what a mask hides has no weight.
        let step = (2.0 * PEAK).ln() / 255.0;
        let entry = |at: i32| (PEAK * (-f64::from(at) * step).exp()).round() as i32;
        let entries: Vec<i32> = (0..255).map(entry).chain([0]).collect();
        let (multipliers, shift) = fitted(&[x.scale / step]);
        let multiplier = multipliers.first().copied().unwrap_or(0);
        let table = self.constant("exponentials", (256, 1), Dtype::I16, &entries)?;
        let clamp = Clamp { dtype: Dtype::I16, min: 0, max: ONE };
        let op = Op::Softmax { table, multiplier, shift, one: ONE, clamp };
        let scale = 1.0 / f64::from(ONE);
        Ok(Value { id: self.step("", op, &[x.id])?, dtype: Dtype::I16, scale, ..x })
    }

    /// LayerNorm or RMSNorm along the last axis.
    pub(super) fn normalise(
        &mut self,
        input: usize,
        centre: bool,
        gamma: &[f32],
        beta: &[f32],
    ) -> Result<Value, QuantiseError> {
        self.fitted_only()?;
        let x = self.widened(input)?;
        let (x, _, columns) = self.by_rows(&x, &self.shapes[input].clone())?;
        let scale = self.wide_scale();
        let placed = |from: &[f32]| {
            let mut to = vec![0.0; from.len()];
            columns.iter().zip(from).for_each(|(&place, &entry)| to[place] = f64::from(entry));
            to
        };
        let (affine, shift) = self.affine(&placed(gamma), &placed(beta), scale)?;
        let op = Op::Normalise { affine, centre, shift };
        Ok(Value { id: self.step("", op, &[x.id])?, dtype: Dtype::I16, scale, ..x })
    }

    /// One entry for all entries along some axes: a pool over rows of those
    /// entries, with a column for each of the others.
    pub(super) fn reduce(
        &mut self,
        input: usize,
        axes: &[usize],
        how: Reduction,
    ) -> Result<Value, QuantiseError> {
        let shape = self.shapes[input].clone();
        let mean = how == Reduction::Mean;
        let x = if mean { self.widened(input)? } else { self.values[input].clone() };
        let count: usize = axes.iter().map(|&axis| shape.0[axis]).product();
        let kept = shape.entries() / count.max(1);
        // The place of each entry: its row among the reduced, its column among
        // the kept.
        let mut places = Vec::with_capacity(shape.entries());
        let mut at = vec![0; shape.rank()];
        for _ in 0..shape.entries() {
            let (mut row, mut column) = (0, 0);
            for (axis, (&size, &own)) in shape.0.iter().zip(&at).enumerate() {
                let to = if axes.contains(&axis) { &mut row } else { &mut column };
                *to = *to * size + own;
            }
            places.push((row * kept + column) as i32);
            for axis in (0..shape.rank()).rev() {
                at[axis] += 1;
                if at[axis] < shape.0[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
        let x = self.laid_out(&x, count, kept, Map::whole(places), "reduced")?;
        let rows = self.dim(count)?;
        let (kernel, stride, pads) = ([rows, 1], [1, 1], [0; 4]);
        let window = Window { height: rows, width: 1, kernel, stride, pads };
        let op = if mean { Op::AveragePool(window) } else { Op::MaxPool(window) };
        let id = self.step("", op, &[x.id])?;
        Ok(Value { id, rows: 1, columns: kept, map: Map::Identity(kept), ..x })
    }
}
