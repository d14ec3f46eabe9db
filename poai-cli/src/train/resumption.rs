//! A resumption after a kill: a process of this program begins a short run, is killed,
//! and the run goes on to the root of an unbroken one.

use super::task::Task;
use super::{Args, Course, Setup, TaskName, named};
use crate::failure::Failure;
use crate::terminal;
use poai::RunRoot;
use poai::execute::Device;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the process may end before it is killed.
const TRIES: u32 = 3;
/// The time between two looks at the folder.
const LOOK: Duration = Duration::from_millis(1);

/// What came of the demonstration.
pub enum Resumption {
    /// A run was killed and went on, to the right root or to another.
    Shown(ResumptionReport),
    /// Why no run could be killed or go on. It says nothing about the trained run.
    NotShown(String),
}

impl Resumption {
    /// Refuses a run that went on to another root or other tickets than an unbroken one.
    pub fn check(&self) -> Result<(), Failure> {
        match self {
            Resumption::Shown(shown) if !shown.is_same() => Err(Failure::failed(format!(
                "expected root {} and {} tickets of the run that was killed, got {} and {}; report \
                 this as an error",
                shown.whole.0, shown.whole.1, shown.run, shown.tickets
            ))),
            _ => Ok(()),
        }
    }
}

/// A run that was killed and went on.
pub struct ResumptionReport {
    pub iterations: u32,
    /// The iterations that the killed process left in the folder.
    pub stored: u32,
    /// The root of the run that was killed.
    pub run: RunRoot,
    /// The tickets that the products of each drew, before and after the kill.
    pub tickets: u64,
    /// The root and the tickets of the unbroken run.
    pub whole: (RunRoot, u64),
    pub seconds: f64,
}

impl ResumptionReport {
    /// Whether the run went on to the root and the tickets of the unbroken one.
    pub fn is_same(&self) -> bool {
        (self.run, self.tickets) == self.whole
    }
}

/// Kills a short run of the task, and goes on. `None` for tasks that read an encoder.
pub fn show(args: &Args, task: &Task, device: &Arc<dyn Device>) -> Option<Resumption> {
    let iterations = match args.task {
        TaskName::Digits => 24,
        TaskName::Text => 6,
        // Reading an encoder takes longer than the run.
        TaskName::EmbedHead | TaskName::Lora => return None,
    };
    let is_file = |path: &&std::path::PathBuf| path.is_file();
    if !args.data.iter().chain(&args.labels).all(|path| is_file(&path)) {
        let why = "expected data in a regular file, which another process reads, got other data";
        return Some(Resumption::NotShown(why.into()));
    }
    let waiting = terminal::spinner("killing a run, which goes on", None);
    let shown = shown(args, task, device, iterations);
    waiting.finish_and_clear();
    Some(shown.unwrap_or_else(|why| Resumption::NotShown(why.to_string())))
}

/// The short run of `iterations` iterations. An error says why it could not be shown.
fn shown(
    args: &Args,
    task: &Task,
    device: &Arc<dyn Device>,
    iterations: u32,
) -> Result<Resumption, Failure> {
    let start = Instant::now();
    // A checkpoint each iteration; nothing of this is printed.
    let short = Args {
        iterations: Some(iterations),
        epochs: None,
        out: None,
        resume: None,
        every: 1,
        json: true,
        ..args.clone()
    };
    let setup = Setup::new(&short, task, device.clone())?;
    let whole = finish(Course::new(&short, &setup)?, &short)?;
    let temporary = tempfile::tempdir().map_err(|error| {
        Failure::usage(format!(
            "expected a temporary folder for a short run, got none: {error}; make room, or add --no-lie"
        ))
    })?;
    for attempt in 0..TRIES {
        let folder = temporary.path().join(attempt.to_string());
        kill(&short, &folder, iterations / 3)?;
        let resume = Args { resume: Some(folder), ..short.clone() };
        let course = Course::new(&resume, &setup)?;
        let stored = course.run.done();
        if stored == iterations {
            // It ended before it was killed.
            continue;
        }
        let (run, tickets) = finish(course, &resume)?;
        let seconds = start.elapsed().as_secs_f64();
        let report = ResumptionReport { iterations, stored, run, tickets, whole, seconds };
        return Ok(Resumption::Shown(report));
    }
    Err(Failure::failed(
        "expected a process that is killed before it ends, got one that ended first; run again with \
         --no-lie",
    ))
}

