//! Recomputing a tile takes no more memory than its bound.

use crate::PEAK;
use poai_core::program::{
    Builder, Dim, Dtype, Extent, Form, Op, RunShape, TrainingOp, ValueId, Window,
};
use poai_engine::execute::{Network, Tensor, Trace};
use poai_testing::edges::{decoder_cases, wide_cases};
use poai_testing::traces::{RULES, run, steps, tiles};
use poai_testing::training::one_step_programs;
use poai_testing::zoo;
use poai_verify::trace::{Checker, TraceError, TraceInvalid, TraceRules};

#[test]
fn no_tile_takes_more_memory_than_its_bound() {
    let _alone = crate::alone();
    let mut traces = vec![];
    for (batch, sequence) in [(1, 1), (3, 40), (40, 1), (2, 70), (9, 8)] {
        let shape = RunShape::new(batch, sequence);
        traces.push(run(zoo::encoder(), shape, zoo::tokens(&shape)));
        traces.push(run(zoo::relative(), shape, zoo::states(&shape)));
    }
    for batch in [1, 7] {
        let shape = RunShape::new(batch, 1);
        traces.push(run(zoo::classifier(), shape, zoo::images(&shape)));
        traces.push(run(zoo::gates(), shape, zoo::small_images(&shape)));
    }
    let rules = TraceRules { sequence_max: 70, ..RULES };
    for trace in traces {
        let program = trace.network().program();
        let checker = Checker::new(program.clone(), rules);
        // Besides the tile, a proof takes the extents, and records of three
        // inputs at most.
        let head = 16 * program.values() + 2048;
        for value in steps(&trace) {
            let bound = checker.tile_bound(trace.run(), value).unwrap().unwrap();
            let most = most(&checker, &trace, value);
            let name = program.step_of(value).unwrap().op.name();
            let max = bound.memory + head as u64;
            assert!(most <= max, "{:?} {name}: {most} {max}", trace.run());
            // The bound allows for everything that is read and decoded at once,
            // and some KiB more. It is not an estimate, but not far above
            // either.
            assert!(max <= 20 * most, "{:?} {name}: {most} {max}", trace.run());
        }
    }
}

/// The most memory that a proof about a tile of a step takes.
fn most(checker: &Checker, trace: &Trace, value: ValueId) -> u64 {
    let mut most = 0;
    for tile in 0..tiles(trace, value) {
        let proof = trace.fraud_proof(value, tile).unwrap();
        let root = trace.root();
        PEAK.reset_peak_usage();
        let before = PEAK.current_usage();
        let result = checker.fraud(&root, &proof);
        let taken = PEAK.peak_usage().saturating_sub(before);
        let right = TraceError::from(TraceInvalid::NoFraud { value, tile });
        assert_eq!(result, Err(right));
        most = most.max(taken);
    }
    most as u64
}

/// One step of training, on inputs of ones.
fn of_ones(inputs: &[Form], batch: u32, op: TrainingOp) -> Trace {
    let shape = RunShape::new(batch, 1);
    let mut builder = Builder::new(inputs);
    let values: Vec<ValueId> = (0..inputs.len() as u32).map(ValueId).collect();
    builder.step("it", Op::Training(op), &values).unwrap();
    let network = Network::new(builder.finish().unwrap(), vec![]).unwrap();
    let ones = |form: &Form| {
        let Extent { rows, columns, dtype } = Extent::of(form, &shape).unwrap();
        let [rows, columns] = [rows as usize, columns as usize];
        Tensor::new(rows, columns, dtype, &vec![1; rows * columns]).unwrap()
    };
    run(network, shape, inputs.iter().map(ones).collect())
}

/// Steps whose tiles are wider than what they read.
fn wide() -> Vec<Trace> {
    let fixed = |rows, columns, dtype| Form::new(Dim::fixed(rows), Dim::fixed(columns), dtype);
    let (i8, i32) = (Dtype::I8, Dtype::I32);
    // Three rows are added to rows of 64.
    let x = [fixed(1, 5000, i8), fixed(1, 1, i32)];
    let scatter = of_ones(&x, 3, TrainingOp::ScatterAdd { rows: 64 });
    // Few windows see few pixels of an image.
    let window = Window { height: 40, width: 40, kernel: [1; 2], stride: [39; 2], pads: [0; 4] };
    let pool = [1, 7, 8, 9, 100, 2000].map(|channels| {
        let inputs = [fixed(1600, channels, i8), fixed(4, channels, i32)];
        of_ones(&inputs, 1, TrainingOp::MaxPoolGradient(window))
    });
    let unfold = of_ones(&[fixed(4, 3000, i32)], 2, TrainingOp::UnfoldGradient(window));
    let dy = [fixed(1, 5000, i32)];
    let spread = of_ones(&dy, 2, TrainingOp::MeanPoolGradient { rows: Dim::fixed(50) });
    pool.into_iter().chain([scatter, unfold, spread]).collect()
}

#[test]
fn no_tile_of_training_takes_more_memory_than_its_bound() {
    let _alone = crate::alone();
    let programs = one_step_programs().into_iter().step_by(7);
    let traces = programs.map(|(_, network, inputs, shape)| run(network, shape, inputs));
    for trace in traces.chain(wide()) {
        let program = trace.network().program();
        let checker = Checker::new(program.clone(), TraceRules { batch_max: 128, ..RULES });
        // As above, and records of up to nine inputs.
        let head = 16 * program.values() as u64 + 4096;
        for value in steps(&trace) {
            let bound = checker.tile_bound(trace.run(), value).unwrap().unwrap();
            let (most, max) = (most(&checker, &trace, value), bound.memory + head);
            let name = program.step_of(value).unwrap().op.name();
            assert!(most <= max, "{:?} {name}: {most} {max}", trace.run());
        }
    }
}

#[test]
fn no_tile_of_decoders_takes_more_memory_than_its_bound() {
    let _alone = crate::alone();
    let cases = decoder_cases().into_iter().step_by(3).chain(wide_cases());
    for trace in cases.map(|case| run(case.network, case.run, case.inputs)) {
        let program = trace.network().program();
        let checker = Checker::new(program.clone(), RULES);
        // As above, and records of up to six inputs.
        let head = 16 * program.values() as u64 + 4096;
        for value in steps(&trace) {
            let bound = checker.tile_bound(trace.run(), value).unwrap().unwrap();
            let (most, max) = (most(&checker, &trace, value), bound.memory + head);
            let name = program.step_of(value).unwrap().op.name();
            assert!(most <= max, "{:?} {name}: {most} {max}", trace.run());
        }
    }
}
