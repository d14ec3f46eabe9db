//! The read bandwidth of memory.

use crate::run::Run;
use poai_benches::Failure;
use poai_benches::lines::Share;
use poai_benches::quiet::timed;
use rayon::prelude::*;

/// The rate at which all threads together read memory far larger than the usual
/// caches, in units of 10^9 bytes a second.
///
/// # Errors
/// An error if the memory does not hold what was written.
pub fn read(run: &mut Run) -> Result<(f64, Share), Failure> {
    let words = run.full_or(512 << 20, 64 << 20) / size_of::<u64>();
    let memory: Vec<u64> = (0..words as u64).into_par_iter().collect();
    let expected = (0..words as u64).fold(0, u64::wrapping_add);
    let medians = run.measure(
        9,
        &mut [&mut || {
            timed(|| {
                let sums = memory
                    .par_chunks(1 << 17)
                    .map(|chunk| chunk.iter().fold(0u64, |sum, word| sum.wrapping_add(*word)));
                let sum = sums.reduce(|| 0, u64::wrapping_add);
                if sum == expected { Ok(()) } else { Err("memory read back differs") }
            })
        }],
    )?;
    Ok((medians.giga(0, size_of_val(&memory[..]) as f64), medians.share))
}
