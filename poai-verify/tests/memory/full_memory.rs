//! A full check takes no more memory than its bound.

use crate::PEAK;
use poai_core::program::RunShape;
use poai_engine::execute::RunOptions;
use poai_testing::traces::{RULES, bytes_of};
use poai_testing::zoo;
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{Checker, Data, Method};

#[test]
fn no_full_check_takes_more_memory_than_its_bound() {
    let _alone = crate::alone();
    let threads = std::thread::available_parallelism().unwrap().get() as u32;
    let device = || poai_engine::choose::by_name("cpu-scalar").unwrap();
    let (tokens, images) = (RunShape::new(5, 60), RunShape::new(30, 1));
    for (network, inputs, run, far) in [
        (zoo::encoder(), zoo::tokens as fn(&RunShape) -> _, tokens, 60),
        (zoo::classifier(), zoo::images, images, 60),
        // Their narrow rows are mostly padding, which a bound counts.
        (zoo::gates(), zoo::small_images, images, 100),
        (zoo::relative(), zoo::states, tokens, 100),
    ] {
        let session = network.on(device()).unwrap();
        let asked = (run, inputs(&run));
        let trace = session.trace_with(asked, &RunOptions::new().sums()).unwrap().trace;
        let checker = Checker::new(trace.network().program().clone(), RULES);
        let (values, constants, sums) = bytes_of(&trace);
        let none = vec![None; values.len()];
        let bound = checker.full_memory_bytes(&run, threads).unwrap();
        for sums in [&sums, &none] {
            let data = Data { values: &values, constants: &constants, sums };
            let check = || {
                let method = Method::new(Seed32([7; 32]), 2);
                checker.full(&trace.root(), &trace.header(), &data, &method).unwrap();
            };
            // The pool's threads keep some memory from their first work on.
            check();
            let before = PEAK.current_usage();
            PEAK.reset_peak_usage();
            check();
            let taken = (PEAK.peak_usage() - before) as u64;
            assert!(taken <= bound, "{taken} of {bound}");
            // A bound and no estimate: it allows for every row that a block may
            // read, decoded at once.
            assert!(bound <= far * taken, "{taken} of {bound}");
        }
        let wide = RunShape { batch: RULES.batch_max + 1, ..run };
        assert!(checker.full_memory_bytes(&wide, threads).is_err());
    }
}
