//! A prover that computes one entry wrongly, for demonstrations of audits and
//! fraud proofs.

use crate::failure::Failure;
use poai::execute::{Tensor, Trace};
use poai::program::ops::Local;
use poai::program::{Op, ValueId};

/// A trace with one wrong entry.
pub struct Faulty {
    /// The trace.
    pub trace: Trace,
    /// The step's value.
    pub value: ValueId,
    /// The entry's row.
    pub row: usize,
    /// The entry's column.
    pub column: usize,
    /// The entry that the step computes.
    pub was: i32,
    /// The entry that the trace commits to.
    pub is: i32,
    /// The tile of the entry.
    pub tile: u64,
}

/// Why a fault cannot be planted in a trace.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected a traced run of a program with a product, got none to plant a fault in; leave out --fault"
)]
pub struct NoProduct;

impl From<NoProduct> for Failure {
    fn from(error: NoProduct) -> Failure {
        Failure::usage(error)
    }
}

impl Faulty {
    /// The step's name.
    pub fn step_name(&self) -> &str {
        let program = self.trace.network().program();
        program.step_of(self.value).map_or("", |step| step.name.as_str())
    }

    /// The fault in words.
    pub fn text(&self) -> String {
        let Faulty { row, column, was, is, .. } = self;
        let name = self.step_name();
        format!("{name}: entry [{row}, {column}] is {was}, committed as {is}")
    }
}

/// Changes one entry of the first product by one.
pub fn plant(honest: &Trace) -> Result<Faulty, Failure> {
    let program = honest.network().program();
    let is_product = |value: &ValueId| {
        program.step_of(*value).is_some_and(|step| matches!(step.op, Op::Linear { .. }))
    };
    let value = (0..program.values() as u32).map(ValueId).find(is_product).ok_or(NoProduct)?;
    let tensor = honest.value(value)?;
    let extent = *tensor.extent();
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    let (row, column) = (rows / 2, columns / 2);
    let mut entries = tensor.entries();
    let was = entries[row * columns + column];
    // The type has room below its largest entry, and above every other entry.
    let is = if was == extent.dtype.range().1 { was - 1 } else { was + 1 };
    entries[row * columns + column] = is;
    let wrong = Tensor::new(rows, columns, extent.dtype, &entries)?;
    let trace = honest.with_fault(value, wrong).ok_or(NoProduct)?;
    let extents = program.extents(honest.run())?;
    let local = Local::new(program, &extents, *honest.run(), value).ok_or(NoProduct)?;
    // Exact: u32 numbers a tensor's rows and columns.
    let tile = local.grid().at(row as u32, column as u32).ok_or(NoProduct)?;
    Ok(Faulty { trace, value, row, column, was, is, tile })
}
