//! The output of `poai train`.

use super::demonstration::{AuditReport, LieReport};
use super::float::Float;
use super::freeze::FrozenReport;
use super::task::Task;
use crate::terminal;
use poai::train::TrainingRun;
use poai::train::run::{IterationReport, Loss};
use poai::{ChainRoot, RunRoot};
use serde_json::{Value, json};
use std::path::Path;

/// The multiply-accumulates of a run, and the tickets that they drew.
pub struct Work {
    /// MACs of an iteration.
    macs: u64,
    /// MACs of products that drew tickets, in all iterations of this process.
    mined_macs: u128,
    tickets: u64,
}

impl Work {
    /// That of a run of which this process has done nothing.
    pub fn of(run: &TrainingRun) -> Work {
        let iteration = run.iteration();
        let macs = iteration.network().program().total_macs(&iteration.shape());
        Work { macs, mined_macs: 0, tickets: 0 }
    }

    /// Adds an iteration.
    pub fn add(&mut self, run: &TrainingRun, report: &IterationReport) {
        let (program, shape) = (run.iteration().network().program(), run.iteration().shape());
        for step in &report.mined {
            self.tickets += step.found.drawn();
            self.mined_macs += u128::from(program.macs(step.value, &shape));
        }
    }

    /// The share of MACs that drew tickets. `None` if there were none.
    fn mined_share(&self, iterations: u32) -> Option<f64> {
        let all = self.macs as f64 * f64::from(iterations);
        (all > 0.0).then(|| self.mined_macs as f64 / all)
    }
}

/// What a run commits to, after it was checked.
pub struct Commitments {
    pub run: RunRoot,
    pub chain: Option<ChainRoot>,
    pub claims: usize,
    pub segments: usize,
    pub audit: AuditReport,
    pub lie: Option<LieReport>,
}

/// The results of a run.
pub struct Outcome<'a> {
    pub task: &'a Task,
    pub training: &'a TrainingRun,
    /// Loss and accuracy on the samples that were kept.
    pub test: Loss,
    pub seconds: f64,
    /// The iterations that an earlier process did.
    pub resumed: u32,
    pub work: &'a Work,
    /// The same in floating point, if it was trained.
    pub float: Option<Float>,
    /// `None` if nothing was committed.
    pub commitments: Option<Commitments>,
    /// The network for inference, if the run has a folder.
    pub frozen: Option<FrozenReport>,
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
        let commitments = self.commitments.as_ref();
        let mut object = json!({
            "task": self.task.name,
            "warnings": self.task.warnings,
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
            "float_test_loss": self.float.as_ref().map(|float| float.test.mean),
            "float_test_accuracy": self.float.as_ref().map(|float| float.test.accuracy()),
            "float_seconds": self.float.as_ref().map(|float| float.seconds),
            "macs_per_iteration": self.work.macs,
            "mined_share": self.work.mined_share(self.iterations()),
            "tickets": self.work.tickets,
            "states": states,
            "run_root": commitments.map(|all| all.run),
            "chain": commitments.and_then(|all| all.chain),
            "claims": commitments.map(|all| all.claims),
            "segments": commitments.map(|all| all.segments),
        });
        let parts = [
            ("audit", commitments.map(|all| audit_json(&all.audit))),
            ("frozen", self.frozen.as_ref().map(frozen_json)),
            ("lie", commitments.and_then(|all| all.lie.as_ref()).map(lie_json)),
        ];
        if let Some(fields) = object.as_object_mut() {
            fields.extend(parts.map(|(name, part)| (name.to_owned(), part.into())));
        }
        object
    }

    /// The same as text.
    pub fn text(&self, folder: Option<&Path>) -> String {
        let last = self.last();
        let iteration = self.training.iteration();
        let percent = |loss: &Loss| 100.0 * loss.accuracy();
        let mut lines = vec![
            format!("task        {}", terminal::name(&self.task.name)),
            format!(
                "network     {} parameters, {} samples, batches of {}",
                self.parameters(),
                self.training.dataset().count(),
                iteration.shape().batch
            ),
            format!(
                "iterations  {} in {:.1} s: {:.2} ms each{}",
                self.iterations(),
                self.seconds,
                1e3 * self.seconds / f64::from(self.iterations().max(1)),
                if self.commitments.is_some() { ", traced" } else { "" }
            ),
        ];
        let warnings = self.task.warnings.iter();
        lines.extend(warnings.map(|warning| format!("warning     {}", terminal::name(warning))));
        if self.resumed > 0 {
            lines.push(format!("resumed     after {} iterations", self.resumed));
        }
        lines.push(format!("training    loss {:.4}, accuracy {:.2} %", last.mean, percent(&last)));
        let test = &self.test;
        lines.push(format!("test        loss {:.4}, accuracy {:.2} %", test.mean, percent(test)));
        if let Some(Float { test, seconds, .. }) = &self.float {
            let (loss, accuracy) = (test.mean, percent(test));
            lines.push(format!(
                "in float    loss {loss:.4}, accuracy {accuracy:.2} % in {seconds:.1} s"
            ));
        }
        lines.push(match self.work.mined_share(self.iterations()) {
            Some(share) => format!(
                "work        {} MACs an iteration; {:.1} % of them drew {} tickets",
                self.work.macs,
                100.0 * share,
                self.work.tickets
            ),
            None => format!("work        {} MACs an iteration", self.work.macs),
        });
        lines.push(format!("program     {}", iteration.network().program().program_id()));
        lines.extend(self.commitments.iter().flat_map(committed));
        lines.extend(self.frozen.iter().flat_map(frozen_lines));
        if let Some(folder) = folder {
            let written = "checkpoint, claims, plot, report, network";
            lines.push(format!("written     {}: {written}", folder.display()));
        }
        lines.join("\n") + "\n"
    }
}

