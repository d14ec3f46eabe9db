//! MPNet's biases of scores, by the distance of two tokens.

use super::numbers::{EXP_STEPS, round32};
use super::tensors::Tensors;
use super::{BertError, Config};
use ndarray::Array2;

/// The number of buckets of distances, which is the only one that MPNet has:
/// half of them for tokens before the query, half for tokens after it.
pub(super) const BUCKETS: usize = 32;
/// The least distance whose bucket is the last, as all farther ones' are.
const FARTHEST: usize = 91;
/// The number of distances that a head's biases have, from the farthest token
/// before a query to the farthest after it.
pub(super) const DISTANCES: usize = 2 * FARTHEST + 1;
const NAME: &str = "encoder.relative_attention_bias.weight";

/// The biases of all heads. All layers share them.
#[derive(Clone, Debug)]
pub(super) struct Biases {
    /// BUCKETS×heads.
    of_buckets: Array2<f32>,
}

impl Biases {
    pub(super) fn read(tensors: &Tensors<'_>, config: &Config) -> Result<Biases, BertError> {
        Ok(Biases { of_buckets: tensors.matrix(NAME, [BUCKETS, config.heads])? })
    }

    /// What is added to the score of a query and a key, given their tokens'
    /// positions.
    pub(super) fn of(&self, head: usize, query: usize, key: usize) -> f32 {
        self.of_buckets[[bucket(query, key), head]]
    }

    /// The biases as integers, heads×[`DISTANCES`].
    pub(super) fn integers(&self) -> Vec<i32> {
        let heads = 0..self.of_buckets.ncols();
        let entry = |head, key| round32(f64::from(self.of(head, FARTHEST, key)) * EXP_STEPS);
        heads.flat_map(|head| (0..DISTANCES).map(move |key| entry(head, key))).collect()
    }
}

/// The bucket of the distance from a query to a key.
///
/// Distances below 8 have a bucket each. Beyond, buckets begin at 8·√2ᵏ for
/// k from 0 to 7. transformers computes k by logarithms in f32; a test compares
/// the two.
fn bucket(query: usize, key: usize) -> usize {
    let half = BUCKETS / 2;
    let distance = query.abs_diff(key);
    let own = match distance {
        0..8 => distance,
        // k is the largest with 64·2ᵏ ≤ distance².
        8..FARTHEST => 8 + distance.pow(2).ilog2() as usize - 6,
        _ => half - 1,
    };
    own + if key > query { half } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first distances of the buckets from the 8th on, as transformers has
    /// them: `MPNetEncoder.relative_position_bucket` of −600 to 600.
    const FIRST: [usize; 8] = [8, 12, 16, 23, 32, 46, 64, 91];

    #[test]
    fn buckets_are_those_of_the_library() {
        for distance in 0..=600 {
            let far = FIRST.iter().filter(|&&first| first <= distance).count();
            let expected = if far == 0 { distance } else { 7 + far };
            assert_eq!(bucket(600, 600 - distance), expected, "{distance} before");
            let after = if distance == 0 { 0 } else { 16 + expected };
            assert_eq!(bucket(600, 600 + distance), after, "{distance} after");
        }
    }

    #[test]
    fn integers_are_in_the_order_of_distances() {
        let of_buckets = Array2::from_shape_fn((BUCKETS, 2), |(bucket, head)| {
            if head == 0 { bucket as f32 } else { -(bucket as f32) }
        });
        let biases = Biases { of_buckets };
        let integers = biases.integers();
        assert_eq!(integers.len(), 2 * 183);
        let at = |head: usize, distance: i32| integers[head * 183 + (distance + 91) as usize];
        for (distance, bucket) in [(-91, 15), (-90, 14), (-3, 3), (0, 0), (1, 17), (91, 31)] {
            assert_eq!(at(0, distance), 46 * bucket, "{distance}");
            assert_eq!(at(1, distance), -46 * bucket, "{distance}");
        }
    }
}
