//! Timing on a GPU: works run in turns, and each gets a median.

use poai_benches::Failure;
use poai_benches::lines::Share;
use poai_cuda::measure::Measure;
use std::time::Instant;

/// A work that queues something on the GPU.
pub type Work<'a> = Box<dyn FnMut() -> Result<(), Failure> + 'a>;

/// The least milliseconds of a sample. Shorter works are repeated within a
/// sample, because the GPU has not started the first launch when the first
/// event is requested.
const SAMPLE: f64 = 2.0;
/// The most repetitions within a sample.
const INSIDE_MAX: f64 = 50.0;

/// Median milliseconds of each of `works`, by the GPU's events. The works run
/// in turns, so that changes of clocks and temperature affect all of them
/// alike. The first turn is discarded.
///
/// # Errors
/// The first error of a work.
pub fn by_events(
    measure: &Measure,
    repeats: usize,
    works: &mut [Work<'_>],
) -> Result<Vec<f64>, Failure> {
    in_turns(repeats, works, |work, inside| {
        let all = measure.milliseconds(|| (0..inside).try_for_each(|_| work()))?;
        Ok(all / f64::from(inside))
    })
}

/// The same by the host's clock. Works must wait for the GPU themselves.
///
/// # Errors
/// The first error of a work.
pub fn by_host(repeats: usize, works: &mut [Work<'_>]) -> Result<Vec<f64>, Failure> {
    in_turns(repeats, works, |work, _| {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    })
}

fn in_turns(
    repeats: usize,
    works: &mut [Work<'_>],
    mut time: impl FnMut(&mut Work<'_>, u32) -> Result<f64, Failure>,
) -> Result<Vec<f64>, Failure> {
    let mut inside = vec![];
    for work in works.iter_mut() {
        // The clamp also limits the repetitions of a work that takes no
        // measurable time.
        inside.push((SAMPLE / time(work, 1)?).ceil().clamp(1.0, INSIDE_MAX) as u32);
    }
    let mut samples = vec![Vec::with_capacity(repeats); works.len()];
    for _ in 0..repeats.max(1) {
        for ((work, samples), inside) in works.iter_mut().zip(&mut samples).zip(&inside) {
            samples.push(time(work, *inside)?);
        }
    }
    Ok(samples.into_iter().map(median).collect())
}

/// The median; of an even number of samples, the longer of the middle two.
fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Every sample counts, because nothing else runs on the GPU.
pub fn share(repeats: usize) -> Share {
    Share { kept: repeats.max(1), taken: repeats.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 3.0);
    }

    #[test]
    fn the_first_turn_does_not_count_and_errors_end_it() {
        let mut times = 0;
        let mut works: [Work<'_>; 1] = [Box::new(|| {
            times += 1;
            Ok(())
        })];
        assert_eq!(by_host(3, &mut works).expect("no error").len(), 1);
        drop(works);
        assert_eq!(times, 4);
        let mut works: [Work<'_>; 1] = [Box::new(|| Err("no".into()))];
        assert!(by_host(3, &mut works).is_err());
    }
}
