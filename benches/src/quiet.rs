//! Timing on a noisy machine: things are measured in turns inside one run, and
//! a sample counts only if the machine was quiet around it.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// A sample is quiet if the probes around it took at most this much longer
/// than the fastest probe.
const TOLERANCE: f64 = 1.10;

/// Tells quiet moments by a probe: a fixed piece of work on every thread.
pub struct Quiet {
    fastest: Duration,
}

/// Medians of things measured in turns.
pub struct Medians<const N: usize> {
    /// The median time of each.
    pub times: [Duration; N],
    /// Samples kept, of all.
    pub kept: usize,
    /// Samples taken, of all.
    pub taken: usize,
}

impl<const N: usize> Medians<N> {
    /// How much faster the first is than the second.
    pub fn speedup(&self, first: usize, second: usize) -> f64 {
        self.times[second].as_secs_f64() / self.times[first].as_secs_f64()
    }
}

impl Quiet {
    /// Learns how fast the probe can be.
    pub fn new() -> Quiet {
        let fastest = (0..100).map(|_| probe()).min().unwrap_or_default();
        Quiet { fastest }
    }

    /// Measures each of `works` in turns until each has `want` quiet samples
    /// or `budget` has passed. Where a work has no quiet sample at all, its
    /// others count, and `kept` says so.
    pub fn in_turns<const N: usize>(
        &mut self,
        want: usize,
        budget: Duration,
        mut works: [&mut dyn FnMut(); N],
    ) -> Medians<N> {
        let mut quiet: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
        let mut all = quiet.clone();
        works.iter_mut().for_each(|work| work());
        let start = Instant::now();
        while quiet.iter().any(|samples| samples.len() < want) && start.elapsed() < budget
            || all[0].is_empty()
        {
            for (i, work) in works.iter_mut().enumerate() {
                let before = probe();
                let time = timed(work);
                let slower = before.max(probe());
                self.fastest = self.fastest.min(before);
                all[i].push(time);
                if slower.as_secs_f64() <= self.fastest.as_secs_f64() * TOLERANCE {
                    quiet[i].push(time);
                }
            }
        }
        let kept = quiet.iter().map(Vec::len).sum();
        let taken = all.iter().map(Vec::len).sum();
        let times = std::array::from_fn(|i| {
            median(if quiet[i].is_empty() { &mut all[i] } else { &mut quiet[i] })
        });
        Medians { times, kept, taken }
    }
}

impl Default for Quiet {
    fn default() -> Quiet {
        Quiet::new()
    }
}

/// How long a work takes.
pub fn timed(work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The median of at least one sample.
fn median(samples: &mut [Duration]) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}

/// The slowest thread's time for about half a millisecond of arithmetic that
/// stays in registers.
fn probe() -> Duration {
    let times = rayon::broadcast(|_| {
        timed(&mut || {
            let mut state = black_box(1u64);
            for _ in 0..400_000 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            }
            black_box(state);
        })
    });
    times.into_iter().max().unwrap_or_default()
}