/// What a run commits to, as lines of text.
fn committed(all: &Commitments) -> Vec<String> {
    let Commitments { run, chain, claims, segments, audit, lie } = all;
    let mut lines = vec![format!("run root    {run}")];
    lines.extend(chain.map(|chain| format!("chain       {chain}")));
    let plural = if *segments == 1 { "" } else { "s" };
    lines.push(format!("            {claims} claims in {segments} segment{plural}"));
    lines.push(format!(
        "audit       segment {}: {} iterations and {} tiles in {:.1} KiB, made in {:.2} s",
        audit.segment,
        audit.iterations,
        audit.tiles,
        audit.bytes as f64 / 1024.0,
        audit.prove_seconds,
    ));
    lines.push(format!(
        "            it holds, verified in {:.2} ms; beacon {}",
        1e3 * audit.verify_seconds,
        audit.beacon
    ));
    if let Some(lie) = lie {
        lines.push(format!(
            "lie         iteration {} updates {}[{}, {}] to {} instead of {}",
            lie.t, lie.parameter, lie.row, lie.column, lie.is, lie.was
        ));
        lines.push(format!(
            "            a watcher found it after {} iterations in {:.2} s; the step is {}",
            lie.watched, lie.watch_seconds, lie.step
        ));
        lines.push(format!(
            "            {:.1} KiB convict it, verified in {:.2} ms",
            lie.bytes as f64 / 1024.0,
            1e3 * lie.verify_seconds
        ));
    }
    lines
}

/// The network for inference, as lines of text.
fn frozen_lines(frozen: &FrozenReport) -> Vec<String> {
    let FrozenReport { program, test, standard, untrained } = frozen;
    let (loss, accuracy) = (test.mean, 100.0 * test.accuracy());
    let form = if *standard { "in standard form" } else { "not in standard form" };
    let link = match untrained {
        Some(untrained) => {
            format!("its constants are those of the run's last state, but for {untrained}")
        }
        None => "no run commits to its constants".to_owned(),
    };
    vec![
        format!("frozen      program {program}"),
        format!("            loss {loss:.4}, accuracy {accuracy:.2} % on the test; {form}"),
        format!("            {link}"),
    ]
}

fn frozen_json(frozen: &FrozenReport) -> Value {
    json!({
        "program_id": frozen.program,
        "test_loss": frozen.test.mean,
        "test_accuracy": frozen.test.accuracy(),
        "standard": frozen.standard,
        "untrained": frozen.untrained,
    })
}

fn audit_json(audit: &AuditReport) -> Value {
    json!({
        "segment": audit.segment,
        "beacon": audit.beacon.to_string(),
        "iterations": audit.iterations,
        "tiles": audit.tiles,
        "bytes": audit.bytes,
        "prove_seconds": audit.prove_seconds,
        "verify_seconds": audit.verify_seconds,
        "holds": true,
    })
}

fn lie_json(lie: &LieReport) -> Value {
    json!({
        "iteration": lie.t,
        "parameter": lie.parameter,
        "row": lie.row,
        "column": lie.column,
        "was": lie.was,
        "is": lie.is,
        "watched_iterations": lie.watched,
        "watch_seconds": lie.watch_seconds,
        "step": lie.step,
        "fraud_proof_bytes": lie.bytes,
        "verify_seconds": lie.verify_seconds,
        "convicted": true,
    })
}
