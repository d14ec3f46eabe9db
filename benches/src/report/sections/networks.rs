//! Whole networks: the cost of tracing compared with running, and the cost of
//! checking.

use crate::run::Run;
use poai_benches::Failure;
use poai_benches::encoder::{self, Sizes};
use poai_benches::lines::Section;
use poai_benches::quiet::{Work, timed};
use poai_core::program::{RunShape, ValueId};
use poai_core::{Beacon, Job, Prover};
use poai_engine::Cpu;
use poai_verify::trace::{Checker, TraceRules};
use std::sync::Arc;
use std::time::Duration;

/// The trace roots of the full run and of the quick one.
const KNOWN: [&str; 2] = [
    "acbdcabaeb68072ecb8357f8d3d5223973709ffe8edb2d67a6748f641ab4fa26",
    "fccb90bbd3d0050a3e4ae0b74d3c0022b4a919231000efc863aa66fb8ae26b3a",
];

/// The beacon of the audit; any 32 bytes work here.
const BEACON: Beacon = Beacon([7; 32]);

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let (sizes, known) = run.full_or((Sizes::MINILM, KNOWN[0]), (Sizes::SMALL, KNOWN[1]));
    let session = encoder::network(&sizes)?.on(Arc::new(Cpu::new()))?;
    let (shape, inputs) = encoder::inputs(&sizes)?;
    let name = format!("{}×{}", sizes.batch, sizes.sequence);
    let asked = || (shape, inputs.clone());
    let trace = session.trace(asked())?.trace;
    let root = trace.root().to_string();
    crate::run::same(section, "the trace root", known, &root)?;
    section.digest(format!("root/{name}"), format!("{name} tokens, trace root"), root);
    let works: &mut [Work<'_>] =
        &mut [&mut || timed(|| session.run(asked()).map(drop)), &mut || {
            timed(|| session.trace(asked()).map(drop))
        }];
    let medians = run.measure_for(Duration::from_secs(15), 7, works)?;
    let share = medians.share;
    let seconds = medians.times[0].as_secs_f64();
    let macs = session.program().total_macs(&shape) as f64;
    let what = format!("{name} tokens, run without a trace");
    section.figure(format!("plain/{name}"), what, seconds * 1e3, "ms", share);
    let what = format!("{name} tokens, true MACs of the run");
    section.figure(format!("rate/{name}"), what, macs / seconds / 1e9, "GMAC/s", share);
    let what = format!("{name} tokens, traced / plain time");
    section.figure(format!("traced-to-plain/{name}"), what, medians.speedup(0, 1), "", share);
    let rules = TraceRules::DEFAULT;
    let receipt = trace.receipt(Job::default(), Prover::default());
    let audit = trace.audit(&receipt, &BEACON)?;
    let tiles = trace.audit_tiles(&receipt, &BEACON).len();
    let checker = Checker::new(session.program().clone(), rules);
    let works: &mut [Work<'_>] =
        &mut [&mut || timed(|| checker.audit(&receipt, &BEACON, &audit).map(drop))];
    let medians = run.measure(7, works)?;
    let what = format!("{name} tokens, an audit of {tiles} tiles verified");
    let milliseconds = medians.times[0].as_secs_f64() * 1e3;
    section.figure(format!("audit/{name}"), what, milliseconds, "ms", medians.share);
    let what = format!("{name} tokens, an audit of {tiles} tiles");
    let megabytes = audit.as_bytes().len() as f64 / f64::from(1 << 20);
    section.figure(format!("audit-bytes/{name}"), what, megabytes, "MiB", medians.share);
    for (id, what, bytes) in [
        ("audit-bytes-max", "the longest audit accepted", checker.audit_bytes_max(&shape)?),
        ("fraud-bytes-max", "the longest fraud proof accepted", checker.fraud_bytes_max(&shape)?),
        ("tile-memory", "the memory that the worst tile may take", worst_tile(&checker, &shape)?),
    ] {
        let what = format!("{name} tokens, {what}");
        section.figure(format!("{id}/{name}"), what, bytes as f64 / 1024.0, "KiB", medians.share);
    }
    Ok(())
}

/// The bytes of the worst tile, as the checker bounds them.
fn worst_tile(checker: &Checker, shape: &RunShape) -> Result<u64, Failure> {
    let mut worst = 0;
    for value in (0..checker.program().values() as u32).map(ValueId) {
        let bound = checker.tile_bound(shape, value)?;
        worst = worst.max(bound.map_or(0, |bound| bound.memory));
    }
    Ok(worst)
}