/// Trains what is left of a run. Returns its root, and the tickets of all iterations.
fn finish(mut course: Course, args: &Args) -> Result<(RunRoot, u64), Failure> {
    course.train(args)?;
    let committer = course.committer.as_ref();
    let run = committer.and_then(|own| Some(own.trained()?.root(&own.job().parameters)));
    let run = run.ok_or_else(|| Failure::failed("expected claims of all iterations, got fewer"))?;
    Ok((run, course.run.totals().tickets))
}

/// Begins a run in another process, and kills it once its folder has some claims.
fn kill(args: &Args, folder: &Path, claims: u32) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!(
            "expected a process of this program to kill, got {error}; add --no-lie to leave it out"
        ))
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(arguments(args)).arg("--out").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process(command.spawn().map_err(failed)?);
    let stored = || poai::train::ClaimsFile::read(folder, claims).is_ok();
    while !stored() {
        if let Some(status) = process.0.try_wait().map_err(failed)? {
            if status.success() {
                return Ok(());
            }
            return Err(Failure::failed(format!(
                "expected a process that trains, got one that ended with {status}; add --no-lie to \
                 leave it out"
            )));
        }
        std::thread::sleep(LOOK);
    }
    process.0.kill().map_err(failed)?;
    process.0.wait().map_err(failed)?;
    Ok(())
}

/// A process that does not outlive this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The arguments of a process that trains the same without demonstrations.
fn arguments(args: &Args) -> Vec<OsString> {
    let mut all: Vec<OsString> =
        ["train", "--no-lie", "--no-float", "--json"].map(OsString::from).to_vec();
    // A value behind an equals sign may begin with a hyphen.
    let mut option = |name: &str, value: OsString| {
        let mut text = OsString::from(format!("--{name}="));
        text.push(value);
        all.push(text);
    };
    option("task", named(&args.task).into());
    for (name, path) in [("data", &args.data), ("labels", &args.labels)] {
        if let Some(path) = path {
            option(name, path.into());
        }
    }
    if let Some(optimiser) = &args.optimizer {
        option("optimizer", named(optimiser).into());
    }
    let numbers = [
        ("iterations", args.iterations.map(|number| number.to_string())),
        ("batch", args.batch.map(|number| number.to_string())),
        ("rate", args.rate.map(|number| number.to_string())),
        ("decay", Some(args.decay.to_string())),
        ("every", Some(args.every.to_string())),
        ("segment", Some(args.segment.to_string())),
        ("seed", Some(args.seed.clone())),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            option(name, value.into());
        }
    }
    for (name, value) in args.backend.options() {
        option(name, value.into());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_root_or_other_tickets_are_refused() {
        let [root, other] = [1, 2].map(|byte| RunRoot([byte; 32]));
        let shown = |run, tickets| {
            let whole = (root, 5);
            let (iterations, stored, seconds) = (24, 8, 0.5);
            Resumption::Shown(ResumptionReport { iterations, stored, run, tickets, whole, seconds })
        };
        assert!(shown(root, 5).check().is_ok());
        assert!(Resumption::NotShown("no room".into()).check().is_ok());
        for wrong in [shown(other, 5), shown(root, 6)] {
            let why = wrong.check().unwrap_err().to_string();
            assert!(why.contains(&format!("expected root {root} and 5 tickets")), "{why}");
        }
    }
}
