//! A rank-1 constraint system under construction: rows of three linear
//! combinations, and the variables' values.
//!
//! The structure never depends on values. A system built from zeros has the
//! same rows, and keys are made from it.

use super::estimate::{Estimate, MemoryError};
use super::matrices::Matrices;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, One, Zero};

/// A linear combination of variables, sorted by variable, without terms of
/// coefficient 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lc(Vec<(Fr, usize)>);

impl Lc {
    /// A constant, as a multiple of the variable that is one.
    pub fn constant(value: Fr) -> Lc {
        Lc(if value.is_zero() { vec![] } else { vec![(value, 0)] })
    }

    /// A variable.
    pub(super) fn variable(index: usize) -> Lc {
        Lc(vec![(Fr::ONE, index)])
    }

    /// The terms.
    pub fn terms(&self) -> &[(Fr, usize)] {
        &self.0
    }

    /// Whether the value is the same in every assignment.
    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|&(_, variable)| variable == 0)
    }

    /// Σ factor·combination.
    pub fn sum<'a>(parts: impl IntoIterator<Item = (Fr, &'a Lc)>) -> Lc {
        let mut terms = vec![];
        for (factor, lc) in parts {
            if factor.is_one() {
                terms.extend_from_slice(&lc.0);
            } else {
                terms.extend(lc.0.iter().map(|&(c, variable)| (c * factor, variable)));
            }
        }
        Lc::of_terms(terms)
    }

    /// A combination of terms in any order.
    pub(super) fn of_terms(mut terms: Vec<(Fr, usize)>) -> Lc {
        let sorted = terms.is_sorted_by(|a, b| a.1 < b.1);
        if !sorted {
            terms.sort_unstable_by_key(|term| term.1);
            terms.dedup_by(|next, kept| {
                let same = next.1 == kept.1;
                if same {
                    kept.0 += next.0;
                }
                same
            });
        }
        terms.retain(|term| !term.0.is_zero());
        Lc(terms)
    }

    /// The value of the combination under an assignment.
    pub fn evaluate(&self, assignment: &[Fr]) -> Fr {
        let value = |variable: usize| assignment.get(variable).copied().unwrap_or(Fr::ZERO);
        self.0.iter().map(|&(factor, variable)| factor * value(variable)).sum()
    }
}

/// A system under construction.
#[derive(Clone)]
pub struct System {
    a: Vec<Vec<(Fr, usize)>>,
    b: Vec<Vec<(Fr, usize)>>,
    c: Vec<Vec<(Fr, usize)>>,
    constraints: usize,
    terms: usize,
    signals: usize,
    /// The values of the one, the signals and the witnesses.
    assignment: Vec<Fr>,
    keep_rows: bool,
    budget: Option<Budget>,
}

/// The memory that a proof may take.
#[derive(Clone)]
struct Budget {
    available: u64,
    /// Number of terms at which the system compares itself with the budget
    /// next.
    next: usize,
    /// The estimate that exceeded the budget.
    exceeded: Option<Estimate>,
}

/// Number of terms between two comparisons, which take about 6 MiB.
const COMPARED: usize = 1 << 16;

impl std::fmt::Debug for System {
    /// Shows the size and no values, because a proof may hide them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System")
            .field("constraints", &self.constraints)
            .field("variables", &self.assignment.len())
            .field("signals", &self.signals)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

impl System {
    /// A system with this number of signals, whose values are 0 until they are
    /// set.
    ///
    /// Without `keep_rows`, it only counts rows, and collects the assignment.
    pub fn new(signals: usize, keep_rows: bool) -> System {
        let mut assignment = vec![Fr::ZERO; 1 + signals];
        assignment[0] = Fr::ONE;
        let (a, b, c) = (vec![], vec![], vec![]);
        let (constraints, terms, budget) = (0, 0, None);
        System { a, b, c, constraints, terms, signals, assignment, keep_rows, budget }
    }

    /// A system that keeps its rows while a proof of them fits into `available`
    /// bytes. Beyond, it drops all rows and only counts.
    pub(crate) fn within(signals: usize, available: Option<u64>) -> System {
        let budget = available.map(|available| Budget { available, next: 0, exceeded: None });
        System { budget, ..System::new(signals, true) }
    }

