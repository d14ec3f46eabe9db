//! Checks of a trace in which a prover computed one tile wrongly.

use crate::failure::Failure;
use crate::fault::{self, Faulty};
use crate::terminal;
use poai::execute::Trace;
use poai::verify::trace::{Checker, TraceRules, Wrong};
use poai::{Beacon, Job, Prover};
use std::time::Instant;

/// The number of audits of the faulty trace.
const AUDITS: u32 = 100;

/// Audits the honest trace, and plants a fault in the first product. Shows that
/// audits find it about as often as they should, and that a fraud proof
/// convicts the trace.
pub fn run(honest: &Trace) -> Result<String, Failure> {
    let checker = Checker::new(honest.network().program().clone(), TraceRules::DEFAULT);
    let (job, prover) = (Job::default(), Prover::default());
    let receipt = honest.receipt(job, prover);
    let audit = honest.audit(&receipt, &beacon(0))?;
    let start = Instant::now();
    let tiles = checker.audit(&receipt, &beacon(0), &audit)?.tiles;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let faulty = fault::plant(honest)?;
    let Faulty { trace, value, tile, .. } = &faulty;
    let root = trace.root();
    let (receipt, mut caught) = (trace.receipt(job, prover), 0);
    for number in 0..AUDITS {
        let audit = trace.audit(&receipt, &beacon(number))?;
        caught += u32::from(checker.audit(&receipt, &beacon(number), &audit).is_err());
    }
    let proof = trace.fraud_proof(*value, *tile)?;
    let fraud = checker.fraud(&root, &proof)?;
    let no_fraud = || Failure::failed("expected a fraud proof of the wrong tile, got a right tile");
    let Wrong::Tile(found) = fraud.wrong else { return Err(no_fraud()) };
    let honest_proof = honest.fraud_proof(*value, *tile)?;
    let acquitted = match checker.fraud(&honest.root(), &honest_proof) {
        Err(why) => why,
        Ok(_) => return Err(no_fraud()),
    };
    Ok(format!(
        "audit       {tiles} tiles, {} bytes, verified in {milliseconds:.1} ms\n\
         fault       {}\n\
         faulty root {root}\n\
         audits      {caught} of {AUDITS} find that one tile\n\
         fraud proof {} bytes: {found}\n\
         honest tile {acquitted}\n\n",
        audit.as_bytes().len(),
        terminal::name(&faulty.text()),
        proof.as_bytes().len(),
    ))
}

/// A beacon, which no prover knew when the trace was published.
fn beacon(number: u32) -> Beacon {
    let mut beacon = [7; 32];
    beacon[..4].copy_from_slice(&number.to_le_bytes());
    Beacon(beacon)
}
