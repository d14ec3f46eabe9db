//! The parts of a product's time on the GPU, and every kernel alone.

use crate::pair::{Pair, Setting};
use crate::turns::{self, Work};
use poai_benches::Failure;
use poai_benches::lines::Section;
use poai_core::{Shape, Side};
use std::collections::BTreeMap;

/// Columns of a thin product.
const THIN: u32 = 128;

/// Measures the parts of products of one size.
///
/// # Errors
/// The driver's error.
pub fn measure(
    set: &Setting<'_>,
    pair: &Pair<'_>,
    name: &str,
    section: &mut Section,
) -> Result<(), Failure> {
    steps(set, pair, name, section)?;
    kernels(set, pair, name, section)
}

/// Measures the backend's steps.
fn steps(
    set: &Setting<'_>,
    pair: &Pair<'_>,
    name: &str,
    section: &mut Section,
) -> Result<(), Failure> {
    let measure = set.measure;
    let (seed_a, a) = pair.commit_and_noise(measure)?;
    let operand = pair.operand(Side::A);
    let draw = measure.draw(&seed_a, &pair.target(), None)?;
    let recovery = measure.recovery(&a, &pair.b)?;
    let mut works: Vec<Work<'_>> = vec![
        Box::new(|| Ok(measure.tree(&pair.a).map(drop)?)),
        Box::new(|| Ok(measure.noise(&seed_a, operand, &pair.a).map(drop)?)),
        Box::new(|| Ok(measure.ticketed(&a, &pair.b, &draw, None)?)),
        Box::new(|| Ok(measure.ticketed(&a, &pair.b, &draw, Some(&pair.c))?)),
        Box::new(|| Ok(measure.recovery(&a, &pair.b).map(drop)?)),
        Box::new(|| Ok(measure.exact(&a, &pair.b, &draw, &recovery, &pair.c)?)),
    ];
    let times = turns::by_events(measure, set.repeats, &mut works)?;
    drop(works);
    let &[commit, noise, tickets, kept, recovery, exact] = times.as_slice() else {
        return Err("expected one time per work, got another number".into());
    };
    let share = turns::share(set.repeats);
    let mut figure = |id: &str, what: &str, value: f64, unit: &'static str| {
        section.figure(format!("{id}/{name}"), format!("{name} {what}"), value, unit, share);
    };
    let gigabytes = pair.a.bytes() as f64 / 1e6;
    let tera = |milliseconds: f64| pair.shape.macs() as f64 / milliseconds / 1e9;
    figure("commit", "step: A committed, upper levels on the host included", commit, "ms");
    figure("commit-rate", "commitment of A, upper levels included", gigabytes / commit, "GB/s");
    figure("noise", "step: A noised", noise, "ms");
    figure("noise-rate", "noise of A, by A's bytes", gigabytes / noise, "GB/s");
    figure("tickets", "step: product with tickets, none kept", tickets, "ms");
    figure("tickets-rate", "product with tickets, none kept", tera(tickets), "TMAC/s");
    figure("tickets-kept", "product with tickets, A'·B' kept", kept, "ms");
    figure("recovery", "step: both thin operands", recovery, "ms");
    figure("exact", "step: product with tickets, A·B kept", exact, "ms");
    figure("exact-rate", "product with tickets, A·B kept", tera(exact), "TMAC/s");
    figure(
        "recover-extra",
        "recovery's extra, against tickets alone",
        recovery + exact - tickets,
        "ms",
    );
    Ok(())
}

/// Measures every kernel other than the products, each launched alone.
fn kernels(
    set: &Setting<'_>,
    pair: &Pair<'_>,
    name: &str,
    section: &mut Section,
) -> Result<(), Failure> {
    let measure = set.measure;
    let (seed_a, a) = pair.commit_and_noise(measure)?;
    let mut list = measure.commit_kernels(&pair.a)?;
    list.extend(measure.noise_kernels(&seed_a, pair.operand(Side::A), &pair.a)?);
    list.extend(measure.recover_kernels(&a)?);
    let mut labels: Vec<String> = vec![];
    let mut counts = BTreeMap::new();
    for kernel in &list {
        let count = counts.entry(kernel.name()).and_modify(|count| *count += 1).or_insert(1);
        labels.push(match count {
            1 => kernel.name().to_owned(),
            count => format!("{} {count}", kernel.name()),
        });
    }
    // One side's thin product has as many columns as the noise has rank.
    let thin = Shape { n: THIN.min(pair.shape.n), ..pair.shape };
    let mut works: Vec<Work<'_>> = vec![];
    for kernel in &list {
        works.push(Box::new(|| Ok(kernel.queue()?)));
    }
    labels.push(format!("thin product of {} columns", thin.n));
    works.push(Box::new(|| Ok(measure.plain(&pair.a, &pair.bt, &pair.c, &thin)?)));
    let times = turns::by_events(measure, set.repeats, &mut works)?;
    let share = turns::share(set.repeats);
    for (label, time) in labels.iter().zip(times) {
        let what = format!("{name} alone: {label}, one side");
        let id = format!("kernel-{}/{name}", label.replace([' ', '_'], "-"));
        section.figure(id, what, time, "ms", share);
        if label == "commit_chunks" || label == "noise_operand" {
            let what = format!("{name} alone: {label}, by A's bytes");
            let rate = pair.a.bytes() as f64 / 1e6 / time;
            let id = format!("kernel-{}-rate/{name}", label.replace('_', "-"));
            section.figure(id, what, rate, "GB/s", share);
        }
    }
    Ok(())
}
