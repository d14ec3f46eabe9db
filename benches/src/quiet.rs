//! Timing on a noisy machine: things are measured in turns inside one run, and
//! a sample counts only if the machine was quiet around it.

use crate::Failure;
use crate::lines::Share;
use crate::pressure::waited;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A sample is quiet if the probes around it took at most this much longer
/// than the fastest probe, and threads waited for processors for at most this
/// much of the time.
const TOLERANCE: f64 = 0.10;

/// For how long it works at most before a sample, to get all threads going.
const SETTLE: Duration = Duration::from_millis(30);

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

    /// The median of the quiet samples, of two in the middle the longer; `None`
    /// where there is none.
    pub fn quiet_median(&self) -> Option<Duration> {
        median(self.quiet.clone())
    }

    /// The median of all samples.
    pub fn median(&self) -> Option<Duration> {
        median([&self.quiet[..], &self.noisy].concat())
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
    /// The samples of the one of which the fewest were kept.
    pub share: Share,
}

impl Medians {
    /// The medians of samples that were taken in turns: of the quiet ones where
    /// everything has some, or else of all.
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
    /// not count. Where one has no quiet sample at all, all samples of all of
    /// them count, so that quiet moments are never held against noisy ones, and
    /// the share says that none was kept.
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

    /// Works until all threads are as fast as they get, or for a while: those
    /// that slept through another program's turn begin on one processor, and
    /// what they do until they are spread tells nothing of the machine.
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

/// What was seen around a sample.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The slower of the two probes around it.
    pub slowest: Duration,
    /// How long the sample and its probes lasted.
    pub lasted: Duration,
    /// For how long of that threads waited for processors, where it is known.
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
        for _ in 0..300_000 {
            // The shift keeps the compiler from doing several rounds in one.
            state = (state ^ (state >> 29)).wrapping_mul(6364136223846793005);
        }
        black_box(state);
        start.elapsed()
    });
    times.into_iter().max().unwrap_or_default()
}
