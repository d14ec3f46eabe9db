//! Conversion from floats to the integers of steps.

use super::BertError;
use super::float::gelu;
use super::weights::{Dense, Norm};
use ndarray::Array2;

/// Units of a hidden state that represent 1: Q8.
pub(super) const BUS: f64 = 256.0;
/// The largest entry of a quantised operand.
pub(super) const OPERAND: f64 = 63.0;
/// Fractional bits of the sums to which biases are added, beyond the output's.
pub(super) const GUARD: u8 = 6;
/// The shift after scaling embeddings.
pub(super) const EMBED_SHIFT: u8 = 16;
/// The shift of z·γ. z has 14 fractional bits, γ has 12 and the hidden state
/// has 8.
pub(super) const NORM_SHIFT: u8 = 18;
/// The shift after scaling columns.
pub(super) const SMOOTH_SHIFT: u8 = 14;
/// The shift after scaling scores.
pub(super) const SCORE_SHIFT: u8 = 20;
/// Entries of the table of exponentials over which its values fall by a factor
/// of e.
pub(super) const EXP_STEPS: f64 = 46.0;
/// The first shift of a context. 22 − 12 fractional bits remain.
pub(super) const CONTEXT_SHIFT: u8 = 12;
/// The shift of an activation's table. The table covers −1024 to 1023, that is
/// ±4.
pub(super) const TABLE_SHIFT: u8 = 3;

/// The nearest integer, with halves rounded up.
pub(super) fn round(x: f64) -> i64 {
    (x + 0.5).floor() as i64
}

