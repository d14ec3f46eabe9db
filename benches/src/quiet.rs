//! Timing on a noisy machine: things are measured in turns inside one run, and
//! a sample counts only if the machine was quiet around it.

use crate::Failure;
use crate::lines::Share;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A sample is quiet if the probes around it took at most this much longer
/// than the fastest probe.
const TOLERANCE: f64 = 1.10;

/// Something to measure: does it once and says how long that took.
pub type Work<'a> = &'a mut dyn FnMut() -> Result<Duration, Failure>;

/// Tells quiet moments by a probe: a fixed piece of work on every thread.
pub struct Quiet {
    fastest: Duration,
}

/// The samples of one thing.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    quiet: Vec<Duration>,
    noisy: Vec<Duration>,
}

impl Samples {
    /// Adds a sample, and whether the machine was quiet around it.
    pub fn add(&mut self, time: Duration, quiet: bool) {
        if quiet { &mut self.quiet } else { &mut self.noisy }.push(time);
    }

    /// The median of the quiet samples, of two in the middle the longer. Where
    /// there is no quiet sample, the others count; `None` without any sample.
    pub fn median(&self) -> Option<Duration> {
        let mut samples =
            if self.quiet.is_empty() { self.noisy.clone() } else { self.quiet.clone() };
        samples.sort();
        samples.get(samples.len() / 2).copied()
    }

    /// How many samples were quiet, of all.
    pub fn share(&self) -> Share {
        Share { kept: self.quiet.len(), taken: self.quiet.len() + self.noisy.len() }
    }
}

/// Medians of things measured in turns.
#[derive(Clone, Debug)]
pub struct Medians {
    /// The median time of each.
    pub times: Vec<Duration>,
    /// The samples of all of them together.
    pub share: Share,
}

impl Medians {
    /// How much faster the first is than the second.
    pub fn speedup(&self, first: usize, second: usize) -> f64 {
        self.seconds(second) / self.seconds(first)
    }

    /// The median time of one, in seconds.
    pub fn seconds(&self, index: usize) -> f64 {
        self.times[index].as_secs_f64()
    }

    /// The rate of one that does so much a time, in units of 10^9 a second.
    pub fn giga(&self, index: usize, amount: f64) -> f64 {
        amount / self.seconds(index) / 1e9
    }
}

impl Quiet {
    /// Learns how fast the probe can be.
    pub fn new() -> Quiet {
        let fastest = (0..100).map(|_| probe()).min().unwrap_or_default();
        Quiet { fastest }
    }

    /// Measures each of `works` in turns until each has `want` quiet samples
    /// or `budget` has passed; each at least once after a first time that does
    /// not count. Where a work has no quiet sample at all, its others count,
    /// and the share says so.
    ///
    /// # Errors
    /// The first one of a work.
    pub fn in_turns(
        &mut self,
        want: usize,
        budget: Duration,
        works: &mut [Work<'_>],
    ) -> Result<Medians, Failure> {
        let mut samples = vec![Samples::default(); works.len()];
        for work in works.iter_mut() {
            work()?;
        }
        let start = Instant::now();
        loop {
            for (work, samples) in works.iter_mut().zip(&mut samples) {
                let before = probe();
                let time = work()?;
                let slower = before.max(probe());
                self.fastest = self.fastest.min(before);
                samples.add(time, is_quiet(self.fastest, slower));
            }
            let enough = samples.iter().all(|samples| samples.share().kept >= want);
            if enough || start.elapsed() >= budget {
                break;
            }
        }
        let share = samples.iter().fold(Share::default(), |sum, samples| sum + samples.share());
        let times = samples.iter().map(|samples| samples.median().unwrap_or_default()).collect();
        Ok(Medians { times, share })
    }
}

impl Default for Quiet {
    fn default() -> Quiet {
        Quiet::new()
    }
}

/// Whether a probe says that the machine was quiet.
pub fn is_quiet(fastest: Duration, probe: Duration) -> bool {
    probe.as_secs_f64() <= fastest.as_secs_f64() * TOLERANCE
}

/// How long a work takes that may fail.
///
/// # Errors
/// The work's own.
pub fn timed<E: Into<Failure>>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, Failure> {
    let start = Instant::now();
    work().map_err(Into::into)?;
    Ok(start.elapsed())
}

/// How long a work takes that cannot fail.
///
/// # Errors
/// None: the type is that of [`Work`].
pub fn timed_always(work: impl FnOnce()) -> Result<Duration, Failure> {
    timed(|| {
        work();
        Ok::<(), Infallible>(())
    })
}

/// The slowest thread's time for about half a millisecond of arithmetic that
/// stays in registers.
fn probe() -> Duration {
    let times = rayon::broadcast(|_| {
        let start = Instant::now();
        let mut state = black_box(1u64);
        for _ in 0..400_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        }
        black_box(state);
        start.elapsed()
    });
    times.into_iter().max().unwrap_or_default()
}
