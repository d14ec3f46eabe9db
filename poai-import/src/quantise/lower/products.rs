//! Layers with weights, products of values, and look-ups.

use super::layout::Map;
use super::{Lower, NARROW_TOP, Value, ZERO, in_i16};
use crate::graph::{ImageWindow, Kind, ValueShape};
use crate::quantise::numbers::{BOUND, Weights, fitted, integer};
use crate::quantise::{Numbers, QuantiseError, finite};
use ndarray::{ArcArray2, Array2, ArrayView2};
use poai_core::program::{Clamp, Dtype, GroupWindow, Op, ValueId, Window, standard};
use std::sync::Arc;

/// The most tokens whose softmax weights share one scale in a product. Beyond
/// it, weights that are spread evenly are below that scale. Proofs of inference
/// have no circuit for scales of rows.
const ROW_TOKENS: usize = 32;
/// The bits that a sum loses when its row's scale, of up to 14 bits, is applied.
const ROW_SHIFT: u8 = 12;

impl Lower<'_> {
    /// `x·Wᵀ + b` along the last axis.
    pub(super) fn linear(
        &mut self,
        input: usize,
        weights: &ArcArray2<f32>,
        bias: &[f32],
    ) -> Result<Value, QuantiseError> {
        let x = self.narrowed(input)?;
        let shape = self.shapes[input].clone();
        let (x, rows, columns) = self.by_rows(&x, &shape)?;
        // Column j of the value lies at another place of the tensor.
        let mut placed = Array2::zeros(weights.raw_dim());
        for (mut to, from) in placed.outer_iter_mut().zip(weights.outer_iter()) {
            for (&place, &weight) in columns.iter().zip(from) {
                to[place] = weight;
            }
        }
        let outputs = bias.len();
        let (id, clamp, scale) = self.weighted(&x, placed.view(), bias, None)?;
        let place = |entry: usize| (rows[entry / outputs] * outputs + entry % outputs) as i32;
        let map = Map::whole((0..rows.len() * outputs).map(place).collect());
        let zero = self.zero();
        Ok(Value { id, rows: rows.len(), columns: outputs, map, dtype: clamp.dtype, scale, zero })
    }

    /// The integer that stands for 0 in the output of the current layer.
    fn zero(&self) -> i32 {
        if self.planned().rectified.is_some() { ZERO } else { 0 }
    }

    pub(super) fn convolution(
        &mut self,
        input: usize,
        weights: &ArcArray2<f32>,
        bias: &[f32],
        window: &ImageWindow,
        groups: usize,
    ) -> Result<Value, QuantiseError> {
        let x = self.narrowed(input)?;
        let shape = self.shapes[input].clone();
        let x = self.image(&x, &shape)?;
        let Some([outputs, height, width]) = self.shapes[self.made()].image() else {
            return Err(self.unsupported("a value that is no image"));
        };
        let moved = self.window(input, window)?;
        let mut x = x;
        if !window.is_pixel() {
            let filled = x.zero != 0 && window.pads != [0; 4];
            let plain = groups == 1 && window.dilation == [1, 1] && !filled;
            let op = if plain {
                Op::Unfold(moved)
            } else {
                let [down, right] = window.dilation;
                let dilation = [self.dim(down)?, self.dim(right)?];
                let groups = self.dim(groups)?;
                Op::GroupUnfold(GroupWindow { window: moved, dilation, groups, fill: x.zero })
            };
            x.id = self.step("unfold", op, &[x.id])?;
        }
        let groups = if groups > 1 { Some(self.dim(groups)?) } else { None };
        let (id, clamp, scale) = self.weighted(&x, weights.view(), bias, groups)?;
        let pixels = height * width;
        let map = super::layout::channels_last(outputs, pixels);
        let zero = self.zero();
        Ok(Value { id, rows: pixels, columns: outputs, map, dtype: clamp.dtype, scale, zero })
    }

    /// The program's window over an image.
    pub(super) fn window(
        &self,
        input: usize,
        window: &ImageWindow,
    ) -> Result<Window, QuantiseError> {
        let Some([_, height, width]) = self.shapes[input].image() else {
            return Err(self.unsupported("a value that is no image"));
        };
        let ImageWindow { kernel, stride, pads, .. } = *window;
        let pair =
            |[down, right]: [usize; 2]| Ok::<_, QuantiseError>([self.dim(down)?, self.dim(right)?]);
        let [top, left, bottom, right] = pads;
        let ([top, left], [bottom, right]) = (pair([top, left])?, pair([bottom, right])?);
        let [height, width] = pair([height, width])?;
        let (kernel, stride) = (pair(kernel)?, pair(stride)?);
        Ok(Window { height, width, kernel, stride, pads: [top, left, bottom, right] })
    }

    /// The product of an operand with weights, with the bias in the
    /// accumulator's scale, one multiplier per channel, and one shift.
    fn weighted(
        &mut self,
        x: &Value,
        weights: ArrayView2<'_, f32>,
        bias: &[f32],
        groups: Option<u32>,
    ) -> Result<(ValueId, Clamp, f64), QuantiseError> {
        finite(&self.name, "its weights", weights.iter())?;
        finite(&self.name, "its bias", bias.iter())?;
        let (clamp, scale) = self.own();
        let (scale_x, zero) = (x.scale, self.zero());
        let bound = match self.options.numbers {
            Numbers::Fitted => BOUND,
            Numbers::Standard => (1 << standard::BIAS_BITS) - 1,
        };
        let Weights { entries, scales } =
            Weights::new(weights, bias, scale_x, bound, self.options.weights);
        let ratios: Vec<f64> = scales.iter().map(|own| own * scale_x / scale).collect();
        let (multipliers, shift) =
            self.fixed_point(clamp.dtype, &ratios, standard::CHANNEL_BITS)?;
        // What the operand's offset adds to each sum.
        let sum = |channel: &[i32]| -> i32 { channel.iter().sum() };
        let offsets = entries.chunks(weights.ncols().max(1)).map(|channel| x.zero * sum(channel));
        let channels = bias.iter().zip(scales.iter().zip(&multipliers)).zip(offsets);
        let requantise: Vec<i32> = channels
            .flat_map(|((&bias, (own, &multiplier)), offset)| {
                let bias = integer(f64::from(bias) / (scale_x * own), bound);
                [bias.saturating_sub(offset), multiplier, zero]
            })
            .collect();
        let weights = self.constant("weights", weights.dim(), Dtype::I8, &entries)?;
        let size = (bias.len(), 3);
        let requantise = self.constant("requantise", size, Dtype::I32, &requantise)?;
        let shifts = [shift, 0, 0];
        let op = match groups {
            None => Op::Linear { weights, requantise, shifts, clamp },
            Some(groups) => Op::GroupLinear { weights, requantise, groups, shifts, clamp },
        };
        Ok((self.step("", op, &[x.id])?, clamp, scale))
    }

    /// The product of two values.
    pub(super) fn product(&mut self, left: usize, right: usize) -> Result<Value, QuantiseError> {
        self.fitted_only()?;
        let shape = self.shapes[self.made()].clone();
        let (of_left, of_right) = (self.shapes[left].clone(), self.shapes[right].clone());
        let (k, n) = (of_left.last(), shape.last());
        let m = shape.0.get(shape.rank().saturating_sub(2)).copied().unwrap_or(1).max(1);
        let blocks = (shape.rows() / m).max(1);
        let softmax = self.graph.layer(left).is_some_and(|layer| layer.kind == Kind::Softmax);
        let weights = softmax && k > ROW_TOKENS;
        let (a, rows) =
            if weights { self.by_row(left, &of_left)? } else { (self.narrowed(left)?, None) };
        let a = self.in_order(&a, &of_left)?;
        let b = self.narrowed(right)?;
        // Each block of the right side is transposed.
        let order: Vec<usize> = (0..of_right.entries())
            .map(|place| {
                let (block, own) = (place / (n * k), place % (n * k));
                block * n * k + own % k * n + own / k
            })
            .collect();
        let turned = self.arranged(&b, blocks * n, k, Some(&order), "turned")?;
        let wide = Clamp::full(Dtype::I32);
        let op = Op::Product { blocks: self.dim(blocks)?, shift: 0, clamp: wide };
        let mut sums = self.step("sums", op, &[a.id, turned])?;
        let (clamp, scale) = self.own();
        let mut both = a.scale * b.scale;
        if let Some(rows) = rows {
            // Each row's scale beside each of its sums, at most 2^14 and 2^28.
            let repeated = (0..blocks * m * n).map(|place| (place / n) as i32).collect();
            let index = self.index(blocks * m, n, Arc::new(repeated))?;
            let scales = self.step("scales", Op::Arrange { index }, &[rows])?;
            let op = Op::Mul { shift: ROW_SHIFT, clamp: wide };
            sums = self.step("scaled", op, &[sums, scales])?;
            both *= f64::from(1u32 << ROW_SHIFT);
        }
        let id = self.requantised("", sums, both / scale, clamp)?;
        let map = Map::Identity(shape.entries());
        Ok(Value { id, rows: blocks * m, columns: n, map, dtype: clamp.dtype, scale, zero: 0 })
    }

    /// The weights of a softmax as an operand whose rows have scales of their
    /// own: some rows have one large weight, and others only small ones. The
    /// real value of 1 is that of a row's scale times the operand.
    fn by_row(
        &mut self,
        value: usize,
        shape: &ValueShape,
    ) -> Result<(Value, Option<ValueId>), QuantiseError> {
        let x = self.widened(value)?;
        let x = self.in_order(&x, shape)?;
        let rows = self.step("largest", Op::RowScale, &[x.id])?;
        let id = self.step("narrow", Op::Quantise, &[x.id, rows])?;
        let scale = x.scale / NARROW_TOP;
        Ok((Value { id, dtype: Dtype::I8, scale, ..x }, Some(rows)))
    }

    /// Rows of a table.
    pub(super) fn lookup(
        &mut self,
        input: usize,
        table: &Array2<f32>,
    ) -> Result<Value, QuantiseError> {
        self.fitted_only()?;
        finite(&self.name, "its table", table.iter())?;
        let ids = self.values[input].clone();
        let count = self.shapes[input].entries();
        let id = self.arranged(&ids, count, 1, None, "ids")?;
        let scale = self.wide_scale();
        let largest = |row: ndarray::ArrayView1<'_, f32>| {
            f64::from(row.iter().fold(0.0, |largest: f32, entry| largest.max(entry.abs())))
        };
        let scales: Vec<f64> = table.outer_iter().map(|row| largest(row) / NARROW_TOP).collect();
        let entries: Vec<i32> = table
            .outer_iter()
            .zip(&scales)
            .flat_map(|(row, &own)| {
                let own = if own > 0.0 { own } else { 1.0 };
                row.iter().map(|&x| integer(f64::from(x) / own, 63)).collect::<Vec<_>>()
            })
            .collect();
        let ratios: Vec<f64> = scales.iter().map(|own| own / scale).collect();
        let (multipliers, shift) = fitted(&ratios);
        let columns = table.ncols();
        let table = self.constant("table", table.dim(), Dtype::I8, &entries)?;
        let scales = self.constant("scales", (multipliers.len(), 1), Dtype::I32, &multipliers)?;
        let id = self.step("", Op::Embed { table, scales, shift }, &[id])?;
        let map = Map::Identity(count * columns);
        Ok(Value { id, rows: count, columns, map, dtype: Dtype::I16, scale, zero: 0 })
    }

    /// A constant of columns × 2: γ and β of a normalisation whose z has 14
    /// fractional bits.
    pub(super) fn affine(
        &mut self,
        gamma: &[f64],
        beta: &[f64],
        scale: f64,
    ) -> Result<(poai_core::program::ConstantId, u8), QuantiseError> {
        let ratios: Vec<f64> = gamma.iter().map(|gamma| gamma / scale / 16384.0).collect();
        let (multipliers, shift) = fitted(&ratios);
        let pairs = multipliers.iter().zip(beta);
        let entries: Vec<i32> =
            pairs.flat_map(|(&gamma, &beta)| [gamma, in_i16(beta / scale)]).collect();
        let affine = self.constant("affine", (gamma.len(), 2), Dtype::I32, &entries)?;
        Ok((affine, shift))
    }
}
