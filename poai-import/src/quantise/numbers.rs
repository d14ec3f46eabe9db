//! Real numbers as multipliers, shifts and weights of steps.

use super::{Granularity, Numbers, QuantiseError};
use ndarray::{ArrayView2, Axis};
use poai_core::program::{Dtype, SHIFT_MAX, standard};

/// Largest magnitude of a weight.
pub(super) const WEIGHT_MAX: i32 = 63;
/// Bound of multipliers and biases. Within it, a sum with an accumulator fits
/// i32, and a product with a multiplier fits i64.
pub(super) const BOUND: i32 = (1 << 30) - 1;
/// A channel's scale is at least 2^−16 of the scale of the layer's largest
/// weight. All multipliers share one shift, so those of small channels have up
/// to this many bits less.
const CHANNEL_BITS: i32 = 16;

/// The nearest integer with a magnitude of at most `max`.
pub(super) fn integer(x: f64, max: i32) -> i32 {
    // The clamp makes the conversion exact within i32; NaN becomes 0.
    x.round().clamp((-max).into(), max.into()) as i32
}

/// Numbers as multipliers below 2^30 with one shift, which is as large as
/// possible. A number that is still too large becomes the largest multiplier,
/// because its product is clipped anyway.
pub(super) fn fitted(numbers: &[f64]) -> (Vec<i32>, u8) {
    let largest = numbers.iter().map(|number| number.abs()).fold(0.0, f64::max);
    let scaled = |number: f64, shift: u8| (number * 2f64.powi(shift.into())).round();
    let fits = |&shift: &u8| scaled(largest, shift) <= f64::from(BOUND);
    let shift = (0..=SHIFT_MAX).rev().find(fits).unwrap_or(0);
    let multipliers = numbers.iter().map(|&number| integer(scaled(number, shift), BOUND));
    (multipliers.collect(), shift)
}

/// Numbers as multipliers with one shift. In standard form it is the shift of
/// the output's type, and the magnitudes must be below 2^bits.
pub(super) fn fixed_point(
    layer: &str,
    form: Numbers,
    output: Dtype,
    numbers: &[f64],
    bits: u8,
) -> Result<(Vec<i32>, u8), QuantiseError> {
    if form == Numbers::Fitted {
        return Ok(fitted(numbers));
    }
    let shift = standard::shift(output);
    let (most, scale) = ((1 << bits) - 1, 2f64.powi(shift.into()));
    match numbers.iter().find(|&&number| (number * scale).round().abs() > f64::from(most)) {
        Some(&ratio) => {
            let limit = f64::from(1 << bits) / scale;
            Err(QuantiseError::Standard { layer: layer.to_owned(), ratio, limit })
        }
        None => Ok((numbers.iter().map(|&one| integer(one * scale, most)).collect(), shift)),
    }
}

/// Weights as integers, with one scale for each output channel.
pub(super) struct Weights {
    pub(super) entries: Vec<i32>,
    pub(super) scales: Vec<f64>,
}

impl Weights {
    pub(super) fn new(
        weights: ArrayView2<'_, f32>,
        bias: &[f32],
        scale_x: f64,
        bound: i32,
        granularity: Granularity,
    ) -> Weights {
        let scales = weight_scales(weights, bias, scale_x, bound, granularity);
        let channels = weights.outer_iter().zip(&scales);
        let entries = channels
            .flat_map(|(row, &scale)| {
                let row = row.iter().map(|&w| integer(f64::from(w) / scale, WEIGHT_MAX));
                row.collect::<Vec<i32>>()
            })
            .collect();
        Weights { entries, scales }
    }
}

/// One scale per output channel; none is zero.
fn weight_scales(
    weights: ArrayView2<'_, f32>,
    bias: &[f32],
    scale_x: f64,
    bound: i32,
    granularity: Granularity,
) -> Vec<f64> {
    let largest = |entries: &mut dyn Iterator<Item = &f32>| {
        f64::from(entries.fold(0.0, |largest: f32, entry| largest.max(entry.abs())))
    };
    let max = f64::from(WEIGHT_MAX);
    // A lower bound of each scale, so that the bias fits its integer.
    let room = |bias: f64| bias / scale_x / f64::from(bound);
    let largest_bias = largest(&mut bias.iter());
    let tensor = match largest(&mut weights.iter()) / max {
        // Without weights, only the bias determines the scale, and a coarse
        // scale is enough.
        0.0 if largest_bias > 0.0 => largest_bias / scale_x / f64::from(1 << 15),
        0.0 => 1.0,
        scale => scale.max(room(largest_bias)),
    };
    let channel = |(row, &bias): (ndarray::ArrayView1<'_, f32>, &f32)| {
        let own = largest(&mut row.iter()) / max;
        // Zeros are exact in any scale.
        let own = if own > 0.0 { own } else { tensor };
        own.max(tensor * 0.5f64.powi(CHANNEL_BITS)).max(room(f64::from(bias).abs()))
    };
    match granularity {
        Granularity::PerTensor => vec![tensor; bias.len()],
        Granularity::PerChannel => weights.axis_iter(Axis(0)).zip(bias).map(channel).collect(),
    }
}
