//! The choice of ranges by measured error.

use super::{QuantiseError, QuantiseOptions, Quantised, RangeMethod, Values};
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
/// sample's error. Each is tried with the channels as they are and with levelled
/// ones. `options.range` and `options.level` are ignored.
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
    let all = [false, true].into_iter().flat_map(|level| CANDIDATES.map(|range| (range, level)));
    let count = 2 * CANDIDATES.len() as u64;
    let mut best: Option<Quantised> = None;
    for (done, (range, level)) in (0..).zip(all) {
        control.report(layers + layers * done / count, 2 * layers);
        let other = match values.quantise(&QuantiseOptions { range, level, ..*options }, &silent) {
            Ok(other) => other,
            Err(QuantiseError::Cancelled(cancelled)) => return Err(cancelled.into()),
            // The first is the plainest, so its error is the network's.
            Err(error) if best.is_none() => return Err(error),
            Err(_) => continue,
        };
        // Nothing to level.
        if level && other.levels.is_empty() {
            break;
        }
        if best.as_ref().is_none_or(|best| error(&other) < BETTER * error(best)) {
            best = Some(other);
        }
    }
    let Some(best) = best else { return Err(QuantiseError::NoCalibration) };
    control.report(2 * layers, 2 * layers);
    Ok(best)
}

/// What a choice is judged by. The worst sample counts too, so that clipping a
/// rare sample to nothing is no gain.
fn error(quantised: &Quantised) -> f64 {
    (quantised.samples.median + quantised.samples.worst) / 2.0
}
