//! What becomes of a prover that computes one tile wrongly.

use super::Failure;
use poai_core::program::ops::Local;
use poai_core::program::{Op, ValueId};
use poai_engine::execute::{Tensor, Trace};
use poai_verify::trace::{Checker, TraceRules, Wrong};
use std::time::Instant;

/// How many audits the faulty trace faces.
const AUDITS: u32 = 100;

/// A trace with one wrong entry.
struct Faulty {
    trace: Trace,
    /// The step.
    value: ValueId,
    row: usize,
    column: usize,
    was: i32,
    is: i32,
    /// The tile of the entry.
    tile: u64,
}

impl Faulty {
    fn step_name(&self) -> &str {
        let program = self.trace.network().program();
        program.step_of(self.value).map_or("", |step| step.name.as_str())
    }
}

/// Audits the honest trace, plants a fault in the first product, and shows
/// that audits find it about as often as they should and that a fraud proof
/// convicts it.
pub fn run(honest: &Trace) -> Result<String, Failure> {
    let checker = Checker::new(honest.network().program().clone(), TraceRules::DEFAULT);
    let samples = checker.rules().samples;
    let audit = honest.audit(&beacon(0), samples)?;
    let start = Instant::now();
    checker.audit(&honest.root(), &beacon(0), &audit)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let faulty = plant(honest)?;
    let name = faulty.step_name();
    let Faulty { trace, value, row, column, was, is, tile } = &faulty;
    let root = trace.root();
    let mut caught = 0;
    for number in 0..AUDITS {
        let audit = trace.audit(&beacon(number), samples)?;
        caught += u32::from(checker.audit(&root, &beacon(number), &audit).is_err());
    }
    let proof = trace.fraud_proof(*value, *tile)?;
    let fraud = checker.fraud(&root, &proof)?;
    let Wrong::Tile(found) = fraud.wrong else { return Err(Failure::NoFraud) };
    let honest_proof = honest.fraud_proof(*value, *tile)?;
    let acquitted = match checker.fraud(&honest.root(), &honest_proof) {
        Err(why) => why,
        Ok(_) => return Err(Failure::NoFraud),
    };
    Ok(format!(
        "audit       {samples} tiles, {} bytes, verified in {milliseconds:.1} ms\n\
         fault       {name}: entry [{row}, {column}] is {was}, committed as {is}\n\
         faulty root {root}\n\
         audits      {caught} of {AUDITS} find that one tile\n\
         fraud proof {} bytes: {found}\n\
         honest tile {acquitted}\n\n",
        audit.len(),
        proof.len(),
    ))
}

/// A beacon: what nobody knew when the trace was published.
fn beacon(number: u32) -> [u8; 32] {
    let mut beacon = [7; 32];
    beacon[..4].copy_from_slice(&number.to_le_bytes());
    beacon
}

/// Changes one entry of the first product by one.
fn plant(honest: &Trace) -> Result<Faulty, Failure> {
    let program = honest.network().program();
    let is_product = |value: &ValueId| {
        program.step_of(*value).is_some_and(|step| matches!(step.op, Op::Linear { .. }))
    };
    let value = (0..program.values() as u32).map(ValueId).find(is_product);
    let value = value.ok_or(Failure::NoTrace)?;
    let tensor = honest.value(value)?;
    let extent = *tensor.extent();
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    let (row, column) = (rows / 2, columns / 2);
    let mut entries = tensor.entries();
    let was = entries[row * columns + column];
    // The type has room below its largest entry, and above all others.
    let is = if was == extent.dtype.range().1 { was - 1 } else { was + 1 };
    entries[row * columns + column] = is;
    let wrong = Tensor::new(rows, columns, extent.dtype, &entries)?;
    let trace = honest.with_fault(value, wrong).ok_or(Failure::NoTrace)?;
    let extents = program.extents(honest.run())?;
    let local = Local::new(program, &extents, *honest.run(), value).ok_or(Failure::NoTrace)?;
    // Exact: a tensor's rows and columns are numbered by u32.
    let tile = local.grid().at(row as u32, column as u32).ok_or(Failure::NoTrace)?;
    Ok(Faulty { trace, value, row, column, was, is, tile })
}
