//! What a verifier checks of a run: an audit of its trace, and that wins belong
//! to it.

use crate::failure::Failure;
use poai::execute::{MinedStep, Trace};
use poai::verify::trace::{Checker, TraceRules};
use poai::verify::{Rules, Verifier};
use poai::{Beacon, Challenge, Difficulty, Job, Prover};
use std::time::Instant;

/// An audit's bytes, and the seconds that verifying it took. Its beacon is the trace root
/// (Fiat–Shamir): a prover that hashes 2^g traces escapes 2^g times as often. A chain should take a
/// beacon fixed after the trace was published, if it can.
///
/// # Errors
/// [`Failure`] if the audit does not hold.
pub fn audit(trace: &Trace) -> Result<(usize, f64), Failure> {
    let checker = Checker::new(trace.network().program().clone(), TraceRules::DEFAULT);
    let receipt = trace.receipt(Job::default(), Prover::default());
    let beacon = Beacon(trace.root().0);
    let audit = trace.audit(&receipt, &beacon)?;
    let start = Instant::now();
    checker.audit(&receipt, &beacon, &audit)?;
    Ok((audit.as_bytes().len(), start.elapsed().as_secs_f64()))
}

/// The number of a run's best wins, one for each product. All of them verify
/// and belong to its trace, or the result is an error.
///
/// # Errors
/// [`Failure`] if a win does not verify, or is not of the trace.
pub fn linked(
    trace: &Trace,
    mined: &[MinedStep],
    challenge: &Challenge,
    difficulty: Difficulty,
) -> Result<usize, Failure> {
    let checker = Checker::new(trace.network().program().clone(), TraceRules::DEFAULT);
    let verifier = Verifier::new(Rules::SHARE, difficulty)?;
    let mut linked = 0;
    for step in mined {
        let Some(proof) = step.found.proof() else { continue };
        let win = verifier.verify(challenge, &proof.to_bytes())?;
        checker.link(&trace.root(), &win, &trace.link(step.value)?)?;
        linked += 1;
    }
    Ok(linked)
}
