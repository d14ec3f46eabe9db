//! Ticketed products by threads, and by size beyond the caches.

use crate::run::Run;
use poai_benches::Failure;
use poai_benches::lines::{Axis, Mark, Plot, Section, Series};
use poai_benches::quiet::{Work, timed};
use poai_benches::workload::{Workload, cube};
use poai_engine::Cpu;
use std::time::Duration;

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    by_threads(run, section)?;
    by_size(run, section)
}

fn by_threads(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let size = run.full_or(4096, 512);
    let counts = counts(rayon::current_num_threads());
    let mut backends = Vec::new();
    for &threads in &counts {
        backends.push(Cpu::new().threads(threads)?);
    }
    let mut works = Vec::new();
    for backend in &backends {
        works.push(Workload::new(backend, cube(size))?);
    }
    let mut closures: Vec<_> = works.iter().map(|work| || timed(|| work.ticketed())).collect();
    let mut turns: Vec<Work<'_>> = closures.iter_mut().map(|work| work as Work<'_>).collect();
    let medians = run.measure(7, &mut turns)?;
    let mut points = Vec::new();
    for (i, &threads) in counts.iter().enumerate() {
        let speedup = medians.speedup(i, 0);
        points.push((f64::from(threads as u32), speedup));
        if threads > 1 {
            let what = format!("{size}³ ticketed, {threads} threads / one");
            let id = format!("threads-to-one/{size}/{threads}");
            section.figure(id, what, speedup, "", medians.share);
        }
    }
    if counts.len() < 2 {
        let what = format!("{size}³ ticketed, more threads / one");
        section.skipped(format!("threads-to-one/{size}"), what, "there is one thread");
    }
    let ideal =
        counts.iter().map(|&threads| (f64::from(threads as u32), f64::from(threads as u32)));
    let series = |name: &str, points, mark| Series { name: name.into(), points, mark };
    section.plots.push(Plot {
        name: "scaling".into(),
        title: format!("{size}³ ticketed, by threads"),
        x: Axis::whole("threads"),
        y: Axis::linear("speed relative to one thread"),
        series: vec![
            series("as many times as threads", ideal.collect(), Mark::Line),
            series("measured", points, Mark::LineAndDots),
        ],
    });
    Ok(())
}

/// Every number of threads up to eight, then powers of two and the full number.
fn counts(threads: usize) -> Vec<usize> {
    (1..=threads).filter(|&n| n <= 8 || n.is_power_of_two() || n == threads).collect()
}

fn by_size(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let (small, large) = run.full_or((2048, 8192), (512, 1024));
    let backend = Cpu::new();
    let (few, many) =
        (Workload::new(&backend, cube(small))?, Workload::new(&backend, cube(large))?);
    let works: &mut [Work<'_>] =
        &mut [&mut || timed(|| few.ticketed()), &mut || timed(|| many.ticketed())];
    let medians = run.measure_for(Duration::from_secs(20), 5, works)?;
    let per_mac = medians.speedup(0, 1) * few.macs() / many.macs();
    let what = format!("time per MAC, {large}³ / {small}³, ticketed");
    section.figure(format!("time-per-mac/{large}-to-{small}"), what, per_mac, "", medians.share);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn few_threads_are_all_counted_and_many_by_powers_of_two() {
        assert_eq!(counts(1), [1]);
        assert_eq!(counts(3), [1, 2, 3]);
        assert_eq!(counts(48), [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 48]);
    }
}
