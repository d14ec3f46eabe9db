//! `--range`: how the ranges of activations are measured.

use poai::Control;
use poai::import::graph::Graph;
use poai::import::quantise::{
    QuantiseError, QuantiseOptions, Quantised, RangeMethod, quantise_auto, quantise_with,
};
use std::fmt;
use std::str::FromStr;

/// How the ranges of activations are measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// The method with the smallest error on the calibration samples.
    Auto,
    /// This method.
    Fixed(RangeMethod),
}

impl Range {
    /// Quantises a network. `options.range` is this one.
    pub fn quantise(
        self,
        graph: &Graph,
        calibration: ndarray::ArrayView2<'_, f32>,
        options: &QuantiseOptions,
    ) -> Result<Quantised, QuantiseError> {
        let control = Control::new();
        match self {
            Range::Auto => quantise_auto(graph, calibration, options, &control),
            Range::Fixed(range) => {
                let options = QuantiseOptions { range, ..*options };
                quantise_with(graph, calibration, &options, &control)
            }
        }
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Range, String> {
        let within = |percent: &f64| *percent > 0.0 && *percent <= 100.0;
        match text {
            "auto" => Ok(Range::Auto),
            "min-max" => Ok(Range::Fixed(RangeMethod::MinMax)),
            _ => match text.parse().ok().filter(within) {
                Some(percent) => Ok(Range::Fixed(RangeMethod::Percentile(percent))),
                None => Err(format!(
                    "expected auto, min-max or a percentile above 0 and at most 100, got {text}"
                )),
            },
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Auto => f.write_str("auto"),
            Range::Fixed(RangeMethod::MinMax) => f.write_str("min-max"),
            Range::Fixed(RangeMethod::Percentile(percent)) => percent.fmt(f),
        }
    }
}
