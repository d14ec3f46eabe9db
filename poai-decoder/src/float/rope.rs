//! Rotary places (arXiv:2104.09864): columns c and c + n/2 of a head's first n
//! turn together.

use crate::{RopeScaling, Rotary};
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use std::f64::consts::TAU;

impl Rotary {
    /// The angle of each pair for one place, in radians.
    pub fn frequencies(&self) -> Vec<f64> {
        let n = self.columns as f64;
        let frequency = |pair: usize| {
            let plain = self.theta.powf(-2.0 * pair as f64 / n);
            match &self.scaling {
                RopeScaling::None => plain,
                RopeScaling::Linear { factor } => plain / factor,
                RopeScaling::Factors(factors) => {
                    plain / factors.get(pair).map_or(1.0, |&factor| f64::from(factor))
                }
                RopeScaling::Llama3 { factor, low, high, original } => {
                    let wave = TAU / plain;
                    if wave < original / high {
                        plain
                    } else if wave > original / low {
                        plain / factor
                    } else {
                        let smooth = (original / wave - low) / (high - low);
                        (1.0 - smooth) * plain / factor + smooth * plain
                    }
                }
            }
        };
        (0..self.columns / 2).map(frequency).collect()
    }
}

/// Turns each head of row i by place i. A head has `head` columns.
pub(super) fn turn(x: &mut Array2<f32>, rotary: &Rotary, head: usize) {
    let frequencies = rotary.frequencies();
    let half = frequencies.len();
    x.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(place, mut row)| {
        let angles = frequencies.iter().map(|frequency| place as f64 * frequency);
        let turns: Vec<(f32, f32)> =
            angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).collect();
        for mut head in row.axis_chunks_iter_mut(Axis(0), head) {
            for (pair, &(cos, sin)) in turns.iter().enumerate() {
                let (a, b) = (head[pair], head[pair + half]);
                head[pair] = a * cos - b * sin;
                head[pair + half] = b * cos + a * sin;
            }
        }
    });
}
