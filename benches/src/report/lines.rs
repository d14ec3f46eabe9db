//! What the report measures, section by section.

use super::peers::{self, Rten};
use super::{Line, Outcome};
use poai_benches::quiet::{Medians, Quiet};
use poai_benches::workload::{P, Workload};
use poai_core::backend::Backend;
use poai_core::commitment::Tree;
use poai_core::noise::StepNoise;
use poai_core::operand::pseudorandom;
use poai_core::proof::strip;
use poai_core::*;
use poai_verify::Verifier;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

type Failure = Box<dyn std::error::Error>;
type Section = fn(&mut Quiet) -> Result<Vec<Line>, Failure>;

/// Every section with its title.
pub const SECTIONS: [(&str, Section); 7] = [
    ("Commitment", commit),
    ("Ticketing, by size", by_size),
    ("What a useful miner pays beside its tickets", useful),
    ("Kernels", kernels),
    ("Threads and size", scaling),
    ("Verification, one thread", verify),
    ("Peers, 4096³", against_peers),
];

/// Time for one comparison.
const BUDGET: Duration = Duration::from_secs(8);

fn share<const N: usize>(medians: &Medians<N>) -> (usize, usize) {
    (medians.kept, medians.taken)
}

fn cube(size: u32) -> Shape {
    Shape { m: size, n: size, k: size }
}

fn commit(quiet: &mut Quiet) -> Result<Vec<Line>, Failure> {
    let bytes = vec![0x2a; 64 << 20];
    let medians = quiet.in_turns(
        15,
        BUDGET,
        [&mut || _ = black_box(Tree::new(&bytes)), &mut || {
            black_box(blake3::Hasher::new().update_rayon(&bytes).finalize());
        }],
    );
    let rate = |i: usize| bytes.len() as f64 / medians.times[i].as_secs_f64() / 1e9;
    Ok(vec![
        Line::figure("commit 64 MiB, tree kept for openings", rate(0), "GB/s", share(&medians)),
        Line::figure("the same / BLAKE3 on rayon", medians.speedup(0, 1), "", share(&medians)),
        Line::digest("root", Tree::new(&bytes).root().to_string()),
    ])
}

/// Plain, ticketed and recovered products of one shape, in turns.
fn three_ways(
    quiet: &mut Quiet,
    backend: &dyn Backend,
    shape: Shape,
) -> Result<(Medians<3>, String), Failure> {
    let work = std::cell::RefCell::new(Workload::new(backend, shape)?);
    let must =
        |done: Result<(), backend::BackendError>| assert!(done.is_ok(), "it worked a moment ago");
    let medians = quiet.in_turns(
        9,
        BUDGET,
        [
            &mut || must(work.borrow_mut().plain()),
            &mut || must(work.borrow_mut().ticketed()),
            &mut || must(work.borrow_mut().recovered()),
        ],
    );
    let digest = work.borrow().digest();
    Ok((medians, digest))
}

fn by_size(quiet: &mut Quiet) -> Result<Vec<Line>, Failure> {
    let backend = Cpu::new();
    let mut lines = Vec::new();
    for size in [512, 1024, 2048, 4096] {
        let (medians, digest) = three_ways(quiet, &backend, cube(size))?;
        let rate = |i: usize| cube(size).macs() as f64 / medians.times[i].as_secs_f64() / 1e9;
        let name = backend.name();
        lines.push(Line::figure(
            format!("{size}³ plain on {name}"),
            rate(0),
            "GMAC/s",
            share(&medians),
        ));
        lines.push(Line::figure(format!("{size}³ ticketed"), rate(1), "GMAC/s", share(&medians)));
        lines.push(Line::figure(
            format!("{size}³ ticketed / plain"),
            medians.speedup(1, 0),
            "",
            share(&medians),
        ));
        lines.push(Line::figure(
            format!("{size}³ ticketed and recovered / plain"),
            medians.speedup(2, 0),
            "",
            share(&medians),
        ));
        lines.push(Line::digest(format!("{size}³ product"), digest));
    }
    Ok(lines)
}

