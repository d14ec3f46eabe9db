//! The output of `poai train`.

use super::data::Task;
use poai::train::TrainingRun;
use poai::train::run::Loss;
use serde_json::{Value, json};
use std::path::Path;

/// The results of a run.
pub struct Outcome<'a> {
    pub task: &'a Task,
    pub training: &'a TrainingRun,
    /// Loss and accuracy on the samples that were kept.
    pub test: Loss,
    pub seconds: f64,
    /// The iterations that an earlier process did.
    pub resumed: u32,
    /// MACs of an iteration.
    pub macs: u64,
    /// MACs of products that drew tickets, in all iterations.
    pub mined_macs: u64,
    pub tickets: u64,
}

impl Outcome<'_> {
    /// The losses of the last tenth of iterations, as one.
    fn last(&self) -> Loss {
        let history = self.training.history();
        let last = &history[history.len() - history.len().div_ceil(10)..];
        let mut sum = Loss::default();
        for loss in last {
            sum.mean += loss.mean / last.len() as f64;
            sum.right += loss.right;
            sum.answers += loss.answers;
        }
        sum
    }

    fn parameters(&self) -> u64 {
        let states = self.training.iteration().states().iter();
        let own = states.filter(|state| state.moment.is_none());
        own.map(|state| u64::from(state.rows) * u64::from(state.columns)).sum()
    }

    fn iterations(&self) -> u32 {
        self.training.done() - self.resumed
    }

    fn mined_share(&self) -> f64 {
        let all = self.macs as f64 * f64::from(self.iterations());
        if all > 0.0 { self.mined_macs as f64 / all } else { 0.0 }
    }

    /// One JSON object.
    pub fn json(&self) -> Value {
        let last = self.last();
        let iteration = self.training.iteration();
        let states: Vec<Value> = iteration
            .states()
            .iter()
            .zip(self.training.states())
            .map(|(state, tensor)| {
                json!({
                    "parameter": state.parameter,
                    "moment": state.moment,
                    "rows": state.rows,
                    "columns": state.columns,
                    "root": tensor.root(),
                })
            })
            .collect();
        json!({
            "task": self.task.name,
            "program_id": iteration.network().program().program_id(),
            "parameters": self.parameters(),
            "samples": self.training.dataset().count(),
            "batch": iteration.shape().batch,
            "iterations": self.training.done(),
            "resumed_at": self.resumed,
            "seconds": self.seconds,
            "train_loss": last.mean,
            "train_accuracy": last.accuracy(),
            "test_loss": self.test.mean,
            "test_accuracy": self.test.accuracy(),
            "macs_per_iteration": self.macs,
            "mined_share": self.mined_share(),
            "tickets": self.tickets,
            "states": states,
        })
    }

    /// The same as text.
    pub fn text(&self, folder: Option<&Path>) -> String {
        let last = self.last();
        let iteration = self.training.iteration();
        let percent = |loss: &Loss| 100.0 * loss.accuracy();
        let mut lines = vec![
            format!("task        {}", self.task.name),
            format!(
                "network     {} parameters, {} samples, batches of {}",
                self.parameters(),
                self.training.dataset().count(),
                iteration.shape().batch
            ),
            format!(
                "iterations  {} in {:.1} s: {:.2} ms each",
                self.iterations(),
                self.seconds,
                1e3 * self.seconds / f64::from(self.iterations().max(1))
            ),
            format!("training    loss {:.4}, accuracy {:.2} %", last.mean, percent(&last)),
            format!(
                "test        loss {:.4}, accuracy {:.2} %",
                self.test.mean,
                percent(&self.test)
            ),
            format!(
                "work        {} MACs an iteration; {:.1} % of them drew {} tickets",
                self.macs,
                100.0 * self.mined_share(),
                self.tickets
            ),
            format!("program     {}", iteration.network().program().program_id()),
        ];
        if self.resumed > 0 {
            lines.push(format!("resumed     after iteration {}", self.resumed));
        }
        if let Some(folder) = folder {
            lines.push(format!("written     {}: checkpoint, plot, report", folder.display()));
        }
        lines.join("\n") + "\n"
    }
}
