//! The cost of tickets, noise, commitment and recovery for one product.

use crate::run::Run;
use poai_benches::Failure;
use poai_benches::lines::{Section, Table, digits};
use poai_benches::quiet::timed;
use poai_benches::workload::{Workload, cube};
use poai_core::Shape;
use poai_engine::{Backend, Cpu};

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let backend = Cpu::new();
    let deep = Shape { k: 1024, ..cube(4096) };
    let (few, small) = (Shape { m: 64, ..cube(4096) }, Shape { m: 512, n: 384, k: 1536 });
    let full = vec![cube(4096), deep, few, cube(1024), small];
    let columns = ["shape", "tickets", "commit A", "noise A and B", "recovery", "sum / tickets"];
    let mut table = Table { columns: columns.map(str::to_owned).to_vec(), rows: Vec::new() };
    for shape in run.full_or(full, vec![cube(1024), small]) {
        let work = Workload::new(&backend, shape)?;
        let (a, b) = work.noise()?;
        let medians = run.measure(
            9,
            &mut [
                &mut || timed(|| work.multiply(&a, &b, false)),
                &mut || timed(|| work.commit().map(drop)),
                &mut || timed(|| work.noise_committed(a.prepared()).map(drop)),
                &mut || timed(|| work.multiply(&a, &b, true)),
            ],
        )?;
        let [tickets, commit, noise, exact] = [0, 1, 2, 3].map(|i| medians.seconds(i));
        let (recovery, share) = (exact - tickets, medians.share);
        let Shape { m, n, k } = shape;
        let name = format!("{m}×{n}×{k}");
        let id = |part: &str| format!("{part}/{m}x{n}x{k}");
        let what = format!("{name} on {}, its tickets alone", backend.name());
        section.figure(id("tickets"), what, tickets * 1e3, "ms", share);
        let sum = tickets + commit + noise + recovery;
        for (part, what, seconds) in [
            ("commit", "committing A", commit),
            ("noise", "noising A and B", noise),
            ("recovery", "recovering and writing the product", recovery),
            ("sum", "all of it, tickets included,", sum),
        ] {
            let what = format!("{name}, {what} / its tickets");
            section.figure(id(part), what, seconds / tickets, "", share);
        }
        let part = |seconds: f64| {
            format!("{} ms ({} %)", digits(seconds * 1e3), digits(100.0 * seconds / tickets))
        };
        table.rows.push(vec![
            name,
            format!("{} ms", digits(tickets * 1e3)),
            part(commit),
            part(noise),
            part(recovery),
            digits(sum / tickets),
        ]);
    }
    section.tables.push(table);
    Ok(())
}