/// A pure miner draws tickets from operands that it never commits anew, and
/// keeps no product. This is what a useful one pays on top.
fn useful(quiet: &mut Quiet) -> Result<Vec<Line>, Failure> {
    let backend = Cpu::new();
    let mut lines = Vec::new();
    for shape in [cube(4096), Shape { k: 1024, ..cube(4096) }, Shape { m: 512, n: 384, k: 1536 }] {
        let work = std::cell::RefCell::new(Workload::new(&backend, shape)?);
        let (a, b) = work.borrow().noise()?;
        let medians = quiet.in_turns(
            9,
            BUDGET,
            [
                &mut || assert!(work.borrow_mut().multiply(&a, &b, false).is_ok()),
                &mut || assert!(work.borrow().commit().is_ok()),
                &mut || assert!(work.borrow().noise().is_ok()),
                &mut || assert!(work.borrow_mut().multiply(&a, &b, true).is_ok()),
            ],
        );
        let [tickets, commit, noise, exact] = medians.times.map(|time| time.as_secs_f64());
        let Shape { m, n, k } = shape;
        for (what, part) in [
            ("committing A", commit),
            ("noising A and B", noise - commit),
            ("recovering and writing the product", exact - tickets),
            ("all of it", exact - tickets + noise),
        ] {
            let what = format!("{m}×{n}×{k}, {what} / its tickets");
            lines.push(Line::figure(what, part / tickets, "", share(&medians)));
        }
    }
    Ok(lines)
}

fn kernels(quiet: &mut Quiet) -> Result<Vec<Line>, Failure> {
    let shape = cube(1024);
    let mut lines = Vec::new();
    for listed in Cpu::list() {
        let what = format!("1024³ ticketed on {}", listed.name);
        let Ok(backend) = Cpu::named(listed.name) else {
            lines.push(Line::skipped(what, format!("it needs {}", listed.needs)));
            continue;
        };
        let (medians, digest) = three_ways(quiet, &backend, shape)?;
        let rate = shape.macs() as f64 / medians.times[1].as_secs_f64() / 1e9;
        lines.push(Line::figure(what, rate, "GMAC/s", share(&medians)));
        lines.push(Line::figure(
            format!("the same / plain on {}", listed.name),
            medians.speedup(1, 0),
            "",
            share(&medians),
        ));
        lines.push(Line::digest(format!("1024³ product on {}", listed.name), digest));
    }
    lines.push(straightforward(quiet)?);
    Ok(lines)
}

/// The reference on a small product, as a rate: what a straightforward
/// implementation reaches.
fn straightforward(quiet: &mut Quiet) -> Result<Line, Failure> {
    let shape = Shape { m: 32, n: 32, k: 1024 };
    let mut work = Workload::new(&reference::Reference, shape)?;
    let (a, b) = work.noise()?;
    let mut run = || assert!(work.multiply(&a, &b, false).is_ok());
    let medians = quiet.in_turns(9, BUDGET, [&mut run]);
    let rate = shape.macs() as f64 / medians.times[0].as_secs_f64() / 1e9;
    Ok(Line::figure("tickets of the plain reference, one thread", rate, "GMAC/s", share(&medians)))
}

fn scaling(quiet: &mut Quiet) -> Result<Vec<Line>, Failure> {
    let threads = rayon::current_num_threads();
    let mut lines = Vec::new();
    let (one, all) = (Cpu::new().threads(1)?, Cpu::new().threads(threads)?);
    let mut single = Workload::new(&one, cube(2048))?;
    let mut multi = Workload::new(&all, cube(2048))?;
    let medians = quiet.in_turns(
        7,
        BUDGET,
        [&mut || assert!(multi.ticketed().is_ok()), &mut || assert!(single.ticketed().is_ok())],
    );
    let what = format!("2048³ ticketed, {threads} threads / one");
    lines.push(Line::figure(what, medians.speedup(0, 1), "", share(&medians)));
    let mut large = Workload::new(&all, cube(8192))?;
    let medians = quiet.in_turns(
        5,
        3 * BUDGET,
        [&mut || assert!(multi.ticketed().is_ok()), &mut || assert!(large.ticketed().is_ok())],
    );
    let per_mac = medians.speedup(0, 1) / 64.0;
    lines.push(Line::figure("time per MAC, 8192³ / 2048³", per_mac, "", share(&medians)));
    Ok(lines)
}

