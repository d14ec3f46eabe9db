//! `poai train`: trains a network in exact integers, iteration by iteration.

mod data;
mod plot;
mod report;

use crate::backend::BackendArgs;
use crate::failure::{EXIT_CODES, Failure};
use crate::terminal;
use data::Task;
use indicatif::ProgressBar;
use poai::Difficulty;

use poai::MineOptions;
use poai::execute::{Mining, RunOptions, Tensor};
use poai::train::iteration::Forward;
use poai::train::{Iteration, IterationOptions, Optimiser, Source, TrainingRun, initial};
use report::Outcome;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Train a network in exact integers: the same weights on every machine.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// What is trained: a convolutional network on bundled digits, a perceptron
    /// on rows of a CSV file, or a causal transformer on characters of a text.
    #[arg(long, value_enum, default_value_t = TaskName::Digits)]
    task: TaskName,
    /// Samples: CSV whose last column is the label, from 0, or for
    /// `--task text` a text in UTF-8.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The optimiser.
    #[arg(long, value_enum)]
    optimizer: Option<OptimiserName>,
    /// Passes over all samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Samples of a batch.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// The learning rate at the start. It falls to 0 along a cosine.
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// The seed of initial weights, of the order of samples and of rounding.
    #[arg(long, value_name = "TEXT", default_value = "poai")]
    seed: String,
    /// Write checkpoints, the plot and the report into this folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Go on from the checkpoint in this folder, with the options that made it.
    #[arg(long, value_name = "FOLDER", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// Iterations between two checkpoints.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    #[command(flatten)]
    backend: BackendArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What `--task` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TaskName {
    /// A convolutional network on the bundled digits, or a perceptron on CSV.
    Digits,
    /// A causal transformer on characters.
    Text,
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
            OptimiserName::Lion => 0.0003,
            OptimiserName::Adam => 0.002,
        }
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(list) = args.backend.list() {
        return terminal::print(&list);
    }
    let task = match (args.task, &args.data) {
        (TaskName::Text, Some(path)) => data::text(path)?,
        (TaskName::Text, None) => {
            return Err(Failure::usage("--task text: expected a text, got none; add --data FILE"));
        }
        (TaskName::Digits, Some(path)) => data::csv(path)?,
        (TaskName::Digits, None) => data::digits()?,
    };
    let (mut training, forward) = start(args, &task)?;
    let folder = args.resume.as_ref().or(args.out.as_ref());
    if let Some(folder) = &args.resume {
        training.resume(folder).map_err(poai::train::TrainError::from)?;
    }
    let resumed = training.done();
    let mining = Mining {
        challenge: crate::arguments::example_challenge(),
        options: MineOptions::new(Difficulty::BLOCK_MIN),
    };
    let options = RunOptions::new().mine(mining);
    let total = training.total();
    let bar = match args.json {
        true => ProgressBar::hidden(),
        false => terminal::bar(total.into(), "{pos}/{len} iterations, {eta} left"),
    };
    let begin = Instant::now();
    let (mut tickets, mut mined_macs) = (0, 0);
    let macs = training.iteration().network().program().total_macs(&training.iteration().shape());
    while training.done() < total {
        let report = training.step_with(&options, false)?;
        tickets += report.mined.iter().map(|step| step.found.drawn()).sum::<u64>();
        let program = training.iteration().network().program();
        let shape = training.iteration().shape();
        mined_macs += report.mined.iter().map(|step| program.macs(step.value, &shape)).sum::<u64>();
        bar.set_message(format!("loss {:.4} ", report.loss.mean));
        bar.set_position(training.done().into());
        if let Some(folder) = folder
            && (training.done() % args.every == 0 || training.done() == total)
        {
            training.save(folder).map_err(poai::train::TrainError::from)?;
        }
    }
    bar.finish_and_clear();
    let seconds = begin.elapsed().as_secs_f64();
    let states: Vec<Arc<Tensor>> = training.states().cloned().collect();
    let test = forward.evaluate(
        training.iteration(),
        &states,
        &task.test.samples().tensor,
        &task.test.labels().tensor,
    )?;
    let outcome = Outcome {
        task: &task,
        training: &training,
        test,
        seconds,
        resumed,
        macs,
        mined_macs,
        tickets,
    };
    if let Some(folder) = folder {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|error| Failure::in_file(&path)(&error))
        };
        write("plot.svg", plot::svg(training.history())?)?;
        write("report.json", outcome.json().to_string() + "\n")?;
    }
    terminal::print(&match args.json {
        true => outcome.json().to_string() + "\n",
        false => outcome.text(folder.map(PathBuf::as_path)),
    })
}

/// The run of a task before its first iteration, and its forward pass.
fn start(args: &Args, task: &Task) -> Result<(TrainingRun, Forward), Failure> {
    let name = args.optimizer.unwrap_or(task.optimiser);
    let optimiser = name.optimiser();
    let batch = args.batch.unwrap_or(task.batch).min(task.train.count());
    let epochs = args.epochs.unwrap_or(task.epochs);
    let rate = args.rate.unwrap_or(name.rate());
    if !(rate.is_finite() && rate > 0.0) {
        return Err(Failure::usage(format!("--rate: expected a rate above 0, got {rate}")));
    }
    let total = u64::from(epochs) * u64::from(task.train.count()).div_ceil(batch.into());
    let cosine = |t: u64| {
        let part = t as f64 / total as f64;
        0.5 * rate * (1.0 + (std::f64::consts::PI * part).cos())
    };
    let rates = (0..total).map(|t| optimiser.rate(cosine(t), t, batch)).collect();
    let options = IterationOptions {
        optimiser,
        decay: 0.0,
        batch,
        source: Source::Drawn { samples: task.train.count(), rates },
    };
    let iteration = Iteration::new(&task.layers, &options)?;
    let seed = *blake3::hash(args.seed.as_bytes()).as_bytes();
    let states = initial(&iteration, &seed)?;
    let device = args.backend.device()?;
    let forward = Forward::new(&task.layers, device.clone())?;
    Ok((TrainingRun::new(iteration, task.train.clone(), states, seed, device)?, forward))
}
