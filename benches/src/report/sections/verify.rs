//! The time of a node's check of a proof, as a whole and in parts.

use crate::child;
use crate::run::Run;
use poai_benches::Failure;
use poai_benches::lines::{Axis, Mark, Plot, Section, Series, Share};
use poai_benches::quiet::{timed, timed_always};
use poai_benches::workload::{P, Workload, draw};
use poai_core::puzzle::noise::{RankStepNoise, RowNoise};
use poai_core::puzzle::proof::strip;
use poai_core::puzzle::seeds::Seeds;
use poai_core::*;
use poai_engine::backend::{BackendError, Noised};
use poai_engine::*;
use poai_verify::Verifier;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of the operands of every proof.
const ROWS: usize = 1024;
/// Time limit of compiling the portable verifier.
const BUILD: Duration = Duration::from_secs(150);
const ANSWER: Duration = Duration::from_secs(20);

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let built =
        child::succeed("cargo", &mut super::cargo(&["build", "-p", "poai-bench-portable"]), BUILD);
    let (mut std, mut portable) = (Vec::new(), Vec::new());
    for k in run.full_or(vec![1024, 2048, 4096, 8192, 16384], vec![1024, 4096]) {
        let sample = Sample::mine(k)?;
        std.push((f64::from(k), whole_and_parts(run, section, &sample)?));
        let id = format!("portable/{k}");
        let what = format!("k = {k}, whole, portable");
        let path = folder.path().join("proof");
        std::fs::write(&path, &sample.bytes)?;
        match built.clone().and_then(|()| in_portable_code(&path)) {
            Ok((micros, samples)) => {
                let share = Share { kept: samples, taken: samples };
                section.figure(id, what, micros, "µs", share);
                portable.push((f64::from(k), micros));
            }
            Err(why) => section.skipped(id, what, why),
        }
    }
    let series = |name: &str, points| Series { name: name.into(), points, mark: Mark::LineAndDots };
    let mut all = vec![series("with feature std", std)];
    if !portable.is_empty() {
        all.push(series("portable", portable));
    }
    section.plots.push(Plot {
        name: "verification".into(),
        title: "Verification of one proof, one thread".into(),
        x: Axis::log("k"),
        y: Axis::log("µs"),
        series: all,
    });
    Ok(())
}

/// A proof with its statement and operands.
struct Sample {
    k: u32,
    proof: Proof,
    seeds: Seeds,
    bytes: Vec<u8>,
    ticket: Ticket,
}

impl Sample {
    fn mine(k: u32) -> Result<Sample, Failure> {
        let miner = Miner::new(Arc::new(Cpu::new()));
        let operand = |side, name: &[u8]| Operand::pseudorandom(&P, side, name, ROWS, k as usize);
        let bt = miner.prepare(operand(Side::B, b"b")?)?;
        let a = miner.prepare(operand(Side::A, b"a")?)?;
        let round = miner.round(&Challenge::default(), &bt)?;
        let found = round.mine(&a, Difficulty::BLOCK_MIN)?.found;
        let proof = found.proof().ok_or("no tile won")?;
        let best = found.best().ok_or("no tile won")?;
        let bytes = proof.to_bytes();
        Ok(Sample { k, proof, seeds: *found.seeds(), bytes, ticket: best.ticket })
    }

    fn check_openings(&self) -> Result<(), Failure> {
        let Proof { statement, tile, .. } = &self.proof;
        for side in [Side::A, Side::B] {
            let strip = strip(&P, &statement.shape, *tile, side).ok_or("the tile is outside")?;
            self.proof.view().opening(side).check(&strip, statement.root(side))?;
        }
        Ok(())
    }

    fn step_factors(&self) {
        for seed in [&self.seeds.a, &self.seeds.b] {
            let noise = RankStepNoise::new(&P, seed);
            (0..self.k / P.rank() as u32).for_each(|step| _ = black_box(noise.factor(step)));
        }
    }

    fn row_factors(&self) {
        for (side, seed) in [(Side::A, &self.seeds.a), (Side::B, &self.seeds.b)] {
            let noise = RowNoise::new(seed);
            let first = self.proof.tile.strip(side) * P.tile() as u32;
            for index in first..first + P.tile() as u32 {
                let mut row = [0; 256];
                noise.row(index, &mut row[..P.rank()]);
                black_box(row);
            }
        }
    }
}

