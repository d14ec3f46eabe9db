//! Plain, ticketed and recovered products by size, compared with the
//! register-only loop.

use super::roofline::Roofline;
use crate::bandwidth;
use crate::run::{Run, same};
use poai_benches::Failure;
use poai_benches::lines::{Axis, Mark, Plot, Section, Series};
use poai_benches::peak::{self, Peak};
use poai_benches::quiet::{Medians, timed};
use poai_benches::workload::{Workload, cube};
use poai_core::Shape;
use poai_engine::{Backend, Cpu};
use std::collections::BTreeMap;
use std::time::Duration;

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let (bandwidth, share) = bandwidth::read(run)?;
    section.figure("memory", "memory read by all threads", bandwidth, "GB/s", share);
    let main = run.main_kernels()?;
    let (mut overhead, mut answers) = (Vec::new(), Answers::new());
    for listed in Cpu::list() {
        let Ok(backend) = Cpu::named(listed.name) else {
            let why = format!("it needs {}", listed.needs);
            let what = format!("products on {}", listed.name);
            section.skipped(format!("plain/{}", listed.name), what, why);
            continue;
        };
        let is_main = main.iter().any(|kernel| kernel.name() == listed.name);
        let shapes = match listed.name {
            _ if is_main => run.full_or(
                vec![cube(512), cube(1024), cube(2048), cube(4096), Shape { m: 64, ..cube(4096) }],
                vec![cube(256), cube(512), Shape { m: 64, ..cube(512) }],
            ),
            "cpu-scalar" => vec![cube(256)],
            _ => run.full_or(vec![cube(512), cube(1024)], vec![cube(256)]),
        };
        overhead.extend(kernel(run, section, &backend, &shapes, bandwidth, &mut answers)?);
    }
    section.plots.push(Plot {
        name: "overhead".into(),
        title: "Speed left of the plain product's, by size".into(),
        x: Axis::log("m = n = k"),
        y: Axis::linear("share of plain GMAC/s"),
        series: overhead,
    });
    Ok(())
}

/// The digest of the product of each m, n and k, which is the same for every
/// kernel.
type Answers = BTreeMap<[u32; 3], String>;

/// Measures one kernel's products: lines, its roofline and, if there are any,
/// its two curves of overhead.
fn kernel(
    run: &mut Run,
    section: &mut Section,
    backend: &Cpu,
    shapes: &[Shape],
    bandwidth: f64,
    answers: &mut Answers,
) -> Result<Vec<Series>, Failure> {
    let name = backend.name();
    let peak = peak::of(name);
    if let Err(why) = &peak {
        let what = format!("register-only loop of {name}");
        section.skipped(format!("peak/{name}"), what, why.clone());
    }
    let peak = peak.ok().map(|peak| (peak, peak.rounds_in(Duration::from_millis(20))));
    let mut roofline = Roofline::new(name, bandwidth);
    let mut curves = [("ticketed", Vec::new()), ("recovered", Vec::new())];
    for shape in shapes {
        let work = Workload::new(backend, *shape)?;
        let ways = three_ways(run, section, &work, peak)?;
        let Shape { m, n, k } = *shape;
        let answer = answers.entry([m, n, k]).or_insert_with(|| ways.product.clone());
        same(section, &format!("the {m}×{n}×{k} product of {name}"), answer, &ways.product)?;
        lines(section, name, shape, &ways, peak);
        let rates = [0, 1, 2].map(|way| ways.medians.giga(way, work.macs()));
        roofline.add(shape, rates, peak.map(|peak| ways.peak(peak)));
        if *shape == cube(shape.m) {
            for (way, (_, points)) in curves.iter_mut().enumerate() {
                points.push((f64::from(shape.m), ways.medians.speedup(way + 1, 0)));
            }
        }
    }
    section.plots.extend(roofline.plot());
    let curves = curves.into_iter().filter(|(_, points)| points.len() > 1);
    Ok(curves
        .map(|(way, points)| {
            let name = format!("{way}, {}", name.trim_start_matches("cpu-"));
            Series { name, points, mark: Mark::LineAndDots }
        })
        .collect())
}

/// Plain, ticketed and recovered products, and the register-only loop if there
/// is one, measured in turns.
pub struct Ways {
    pub medians: Medians,
    /// The digest of the product that the plain and the recovered way left.
    pub product: String,
}

impl Ways {
    /// The rate of the register-only loop.
    fn peak(&self, (peak, rounds): (Peak, u32)) -> f64 {
        self.medians.giga(3, peak.macs_on_all_threads(rounds))
    }
}

pub fn three_ways(
    run: &mut Run,
    section: &Section,
    work: &Workload<'_>,
    peak: Option<(Peak, u32)>,
) -> Result<Ways, Failure> {
    let mut plain = || timed(|| work.plain());
    let mut ticketed = || timed(|| work.ticketed());
    let mut recovered = || timed(|| work.recovered());
    let medians = match peak {
        None => run.measure(9, &mut [&mut plain, &mut ticketed, &mut recovered]),
        Some((peak, rounds)) => run.measure(
            9,
            &mut [&mut plain, &mut ticketed, &mut recovered, &mut || {
                timed(|| peak.on_all_threads(rounds))
            }],
        ),
    }?;
    work.recovered()?;
    let product = work.digest();
    work.plain()?;
    same(section, "the recovered product", &work.digest(), &product)?;
    Ok(Ways { medians, product })
}

fn lines(section: &mut Section, name: &str, shape: &Shape, ways: &Ways, peak: Option<(Peak, u32)>) {
    let Shape { m, n, k } = *shape;
    let cubic = *shape == cube(m);
    let size = if cubic { format!("{m}³") } else { format!("{m}×{n}×{k}") };
    let id = |what: &str| format!("{what}/{m}x{n}x{k}/{name}");
    let Ways { medians, product } = ways;
    let (macs, share) = (shape.macs() as f64, medians.share);
    for (way, what) in ["plain", "ticketed", "recovered"].into_iter().enumerate() {
        let rate = medians.giga(way, macs);
        section.figure(id(what), format!("{size} {what} on {name}"), rate, "GMAC/s", share);
    }
    for (way, what) in [(1, "ticketed"), (2, "recovered")] {
        let text = format!("{size} {what} / plain on {name}");
        let ratio = medians.speedup(way, 0);
        section.figure(id(&format!("{what}-to-plain")), text, ratio, "", share);
    }
    if let Some(peak) = peak {
        let rate = ways.peak(peak);
        let text = format!("register-only loop of {name}, beside {size}");
        section.figure(id("peak"), text, rate, "GMAC/s", share);
        for (way, what) in [(0, "plain"), (1, "ticketed")] {
            let text = format!("{size} {what} / register-only loop of {name}");
            let ratio = medians.giga(way, macs) / rate;
            section.figure(id(&format!("{what}-to-peak")), text, ratio, "", share);
        }
    }
    section.digest(id("product"), format!("{size} product of {name}"), product.clone());
}
