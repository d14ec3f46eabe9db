//! The network for inference that a run's last state makes.

use super::demonstration::Verification;
use super::held::select;
use super::setup::Setup;
use super::store::NETWORK;
use super::task::Task;
use crate::failure::Failure;
use crate::files::NewFolder;
use poai::execute::{Inputs, Tensor};
use poai::frozen::quantised;
use poai::import::store;
use poai::program::RunShape;
use poai::trace::{Audit, Receipt, TraceRules};
use poai::train::run::Loss;
use poai::train::{Committer, FrozenNetwork};
use poai::training_run::Export;
use poai::verify::trace::Checker;
use poai::verify::train::ExportEvidence;
use poai::{Beacon, Job, Program, ProgramId, Prover};
use std::path::Path;
use std::sync::Arc;

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
    /// What links it to a run. `None` if no run commits to the state.
    pub linked: Option<Linked>,
}

/// What shows that a run's last state makes a network.
pub struct Linked {
    pub export: Export,
    pub evidence: ExportEvidence,
    /// The program that makes constants of states.
    pub exporter: Program,
    /// A receipt of the exporter's trace, under [`TraceRules::DEFAULT`].
    pub receipt: Receipt,
    pub audit: Audit,
    /// The constants that training did not make.
    pub untrained: usize,
}

/// Whom receipts name, and what draws the audit of an exporter's trace.
#[derive(Clone, Copy)]
pub struct Named {
    pub job: Job,
    pub prover: Prover,
    pub beacon: Beacon,
}

/// Freezes states, checks the link to a committed run, and stores the network in the
/// run's folder.
pub fn freeze(
    setup: &Setup,
    task: &Task,
    states: &[Arc<Tensor>],
    verified: Option<(&Committer, &Verification<'_>)>,
    prover: Prover,
    folder: &Path,
) -> Result<FrozenReport, Failure> {
    let rows: Vec<u32> = (0..task.train.count().min(CALIBRATION)).collect();
    let calibration = select(&task.train.samples().tensor, &rows)?;
    let device = setup.device.clone();
    let frozen =
        FrozenNetwork::new(&task.layers, &setup.iteration, states, &calibration, device.clone())?;
    let linked = verified.map(|(committer, checks)| {
        let named = Named { job: setup.job.parameters.job, prover, beacon: checks.beacon() };
        link(&frozen, committer, checks, named)
    });
    let linked = linked.transpose()?;
    let session = frozen.network().clone().on(device)?;
    let scale = frozen.plan().output_scale() * ONE;
    let test = task.test.mean(|samples, labels| {
        let shape = RunShape::new(samples.extent().rows, 1);
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
    Ok(FrozenReport { program, test, standard: frozen.is_standard(), linked })
}

/// Checks that a committed run's last state makes the network, and returns what shows it.
fn link(
    frozen: &FrozenNetwork,
    committer: &Committer,
    checks: &Verification<'_>,
    named: Named,
) -> Result<Linked, Failure> {
    let why = "expected claims of all iterations, got fewer; resume the run";
    let trained = committer.trained().ok_or_else(|| Failure::failed(why))?;
    let export = frozen.statement(trained.root(&committer.job().parameters));
    let evidence = ExportEvidence {
        states: frozen.states().to_vec(),
        taken: frozen.taken().to_vec(),
        header: frozen.trace().header(),
        outputs: frozen.outputs(),
    };
    let exporter = frozen.plan().exporter().program().clone();
    let checker = Checker::new(exporter.clone(), TraceRules::DEFAULT);
    let own = frozen.network().program();
    let exported = checks.checker().export(&trained, &checker, own, &export, &evidence)?;
    let receipt = frozen.trace().receipt(named.job, named.prover);
    let audit = frozen.trace().audit(&receipt, &named.beacon)?;
    checker.audit(&receipt, &named.beacon, &audit)?;
    let untrained = exported.untrained.len();
    Ok(Linked { export, evidence, exporter, receipt, audit, untrained })
}