fn verify(quiet: &mut Quiet) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    let challenge = Challenge::default();
    for k in [1024u32, 4096, 16384] {
        let miner = Miner::new(P, Arc::new(Cpu::new()))?;
        let rows = |name: &[u8]| pseudorandom(name, 256, k as usize);
        let operands = Operands::new(&P, rows(b"a"), rows(b"b"))?;
        let bt = miner.prepare(operands.bt().clone())?;
        let a = miner.prepare(operands.a().clone())?;
        let found =
            miner.round(&challenge, &bt)?.mine(&a, &Options::new(Difficulty::BLOCK_MIN))?.found;
        let Some(proof) = found.proof() else {
            lines.push(Line::skipped(format!("k = {k}"), "no tile won"));
            continue;
        };
        let bytes = proof.encode(&P)?;
        let verifier = Verifier::block(Difficulty::BLOCK_MIN)?;
        verifier.verify(&challenge, &bytes)?;
        let medians = quiet.in_turns(
            101,
            BUDGET,
            [
                &mut || _ = black_box(verifier.verify(&challenge, &bytes)),
                &mut || _ = black_box(verifier.preliminary(&challenge, &bytes)),
                &mut || check_openings(&proof),
                &mut || step_factors(found.seeds(), k),
            ],
        );
        let parts = ["whole", "preliminary checks", "of it hashing", "of it step factors"];
        for (part, time) in parts.iter().zip(medians.times) {
            let micros = time.as_secs_f64() * 1e6;
            lines.push(Line::figure(format!("k = {k}, {part}"), micros, "µs", share(&medians)));
        }
        lines.push(Line::digest(
            format!("k = {k}, {} bytes, ticket", bytes.len()),
            format!("{}", found.best().map(|best| best.ticket).unwrap_or_default()),
        ));
    }
    Ok(lines)
}

fn check_openings(proof: &Proof) {
    for side in [Side::A, Side::B] {
        let strip = strip(&P, &proof.statement.shape, proof.tile, side);
        let checked =
            strip.map(|strip| proof.view().opening(side).check(&strip, proof.statement.root(side)));
        assert!(matches!(checked, Some(Ok(()))));
    }
}

fn step_factors(seeds: &seeds::Seeds, k: u32) {
    for seed in [&seeds.a, &seeds.b] {
        let noise = StepNoise::new(&P, seed);
        (0..k / P.rank() as u32).for_each(|step| _ = black_box(noise.factor(step)));
    }
}

fn against_peers(quiet: &mut Quiet) -> Result<Vec<Line>, Failure> {
    let size = 4096;
    let backend = Cpu::new();
    let mut work = Workload::new(&backend, cube(size))?;
    let mut rten = Rten::new(size as usize);
    let kernel = rten.kernel();
    let medians = rten.run(|multiply| {
        quiet.in_turns(9, BUDGET, [&mut || assert!(work.plain().is_ok()), multiply])
    });
    let what = format!("plain on {} / rten-gemm u8×i8 ({kernel})", backend.name());
    let mut lines = vec![Line::figure(what, medians.speedup(0, 1), "", share(&medians))];
    let what = format!("ticketed on {} / ONNX Runtime MatMulInteger u8×i8", backend.name());
    lines.push(match peers::onnxruntime(size as usize, rayon::current_num_threads()) {
        Ok(seconds) => {
            let medians = quiet.in_turns(9, BUDGET, [&mut || assert!(work.ticketed().is_ok())]);
            Line::figure(what, seconds / medians.times[0].as_secs_f64(), "", share(&medians))
        }
        Err(why) => Line { what, outcome: Outcome::Skipped(why) },
    });
    Ok(lines)
}
