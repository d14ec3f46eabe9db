//! What a run is made of: the iteration, the first state and what a job fixes.

use super::task::{Length, Task};
use super::{Args, TaskName, named};
use crate::failure::Failure;
use crate::terminal;
use poai::execute::{Device, Tensor};
use poai::train::{
    Dataset, Iteration, IterationOptions, JobParameters, Schedule, Source, TrainingRun, imported,
};
use poai::verify::train::TrainingRules;
use poai::{Beacon, Job};
use std::sync::Arc;

/// The rules of audits.
pub const RULES: TrainingRules = TrainingRules::DEFAULT;

/// A run before its first iteration, as often as it is executed.
pub struct Setup {
    pub iteration: Iteration,
    pub dataset: Dataset,
    pub first: Vec<Tensor>,
    pub job: JobParameters,
    /// The beacon of the seed.
    pub beacon: Beacon,
    pub device: Arc<dyn Device>,
    /// Options that change a commitment, each with its value: a run goes on with the same.
    pub settings: Vec<(&'static str, String)>,
}

impl Setup {
    /// The run of a task with the caller's options.
    pub fn new(args: &Args, task: &Task, device: Arc<dyn Device>) -> Result<Setup, Failure> {
        let name = args.optimizer.unwrap_or(task.optimiser);
        let optimiser = name.optimiser();
        let batch = args.batch.unwrap_or(task.batch).min(task.train.count());
        let own = task.rate.filter(|_| name == task.optimiser);
        let rate = args.rate.or(own).unwrap_or(name.rate());
        if !(rate.is_finite() && rate > 0.0) {
            let why = format!("--rate: expected a rate above 0, got {rate}; name one, such as 0.1");
            return Err(Failure::usage(why));
        }
        let length = match (args.epochs, args.iterations) {
            (_, Some(iterations)) => Length::Iterations(iterations),
            (Some(epochs), None) => Length::Epochs(epochs),
            (None, None) => task.length,
        };
        let total = match length {
            Length::Iterations(iterations) => u64::from(iterations),
            Length::Epochs(epochs) => {
                (u64::from(epochs) * u64::from(task.train.count())).div_ceil(batch.into())
            }
        };
        if total > ITERATIONS_MAX {
            return Err(Failure::usage(format!(
                "expected at most {ITERATIONS_MAX} iterations, got {total}; lower --epochs or --iterations"
            )));
        }
        let rates = Schedule::Cosine.rates(&optimiser, rate, total, batch);
        let options = IterationOptions {
            optimiser,
            decay: args.decay,
            batch,
            source: Source::Drawn { samples: task.train.count(), rates },
        };
        let iteration = Iteration::new(&task.layers, &options)?;
        let seed = *blake3::hash(args.seed.as_bytes()).as_bytes();
        let first = imported(&iteration, &seed, &task.numbers)?;
        // Of a job that somebody pays for, a chain fixes the beacon after all else.
        let hashed =
            |what: &str| *blake3::hash(format!("{what} {}", args.seed).as_bytes()).as_bytes();
        let (job, beacon) = (Job(hashed("poai train job")), Beacon(hashed("poai train beacon")));
        let dataset = task.train.clone();
        let job =
            JobParameters::new(&iteration, &dataset, &first, job, &beacon, args.segment, &RULES)?;
        // The option that the samples and the first weights come from.
        let (samples, first_state) = match args.task {
            TaskName::Digits | TaskName::Text => ("--data with root", "first state"),
            TaskName::EmbedHead | TaskName::Lora => {
                ("--model with samples of root", "--model with first state")
            }
        };
        let settings = vec![
            ("--task", named(&args.task)),
            (samples, job.dataset.root().to_string()),
            ("--optimizer", named(&name)),
            ("--rate", rate.to_string()),
            ("--decay", args.decay.to_string()),
            ("--batch", batch.to_string()),
            ("--iterations", total.to_string()),
            ("--seed", terminal::quoted(&args.seed)),
            ("--segment", args.segment.to_string()),
            // A run that skips claims of some iterations never gets a root.
            ("--untraced", if args.untraced { "yes" } else { "no" }.to_owned()),
            (first_state, job.parameters.first.to_string()),
            ("rules of audits", RULES.digest().to_string()),
        ];
        Ok(Setup { iteration, dataset, first, job, beacon, device, settings })
    }

    /// The run, before its first iteration.
    pub fn run(&self) -> Result<TrainingRun, Failure> {
        let Setup { iteration, dataset, first, job, device, .. } = self;
        let (iteration, dataset, first) = (iteration.clone(), dataset.clone(), first.clone());
        let mut run = TrainingRun::new(iteration, dataset, first, job.seed(), device.clone())?;
        for (name, value) in &self.settings {
            run.bind(name, value)?;
        }
        Ok(run)
    }
}

/// The most iterations of a run: the program's table has a rate for each.
const ITERATIONS_MAX: u64 = 1 << 24;
