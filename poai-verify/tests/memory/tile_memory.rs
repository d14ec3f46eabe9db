//! Recomputing a tile takes no more memory than its bound.

use crate::PEAK;
use poai_core::program::RunShape;
use poai_testing::traces::{RULES, run, steps, tiles};
use poai_testing::zoo;
use poai_verify::trace::{Checker, TraceError, TraceInvalid, TraceRules};

#[test]
fn no_tile_takes_more_memory_than_its_bound() {
    let _alone = crate::alone();
    let mut traces = vec![];
    for (batch, sequence) in [(1, 1), (3, 40), (40, 1), (2, 70), (9, 8)] {
        let shape = RunShape { batch, sequence };
        traces.push(run(zoo::encoder(), shape, zoo::tokens(&shape)));
        traces.push(run(zoo::relative(), shape, zoo::states(&shape)));
    }
    for batch in [1, 7] {
        let shape = RunShape { batch, sequence: 1 };
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
            let mut most = 0;
            for tile in 0..tiles(&trace, value) {
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
            let name = program.step_of(value).unwrap().op.name();
            let max = bound.memory + head as u64;
            assert!(most as u64 <= max, "{:?} {name}: {most} {max}", trace.run());
            // The bound allows for everything that is read and decoded at once,
            // and some KiB more. It is not an estimate, but not far above
            // either.
            assert!(max <= 20 * most as u64, "{:?} {name}: {most} {max}", trace.run());
        }
    }
}