/// One tile of the same depth on the kernel that verifiers use, noised in
/// advance.
struct OneTile {
    backend: Cpu,
    pool: rayon::ThreadPool,
    noised: (Noised, Noised),
}

impl OneTile {
    /// Repetitions per sample, because one alone takes a few clock ticks.
    const TIMES: u32 = 8;

    fn new(k: u32) -> Result<OneTile, Failure> {
        // The fastest kernel except AMX, for which verifiers do not ask.
        let mut names = Cpu::list().into_iter().filter(|listed| listed.present);
        let name = names.find(|listed| listed.name != "cpu-amx").ok_or("no kernel")?.name;
        let backend = Cpu::named(name)?;
        let tile = P.tile() as u32;
        let noised = Workload::new(&backend, Shape { m: tile, n: tile, k })?.noise()?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        Ok(OneTile { backend, pool, noised })
    }

    /// Times on the pool's thread, so that waking it does not count.
    fn multiply(&self) -> Result<Duration, Failure> {
        let (a, b) = &self.noised;
        let time = self.pool.install(|| {
            let start = Instant::now();
            for _ in 0..Self::TIMES {
                draw(&self.backend, a, b)?;
            }
            Ok::<_, BackendError>(start.elapsed() / Self::TIMES)
        });
        Ok(time?)
    }
}

/// Adds the lines of the fast path. Returns the microseconds of the whole
/// check.
fn whole_and_parts(run: &mut Run, section: &mut Section, sample: &Sample) -> Result<f64, Failure> {
    let (k, challenge) = (sample.k, Challenge::default());
    let verifier = Verifier::block(Difficulty::BLOCK_MIN)?;
    let verified = verifier.verify(&challenge, &sample.bytes)?;
    crate::run::same(
        section,
        &format!("the ticket at k = {k}"),
        &sample.ticket.to_string(),
        &verified.ticket.to_string(),
    )?;
    let bytes = &sample.bytes;
    let tile = OneTile::new(k)?;
    let medians = run.measure(
        101,
        &mut [
            &mut || timed(|| black_box(verifier.verify(&challenge, bytes)).map(drop)),
            &mut || timed(|| black_box(verifier.preliminary_verify(&challenge, bytes))),
            &mut || timed(|| sample.check_openings()),
            &mut || timed_always(|| sample.step_factors()),
            &mut || timed_always(|| sample.row_factors()),
            &mut || tile.multiply(),
        ],
    )?;
    let micros = [0, 1, 2, 3, 4, 5].map(|part| medians.seconds(part) * 1e6);
    let rest = micros[0] - micros[1..].iter().sum::<f64>();
    let names = [
        ("whole", "whole"),
        ("preliminary", "of it the cheap checks"),
        ("openings", "of it hashing both openings"),
        ("steps", "of it step factors"),
        ("rows", "of it row factors"),
        ("tile", "of it the tile, its folds and ticket"),
        ("noise", "the rest: noise added and packed, entries' range"),
    ];
    for ((id, what), micros) in names.into_iter().zip(micros.into_iter().chain([rest])) {
        let what = format!("k = {k}, {what}");
        section.figure(format!("{id}/{k}"), what, micros, "µs", medians.share);
    }
    let what = format!("k = {k}, {} bytes, ticket", bytes.len());
    section.digest(format!("ticket/{k}"), what, sample.ticket.to_string());
    Ok(micros[0])
}

/// The median microseconds of the verifier without features, built alone, and
/// the number of samples.
fn in_portable_code(proof: &Path) -> Result<(f64, usize), String> {
    let mut command: Command = super::cargo(&["run", "-p", "poai-bench-portable", "--"]);
    command.arg(proof).arg(Challenge::default().to_string());
    command.arg(Difficulty::BLOCK_MIN.macs().to_string());
    let line = child::output("poai-bench-portable", &mut command, ANSWER)?;
    let numbers = line
        .split_once(' ')
        .and_then(|(micros, samples)| Some((micros.parse().ok()?, samples.parse().ok()?)));
    numbers.ok_or_else(|| format!("poai-bench-portable: expected two numbers, got {line:?}"))
}
