//! The steps of a program as constraints (spec §12). They compute the same
//! numbers, bit for bit, as [`poai_core::program::ops`].

use super::super::system::System;
use super::bits::{decompose, divide, floor, max, width};
use super::curve::curve;
use super::number::{Bit, Number};
use super::packing::Element;
use super::product::{fixed_row, fixed_terms, grouped, sums};
use super::table::look_up;
use super::tensor::Entries;
use super::{CircuitError, TERMS_MAX};
use poai_core::program::ops::Local;
use poai_core::program::ops::pool::pixels;
use poai_core::program::{Clamp, Extent, Op, Window};

/// A step in a circuit.
pub(super) struct Step<'a> {
    pub(super) local: &'a Local<'a>,
    /// The inputs, then the constants.
    pub(super) slots: Vec<&'a Entries>,
    /// A product's weights if they are constants, or an index. Their slot is
    /// then empty.
    pub(super) fixed: Option<&'a [i32]>,
    /// The committed multipliers, or constants.
    pub(super) multipliers: &'a [Number],
    /// The binding, which challenges are hashes of.
    pub(super) binding: &'a Element,
    /// Whether only `Relu` steps read the output. Below 0, only its sign then
    /// matters.
    pub(super) rectified: bool,
}

/// `min(max(⌊(x + half)·2⁻ˢ⌋, least), most)`.
pub(super) fn shifted(system: &mut System, x: &Number, shift: u8, clamp: (i128, i128)) -> Number {
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    // Saturates where the executor's 64 bits would, which happens only at the
    // ends of i32.
    let sum = floored(system, &x.plus(half), 0, I64);
    floored(system, &sum, shift.into(), clamp)
}

/// `min(max(⌊x·2⁻ˢ⌋, least), most)`.
pub(super) fn floored(
    system: &mut System,
    x: &Number,
    shift: u32,
    (least, most): (i128, i128),
) -> Number {
    let (from, to) = x.bounds();
    if x.is_constant() {
        return Number::constant((x.value() >> shift).clamp(least, most));
    }
    if shift == 0 && least <= from && to <= most {
        return x.clone();
    }
    // If all values are beyond one end, the entry does not need its bits.
    if to >> shift <= least {
        return Number::constant(least);
    }
    if from >> shift >= most {
        return Number::constant(most);
    }
    floor(system, x, shift, least).clamp(system, least, most)
}

const I64: (i128, i128) = (i64::MIN as i128, i64::MAX as i128);
pub(super) const I16: (i128, i128) = (i16::MIN as i128, i16::MAX as i128);
const I32: (i128, i128) = (i32::MIN as i128, i32::MAX as i128);

fn within((least, most): (i128, i128), (from, to): (i128, i128)) -> bool {
    least <= from && to <= most
}

