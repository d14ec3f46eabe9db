//! `poai train`: trains a network in exact integers, iteration by iteration, and
//! commits to what it computes.
//!
//! - `task`: networks with their samples.
//! - `setup`, `store`: what a run is made of, and its folder.
//! - `replay`, `demonstration`: execution again, audits and lies.
//! - `resumption`: a short run that is killed and goes on.
//! - `evidence`: what `poai verify training` reads.
//! - `freeze`: the network for inference that the last state makes.
//! - `held`, `float`, `report`, `plot`: results.

mod demonstration;
pub mod evidence;
mod float;
mod freeze;
mod held;
mod plays;
mod plot;
mod replay;
mod report;
mod resumption;
pub mod setup;
pub mod store;
mod task;

use crate::arguments::example_challenge;
use crate::backend::BackendArgs;
use crate::failure::{EXIT_CODES, Failure};
use crate::{files, terminal};
use demonstration::Verification;
use float::Float;
use indicatif::ProgressBar;
use poai::execute::{Mining, RunOptions, Tensor};
use poai::train::iteration::Forward;
use poai::train::run::IterationReport;
use poai::train::{Committer, Optimiser, TrainingRun};
use poai::{Beacon, Difficulty, MineOptions, Prover};
use replay::Snapshots;
use report::{Commitments, Outcome};
use resumption::Resumption;
use setup::Setup;
use std::path::PathBuf;
use std::sync::Arc;
use store::Store;
use task::Task;

/// Train a network in exact integers: the same weights on every machine, a commitment to every
/// iteration, an audit, the conviction of a lie, and a run that goes on after a kill.
#[derive(clap::Args, Clone)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// What is trained.
    #[arg(long, value_enum, default_value_t = TaskName::Digits)]
    task: TaskName,
    /// Samples for `--task digits`: CSV, JSON or .npy, one sample a row, whose last column is the
    /// label, an integer from 0. For `--task text`: a text in UTF-8. Every fifth sample is kept for
    /// the test.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The labels of `--data`, if these are in a file of their own: CSV, JSON or .npy, one a row.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// The encoder's directory for `--task embed-head` and `--task lora`, as `poai embed` takes it.
    /// scripts/fetch-minilm.sh of the repository makes the default.
    #[arg(long, value_name = "DIR", default_value = "target/minilm")]
    model: PathBuf,
    /// The optimiser; by default one that suits the task.
    #[arg(long, value_enum)]
    optimizer: Option<OptimiserName>,
    /// Passes over all samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Iterations, instead of passes.
    #[arg(long, value_name = "N", conflicts_with = "epochs", value_parser = clap::value_parser!(u32).range(1..))]
    iterations: Option<u32>,
    /// Samples of a batch.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// The learning rate at the start. It falls to 0 along a cosine.
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// The coefficient of weight decay, rounded to a power of two. Biases do not decay.
    #[arg(long, value_name = "DECAY", default_value_t = 0.0)]
    decay: f64,
    /// The seed of initial weights, and with all else that the job fixes, of the order of samples
    /// and of rounding.
    #[arg(long, value_name = "TEXT", default_value = "poai")]
    seed: String,
    /// Write checkpoints, claims, the evidence, the plot, the report and the frozen network into this
    /// folder, which has no run yet and no other process writes. `poai verify training FOLDER` checks
    /// the evidence. `poai classify` and `poai prove` take the network: `--quantised FOLDER/network`.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Go on from the checkpoint in this folder, with the options that made it: another task, data,
    /// optimizer, rate, decay, batch, length, seed or segment is refused, and so is another choice of
    /// `--untraced`. If the run is done, nothing changes.
    #[arg(long, value_name = "FOLDER", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// Iterations between two checkpoints.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Train alone: commit to no iteration, audit none, and compare with nothing. The weights stay
    /// the same.
    #[arg(long)]
    untraced: bool,
    /// Iterations of a segment, which is posted and audited at once.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    segment: u32,
    /// The beacon that draws the audit and the lie. By default the root of the run, which its
    /// prover can grind: a chain takes another.
    #[arg(long, value_name = "HEX", conflicts_with = "untraced")]
    beacon: Option<Beacon>,
    /// The prover's name, in the receipts.
    #[arg(long, value_name = "HEX", conflicts_with = "untraced", default_value_t)]
    prover: Prover,
    /// Plant no lie, and kill no process. Otherwise a watcher executes a part of the last segment again.
    /// Then a process of its own begins a short run in a temporary folder, is killed, and the run goes
    /// on; tasks that read `--model`, and data that is no regular file, show no kill.
    #[arg(long, conflicts_with = "untraced")]
    no_lie: bool,
    /// Do not train the same in floating point, for comparison.
    #[arg(long)]
    no_float: bool,
    #[command(flatten)]
    backend: BackendArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What `--task` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TaskName {
    /// A convolutional network on the bundled digits; with `--data`, a perceptron on its rows.
    Digits,
    /// A causal transformer on the characters of the bundled plays, or of `--data`.
    Text,
    /// A linear layer on MiniLM's embeddings of the bundled plays: which play are some lines of?
    EmbedHead,
    /// Adapters in MiniLM's last two layers, on the same plays.
    Lora,
}

