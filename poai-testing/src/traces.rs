//! Shared by the tests of traces: honest traces of the zoo's programs, and
//! their parts.
#![allow(dead_code, reason = "each test file uses its own part")]

use crate::zoo;
use poai_core::program::{RunShape, ValueId};
use poai_core::trace::{Answer, Audit, FraudProof, Link, Receipt, Record, TraceHeader, record};
use poai_core::{Beacon, Job, Prover, TraceRoot};
use poai_engine::execute::{Network, Tensor, Trace};
use poai_verify::Verified;
use poai_verify::trace::{
    Answered, Audited, Checker, Demand, Fraud, TraceError, TraceRules, Useful,
};
use std::sync::OnceLock;

pub const BEACON: Beacon = Beacon([9; 32]);
pub const RULES: TraceRules = TraceRules {
    batch_max: 64,
    sequence_max: 64,
    product_samples: 15,
    step_samples: 10,
    output_tiles: 8,
    ..TraceRules::DEFAULT
};
/// The job and prover of the tests' receipts.
pub const JOB: Job = Job([0x11; 32]);
pub const PROVER: Prover = Prover([0x22; 32]);

/// A checker on bytes, as a node receives them.
pub trait CheckBytes {
    fn check_audit(&self, of: &Receipt, by: &Beacon, bytes: &[u8]) -> Result<Audited, TraceError>;
    fn check_fraud(&self, trace: &TraceRoot, bytes: &[u8]) -> Result<Fraud, TraceError>;
    fn check_answer(&self, of: &Receipt, to: &Demand, bytes: &[u8])
    -> Result<Answered, TraceError>;
    fn check_link(&self, of: &TraceRoot, by: &Verified, bytes: &[u8])
    -> Result<Useful, TraceError>;
}

impl CheckBytes for Checker {
    fn check_audit(&self, of: &Receipt, by: &Beacon, bytes: &[u8]) -> Result<Audited, TraceError> {
        self.audit(of, by, &Audit::from_bytes(bytes)?)
    }

    fn check_fraud(&self, trace: &TraceRoot, bytes: &[u8]) -> Result<Fraud, TraceError> {
        self.fraud(trace, &FraudProof::from_bytes(bytes)?)
    }

    fn check_answer(
        &self,
        of: &Receipt,
        to: &Demand,
        bytes: &[u8],
    ) -> Result<Answered, TraceError> {
        self.answer(of, to, &Answer::from_bytes(bytes)?)
    }

    fn check_link(
        &self,
        of: &TraceRoot,
        by: &Verified,
        bytes: &[u8],
    ) -> Result<Useful, TraceError> {
        self.link(of, by, &Link::from_bytes(bytes)?)
    }
}

pub fn run(network: Network, shape: RunShape, inputs: Vec<Tensor>) -> Trace {
    let session = network.on(poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
    session.trace((shape, inputs)).unwrap().trace.with_rules(RULES)
}

/// All programs' traces, made once.
pub fn traces() -> &'static [Trace; 4] {
    static TRACES: OnceLock<[Trace; 4]> = OnceLock::new();
    TRACES.get_or_init(|| {
        let encoder = RunShape::new(3, 40);
        let classifier = RunShape::new(7, 1);
        let gates = RunShape::new(3, 1);
        let relative = RunShape::new(2, 21);
        [
            run(zoo::encoder(), encoder, zoo::tokens(&encoder)),
            run(zoo::classifier(), classifier, zoo::images(&classifier)),
            run(zoo::gates(), gates, zoo::small_images(&gates)),
            run(zoo::relative(), relative, zoo::states(&relative)),
        ]
    })
}

pub fn checker(trace: &Trace) -> Checker {
    Checker::new(trace.network().program().clone(), RULES)
}

/// A record of a trace, and its path.
pub fn record_opening(trace: &Trace, value: ValueId) -> Vec<u8> {
    let records = trace.records();
    let leaves: Vec<_> = records.iter().map(|record| Record::leaf(&record.0)).collect();
    let path = record::path(&leaves, value.0.into()).concat();
    [records[value.0 as usize].0.clone(), path].concat()
}

/// The openings of a step's tile: what follows the records in its fraud proof.
pub fn tile_openings(trace: &Trace, value: ValueId, tile: u64) -> Vec<u8> {
    let proof = trace.fraud_proof(value, tile).unwrap().to_bytes();
    let inputs = trace.network().program().step_of(value).unwrap().inputs.clone();
    let values = [vec![value], inputs].concat();
    let records = values.iter().map(|value| record_opening(trace, *value).len());
    proof[TraceHeader::len_in(trace.run()) + 12 + records.sum::<usize>()..].to_vec()
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
