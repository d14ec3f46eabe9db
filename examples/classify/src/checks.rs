//! What becomes of a prover that computes one tile wrongly.

use super::Failure;
use poai_core::execute::{Tensor, Trace};
use poai_core::program::{Op, ValueId};

/// A trace with one wrong entry.
struct Faulty {
    trace: Trace,
    /// The step.
    value: ValueId,
    row: usize,
    column: usize,
    was: i32,
    is: i32,
}

/// Plants a fault in the first product and shows that the trace commits to it.
pub fn run(honest: &Trace) -> Result<String, Failure> {
    let faulty = plant(honest)?;
    let program = honest.network().program();
    let step = program.step_of(faulty.value).map_or("", |step| step.name.as_str());
    let Faulty { trace, row, column, was, is, .. } = &faulty;
    Ok(format!(
        "fault       {step}: entry [{row}, {column}] is {was}, committed as {is}\n\
         faulty root {}\n\n",
        trace.root()
    ))
}

/// Changes one entry of the first product by one.
fn plant(honest: &Trace) -> Result<Faulty, Failure> {
    let program = honest.network().program();
    let is_product = |value: &ValueId| {
        program.step_of(*value).is_some_and(|step| matches!(step.op, Op::Linear { .. }))
    };
    let value = (0..program.values() as u32).map(ValueId).find(is_product);
    let (value, tensor) =
        value.and_then(|value| Some((value, honest.value(value)?))).ok_or(Failure::NoTrace)?;
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
    Ok(Faulty { trace, value, row, column, was, is })
}
