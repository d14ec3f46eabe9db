//! Commitments.

use crate::run::{Run, same};
use poai_benches::Failure;
use poai_benches::lines::Section;
use poai_benches::quiet::timed_always;
use poai_core::puzzle::commitment::Tree;
use std::hint::black_box;

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    for mib in run.full_or([1, 64], [1, 8]) {
        let bytes = vec![0x2a; mib << 20];
        let medians = run.measure(
            15,
            &mut [&mut || timed_always(|| _ = black_box(Tree::new(&bytes))), &mut || {
                timed_always(|| {
                    _ = black_box(blake3::Hasher::new().update_rayon(&bytes).finalize())
                })
            }],
        )?;
        let (rate, share) = (medians.giga(0, bytes.len() as f64), medians.share);
        let what = format!("commit {mib} MiB, tree kept for openings");
        section.figure(format!("tree/{mib}mib"), what, rate, "GB/s", share);
        let (id, ratio) = (format!("tree-to-blake3/{mib}mib"), medians.speedup(0, 1));
        section.figure(id, "the same / BLAKE3 on rayon", ratio, "", share);
        let root = Tree::new(&bytes).root().to_string();
        same(section, "the root", &blake3::hash(&bytes).to_string(), &root)?;
        section.digest(format!("root/{mib}mib"), "root", root);
    }
    Ok(())
}
