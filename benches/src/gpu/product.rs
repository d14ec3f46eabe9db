//! Products of one size: everything in the table, first checked and then timed
//! in turns.

use crate::check;
use crate::cublaslt;
use crate::pair::{Pair, Setting};
use crate::parts;
use crate::turns::{self, Work};
use poai_benches::Failure;
use poai_benches::lines::Section;
use poai_benches::workload::{P, Workload};
use poai_core::puzzle::seeds::Seeds;
use poai_core::{Difficulty, Shape, Side, Ticket};
use poai_cuda::measure::{self, Measure};
use poai_engine::Operand;

/// When winners are compared, about one tile in this many wins.
const WINS: u128 = 16;

/// The name of a shape: `8192³`, or its three sizes.
fn name(shape: &Shape) -> String {
    let &Shape { m, n, k } = shape;
    if m == n && n == k { format!("{m}³") } else { format!("{m}×{n}×{k}") }
}

/// Checks and measures products of one size.
///
/// # Errors
/// A wrong result, or the error of the driver or of cuBLASLt.
pub fn measure(set: &Setting<'_>, shape: Shape) -> Result<Section, Failure> {
    let measure = set.measure;
    let workload = Workload::new(measure.cuda(), shape)?;
    let pair = Pair::new(measure, &workload, shape)?;
    let mut section =
        Section { id: "product", title: "Products", about: ABOUT, ..Section::default() };
    let name = name(&shape);
    let root = check_all(set, &pair, &name, &mut section)?;

    // cuBLASLt's product, in separate memory.
    let other_c = measure.empty(pair.c.bytes())?;
    let mut other = match set.cublaslt {
        Ok(library) => {
            Some(cublaslt::Product::new(library, measure, [&pair.a, &pair.bt, &other_c], &shape)?)
        }
        Err(_) => None,
    };
    let mut tried = 0;
    if let Some(other) = &mut other {
        tried = other.choose(measure)?;
        other.queue()?;
        if *measure.tree(&other_c)?.root() != root {
            return Err(format!("{name}: cuBLASLt's product differs from ours").into());
        }
    }
    let mut works: Vec<Work<'_>> = vec![
        Box::new(|| Ok(measure.plain(&pair.a, &pair.bt, &pair.c, &shape)?)),
        Box::new(|| pair.ticketed(measure)),
        Box::new(|| pair.recovered(measure)),
    ];
    if let Some(other) = &other {
        works.push(Box::new(|| other.queue()));
    }
    let times = turns::by_events(measure, set.repeats, &mut works)?;
    drop(works);
    let against = times.get(3).map(|time| (*time, tried));
    chains(set, &name, &shape, &times, against, &mut section);
    parts::measure(set, &pair, &name, &mut section)?;
    walls(set, &pair, &name, &mut section)?;
    Ok(section)
}

const ABOUT: &str = "Every sample commits to A and noises it again; B was prepared once. *Plain* is A·B of clean \
operands. *Ticketed* hashes A on the GPU, noises it and draws every ticket, without a product. *Recovered* is the same and leaves \
the exact A·B, computed band by band as the backend does. All results stay on the GPU. *On the GPU* is timed by the GPU's own events. It \
includes the host's work in between: the commitment's upper levels, small copies and each band's winners. *With the host* is the backend's own calls by the host's clock, with operands copied to the \
GPU and products copied back.";

/// Measures the three ways to multiply, and what they are compared with.
fn chains(
    set: &Setting<'_>,
    name: &str,
    shape: &Shape,
    times: &[f64],
    against: Option<(f64, usize)>,
    section: &mut Section,
) {
    let share = turns::share(set.repeats);
    let tera = |milliseconds: f64| shape.macs() as f64 / milliseconds / 1e9;
    for (way, time) in ["plain", "ticketed", "recovered"].into_iter().zip(times) {
        let id = |kind: &str| format!("{way}{kind}/{name}");
        let what = format!("{name} {way} on the GPU");
        section.figure(id(""), &what, *time, "ms", share);
        section.figure(id("-rate"), what + ", rate", tera(*time), "TMAC/s", share);
        let to_roof = format!("{name} {way} / the roofline");
        match set.peak {
            Some(peak) => section.figure(id("-to-roof"), to_roof, tera(*time) / peak, "", share),
            None => section.skipped(id("-to-roof"), to_roof, "the GPU's int8 peak is not known"),
        }
        let to_other = format!("{name} {way} / cuBLASLt int8");
        match (against, set.cublaslt) {
            (Some((other, _)), _) => {
                section.figure(id("-to-cublaslt"), to_other, other / time, "", share);
            }
            (None, Err(why)) => section.skipped(id("-to-cublaslt"), to_other, why),
            (None, Ok(_)) => {}
        }
    }
    if let Some((other, tried)) = against {
        let what = format!("{name} cuBLASLt int8, the best of {tried} algorithms");
        section.figure(format!("cublaslt/{name}"), &what, other, "ms", share);
        let rate = what + ", rate";
        section.figure(format!("cublaslt-rate/{name}"), rate, tera(other), "TMAC/s", share);
    }
}

