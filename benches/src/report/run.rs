//! How one run measures: how often, how long, how large.

use poai_benches::Failure;
use poai_benches::lines::Section;
use poai_benches::quiet::{Medians, Quiet, Work};
use poai_engine::{Backend, Cpu};
use std::time::Duration;

/// One run of the report.
pub struct Run {
    quiet: Quiet,
    quick: bool,
}

impl Run {
    /// A run; a quick one takes fewer samples of smaller products. With
    /// portable code alone a full one would take an hour.
    pub fn new(quick: bool) -> Run {
        let quick = quick || Cpu::new().name() == "cpu-scalar";
        Run { quiet: Quiet::new(), quick }
    }

    /// Whether it is a quick one.
    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// What a full run takes, or a quick one in its stead.
    pub fn full_or<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Measures in turns until each work has `want` quiet samples, for a few
    /// seconds at most.
    ///
    /// # Errors
    /// The first one of a work.
    pub fn measure(&mut self, want: usize, works: &mut [Work<'_>]) -> Result<Medians, Failure> {
        self.measure_for(Duration::from_secs(5), want, works)
    }

    /// The same for works that take long, with so much time for all.
    ///
    /// # Errors
    /// The first one of a work.
    pub fn measure_for(
        &mut self,
        budget: Duration,
        want: usize,
        works: &mut [Work<'_>],
    ) -> Result<Medians, Failure> {
        let (want, budget) = self.full_or((want, budget), (2, Duration::from_millis(300)));
        self.quiet.in_turns(want, budget, works)
    }

    /// The kernels that the ratios are about: the first two present of AMX and
    /// AVX-512 VNNI, or else the fastest.
    ///
    /// # Errors
    /// None, as long as the list of kernels is true.
    pub fn main_kernels(&self) -> Result<Vec<Cpu>, Failure> {
        let present = Cpu::list().into_iter().filter(|listed| listed.present);
        let mut names: Vec<_> = present.map(|listed| listed.name).collect();
        let fastest = names.first().copied();
        names.retain(|name| name.contains("avx512-vnni") || name.contains("amx"));
        names.truncate(2);
        if names.is_empty() {
            names.extend(fastest);
        }
        Ok(names.into_iter().map(Cpu::named).collect::<Result<_, _>>()?)
    }
}

/// Checks a known answer.
///
/// # Errors
/// Where something fast computes something else.
pub fn same(section: &Section, what: &str, expected: &str, got: &str) -> Result<(), Failure> {
    if expected == got {
        return Ok(());
    }
    Err(format!("{}: {what} is wrong: {got}, and not {expected}", section.title).into())
}