/// What `--optimizer` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OptimiserName {
    /// SGD with a momentum of 0.9.
    Sgd,
    /// Lion.
    Lion,
    /// Adam.
    Adam,
}

/// The name of an option's value.
fn named(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

impl OptimiserName {
    fn optimiser(self) -> Optimiser {
        match self {
            OptimiserName::Sgd => Optimiser::SGD,
            OptimiserName::Lion => Optimiser::LION,
            OptimiserName::Adam => Optimiser::ADAM,
        }
    }

    /// A rate that suits small networks.
    fn rate(self) -> f64 {
        match self {
            OptimiserName::Sgd => 0.1,
            OptimiserName::Lion => 0.003,
            OptimiserName::Adam => 0.002,
        }
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(list) = args.backend.list() {
        return terminal::print(&list);
    }
    let device = args.backend.device()?;
    let task = Task::of(args, &device)?;
    let setup = Setup::new(args, &task, device.clone())?;
    let forward = Forward::new(&task.layers, device)?;
    let mut course = Course::new(args, &setup)?;
    if let Some(store) = course.store.as_ref().filter(|store| store.is_finished()) {
        return finished(args, &course.run, store);
    }
    let resumed = course.run.done();
    course.train(args)?;

    let Course { run, committer, snapshots, store } = &course;
    let states: Vec<Arc<Tensor>> = run.states().cloned().collect();
    let test = task.test.evaluate(&forward, run.iteration(), &states)?;
    let float = match args.no_float || args.untraced {
        true => None,
        false => Some(Float::train(&setup, &task.layers, &task.test, args.json)?),
    };
    let verification = committer.as_ref().map(|committer| {
        Verification::new(&setup, committer, snapshots, args.beacon).map(|own| (committer, own))
    });
    let verification = verification.transpose()?;
    let commitments =
        verification.as_ref().map(|(committer, checks)| commitments_of(args, committer, checks));
    let frozen = store.as_ref().map(|store| {
        let verified = verification.as_ref().map(|(committer, checks)| (*committer, checks));
        freeze::freeze(&setup, &task, &states, verified, args.prover, store.folder())
    });
    let (frozen, commitments) = (frozen.transpose()?, commitments.transpose()?);
    let linked = frozen.as_ref().and_then(|frozen| frozen.linked.as_ref());
    let committed = verification.as_ref().zip(commitments.as_ref()).zip(linked);
    if let (Some(store), Some((((committer, checks), all), linked))) = (store, committed)
        && let Some(trained) = committer.trained()
    {
        let (folder, checker) = (store.folder(), checks.checker());
        evidence::write(folder, &setup, checker, &trained, &all.audit, linked, args.prover)?;
    }
    let mut outcome = Outcome {
        task: &task,
        training: run,
        test,
        resumed,
        float,
        commitments,
        frozen,
        resumption: None,
    };
    if let Some(store) = store {
        let float = outcome.float.as_ref().map(|float| &float.history[..]);
        store.write(store::PLOT, &plot::svg(run.history(), float)?)?;
        store.write(store::REPORT, &outcome.line())?;
    }
    // All results are on the disk before a demonstration, which decides nothing about them.
    if !args.no_lie && !args.untraced {
        outcome.resumption = resumption::show(args, &task, &setup.device);
    }
    if let Some(store) = store.as_ref().filter(|_| outcome.resumption.is_some()) {
        store.write(store::REPORT, &outcome.line())?;
    }
    terminal::print(&match args.json {
        true => outcome.line(),
        false => outcome.text(store.as_ref().map(Store::folder)),
    })?;
    outcome.resumption.as_ref().map_or(Ok(()), Resumption::check)
}

/// Says what a run came to that was done before, and changes nothing.
fn finished(args: &Args, run: &TrainingRun, store: &Store) -> Result<(), Failure> {
    let path = store.folder().join(store::REPORT);
    let text = files::read(&path, files::FILE_MAX)?;
    let report: serde_json::Value =
        serde_json::from_slice(&text).map_err(|why| evidence::malformed(&path, &why))?;
    if args.json {
        return terminal::print(&(report.to_string() + "\n"));
    }
    let mut text = format!(
        "finished    {}: all {} iterations are done; nothing changes\n",
        store.folder().display(),
        run.done()
    );
    if let Some(root) = report["run_root"].as_str() {
        text += &format!("run root    {}\n", terminal::name(root));
    }
    text += &format!("report      {}\n", path.display());
    terminal::print(&text)
}

/// A run under way.
struct Course {
    run: TrainingRun,
    committer: Option<Committer>,
    snapshots: Snapshots,
    store: Option<Store>,
}

impl Course {
    /// A new run, or one that goes on.
    fn new(args: &Args, setup: &Setup) -> Result<Course, Failure> {
        let mut run = setup.run()?;
        // The first state is there to execute every iteration again.
        let mut snapshots = Snapshots::of(&run);
        let commits = !args.untraced;
        let program = run.iteration().network().program();
        let committer = commits.then(|| Committer::new(program, setup.job.clone())).transpose()?;
        let (store, committer) = match (&args.out, &args.resume) {
            (_, Some(folder)) => {
                let (store, committer) = Store::resume(folder, setup, &mut run, commits)?;
                (Some(store), committer)
            }
            (Some(folder), None) => {
                let mut store = Store::create(folder, commits)?;
                // A run that ends at any moment can go on.
                store.save(&run, committer.as_ref())?;
                (Some(store), committer)
            }
            (None, None) => (None, committer),
        };
        snapshots.keep(&run);
        Ok(Course { run, committer, snapshots, store })
    }

    /// Runs the iterations that are left.
    fn train(&mut self, args: &Args) -> Result<(), Failure> {
        let mining = Mining {
            challenge: example_challenge(),
            options: MineOptions::new(Difficulty::BLOCK_MIN),
        };
        let options = RunOptions::new().mine(mining);
        let total = self.run.total();
        let bar = match args.json {
            true => ProgressBar::hidden(),
            false => terminal::bar(total.into(), "{pos}/{len} iterations, {eta} left"),
        };
        while self.run.done() < total {
            let traced = self.committer.is_some();
            if traced {
                self.snapshots.note(&self.run);
            }
            let report = self.run.step_with(&options, traced)?;
            if let (Some(committer), Some(trace)) = (&mut self.committer, &report.trace) {
                committer.push(trace)?;
            }
            let IterationReport { loss, .. } = &report;
            let percent = 100.0 * loss.accuracy();
            bar.set_message(format!("loss {:.4}, accuracy {percent:.0} % ", loss.mean));
            bar.set_position(self.run.done().into());
            if let Some(store) = &mut self.store
                && (self.run.done().is_multiple_of(args.every) || self.run.done() == total)
            {
                store.save(&self.run, self.committer.as_ref())?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// Checks a complete run as a verifier does, and shows an audit and a lie.
fn commitments_of(
    args: &Args,
    committer: &Committer,
    verification: &Verification<'_>,
) -> Result<Commitments, Failure> {
    let waiting = terminal::spinner("auditing a segment", None);
    let run = verification.run()?;
    let audit = verification.audit()?;
    waiting.finish_and_clear();
    let lie = match args.no_lie {
        true => None,
        false => {
            let waiting = terminal::spinner("watching a prover that lies", None);
            let lie = verification.lie()?;
            waiting.finish_and_clear();
            Some(lie)
        }
    };
    let trained = committer.trained();
    Ok(Commitments {
        run,
        chain: trained.map(|trained| trained.chain),
        claims: committer.claims().len(),
        segments: committer.segments().len(),
        audit,
        lie,
    })
}
