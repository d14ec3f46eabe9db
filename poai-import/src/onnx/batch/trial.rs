//! Whether a network keeps samples apart, found by running it.
//!
//! The rules do not follow samples into graphs inside nodes, nor through moves
//! by indices. A network of such nodes is read with a batch of 2 as well: if it
//! keeps samples apart, it computes of two samples what the network with a
//! batch of 1 computes of each.

use crate::float;
use crate::graph::Graph;
use ndarray::Array2;

/// Operators that the rules do not follow.
const UNKNOWN: [&str; 10] = [
    "Loop",
    "Scan",
    "If",
    "GatherElements",
    "GatherND",
    "ScatterElements",
    "ScatterND",
    "OneHot",
    "ReverseSequence",
    "Compress",
];
/// The most entries of all values, so that a trial takes little time.
const ENTRIES_MAX: usize = 1 << 26;
/// Pairs of samples.
const PAIRS: usize = 4;
/// The largest relative difference of both runs.
const TOLERANCE: f32 = 1e-4;

/// Whether only a trial tells if a node mixes samples.
pub(in crate::onnx) fn is_unknown(operator: &str) -> bool {
    UNKNOWN.contains(&operator)
}

/// Whether a network of two samples computes what a network of one computes of
/// each. All inputs and the output have the samples along their first axis.
pub(in crate::onnx) fn keeps_samples(one: &Graph, two: &Graph) -> bool {
    let sizes: Vec<(usize, usize)> = one
        .inputs
        .iter()
        .zip(&two.inputs)
        .map(|(one, two)| (one.shape.entries(), two.shape.entries()))
        .collect();
    // An input without a batch would be one for both samples of a pair.
    let doubled = sizes.iter().all(|&(one, two)| two == 2 * one);
    let entries = |graph: &Graph| {
        let shapes = graph.shapes().unwrap_or_default();
        shapes.iter().map(|shape| shape.entries()).fold(0, usize::saturating_add)
    };
    let small = |graph: &Graph| (1..=ENTRIES_MAX).contains(&entries(graph));
    if one.inputs.len() != two.inputs.len() || !doubled || !small(one) || !small(two) {
        return false;
    }
    let singles = samples(one);
    let mut pairs = Array2::zeros((PAIRS, two.sample_entries()));
    for (pair, mut to) in pairs.rows_mut().into_iter().enumerate() {
        let (mut from, mut at) = (0, 0);
        for &(single, both) in &sizes {
            for sample in 0..both / single {
                let own = singles.row(2 * pair + sample);
                for (entry, &x) in own.iter().skip(from).take(single).enumerate() {
                    to[at + sample * single + entry] = x;
                }
            }
            from += single;
            at += both;
        }
    }
    let last = |graph: &Graph, samples: &Array2<f32>| float::run(graph, samples.view()).ok()?.pop();
    let (Some(ones), Some(twos)) = (last(one, &singles), last(two, &pairs)) else { return false };
    if twos.ncols() != 2 * ones.ncols() {
        return false;
    }
    let close = |a: f32, b: f32| (a - b).abs() <= TOLERANCE * (1.0 + a.abs().max(b.abs()));
    twos.rows().into_iter().enumerate().all(|(pair, both)| {
        let own = ones.row(2 * pair).into_iter().chain(ones.row(2 * pair + 1));
        both.iter().zip(own).all(|(&both, &own)| close(both, own))
    })
}

/// Samples of numbers in −1..=1, and of 0 and 1 where an input is whole.
fn samples(graph: &Graph) -> Array2<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f32 / (1u64 << 31) as f32
    };
    let whole: Vec<bool> = graph
        .inputs
        .iter()
        .flat_map(|input| {
            let whole = input.whole.is_some() || input.ids.is_some();
            std::iter::repeat_n(whole, input.shape.entries())
        })
        .collect();
    Array2::from_shape_fn((2 * PAIRS, graph.sample_entries()), |(_, entry)| {
        let x = random();
        if whole.get(entry) == Some(&true) { x.round() } else { 2.0 * x - 1.0 }
    })
}
