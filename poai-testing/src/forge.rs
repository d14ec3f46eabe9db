//! Forged traces, which no honest code makes: any bytes as a value's tensor.
//! Records, header and openings are made from them by public types only.
#![allow(dead_code, reason = "each user takes its own part")]

use poai_core::program::ops::{Local, Read, RowSource, StepError};
use poai_core::program::tensor::Rows;
use poai_core::program::{Extent, Program, ValueId};
use poai_core::puzzle::commitment::Tree;
use poai_core::trace::{
    Demand, Receipt, Record, Sample, Sampling, TraceHeader, TraceRules, header, record,
};
use poai_core::{Beacon, Job, Prover, Root, TraceRoot};
use poai_engine::execute::Trace;

pub struct Forged {
    pub program: Program,
    pub values: Vec<Vec<u8>>,
    pub constants: Vec<Vec<u8>>,
    pub header: TraceHeader,
    pub records: Vec<Record>,
    pub rules: TraceRules,
    extents: Vec<Extent>,
    trees: Vec<Tree>,
    constant_trees: Vec<Tree>,
}

impl Forged {
    /// A trace with a value's bytes replaced. The tensors of later steps stay.
    pub fn new(trace: &Trace, value: ValueId, bytes: Vec<u8>) -> Forged {
        let program = trace.network().program().clone();
        let run = *trace.run();
        let extents = program.extents(&run).unwrap();
        let all = (0..program.values() as u32).map(ValueId);
        let mut values: Vec<Vec<u8>> =
            all.clone().map(|value| trace.value(value).unwrap().bytes().to_vec()).collect();
        assert_eq!(bytes.len(), values[value.0 as usize].len());
        values[value.0 as usize] = bytes;
        let held = trace.network().constants().iter();
        let constants: Vec<Vec<u8>> = held.map(|held| held.tensor.bytes().to_vec()).collect();
        let trees: Vec<Tree> = values.iter().map(|bytes| Tree::new(bytes)).collect();
        let root = |value: &ValueId| *trees[value.0 as usize].root();
        let records: Vec<Record> = all
            .map(|value| Record {
                value,
                root: root(&value),
                extent: extents[value.0 as usize],
                macs: program.macs(value, &run),
                inputs: program
                    .step_of(value)
                    .map_or(vec![], |step| step.inputs.iter().map(root).collect()),
            })
            .collect();
        let leaves: Vec<_> =
            records.iter().map(|record| Record::leaf(&record.to_bytes())).collect();
        let inputs: Vec<Root> =
            records[..program.inputs().len()].iter().map(|record| record.root).collect();
        let header = TraceHeader {
            program: program.program_id(),
            run,
            input: header::input_root(&run, &inputs),
            output: header::output_root(
                &program,
                &program.outputs().iter().map(root).collect::<Vec<_>>(),
            )
            .unwrap(),
            macs: program.total_macs(&run),
            records: record::records_root(&leaves),
        };
        let constant_trees = constants.iter().map(|bytes| Tree::new(bytes)).collect();
        let rules = *trace.rules();
        Forged {
            program,
            values,
            constants,
            header,
            records,
            rules,
            extents,
            trees,
            constant_trees,
        }
    }

    /// The same trace with changed records. The header commits to them, but
    /// what they state about each other may be false.
    pub fn with_records(mut self, change: impl FnOnce(&mut [Record])) -> Forged {
        change(&mut self.records);
        let encoded = self.records.iter().map(|record| Record::leaf(&record.to_bytes()));
        self.header.records = record::records_root(&encoded.collect::<Vec<_>>());
        self
    }

    pub fn root(&self) -> TraceRoot {
        self.header.root()
    }

    /// A record and its path.
    pub fn record(&self, value: ValueId) -> Vec<u8> {
        let encoded: Vec<Vec<u8>> = self.records.iter().map(Record::to_bytes).collect();
        let leaves: Vec<_> = encoded.iter().map(|record| Record::leaf(record)).collect();
        let path = record::path(&leaves, value.0.into()).concat();
        [encoded[value.0 as usize].clone(), path].concat()
    }

