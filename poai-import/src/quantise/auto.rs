//! The choice of ranges by measured error.

use super::{Numbers, QuantiseError, QuantiseOptions, Quantised, RangeMethod, Values};
use crate::graph::Graph;
use ndarray::ArrayView2;
use poai_core::control::Control;

/// The methods that [`quantise_auto`] tries, in order.
pub const CANDIDATES: [RangeMethod; 3] =
    [RangeMethod::MinMax, RangeMethod::Percentile(99.99), RangeMethod::Percentile(99.9)];
/// A later method has to be better than an earlier one by this factor. Smaller
/// differences are chance, and min-max clips nothing.
const BETTER: f64 = 0.9;

/// Quantises a network with the method of [`CANDIDATES`] that has the smallest
/// error on the calibration samples: the mean of the median and the worst
/// sample's error. It tries operands with and without an offset, and then each
/// method with the channels as they are and with levelled ones. `options.range`,
/// `options.level` and `options.offset` are ignored.
///
/// It takes [`super::memory_bytes`], and the memory of one network more.
///
/// # Errors
/// As [`super::quantise_with`]. A percentile whose network does not fit is
/// passed over.
pub fn quantise_auto(
    graph: &Graph,
    calibration: ArrayView2<'_, f32>,
    options: &QuantiseOptions,
    control: &Control,
) -> Result<Quantised, QuantiseError> {
    let values = Values::new(graph, calibration, control)?;
    let (silent, layers) = (control.silent(), graph.layers.len() as u64);
    let plain = QuantiseOptions { range: CANDIDATES[0], level: false, offset: false, ..*options };
    // Its error is the network's, if it does not fit.
    let mut best = values.quantise(&plain, &silent)?;
    let mut chosen = plain;
    let mut tried = vec![QuantiseOptions { offset: true, ..plain }];
    if options.numbers == Numbers::Standard {
        tried.clear();
    }
    let ranges = CANDIDATES.into_iter().skip(1).map(|range| (range, false));
    let levelled = CANDIDATES.into_iter().map(|range| (range, true));
    let rest: Vec<(RangeMethod, bool)> = ranges.chain(levelled).collect();
    let count = (tried.len() + rest.len() + 1) as u64;
    let mut done = 1;
    let mut rest = rest.into_iter();
    loop {
        control.report(layers + layers * done / count, 2 * layers);
        done += 1;
        let next = match tried.pop() {
            Some(next) => next,
            None => match rest.next() {
                Some((range, level)) => QuantiseOptions { range, level, ..chosen },
                None => break,
            },
        };
        let other = match values.quantise(&next, &silent) {
            Ok(other) => other,
            Err(QuantiseError::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(_) => continue,
        };
        // Nothing to level.
        if next.level && other.levels.is_empty() {
            break;
        }
        if error(&other) < BETTER * error(&best) {
            chosen.offset = next.offset;
            best = other;
        }
    }
    control.report(2 * layers, 2 * layers);
    Ok(best)
}

/// What a choice is judged by. The worst sample counts too, so that clipping a
/// rare sample to nothing is no gain.
fn error(quantised: &Quantised) -> f64 {
    (quantised.samples.median + quantised.samples.worst) / 2.0
}
