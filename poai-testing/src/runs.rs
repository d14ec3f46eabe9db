//! The zoo's networks, each in runs of several sizes.

use crate::zoo;
use poai_core::program::RunShape;
use poai_engine::execute::{Network, Tensor};

/// A network, its name, a run and the run's inputs.
pub struct ZooRun {
    pub name: &'static str,
    pub network: Network,
    pub run: RunShape,
    pub inputs: Vec<Tensor>,
}

pub fn runs() -> Vec<ZooRun> {
    let run = |batch, sequence| RunShape::new(batch, sequence);
    let encoder = [run(3, 40), run(2, 1), run(1, 64), run(5, 33)].map(|run| {
        let (network, inputs) = (zoo::encoder(), zoo::tokens(&run));
        ZooRun { name: "encoder", network, run, inputs }
    });
    let classifier = [run(7, 1), run(33, 1)].map(|run| {
        let (network, inputs) = (zoo::classifier(), zoo::images(&run));
        ZooRun { name: "classifier", network, run, inputs }
    });
    let gates = [run(3, 1), run(8, 1)].map(|run| {
        let (network, inputs) = (zoo::gates(), zoo::small_images(&run));
        ZooRun { name: "gates", network, run, inputs }
    });
    let relative = [run(3, 40), run(2, 1), run(5, 7)].map(|run| {
        let (network, inputs) = (zoo::relative(), zoo::states(&run));
        ZooRun { name: "relative", network, run, inputs }
    });
    encoder.into_iter().chain(classifier).chain(gates).chain(relative).collect()
}