/// The nearest integer in the range of i32.
pub(super) fn round32(x: f64) -> i32 {
    round(x).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// The nearest Q8 integer in the range of i16.
pub(super) fn bus(x: f64) -> i32 {
    round(x * BUS).clamp(i16::MIN.into(), i16::MAX.into()) as i32
}

/// Rows of 7-bit integers, with the real value of 1 in each row.
pub(super) struct Rows {
    pub(super) entries: Vec<i32>,
    pub(super) scales: Vec<f64>,
}

impl Rows {
    /// Quantises each row by its own largest magnitude, or all rows by the
    /// largest of all. The factors in `columns` are multiplied in first.
    pub(super) fn new(matrix: &Array2<f32>, columns: Option<&[f64]>, per_row: bool) -> Rows {
        let factor = |column: usize| columns.map_or(1.0, |columns| columns[column]);
        let scaled = |row: usize| {
            matrix.row(row).into_iter().enumerate().map(move |(at, &x)| f64::from(x) * factor(at))
        };
        let largest = |row: usize| scaled(row).fold(0.0, |max: f64, x| max.max(x.abs()));
        let mut maxima: Vec<f64> = (0..matrix.nrows()).map(largest).collect();
        if !per_row {
            let max = maxima.iter().copied().fold(0.0, f64::max);
            maxima.fill(max);
        }
        let scales: Vec<f64> = maxima.iter().map(|max| max / OPERAND).collect();
        let mut entries = Vec::with_capacity(matrix.len());
        for (row, &scale) in scales.iter().enumerate() {
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            // Saturates if a scale is so small that its inverse overflows.
            let limit = OPERAND as i64;
            let quantised = scaled(row).map(|x| round(x * inverse).clamp(-limit, limit) as i32);
            entries.extend(quantised);
        }
        Rows { entries, scales }
    }
}

/// The constants of a product.
pub(super) struct Product {
    pub(super) weights: Vec<i32>,
    /// b0, M and b1 of each output.
    pub(super) requantise: Vec<i32>,
    pub(super) shifts: [u8; 3],
}

impl Product {
    /// A product with row-scaled operands. `input` is the integer that
    /// represents 1 in them, and `units(n)` that in output `n`.
    pub(super) fn new(
        step: &str,
        dense: &Dense,
        columns: Option<&[f64]>,
        (input, units): (f64, impl Fn(usize) -> f64),
        per_row: bool,
    ) -> Result<Product, BertError> {
        let too_large = || BertError::Scale { step: step.to_owned() };
        let Rows { entries, scales } = Rows::new(&dense.weights, columns, per_row);
        let guard = f64::from(1 << GUARD);
        let factors: Vec<f64> = scales
            .iter()
            .enumerate()
            .map(|(n, scale)| scale / OPERAND / input * units(n) * guard)
            .collect();
        let max = factors.iter().copied().fold(0.0, f64::max);
        if !max.is_finite() {
            return Err(too_large());
        }
        // The largest multiplier has 30 bits, or fewer if a shift would exceed
        // its maximum.
        let mut shift = largest_shift(max, 1 << 30, 80);
        let sums = 63 * 64 * dense.weights.ncols() as i128;
        let bits = |shift: i32| {
            let largest = i128::from(round(max * 2f64.powi(shift)));
            // The smallest shift at which no sum exceeds 32 bits.
            (0..).find(|&bits| (sums * largest) >> bits < i128::from(i32::MAX)).unwrap_or(62)
        };
        let mut first: i32 = bits(shift);
        if shift - first > 62 {
            shift = 62;
            first = bits(shift);
        }
        let second = u8::try_from(shift - first).map_err(|_| too_large())?;
        let multiplier = |factor: f64| round32(factor * 2f64.powi(shift));
        let requantise = factors.iter().zip(&dense.bias).enumerate();
        let requantise = requantise.flat_map(|(n, (&factor, &bias))| {
            [0, multiplier(factor), round32(f64::from(bias) * units(n) * guard)]
        });
        Ok(Product {
            weights: entries,
            requantise: requantise.collect(),
            // Exact: at most 62.
            shifts: [first as u8, second, GUARD],
        })
    }
}

/// The largest shift, at most `most`, at which the factor as an integer stays
/// below the limit.
pub(super) fn largest_shift(factor: f64, limit: i64, most: i32) -> i32 {
    let fits = |shift: &i32| round(factor * 2f64.powi(*shift)) < limit;
    (-1100..=most).rev().find(fits).unwrap_or(-1100)
}

/// γ and β of a Q8 LayerNorm, as pairs.
pub(super) fn affine(norm: &Norm) -> Vec<i32> {
    let pairs = norm.gamma.iter().zip(&norm.beta);
    pairs
        .flat_map(|(&g, &b)| [round32(f64::from(g) * 4096.0), round32(f64::from(b) * BUS)])
        .collect()
}

/// Factors of a product's weights, by input, that move range from activations
/// into weights. They are `aᵉ/b^(1−e)`, scaled to geometric mean 1. Here a is
/// the largest magnitude of each input (`activations`), b is the largest weight
/// of each column and e is the exponent.
pub(super) fn smoothing(activations: &[f32], weights: &[&Array2<f32>], exponent: f64) -> Vec<f64> {
    let mut logs: Vec<f64> = activations
        .iter()
        .enumerate()
        .map(|(column, &a)| {
            let column = weights.iter().flat_map(|weights| weights.column(column));
            let b = column.fold(0f32, |max, x| max.max(x.abs()));
            let log = |x: f32| f64::from(x).max(1e-6).ln();
            exponent * log(a) - (1.0 - exponent) * log(b)
        })
        .collect();
    let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
    for log in &mut logs {
        *log = (*log - mean).exp();
    }
    logs
}

/// The table of e to the power of minus the distance, with 127 for 1.
pub(super) fn exponentials() -> Vec<i32> {
    (0..256).map(|i| round32(127.0 * (-f64::from(i) / EXP_STEPS).exp())).collect()
}

/// The table of GELU from Q8 to Q8, at the middle of the inputs that share an
/// entry.
pub(super) fn gelu_table() -> Vec<i32> {
    let middle = |i: i32| (f64::from((i - 128) << TABLE_SHIFT) + 3.5) / BUS;
    (0..256).map(|i| bus(gelu(middle(i)))).collect()
}
