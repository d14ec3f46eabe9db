//! Parameters of one run: how often, how long and how large.

use poai_benches::Failure;
use poai_benches::lines::Section;
use poai_benches::quiet::{Medians, Quiet, Work};
use poai_engine::{Backend, Cpu};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One run of the report.
pub struct Run {
    quiet: Quiet,
    quick: bool,
    python: Option<PathBuf>,
}

impl Run {
    /// A run; a quick one takes fewer samples of smaller products. A run with
    /// portable code only is always quick, because a full one would take an
    /// hour. `python` is an interpreter with the packages of
    /// `scripts/requirements-onnx-runtime.txt`.
    pub fn new(quick: bool, python: Option<PathBuf>) -> Run {
        let quick = quick || Cpu::new().name() == "cpu-scalar";
        Run { quiet: Quiet::new(), quick, python }
    }

    /// The interpreter for scripts that measure other libraries, if the user
    /// named one.
    pub fn python(&self) -> Option<&Path> {
        self.python.as_deref()
    }

    /// Whether the run is quick.
    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// `full` in a full run, `quick` in a quick one.
    pub fn full_or<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Measures in turns until each work has `want` quiet samples, for at most
    /// a few seconds.
    ///
    /// # Errors
    /// The first error of a work.
    pub fn measure(&mut self, want: usize, works: &mut [Work<'_>]) -> Result<Medians, Failure> {
        self.measure_for(Duration::from_secs(5), want, works)
    }

    /// The same with a given time limit, for works that take long.
    ///
    /// # Errors
    /// The first error of a work.
    pub fn measure_for(
        &mut self,
        budget: Duration,
        want: usize,
        works: &mut [Work<'_>],
    ) -> Result<Medians, Failure> {
        let (want, budget) = self.full_or((want, budget), (2, Duration::from_millis(300)));
        self.quiet.in_turns(want, budget, works)
    }

    /// The kernels of the main ratios: AMX and AVX-512 VNNI as far as they are
    /// present, or else the fastest kernel.
    ///
    /// # Errors
    /// Never fails if the list of kernels is right.
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

/// Checks a result against a known answer.
///
/// # Errors
/// An error if the result differs.
pub fn same(section: &Section, what: &str, expected: &str, got: &str) -> Result<(), Failure> {
    if expected == got {
        return Ok(());
    }
    Err(format!("{}: {what} is wrong: expected {expected}, got {got}", section.title).into())
}