    /// Fails if the rows have exceeded the budget.
    ///
    /// # Errors
    /// [`MemoryError`], with an estimate of the rows until then.
    pub(crate) fn check_budget(&self) -> Result<(), MemoryError> {
        match &self.budget {
            Some(Budget { available, exceeded: Some(estimate), .. }) => {
                Err(estimate.part_exceeds(*available))
            }
            _ => Ok(()),
        }
    }

    /// Compares the rows so far with the budget. More rows take more memory, so
    /// what is too large now stays so.
    fn compare(&mut self) {
        let Some(next) = self.budget.as_ref().map(|budget| budget.next) else { return };
        if self.terms < next || !self.keep_rows {
            return;
        }
        let estimate = Estimate::of(self);
        let Some(budget) = &mut self.budget else { return };
        budget.next = self.terms.saturating_add(COMPARED);
        if estimate.peak_memory_bytes > budget.available {
            budget.exceeded = Some(estimate);
            self.keep_rows = false;
            (self.a, self.b, self.c) = (vec![], vec![], vec![]);
        }
    }

    /// Sets a signal to a value, and returns its variable.
    ///
    /// # Panics
    /// If the system has no such signal, which is a defect of the caller.
    pub(super) fn signal(&mut self, index: usize, value: Fr) -> Lc {
        assert!(index < self.signals, "signal {index} of {}", self.signals);
        self.assignment[1 + index] = value;
        Lc::variable(1 + index)
    }

    /// A new witness.
    pub(super) fn witness(&mut self, value: Fr) -> Lc {
        self.assignment.push(value);
        Lc::variable(self.assignment.len() - 1)
    }

    /// Adds the constraint a·b = c.
    pub(super) fn enforce(&mut self, a: Lc, b: Lc, c: Lc) {
        self.constraints += 1;
        self.terms += a.0.len() + b.0.len() + c.0.len();
        if self.keep_rows {
            self.a.push(a.0);
            self.b.push(b.0);
            self.c.push(c.0);
            self.compare();
        }
    }

    /// Adds the constraint that a combination is 0.
    pub(super) fn enforce_zero(&mut self, lc: Lc) {
        self.enforce(lc, Lc::constant(Fr::ONE), Lc::default());
    }

    /// Number of constraints.
    pub fn constraints(&self) -> usize {
        self.constraints
    }

    /// Number of nonzero entries of the three matrices.
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// Number of signals, without the one.
    pub fn signals(&self) -> usize {
        self.signals
    }

    /// Number of variables: the one, the signals and the witnesses.
    pub fn variables(&self) -> usize {
        self.assignment.len()
    }

    /// The values of all variables.
    pub fn assignment(&self) -> &[Fr] {
        &self.assignment
    }

    /// Index of the first constraint that an assignment does not satisfy.
    ///
    /// The system must keep its rows.
    pub fn first_unsatisfied(&self, assignment: &[Fr]) -> Option<usize> {
        let value = |row: &[(Fr, usize)]| -> Fr {
            let value = |variable: usize| assignment.get(variable).copied().unwrap_or(Fr::ZERO);
            row.iter().map(|&(factor, variable)| factor * value(variable)).sum()
        };
        let rows = self.a.iter().zip(&self.b).zip(&self.c);
        rows.into_iter().position(|((a, b), c)| value(a) * value(b) != value(c))
    }

    /// Indices of all constraints that an assignment does not satisfy.
    #[cfg(test)]
    pub(super) fn unsatisfied(&self, assignment: &[Fr]) -> Vec<usize> {
        let value = |row: &Vec<(Fr, usize)>| Lc(row.clone()).evaluate(assignment);
        let broken = |&at: &usize| value(&self.a[at]) * value(&self.b[at]) != value(&self.c[at]);
        (0..self.constraints).filter(broken).collect()
    }

    /// The rows and the assignment.
    pub fn into_parts(self) -> (Matrices, Vec<Fr>) {
        let System { a, b, c, signals, assignment, .. } = self;
        (Matrices { a, b, c, signals, variables: assignment.len() }, assignment)
    }
}
