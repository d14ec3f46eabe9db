//! Shared by the tests of traces: honest traces of the zoo's programs, and
//! their parts.
#![allow(dead_code, reason = "each test file uses its own part")]

use crate::zoo;
use poai_core::program::{RunShape, ValueId};
use poai_engine::execute::{Claim, Model, Network, RunOptions, Tensor, Trace};
use poai_verify::trace::{Checker, TraceRules};
use std::sync::OnceLock;

pub const BEACON: [u8; 32] = [9; 32];
pub const RULES: TraceRules = TraceRules {
    batch_max: 64,
    sequence_max: 64,
    product_samples: 15,
    step_samples: 10,
    output_tiles: 8,
    ..TraceRules::DEFAULT
};
/// The job, prover and rules of the tests' audits.
pub const CLAIM: Claim = Claim { job: [0x11; 32], prover: [0x22; 32], rules: RULES };

pub fn run(network: Network, shape: RunShape, inputs: Vec<Tensor>) -> Trace {
    let model = Model::new(network, poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
    model.run(&shape, inputs, &RunOptions::new().trace()).unwrap().trace.unwrap()
}

/// Both programs' traces, made once.
pub fn traces() -> &'static [Trace; 2] {
    static TRACES: OnceLock<[Trace; 2]> = OnceLock::new();
    TRACES.get_or_init(|| {
        let encoder = RunShape { batch: 3, sequence: 40 };
        let classifier = RunShape { batch: 7, sequence: 1 };
        [
            run(zoo::encoder(), encoder, zoo::tokens(&encoder)),
            run(zoo::classifier(), classifier, zoo::images(&classifier)),
        ]
    })
}

pub fn checker(trace: &Trace) -> Checker {
    Checker::new(trace.network().program().clone(), RULES)
}

pub fn steps(trace: &Trace) -> impl Iterator<Item = ValueId> + use<> {
    let program = trace.network().program();
    (program.inputs().len() as u32..program.values() as u32).map(ValueId)
}

pub fn tiles(trace: &Trace, value: ValueId) -> u64 {
    let program = trace.network().program();
    let extents = program.extents(trace.run()).unwrap();
    poai_core::program::ops::Local::new(program, &extents, *trace.run(), value)
        .unwrap()
        .grid()
        .tiles()
}

/// The tile of an entry of the padded output; every entry has one.
pub fn tile_of(trace: &Trace, value: ValueId, row: u32, column: u32) -> u64 {
    let program = trace.network().program();
    let extents = program.extents(trace.run()).unwrap();
    let local =
        poai_core::program::ops::Local::new(program, &extents, *trace.run(), value).unwrap();
    let grid = local.grid();
    let index = grid.at(row, column).unwrap();
    let tile = grid.tile(index).unwrap();
    assert!(tile.rows.contains(&row) && tile.columns.contains(&column));
    index
}

/// The same tensor with one true entry moved by `by`, kept in range.
pub fn moved(tensor: &Tensor, at: usize, by: i32) -> Tensor {
    let extent = *tensor.extent();
    let (min, max) = extent.dtype.range();
    let mut entries = tensor.entries();
    let old = entries[at];
    let new = i64::from(old) + i64::from(by);
    entries[at] = if (i64::from(min)..=i64::from(max)).contains(&new) {
        new as i32
    } else if old > min {
        old - 1
    } else {
        old + 1
    };
    Tensor::new(extent.rows as usize, extent.columns as usize, extent.dtype, &entries).unwrap()
}

/// Values, constants and sums.
pub type Tensors<'a> = (Vec<&'a [u8]>, Vec<&'a [u8]>, Vec<Option<&'a [i32]>>);

pub fn bytes_of(trace: &Trace) -> Tensors<'_> {
    let values = (0..trace.network().program().values() as u32).map(ValueId);
    let constants = trace.network().constants().iter();
    (
        values.clone().map(|value| trace.value(value).unwrap().bytes()).collect(),
        constants.map(|held| held.tensor.bytes()).collect(),
        values.map(|value| trace.sums(value)).collect(),
    )
}
