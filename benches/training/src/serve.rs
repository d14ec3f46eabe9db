//! Timed iterations, one for each line of the input.

use crate::Failure;
use crate::networks::Name;
use poai_core::training_run::{TrainingRules, state_root};
use poai_engine::execute::RunOptions;
use poai_engine::{Backend, Cpu};
use poai_train::TrainingRun;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The most iterations of a run.
const ITERATIONS: u32 = 4096;

/// Serves iterations until the input ends, and then prints the root of the
/// states.
pub fn serve(network: Name, fused: bool, cpu: &Cpu) -> Result<(), Failure> {
    let before = resident("VmRSS")?;
    let (_, mut run) = network.run(cpu, ITERATIONS, fused, &TrainingRules::DEFAULT)?;
    let mut out = std::io::stdout().lock();
    let mut say = |line: Value| -> Result<(), Failure> {
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    };
    say(json!({ "ready": env!("CARGO_PKG_VERSION"), "backend": cpu.name() }))?;
    for line in std::io::stdin().lock().lines() {
        say(match line?.as_str() {
            "memory" => json!({ "peak": resident("VmHWM")?, "before": before }),
            "step" => timed(&mut run, false)?,
            "trace" => timed(&mut run, true)?,
            "profile" => profile(&mut run)?,
            "root" => {
                let roots: Vec<_> = run.states().map(|state| state.root()).collect();
                json!({ "iterations": run.done(), "root": state_root(&roots).to_string() })
            }
            line => {
                return Err(format!(
                    "expected step, trace, profile, memory or root, got {line:?}; write one of them"
                )
                .into());
            }
        })?;
    }
    Ok(())
}

/// Runs an iteration, and frees its trace before the time ends.
fn timed(run: &mut TrainingRun, traced: bool) -> Result<Value, Failure> {
    let (start, used) = (Instant::now(), processor()?);
    let report = if traced { run.trace()? } else { run.step()? };
    let loss = report.loss.mean;
    drop(report);
    let ms = milliseconds(start);
    Ok(json!({ "ms": ms, "processor_ms": processor()? - used, "loss": loss }))
}

/// The milliseconds that all threads of this process have run, on Linux.
pub fn processor() -> Result<f64, Failure> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let line = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = line.split_whitespace().next().ok_or("expected schedstat, got none")?;
        total += first.parse::<u64>()?;
    }
    Ok(total as f64 / 1e6)
}

/// Runs an iteration, and prints the milliseconds of each step.
fn profile(run: &mut TrainingRun) -> Result<Value, Failure> {
    let times = Arc::new(Mutex::new(vec![]));
    let sink = times.clone();
    let options = RunOptions::new().progress(move |_| {
        if let Ok(mut times) = sink.lock() {
            times.push(Instant::now());
        }
    });
    let start = Instant::now();
    run.step_with(&options, false)?;
    let whole = milliseconds(start);
    let times = times.lock().map_err(|_| "expected an unpoisoned lock, got another")?;
    let program = run.iteration().network().program();
    let mut last = start;
    let mut steps = vec![];
    for (step, &time) in program.steps().iter().zip(times.iter()) {
        let form = step.form;
        let shape = format!("{}x{} {:?}", form.rows.units, form.columns.units, form.dtype);
        steps.push(json!([step.name, shape, (time - last).as_secs_f64() * 1e3]));
        last = time;
    }
    Ok(json!({ "ms": whole, "steps": steps }))
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// A figure of this process's memory in bytes, on Linux.
fn resident(name: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.ok_or_else(|| format!("expected {name} in /proc/self/status"))?.parse()?;
    Ok(kib * 1024)
}
