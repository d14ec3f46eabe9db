//! The error of the integers against the floats.

use super::super::graph::Graph;
use super::QuantiseError;
use super::ranges::Plan;
use ndarray::Array2;
use poai_core::control::Control;
use poai_core::program::{RunShape, ValueId};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Network, RunError, RunOptions, Session, Tensor, Trace};
use std::sync::Arc;

/// The error of one layer's integers against the floats.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LayerReport {
    /// The layer.
    pub name: String,
    /// The real value of 1 of its integers.
    pub scale: f64,
    /// √(Σ (integer·scale − float)² / Σ float²), with integers in all layers
    /// before it. If only a Relu reads the value, negative entries count as 0.
    /// The error is 0 if all integers and floats are zero, and infinite if only
    /// the floats are.
    pub relative_error: f64,
}

/// Runs the program and keeps every value.
pub(super) fn run(
    network: &Network,
    batch: usize,
    input: Tensor,
    control: Control,
) -> Result<Trace, QuantiseError> {
    let session = Session::new(network.clone(), Arc::new(Cpu::new()))?;
    // If the batch exceeds u32, the input's extent does not match and the run
    // is refused.
    let shape = RunShape { batch: u32::try_from(batch).unwrap_or(u32::MAX), sequence: 1 };
    let options = RunOptions::new().control(control);
    Ok(session.trace_with((shape, vec![input]), &options)?.trace)
}

/// Compares the network value by value.
pub(super) fn layers(
    graph: &Graph,
    floats: &[Array2<f32>],
    plan: &Plan,
    values: &[ValueId],
    trace: &Trace,
) -> Result<Vec<LayerReport>, RunError> {
    let compare = |(index, name): (usize, &str)| {
        let (scale, rectified) = (plan.scales[index], plan.rectified[index]);
        let seen = |x: f64| if rectified { x.max(0.0) } else { x };
        let integers = trace.value(values[index])?.entries();
        let (mut error, mut total) = (0.0, 0.0);
        for (&integer, &float) in integers.iter().zip(&floats[index]) {
            let float = seen(float.into());
            error += (seen(f64::from(integer) * scale) - float).powi(2);
            total += float.powi(2);
        }
        let relative_error = if error == 0.0 { 0.0 } else { (error / total).sqrt() };
        Ok(LayerReport { name: name.to_owned(), scale, relative_error })
    };
    let names = graph.layers.iter().map(|layer| layer.name.as_str());
    names.enumerate().map(|(index, name)| compare((index + 1, name))).collect()
}