    pub fn local(&self, value: ValueId) -> Local<'_> {
        Local::new(&self.program, &self.extents, self.header.run, value).unwrap()
    }

    fn openings(&self, value: ValueId, tile: u64) -> Vec<u8> {
        let local = self.local(value);
        let region = local.grid().tile(tile).unwrap();
        let slots = Slots { forged: self, value };
        let mut bytes = vec![];
        if let Some(within) = local.within(&region) {
            for Read { slot, rows } in local.reads(&within) {
                bytes.extend(slots.open(&local, slot, rows));
            }
            for Read { slot, rows } in local.further_reads(&within, &slots).unwrap() {
                bytes.extend(slots.open(&local, slot, rows));
            }
        }
        let index = value.0 as usize;
        let own = local.own_chunks(&region).unwrap();
        let opening = self.trees[index].open_chunks(&self.values[index], &own).unwrap();
        bytes.extend([opening.bytes, opening.siblings.concat()].concat());
        bytes
    }

    pub fn fraud_proof(&self, value: ValueId, tile: u64) -> Vec<u8> {
        let mut bytes = self.header.to_bytes();
        bytes.extend(value.0.to_le_bytes());
        bytes.extend(tile.to_le_bytes());
        for value in [value].iter().chain(&self.program.step_of(value).unwrap().inputs) {
            bytes.extend(self.record(*value));
        }
        bytes.extend(self.openings(value, tile));
        bytes
    }

    /// A proof that a record lies: tile 0, and nothing after the records.
    pub fn record_proof(&self, value: ValueId) -> Vec<u8> {
        let mut bytes = self.header.to_bytes();
        bytes.extend(value.0.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        for value in [value].iter().chain(&self.program.step_of(value).unwrap().inputs) {
            bytes.extend(self.record(*value));
        }
        bytes
    }

    /// A receipt that states of the forged header what an honest one would.
    pub fn receipt(&self, job: Job, prover: Prover) -> Receipt {
        let Forged { program, header, .. } = self;
        let macs_weights = program.macs_with_weights(&header.run);
        Receipt {
            program: header.program,
            input: header.input,
            output: header.output,
            trace: self.root(),
            macs_weights,
            macs_activations: program.total_macs(&header.run) - macs_weights,
            job,
            prover,
            rules: self.rules.digest(),
        }
    }

    pub fn samples(&self, receipt: &Receipt, beacon: &Beacon) -> Vec<Sample> {
        let Forged { program, extents, header, rules, .. } = self;
        let sampling = Sampling { program, extents, run: &header.run, rules };
        sampling.tiles(&self.root(), &receipt.digest(), beacon)
    }

    pub fn audit(&self, receipt: &Receipt, beacon: &Beacon) -> Vec<u8> {
        let mut bytes = self.header.to_bytes();
        self.records.iter().for_each(|record| bytes.extend(record.to_bytes()));
        for Sample { value, tile } in self.samples(receipt, beacon) {
            bytes.extend(self.openings(value, tile));
        }
        bytes
    }

    /// The records of all inputs, which show whether the header's input is
    /// theirs.
    pub fn input_proof(&self, input: ValueId) -> Vec<u8> {
        let mut bytes = self.header.to_bytes();
        bytes.extend(input.0.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        for input in 0..self.program.inputs().len() as u32 {
            bytes.extend(self.record(ValueId(input)));
        }
        bytes
    }

    /// The records of all listed outputs, which show whether the header's output
    /// is theirs.
    pub fn output_proof(&self) -> Vec<u8> {
        let mut bytes = self.header.to_bytes();
        bytes.extend(Demand::of_outputs(&self.program).unwrap().0.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        for output in self.program.outputs() {
            bytes.extend(self.record(*output));
        }
        bytes
    }

    /// The strip of an input, as `accuse_input` opens it if it is unclean.
    pub fn input_strip(&self, input: ValueId, strip: u32) -> Vec<u8> {
        let mut bytes = self.header.to_bytes();
        bytes.extend(input.0.to_le_bytes());
        bytes.extend((u64::from(strip) + 1).to_le_bytes());
        bytes.extend(self.record(input));
        let index = input.0 as usize;
        let (tree, extent) = (&self.trees[index], &self.extents[index]);
        let rows = strip * 32..(strip + 1) * 32;
        bytes.extend(open(tree, &self.values[index], extent, rows));
        bytes
    }
}

/// A step's inputs and constants.
struct Slots<'a> {
    forged: &'a Forged,
    value: ValueId,
}

impl Slots<'_> {
    fn held(&self, slot: usize) -> (&Tree, &[u8]) {
        let step = self.forged.program.step_of(self.value).unwrap();
        match step.inputs.get(slot) {
            Some(input) => {
                let index = input.0 as usize;
                (&self.forged.trees[index], &self.forged.values[index])
            }
            None => {
                let index = step.op.constants().0[slot - step.inputs.len()].0 as usize;
                (&self.forged.constant_trees[index], &self.forged.constants[index])
            }
        }
    }

    fn open(&self, local: &Local<'_>, slot: usize, rows: std::ops::Range<u32>) -> Vec<u8> {
        let (tree, bytes) = self.held(slot);
        open(tree, bytes, &local.slots[slot], rows)
    }
}

impl RowSource for Slots<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        let local = self.forged.local(self.value);
        let rows = Rows { extent: local.slots[slot], first: 0, bytes: self.held(slot).1 };
        rows.read(row, to).ok_or(StepError::Missing { slot, row })
    }
}

fn open(tree: &Tree, bytes: &[u8], extent: &Extent, rows: std::ops::Range<u32>) -> Vec<u8> {
    let opening = tree.open(bytes, &extent.strip(&rows).unwrap()).unwrap();
    [opening.bytes, opening.siblings.concat()].concat()
}
