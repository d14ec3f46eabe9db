//! Every kernel on one product, and the plain reference.

use super::sizes::{Ways, three_ways};
use crate::run::{Run, same};
use poai_benches::Failure;
use poai_benches::lines::Section;
use poai_benches::quiet::timed;
use poai_benches::workload::{Workload, cube};
use poai_core::Shape;
use poai_engine::Cpu;
use poai_engine::backend::reference;

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let size = run.full_or(1024, 256);
    let mut answers: Option<(String, String)> = None;
    for listed in Cpu::list() {
        let name = listed.name;
        let what = format!("{size}³ ticketed on {name}");
        let Ok(backend) = Cpu::named(name) else {
            let why = format!("it needs {}", listed.needs);
            section.skipped(format!("ticketed/{size}/{name}"), what, why);
            continue;
        };
        let work = Workload::new(&backend, cube(size))?;
        let Ways { medians, product } = three_ways(run, section, &work, None)?;
        let (rate, share) = (medians.giga(1, work.macs()), medians.share);
        section.figure(format!("ticketed/{size}/{name}"), what, rate, "GMAC/s", share);
        let ratio = medians.speedup(1, 0);
        let what = format!("the same / plain on {name}");
        section.figure(format!("ticketed-to-plain/{size}/{name}"), what, ratio, "", share);
        let tickets = work.ticket_digest()?;
        let (first_product, first_tickets) =
            answers.get_or_insert_with(|| (product.clone(), tickets.clone()));
        same(section, &format!("the product of {name}"), first_product, &product)?;
        same(section, &format!("a transcript of {name}"), first_tickets, &tickets)?;
    }
    if let Some((product, tickets)) = answers {
        section.digest(
            format!("product/{size}"),
            format!("{size}³ product of all kernels"),
            product,
        );
        section.digest(
            format!("transcripts/{size}"),
            format!("{size}³ transcripts of all kernels"),
            tickets,
        );
    }
    plain_reference(run, section)
}

/// Measures the rate of the reference on a small product.
fn plain_reference(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let shape = Shape { m: 32, n: 32, k: 1024 };
    let work = Workload::new(&reference::Reference, shape)?;
    let (a, b) = work.noise()?;
    let medians = run.measure(9, &mut [&mut || timed(|| work.multiply(&a, &b, false))])?;
    let rate = medians.giga(0, work.macs());
    let what = "tickets of the plain reference, one thread";
    section.figure("ticketed/reference", what, rate, "GMAC/s", medians.share);
    Ok(())
}
