//! Products of other libraries, in turns with ours.

use crate::child::Served;
use crate::rten::Rten;
use crate::run::Run;
use poai_benches::Failure;
use poai_benches::lines::Section;
use poai_benches::quiet::{Medians, Work, timed};
use poai_benches::workload::{Workload, cube};
use poai_engine::{Backend, Cpu};
use std::process::Command;
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/onnxruntime_matmul.py");
/// Time limit of importing and of the first product.
const START: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(30);
/// ONNX Runtime's threads look for more work for about 70 ms after a run, and
/// would take processors from ours.
pub(super) const REST: Duration = Duration::from_millis(100);

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let size = run.full_or(4096, 512);
    rten(run, section, size)?;
    onnxruntime(run, section, size)?;
    super::peers_encoder::measure(run, section)
}

/// Compares with rten. rten has no AMX, so it is also compared with a kernel
/// without AMX.
fn rten(run: &mut Run, section: &mut Section, size: u32) -> Result<(), Failure> {
    let mut present = Cpu::list().into_iter().filter(|kernel| kernel.present);
    let Some(kernel) = present.find(|kernel| !kernel.name.contains("amx")) else {
        let what = format!("{size}³ plain / rten-gemm u8×i8");
        section.skipped(format!("plain-to-rten/{size}"), what, "no kernel without AMX");
        return Ok(());
    };
    let backend = Cpu::named(kernel.name)?;
    let work = Workload::new(&backend, cube(size))?;
    let mut rten = Rten::new(size as usize);
    let what = format!("{size}³ plain on {} / rten-gemm u8×i8 ({})", backend.name(), rten.kernel());
    let medians = rten.run(|multiply| {
        run.measure(9, &mut [&mut || timed(|| work.plain()), &mut || timed(&mut *multiply)])
    })?;
    let id = format!("plain-to-rten/{size}");
    section.figure(id, what, medians.speedup(0, 1), "", medians.share);
    section.figure(
        format!("rten/{size}"),
        format!("{size}³ of rten-gemm u8×i8"),
        medians.giga(1, work.macs()),
        "GMAC/s",
        medians.share,
    );
    Ok(())
}

fn onnxruntime(run: &mut Run, section: &mut Section, size: u32) -> Result<(), Failure> {
    let backend = Cpu::new();
    let id = format!("ticketed-to-onnxruntime/{size}");
    let what = |version: &str| {
        let name = backend.name();
        format!("{size}³ ticketed on {name} / ONNX Runtime{version} MatMulInteger u8×i8")
    };
    let python = run.python().unwrap_or(std::path::Path::new("python3"));
    let mut command = Command::new(python);
    command.args([SCRIPT, &size.to_string(), &rayon::current_num_threads().to_string()]);
    let started = Served::start("onnxruntime", &mut command)
        .and_then(|mut peer| Ok((peer.line(START)?, peer)));
    let (ready, mut peer) = match started {
        Ok(started) => started,
        Err(why) => {
            section.skipped(id, what(""), why);
            return Ok(());
        }
    };
    let version = ready.strip_prefix("ready").unwrap_or_default();
    let work = Workload::new(&backend, cube(size))?;
    let medians = match in_turns(run, 9, &work, &mut peer, "run")? {
        Ok(medians) => medians,
        Err(why) => {
            section.skipped(id, what(version), why);
            return Ok(());
        }
    };
    section.figure(id, what(version), medians.speedup(0, 1), "", medians.share);
    section.figure(
        format!("onnxruntime/{size}"),
        format!("{size}³ of ONNX Runtime{version} MatMulInteger u8×i8"),
        medians.giga(1, work.macs()),
        "GMAC/s",
        medians.share,
    );
    Ok(())
}

/// Measures our ticketed product and a peer's answers to a request, in turns.
/// The inner error is the peer's.
///
/// # Errors
/// Our own error.
pub fn in_turns(
    run: &mut Run,
    want: usize,
    work: &Workload<'_>,
    peer: &mut Served,
    request: &str,
) -> Result<Result<Medians, String>, Failure> {
    let mut failed = None;
    let works: &mut [Work<'_>] = &mut [&mut || timed(|| work.ticketed()), &mut || {
        let time = seconds(peer, request).inspect_err(|why| failed = Some(why.clone()))?;
        std::thread::sleep(REST);
        Ok(time)
    }];
    let measured = run.measure_for(Duration::from_secs(15), want, works);
    match failed {
        Some(why) => Ok(Err(why)),
        None => measured.map(Ok),
    }
}

/// The time of one run, as the peer measured it.
///
/// # Errors
/// The peer's error.
pub fn seconds(peer: &mut Served, request: &str) -> Result<Duration, String> {
    let line = peer.ask(request, ANSWER)?;
    let seconds = line.trim().parse().ok().filter(|seconds: &f64| *seconds > 0.0);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| format!("expected a time in seconds, got {line:?}"))
}
