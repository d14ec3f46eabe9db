//! Timing on a noisy machine. Works run in turns inside one run, and a sample
//! counts only if the machine was quiet around it.

use crate::Failure;
use crate::lines::Share;
use crate::pressure::waited;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The noise that a quiet sample may have. The probes around it took at most
/// this fraction longer than the fastest probe. Threads waited for processors
/// for at most this fraction of its time.
const TOLERANCE: f64 = 0.10;

/// The most time of busy work before a sample, which wakes all threads.
const SETTLE: Duration = Duration::from_millis(30);

/// Something to measure: it runs once and returns the time that it took.
pub type Work<'a> = &'a mut dyn FnMut() -> Result<Duration, Failure>;

/// Recognises quiet moments by a probe: a fixed piece of work on every thread.
pub struct Quiet {
    fastest: Duration,
}

/// The samples of one work.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    quiet: Vec<Duration>,
    noisy: Vec<Duration>,
}

impl Samples {
    /// Adds a sample, with whether the machine was quiet around it.
    pub fn add(&mut self, time: Duration, quiet: bool) {
        if quiet { &mut self.quiet } else { &mut self.noisy }.push(time);
    }

    /// The median of the quiet samples; of an even number, the longer of the
    /// middle two. `None` if there are no quiet samples.
    pub fn quiet_median(&self) -> Option<Duration> {
        median(self.quiet.clone())
    }

    /// The median of all samples.
    pub fn median(&self) -> Option<Duration> {
        median([&self.quiet[..], &self.noisy].concat())
    }

    /// The number of quiet samples, and of all samples.
    pub fn share(&self) -> Share {
        Share { kept: self.quiet.len(), taken: self.quiet.len() + self.noisy.len() }
    }
}

/// Medians of works that were measured in turns.
#[derive(Clone, Debug)]
pub struct Medians {
    /// The median time of each work.
    pub times: Vec<Duration>,
    /// The samples of the work with the fewest samples kept.
    pub share: Share,
}

impl Medians {
    /// The medians of samples that were taken in turns. Only quiet samples
    /// count if every work has some; otherwise all samples count.
    pub fn of(samples: &[Samples]) -> Medians {
        let shares = samples.iter().map(Samples::share);
        let mut share = shares.min_by_key(|share| share.kept).unwrap_or_default();
        let quiet: Option<Vec<_>> = samples.iter().map(Samples::quiet_median).collect();
        let times = quiet.unwrap_or_else(|| {
            share.kept = 0;
            samples.iter().map(|samples| samples.median().unwrap_or_default()).collect()
        });
        Medians { times, share }
    }

    /// How many times as fast the first work is as the second.
    pub fn speedup(&self, first: usize, second: usize) -> f64 {
        self.seconds(second) / self.seconds(first)
    }

    /// The median time of a work, in seconds.
    pub fn seconds(&self, index: usize) -> f64 {
        self.times[index].as_secs_f64()
    }

    /// The rate of a work that does `amount` each time, in units of 10^9 a
    /// second.
    pub fn giga(&self, index: usize, amount: f64) -> f64 {
        amount / self.seconds(index) / 1e9
    }
}

impl Quiet {
    /// Measures how fast the probe can be.
    pub fn new() -> Quiet {
        let fastest = (0..100).map(|_| probe()).min().unwrap_or_default();
        Quiet { fastest }
    }

    /// Measures each of `works` in turns until each has `want` quiet samples or
    /// `budget` has passed. Each work first runs once without counting, and
    /// then at least once more. If any work has no quiet sample, all samples of
    /// all works count, so quiet moments are never compared with noisy ones.
    /// The share then says that no sample was kept.
    ///
    /// # Errors
    /// The first error of a work.
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
                self.settle();
                let (start, waited_before) = (Instant::now(), waited());
                let before = probe();
                let time = work()?;
                let slowest = before.max(probe());
                self.fastest = self.fastest.min(before);
                let waited = waited().zip(waited_before).map(|(after, before)| after - before);
                let moment = Moment { slowest, lasted: start.elapsed(), waited };
                samples.add(time, moment.is_quiet(self.fastest));
            }
            let enough = samples.iter().all(|samples| samples.share().kept >= want);
            if enough || start.elapsed() >= budget {
                break;
            }
        }
        Ok(Medians::of(&samples))
    }

    /// Keeps all threads busy until they reach full speed, or for a limited
    /// time. Threads that slept while another program ran all start on one
    /// processor. Their speed before the system spreads them says nothing about
    /// the machine.
    fn settle(&self) {
        let start = Instant::now();
        while !self.is_near(probe()) && start.elapsed() < SETTLE {}
    }

    fn is_near(&self, probe: Duration) -> bool {
        probe.as_secs_f64() <= self.fastest.as_secs_f64() * (1.0 + TOLERANCE)
    }
}

impl Default for Quiet {
    fn default() -> Quiet {
        Quiet::new()
    }
}

fn median(mut samples: Vec<Duration>) -> Option<Duration> {
    samples.sort();
    samples.get(samples.len() / 2).copied()
}

/// Observations around a sample.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The slower of the two probes around it.
    pub slowest: Duration,
    /// How long the sample and its probes lasted.
    pub lasted: Duration,
    /// How long threads waited for processors meanwhile, if known.
    pub waited: Option<Duration>,
}

impl Moment {
    /// Whether the machine was quiet, given the fastest probe.
    pub fn is_quiet(&self, fastest: Duration) -> bool {
        let waited = self.waited.unwrap_or_default();
        self.slowest.as_secs_f64() <= fastest.as_secs_f64() * (1.0 + TOLERANCE)
            && waited.as_secs_f64() <= self.lasted.as_secs_f64() * TOLERANCE
    }
}

/// Times a work that may fail.
///
/// # Errors
/// The work's own error.
pub fn timed<E: Into<Failure>>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, Failure> {
    let start = Instant::now();
    work().map_err(Into::into)?;
    Ok(start.elapsed())
}

/// Times a work that cannot fail.
///
/// # Errors
/// Never fails; the type is that of [`Work`].
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
        for _ in 0..300_000 {
            // The shift prevents the compiler from merging several rounds.
            state = (state ^ (state >> 29)).wrapping_mul(6364136223846793005);
        }
        black_box(state);
        start.elapsed()
    });
    times.into_iter().max().unwrap_or_default()
}