impl Step<'_> {
    /// The output's entries.
    pub(super) fn build(&self, system: &mut System) -> Result<Entries, CircuitError> {
        let output = self.local.output;
        let entries = match self.local.op {
            Op::Linear { shifts, clamp, .. } if self.local.inputs == 1 => {
                self.linear(system, 1, shifts, clamp)?
            }
            Op::GroupLinear { groups, shifts, clamp, .. } if self.local.inputs == 1 => {
                self.linear(system, *groups, shifts, clamp)?
            }
            Op::Product { blocks, shift, clamp } => self.product(system, *blocks, *shift, clamp)?,
            Op::Unfold(window) => self.unfold(window)?,
            Op::Add { multipliers, shift, clamp } => {
                let [m0, m1] = multipliers.map(|own| Number::constant(own.into()));
                let (m0, m1) = match self.multipliers {
                    [m0, m1] => (m0, m1),
                    _ => (&m0, &m1),
                };
                let clamp = self.clamp(clamp);
                self.pairs(|a, b| {
                    let (a, b) = (Number::product(system, m0, a), Number::product(system, m1, b));
                    let sum = floored(system, &Number::sum([(1, &a), (1, &b)], 0), 0, I64);
                    shifted(system, &sum, *shift, clamp)
                })?
            }
            Op::Mul { shift, clamp } => {
                let clamp = self.clamp(clamp);
                self.pairs(|a, b| {
                    let product = Number::product(system, a, b);
                    shifted(system, &product, *shift, clamp)
                })?
            }
            Op::Requantise { multiplier, shift, clamp } => {
                let clamp = self.clamp(clamp);
                let own = Number::constant((*multiplier).into());
                let multiplier = self.multipliers.first().unwrap_or(&own);
                let entry = |x: &Number| {
                    let product = Number::product(system, multiplier, x);
                    shifted(system, &product, *shift, clamp)
                };
                self.slot(0)?.entries.iter().map(entry).collect()
            }
            Op::ScaleColumns { shift, clamp, .. } => self.scale_columns(system, *shift, clamp)?,
            Op::AddRows { .. } => self.add_rows(system)?,
            Op::Relu => {
                let entry = |x: &Number| floored(system, x, 0, (0, x.bounds().1.max(0)));
                self.slot(0)?.entries.iter().map(entry).collect()
            }
            Op::Table { shift, pass_above, .. } => self.table(system, *shift, *pass_above)?,
            Op::Curve { shift, pass_above, .. } => {
                let (x, points) = (self.slot(0)?, self.constant(0)?);
                let entry = |x: &Number| curve(system, x, &points.entries, *shift, *pass_above);
                x.entries.iter().map(entry).collect::<Result<_, _>>()?
            }
            Op::MaxPool(window) => self.pool(system, window, false)?,
            Op::AveragePool(window) => self.pool(system, window, true)?,
            Op::Softmax { multiplier, shift, one, clamp, .. } => {
                self.softmax(system, *multiplier, *shift, *one, clamp)?
            }
            Op::Normalise { centre, shift, .. } => self.normalise(system, *centre, *shift)?,
            Op::GroupUnfold(window) => self.group_unfold(window)?,
            Op::Arrange { .. } => self.arrange()?,
            Op::Transpose => self.transpose()?,
            Op::Reshape { .. } => self.slot(0)?.entries.clone(),
            _ => return Err(self.unsupported()),
        };
        Ok(Entries::new(output, entries))
    }

    fn unsupported(&self) -> CircuitError {
        CircuitError::Unsupported { kind: self.local.op.name() }
    }

    pub(super) fn slot(&self, slot: usize) -> Result<&Entries, CircuitError> {
        self.slots.get(slot).copied().ok_or(CircuitError::Layout)
    }

    pub(super) fn constant(&self, constant: usize) -> Result<&Entries, CircuitError> {
        self.slot(self.local.inputs + constant)
    }

    /// The output's range. If only `Relu` steps read the output, the range that
    /// they see.
    pub(super) fn clamp(&self, clamp: &Clamp) -> (i128, i128) {
        let (least, most) = (clamp.min.into(), clamp.max.into());
        if self.rectified && most > 0 { (0.max(least), most) } else { (least, most) }
    }

    fn pairs(
        &self,
        mut entry: impl FnMut(&Number, &Number) -> Number,
    ) -> Result<Vec<Number>, CircuitError> {
        let (a, b) = (self.slot(0)?, self.slot(1)?);
        Ok(a.entries.iter().zip(&b.entries).map(|(a, b)| entry(a, b)).collect())
    }

    fn linear(
        &self,
        system: &mut System,
        groups: u32,
        shifts: &[u8; 3],
        clamp: &Clamp,
    ) -> Result<Vec<Number>, CircuitError> {
        let (x, channels) = (self.slot(0)?, self.constant(1)?);
        let clamp = self.clamp(clamp);
        let mut entries = Vec::with_capacity(self.local.output.rows as usize);
        let mut requantised = |system: &mut System, sum: &Number, channel: &[Number]| {
            let [before, multiplier, after] = channel else { return Err(CircuitError::Layout) };
            let channel = [before, multiplier, after];
            entries.push(requantise(system, sum, channel, shifts, clamp));
            Ok(())
        };
        if let Some(weights) = self.fixed {
            // The number of terms is known before any row is made, and only one
            // row is kept at a time.
            if system.terms().saturating_add(fixed_terms(x, weights)) > TERMS_MAX {
                return Err(CircuitError::Large);
            }
            for row in x.rows() {
                for (sum, channel) in fixed_row(row, weights, groups as usize).zip(channels.rows())
                {
                    requantised(system, &sum, channel)?;
                }
            }
            return Ok(entries);
        }
        for row in &grouped(system, self.binding, x, self.constant(0)?, groups)? {
            for (sum, channel) in row.iter().zip(channels.rows()) {
                requantised(system, sum, channel)?;
            }
        }
        Ok(entries)
    }

    /// Products of the rows of two inputs that are in one block.
    fn product(
        &self,
        system: &mut System,
        blocks: u32,
        shift: u8,
        clamp: &Clamp,
    ) -> Result<Vec<Number>, CircuitError> {
        let clamp = self.clamp(clamp);
        // Blocks of all items have consecutive numbers in both inputs.
        let blocks = blocks.checked_mul(self.local.run.batch).ok_or(CircuitError::Layout)?;
        let mut entries = vec![];
        for block in 0..blocks {
            let [a, b] = [self.slot(0)?, self.slot(1)?].map(|all| all.part_of_rows(block, blocks));
            let (a, b) = (a.ok_or(CircuitError::Layout)?, b.ok_or(CircuitError::Layout)?);
            let sums = sums(system, self.binding, &a, &b)?;
            entries.extend(sums.iter().flatten().map(|sum| shifted(system, sum, shift, clamp)));
        }
        Ok(entries)
    }

    fn add_rows(&self, system: &mut System) -> Result<Vec<Number>, CircuitError> {
        let (x, table) = (self.slot(0)?, self.constant(0)?);
        let per_item = self.local.output_item_rows() as usize;
        let mut entries = Vec::with_capacity(x.entries.len());
        for (at, row) in x.rows().enumerate() {
            for (x, own) in row.iter().zip(table.row(at % per_item)) {
                let sum = Number::sum([(1, x), (1, own)], 0);
                entries.push(floored(system, &sum, 0, I16));
            }
        }
        Ok(entries)
    }

    fn scale_columns(
        &self,
        system: &mut System,
        shift: u8,
        clamp: &Clamp,
    ) -> Result<Vec<Number>, CircuitError> {
        let (x, scales) = (self.slot(0)?, self.constant(0)?);
        let clamp = self.clamp(clamp);
        let mut entries = vec![];
        for row in x.rows() {
            for (x, scale) in row.iter().zip(&scales.entries) {
                let product = Number::product(system, x, scale);
                entries.push(shifted(system, &product, shift, clamp));
            }
        }
        Ok(entries)
    }

    /// Pools by maximum or by mean. A mean is ⌊(sum + n/2)/n⌋ for either sign.
    fn pool(
        &self,
        system: &mut System,
        window: &Window,
        mean: bool,
    ) -> Result<Vec<Number>, CircuitError> {
        let x = self.slot(0)?;
        let mut entries = vec![];
        for row in 0..self.local.output.rows {
            let under: Vec<&[Number]> = pixels(self.local, window, row)
                .flatten()
                .map(|pixel| x.row(pixel as usize))
                .collect();
            for column in 0..x.extent.columns as usize {
                let mut pixels = under.iter().filter_map(|pixel| pixel.get(column));
                if mean {
                    let parts: Vec<_> = pixels.map(|pixel| (1, pixel)).collect();
                    let n = parts.len().max(1) as i128;
                    let sum = Number::sum(parts.iter().copied(), n / 2);
                    entries.push(quotient(system, &sum, n));
                } else {
                    let first = pixels.next().ok_or(CircuitError::Layout)?.clone();
                    entries.push(pixels.fold(first, |most, pixel| max(system, &most, pixel)));
                }
            }
        }
        Ok(entries)
    }

    /// Looks up `⌊x·2⁻ˢ⌋ + 128`, clamped. Above the table, the result is the
    /// last entry or x.
    fn table(
        &self,
        system: &mut System,
        shift: u8,
        pass_above: bool,
    ) -> Result<Vec<Number>, CircuitError> {
        let (x, table) = (self.slot(0)?, self.constant(0)?);
        let range = Extent::new(1, 1, self.local.output.dtype).map(|one| one.dtype.range());
        let (least, most) = range.ok_or(CircuitError::Layout)?;
        let shift = u32::from(shift.min(62));
        let mut entries = vec![];
        for x in &x.entries {
            let index = match shift {
                0 => x.clone(),
                _ => floor(system, x, shift, x.bounds().0 >> shift).quotient,
            };
            let found = entry(system, &index, &table.entries)?;
            if !pass_above || index.bounds().1 < 128 {
                entries.push(found);
                continue;
            }
            let above = floor(system, &index, 0, 128).at_least(128);
            let above = above.unwrap_or_else(|| Bit::constant(false));
            let passed = floored(system, x, 0, (least.into(), most.into()));
            entries.push(above.choose(system, &passed, &found));
        }
        Ok(entries)
    }
}