/// Compares every result with the CPU's or with another result. Returns the
/// product's root.
fn check_all(
    set: &Setting<'_>,
    pair: &Pair<'_>,
    name: &str,
    section: &mut Section,
) -> Result<poai_core::Root, Failure> {
    let measure = set.measure;
    let (a, bt) = (pair.operand(Side::A), pair.operand(Side::B));
    let wrong = |what: &str| -> Failure { format!("{name}: {what}").into() };
    // Compares the commitment with the CPU's.
    let tree = measure.tree(&pair.a)?;
    if *tree.root() != *poai_core::puzzle::commitment::Tree::new(a.as_bytes()).root() {
        return Err(wrong("A's root differs from the CPU's"));
    }
    section.digest(format!("root-a/{name}"), format!("{name} root of A"), tree.root().to_string());
    // Compares sampled entries of the plain product with the CPU's.
    measure.plain(&pair.a, &pair.bt, &pair.c, &pair.shape)?;
    check::product(measure, a, bt, &pair.c)?;
    let root = *measure.tree(&pair.c)?.root();
    section.digest(format!("root-c/{name}"), format!("{name} hash of A·B"), root.to_string());
    // Compares tickets of sampled tiles with the CPU's, which also checks the noise.
    let (seed_a, noised) = pair.commit_and_noise(measure)?;
    let seeds = Seeds { a: seed_a, b: pair.seed_b };
    let kept = measure.empty(pair.c.bytes())?;
    let draw = measure.draw(&seed_a, &pair.target(), Some(&pair.shape))?;
    measure.ticketed(&noised, &pair.b, &draw, Some(&kept))?;
    let (digest, _) = tickets_of(measure, &draw, &seeds, a, bt)?;
    let what = format!("{name} hash of all tickets");
    section.digest(format!("tickets/{name}"), what, digest.to_string());
    // Compares the noised product of the same launch with the plain kernel's.
    let plain = measure.empty(pair.c.bytes())?;
    measure.plain_noised(&noised, &pair.b, &plain)?;
    if measure.tree(&kept)?.root() != measure.tree(&plain)?.root() {
        return Err(wrong(
            "the product with tickets differs from the plain one of the same operands",
        ));
    }
    // Compares the exact product with the plain one of clean operands, and its
    // tickets with the earlier ones.
    let again = measure.draw(&seed_a, &pair.target(), Some(&pair.shape))?;
    let recovery = measure.recovery(&noised, &pair.b)?;
    measure.exact(&noised, &pair.b, &again, &recovery, &kept)?;
    if *measure.tree(&kept)?.root() != root {
        return Err(wrong("the recovered product is not the plain one"));
    }
    let (of_exact, tickets) = tickets_of(measure, &again, &seeds, a, bt)?;
    if of_exact != digest {
        return Err(wrong("the recovered product's tickets differ from the earlier ones"));
    }
    // Compares the backend's own bands, which are timed, with those tickets.
    let macs = (P.tile() * P.tile()) as u128 * u128::from(pair.shape.k);
    let difficulty = Difficulty::new(WINS * macs)?;
    let target = difficulty.target(&P, pair.shape.k);
    let mut expected: Vec<_> =
        tickets.into_iter().filter(|ticket| target.is_met_by(ticket)).collect();
    expected.sort_unstable();
    let empty = vec![0; usize::try_from(kept.bytes())?];
    for c in [None, Some(&measure.upload(&empty)?)] {
        let found = measure.mine(&noised, &pair.b, &seed_a, &target, c)?;
        let mut found: Vec<_> = found.iter().map(|winner| winner.ticket).collect();
        found.sort_unstable();
        if found != expected {
            return Err(wrong("the bands' winners differ from the tickets that win"));
        }
        if let Some(c) = c
            && *measure.tree(c)?.root() != root
        {
            return Err(wrong("the bands' product differs from the plain one"));
        }
    }
    Ok(root)
}

/// The hash of all tickets of a draw, and the tickets. Some of them are first
/// drawn again and compared.
fn tickets_of(
    measure: &Measure,
    draw: &measure::Draw,
    seeds: &Seeds,
    a: &Operand,
    bt: &Operand,
) -> Result<(blake3::Hash, Vec<Ticket>), Failure> {
    let on_gpu = draw.tickets().ok_or("expected a draw with tickets, got none")?;
    let mut bytes = vec![0; usize::try_from(on_gpu.bytes())?];
    measure.download(on_gpu, 0, &mut bytes)?;
    let tickets = measure::tickets(&bytes);
    check::tickets(seeds, a, bt, &tickets)?;
    Ok((blake3::hash(&bytes), tickets))
}

/// Measures calls of the whole backend by the host's clock.
fn walls(
    set: &Setting<'_>,
    pair: &Pair<'_>,
    name: &str,
    section: &mut Section,
) -> Result<(), Failure> {
    let workload = pair.workload;
    let mut works: Vec<Work<'_>> = vec![
        Box::new(|| Ok(workload.plain()?)),
        Box::new(|| Ok(workload.ticketed()?)),
        Box::new(|| Ok(workload.recovered()?)),
    ];
    // Each sample copies gigabytes, so a few samples are enough.
    let repeats = set.repeats.min(5);
    let times = turns::by_host(repeats, &mut works)?;
    drop(works);
    // Compares the last product with the plain product on the GPU.
    let product: Vec<u8> =
        workload.product().iter().flat_map(|entry| entry.to_le_bytes()).collect();
    set.measure.plain(&pair.a, &pair.bt, &pair.c, &pair.shape)?;
    if blake3::hash(&product).as_bytes() != &set.measure.tree(&pair.c)?.root().0 {
        return Err(format!("{name}: the backend's product differs from the GPU's").into());
    }
    for (way, time) in ["plain", "ticketed", "recovered"].into_iter().zip(times) {
        // The backend's own ticketed product noises both sides.
        let both = if way == "plain" { "" } else { ", both sides noised" };
        let what = format!("{name} {way} with the host{both}");
        section.figure(format!("{way}-wall/{name}"), what, time, "ms", turns::share(repeats));
    }
    Ok(())
}
