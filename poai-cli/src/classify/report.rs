//! The printed report of a network.

use crate::fidelity::Fidelity;
use ndarray::Array2;
use poai::execute::Trace;
use poai::import::quantise::Quantised;
use std::time::Duration;

/// How many digits were classified correctly.
#[derive(Clone, Copy)]
pub struct Accuracy {
    right: usize,
    of: usize,
}

impl Accuracy {
    /// Compares the largest logit of every row with its label.
    pub fn of(logits: &Array2<f32>, labels: &[usize]) -> Accuracy {
        let largest = |row: &[f32]| {
            let all = row.iter().enumerate();
            all.max_by(|a, b| a.1.total_cmp(b.1)).map(|(digit, _)| digit)
        };
        let rows = logits.outer_iter().zip(labels);
        let right = rows.filter(|(row, label)| largest(&row.to_vec()) == Some(**label)).count();
        Accuracy { right, of: labels.len() }
    }

    /// The accuracy in per cent.
    pub fn percent(&self) -> f64 {
        100.0 * self.right as f64 / self.of.max(1) as f64
    }
}

/// The results of a network on the test digits.
pub struct Outcome<'a> {
    /// The network.
    pub name: &'static str,
    /// The quantised network.
    pub quantised: &'a Quantised,
    /// Its scales and errors on the test digits.
    pub fidelity: Fidelity,
    /// The accuracy of the floats.
    pub float: Accuracy,
    /// The accuracy of the integers.
    pub integer: Accuracy,
    /// The integers' run.
    pub trace: Trace,
    /// How long the run took, including commitments.
    pub time: Duration,
}

impl Outcome<'_> {
    /// Several lines of text.
    pub fn text(&self) -> String {
        let Outcome { name, quantised, fidelity, float, integer, trace, time } = self;
        let program = quantised.network.program();
        let mut text = format!(
            "{name}: {} layers in {} steps\n\
             program id  {}\n\
             accuracy    float {:.2} %, integers {:.2} % of {} test digits\n",
            quantised.report.len(),
            program.steps().len(),
            program.program_id(),
            float.percent(),
            integer.percent(),
            integer.of,
        );
        text += &fidelity.text();
        let header = trace.header();
        text += &format!(
            "run         {} multiply-accumulates in {:.1} ms, all values committed\n\
             trace root  {}\n",
            header.macs,
            time.as_secs_f64() * 1e3,
            trace.root()
        );
        text
    }
}