/// A table's entry at an index that starts at −128 and is clamped to the
/// table's ends.
fn entry(system: &mut System, index: &Number, table: &[Number]) -> Result<Number, CircuitError> {
    let index = floored(system, index, 0, (-128, 127));
    entry_from(system, &index, -128, table)
}

/// A table's entry at an index that starts at `start`, and is within the table.
pub(super) fn entry_from(
    system: &mut System,
    index: &Number,
    start: i128,
    table: &[Number],
) -> Result<Number, CircuitError> {
    let (least, most) = index.bounds();
    let named = table.get((least - start) as usize..=(most - start) as usize);
    let named = named.ok_or(CircuitError::Layout)?;
    let bits = decompose(system, index, least, width(most - least)).bits;
    Ok(look_up(system, &bits, named))
}

/// ⌊x/n⌋ for n > 0.
pub(super) fn quotient(system: &mut System, x: &Number, n: i128) -> Number {
    match n {
        1 => x.clone(),
        n if n.count_ones() == 1 => {
            let shift = n.trailing_zeros();
            floor(system, x, shift, x.bounds().0 >> shift).quotient
        }
        n => divide(system, x, n),
    }
}

/// The rest of a product step after the sum, with `(b0, M, b1)`.
///
/// If nothing can saturate between them, the floors join:
/// `⌊(⌊(p + h0)/2^s0⌋ + b1 + h2)/2^s2⌋ = ⌊(p + h0 + (b1 + h2)·2^s0)/2^(s0+s2)⌋`.
/// One decomposition is then enough.
fn requantise(
    system: &mut System,
    sum: &Number,
    [before, multiplier, after]: [&Number; 3],
    &[s0, _, s2]: &[u8; 3],
    clamp: (i128, i128),
) -> Number {
    let half = |shift: u8| if shift == 0 { 0i128 } else { 1 << (shift - 1) };
    let first = Number::sum([(1, sum), (1, before)], 0);
    let first = floored(system, &first, 0, I32);
    let product = Number::product(system, &first, multiplier);
    let (least, most) = product.plus(half(s0)).bounds();
    let second = (least >> s0, most >> s0);
    let (b_least, b_most) = after.bounds();
    let third = (second.0 + b_least, second.1 + b_most);
    if s0 + s2 <= 62 && within(I32, second) && within(I32, third) {
        let scale = 1i128 << s0;
        let all = Number::sum([(1, &product), (scale, after)], half(s0) + half(s2) * scale);
        return floored(system, &all, u32::from(s0) + u32::from(s2), clamp);
    }
    let second = shifted(system, &product, s0, I32);
    let third = Number::sum([(1, &second), (1, after)], 0);
    let third = floored(system, &third, 0, I32);
    shifted(system, &third, s2, clamp)
}
