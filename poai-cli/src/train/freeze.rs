//! The network for inference that a run's last state makes.

use super::demonstration::Verification;
use super::held::select;
use super::setup::{RULES, Setup};
use super::task::Task;
use crate::failure::Failure;
use crate::files::NewFolder;
use poai::ProgramId;
use poai::execute::{Inputs, Tensor};
use poai::frozen::quantised;
use poai::import::store;
use poai::program::RunShape;
use poai::train::run::Loss;
use poai::train::{Committer, FrozenNetwork};
use poai::verify::trace::Checker;
use poai::verify::train::ExportEvidence;
use std::path::Path;
use std::sync::Arc;

/// The folder of the network in that of the run.
const NETWORK: &str = "network";
/// The samples of training that measure the exponents.
const CALIBRATION: u32 = 256;
/// 1 as an entry of logits, as losses read them.
const ONE: f64 = 65536.0;

/// A network that was made and stored.
pub struct FrozenReport {
    pub program: ProgramId,
    /// Loss and accuracy on the samples that were kept.
    pub test: Loss,
    /// Whether one key proves all trainings of these layers.
    pub standard: bool,
    /// The constants that training did not make. `None` if no run commits to the
    /// state, so that nothing links both.
    pub untrained: Option<usize>,
}

/// Freezes states, checks the link to a committed run, and stores the network in the
/// run's folder.
pub fn freeze(
    setup: &Setup,
    task: &Task,
    states: &[Arc<Tensor>],
    verified: Option<(&Committer, &Verification<'_>)>,
    folder: &Path,
) -> Result<FrozenReport, Failure> {
    let rows: Vec<u32> = (0..task.train.count().min(CALIBRATION)).collect();
    let calibration = select(&task.train.samples().tensor, &rows)?;
    let device = setup.device.clone();
    let frozen =
        FrozenNetwork::new(&task.layers, &setup.iteration, states, &calibration, device.clone())?;
    let untrained = verified.map(|(committer, checks)| link(&frozen, committer, checks));
    let untrained = untrained.transpose()?;
    let session = frozen.network().clone().on(device)?;
    let scale = frozen.plan().output_scale() * ONE;
    let test = task.test.mean(|samples, labels| {
        let shape = RunShape { batch: samples.extent().rows, sequence: 1 };
        let run = session.run(Inputs::new(shape, vec![frozen.input(samples)?]))?;
        let logit = |x: i32| (f64::from(x) * scale).round() as i32;
        let logits: Vec<i32> = run.output.entries().into_iter().map(logit).collect();
        let columns = run.output.extent().columns as usize;
        Ok(Loss::of(task.layers.loss(), &logits, &labels.entries(), columns))
    })?;
    let path = folder.join(NETWORK);
    let program = frozen.network().program().program_id();
    if path.symlink_metadata().is_ok() {
        // A run that is done may be resumed: its network is the same.
        let found = store::load_quantised(&path)?.network.program().program_id();
        if found != program {
            return Err(Failure::usage(format!(
                "{}: expected the network {program}, got {found}; move it away",
                path.display()
            )));
        }
    } else {
        let mut stored = quantised(&frozen)?;
        if !task.divisors.is_empty() {
            stored.inputs = stored
                .inputs
                .into_iter()
                .map(|input| input.divided(task.divisors.clone()))
                .collect();
        }
        let new = NewFolder::new(&path)?.start()?;
        store::save_quantised(&stored, new.beside())?;
        new.finish()?;
    }
    Ok(FrozenReport { program, test, standard: frozen.is_standard(), untrained })
}

/// Checks that a committed run's last state makes the network, and returns the number
/// of its other constants.
fn link(
    frozen: &FrozenNetwork,
    committer: &Committer,
    checks: &Verification<'_>,
) -> Result<usize, Failure> {
    let why = "expected claims of all iterations, got fewer; resume the run";
    let trained = committer.trained().ok_or_else(|| Failure::failed(why))?;
    let statement = frozen.statement(trained.root(&committer.job().parameters));
    let evidence = ExportEvidence {
        states: frozen.states().to_vec(),
        taken: frozen.taken().to_vec(),
        header: frozen.trace().header(),
        outputs: frozen.outputs(),
    };
    let exporter = Checker::new(frozen.plan().exporter().program().clone(), RULES.trace);
    let own = frozen.network().program();
    let exported = checks.checker().export(&trained, &exporter, own, &statement, &evidence)?;
    Ok(exported.untrained.len())
}
