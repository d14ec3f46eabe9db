//! The output of `poai train`.

use super::demonstration::{AuditReport, LieReport};
use super::float::Float;
use super::freeze::{FrozenReport, Linked};
use super::resumption::{Resumption, ResumptionReport};
use super::task::Task;
use crate::terminal;
use poai::train::TrainingRun;
use poai::train::run::Loss;
use poai::{ChainRoot, RunRoot};
use serde_json::{Value, json};
use std::path::Path;

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
    /// The iterations that an earlier process did.
    pub resumed: u32,
    /// The same in floating point, if it was trained.
    pub float: Option<Float>,
    /// `None` if nothing was committed.
    pub commitments: Option<Commitments>,
    /// The network for inference, if the run has a folder.
    pub frozen: Option<FrozenReport>,
    /// What came of a short run that was killed, if the caller asked for it.
    pub resumption: Option<Resumption>,
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

    /// MACs of an iteration.
    fn macs(&self) -> u64 {
        let iteration = self.training.iteration();
        iteration.network().program().total_macs(&iteration.shape())
    }

    /// The share of MACs that drew tickets, in all iterations. `None` if there were none.
    fn mined_share(&self) -> Option<f64> {
        let all = self.macs() as f64 * f64::from(self.training.done());
        (all > 0.0).then(|| self.training.totals().mined_macs as f64 / all)
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
            "seconds": self.training.totals().seconds,
            "train_loss": last.mean,
            "train_accuracy": last.accuracy(),
            "test_loss": self.test.mean,
            "test_accuracy": self.test.accuracy(),
            "float_test_loss": self.float.as_ref().map(|float| float.test.mean),
            "float_test_accuracy": self.float.as_ref().map(|float| float.test.accuracy()),
            "float_seconds": self.float.as_ref().map(|float| float.seconds),
            "macs_per_iteration": self.macs(),
            "mined_share": self.mined_share(),
            "tickets": self.training.totals().tickets,
            "states": states,
            "run_root": commitments.map(|all| all.run),
            "chain": commitments.and_then(|all| all.chain),
            "claims": commitments.map(|all| all.claims),
            "segments": commitments.map(|all| all.segments),
        });
        let (shown, note) = match &self.resumption {
            Some(Resumption::Shown(shown)) => (Some(resumption_json(shown)), None),
            Some(Resumption::NotShown(why)) => (None, Some(why.as_str())),
            None => (None, None),
        };
        let parts = [
            ("audit", commitments.map(|all| audit_json(&all.audit))),
            ("frozen", self.frozen.as_ref().map(frozen_json)),
            ("lie", commitments.and_then(|all| all.lie.as_ref()).map(lie_json)),
            ("resumption", shown),
            ("resumption_note", note.map(Value::from)),
        ];
        if let Some(fields) = object.as_object_mut() {
            fields.extend(parts.map(|(name, part)| (name.to_owned(), part.into())));
        }
        object
    }

    /// The same as a line of text.
    pub fn line(&self) -> String {
        self.json().to_string() + "\n"
    }

    /// The same for people, as text.
    pub fn text(&self, folder: Option<&Path>) -> String {
        let last = self.last();
        let iteration = self.training.iteration();
        let percent = |loss: &Loss| 100.0 * loss.accuracy();
        let seconds = self.training.totals().seconds;
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
                self.training.done(),
                seconds,
                1e3 * seconds / f64::from(self.training.done().max(1)),
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
        lines.push(match self.mined_share() {
            Some(share) => format!(
                "work        {} MACs an iteration; {:.1} % of them drew {} tickets",
                self.macs(),
                100.0 * share,
                self.training.totals().tickets
            ),
            None => format!("work        {} MACs an iteration", self.macs()),
        });
        lines.push(format!("program     {}", iteration.network().program().program_id()));
        lines.extend(self.commitments.iter().flat_map(committed));
        lines.extend(self.resumption.iter().flat_map(resumption_lines));
        lines.extend(self.frozen.iter().flat_map(frozen_lines));
        if let Some(folder) = folder {
            let committed = if self.commitments.is_some() { "claims, evidence, " } else { "" };
            let written = format!("checkpoint, {committed}plot, report, network");
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
        audit.audit.as_bytes().len() as f64 / 1024.0,
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
    let FrozenReport { program, test, standard, linked } = frozen;
    let (loss, accuracy) = (test.mean, 100.0 * test.accuracy());
    let form = if *standard { "in standard form" } else { "not in standard form" };
    let link = match linked {
        Some(Linked { untrained, .. }) => {
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
        "untrained": frozen.linked.as_ref().map(|linked| linked.untrained),
    })
}

fn audit_json(audit: &AuditReport) -> Value {
    json!({
        "segment": audit.segment,
        "beacon": audit.beacon.to_string(),
        "iterations": audit.iterations,
        "tiles": audit.tiles,
        "bytes": audit.audit.as_bytes().len(),
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

/// A short run that was killed and went on, as lines of text.
fn resumption_lines(resumption: &Resumption) -> Vec<String> {
    let shown = match resumption {
        Resumption::Shown(shown) => shown,
        Resumption::NotShown(why) => {
            return vec![format!("kill        not shown: {}", terminal::name(why))];
        }
    };
    let ResumptionReport { iterations, stored, run, seconds, .. } = shown;
    let root = if shown.is_same() { "the root of" } else { "another result than" };
    vec![
        format!(
            "kill        a process that trains {iterations} iterations is killed; its folder has {stored} of them"
        ),
        format!("            the run goes on to {root} an unbroken one, all in {seconds:.1} s"),
        format!("            {run}"),
    ]
}

fn resumption_json(shown: &ResumptionReport) -> Value {
    json!({
        "iterations": shown.iterations,
        "stored": shown.stored,
        "run_root": shown.run,
        "tickets": shown.tickets,
        "seconds": shown.seconds,
        "same": shown.is_same(),
    })
}
