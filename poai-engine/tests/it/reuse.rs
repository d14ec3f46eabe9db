//! Reused memory holds no data of an earlier run.

use poai_core::program::RunShape;
use poai_engine::execute::{Network, Session, Tensor};
use poai_testing::zoo;

type Inputs = fn(&RunShape) -> Vec<Tensor>;

fn model(network: Network) -> Session {
    Session::new(network, poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap()
}

fn root(model: &Session, run: &RunShape, inputs: Inputs) -> String {
    model.trace((*run, inputs(run))).unwrap().trace.root().to_string()
}

#[test]
fn later_runs_are_as_the_first() {
    let zoo: [(fn() -> Network, Inputs); 4] = [
        (zoo::encoder, zoo::tokens),
        (zoo::classifier, zoo::images),
        (zoo::gates, zoo::small_images),
        (zoo::relative, zoo::states),
    ];
    for (network, inputs) in zoo {
        let model = model(network());
        // The extents include some with equal padded sizes but different
        // padding.
        for (batch, sequence) in [(3, 40), (3, 39), (1, 64), (3, 40), (7, 1), (6, 1), (1, 1)] {
            let sequence = if model.program().has_tokens() { sequence } else { 1 };
            let run = RunShape::new(batch, sequence);
            let expected = root(&self::model(network()), &run, inputs);
            assert_eq!(root(&model, &run, inputs), expected, "{batch}×{sequence}");
            assert!(model.kept_bytes() > 0, "a finished run leaves its memory");
        }
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let model = model(zoo::encoder());
    let run = RunShape::new(3, 40);
    let first = root(&model, &run, zoo::tokens);
    let kept = model.kept_bytes();
    model.keep_at_most(kept / 2);
    assert!(model.kept_bytes() <= kept / 2);
    assert_eq!(root(&model, &run, zoo::tokens), first);
    assert!(model.kept_bytes() <= kept / 2);
    model.keep_at_most(0);
    assert_eq!(root(&model, &run, zoo::tokens), first);
    assert_eq!(model.kept_bytes(), 0);
    // A tensor that the caller still holds does not count as kept by the model.
    model.keep_at_most(u64::MAX);
    let held = model.run((run, zoo::tokens(&run))).unwrap().output;
    let copy = held.as_ref().clone();
    drop(held);
    let before = model.kept_bytes();
    drop(copy);
    assert_eq!(model.kept_bytes(), before);
}

/// Runs several extents at once on one model, while its limit of kept bytes
/// changes.
#[test]
fn a_model_is_shared_while_its_memory_is_taken_away() {
    let model = model(zoo::encoder());
    let runs = [(3, 40), (3, 39), (1, 64), (7, 1), (1, 1)]
        .map(|(batch, sequence)| RunShape::new(batch, sequence));
    let expected = runs.map(|run| root(&model, &run, zoo::tokens));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|thread| {
                let (runs, expected, model) = (&runs, &expected, &model);
                scope.spawn(move || {
                    for step in 0..15 {
                        let index = (step * (thread + 1) + thread) % runs.len();
                        assert_eq!(root(model, &runs[index], zoo::tokens), expected[index]);
                    }
                })
            })
            .collect();
        let mut limit = 1u64;
        while workers.iter().any(|worker| !worker.is_finished()) {
            // Limits from 0 to 4 MiB, in pseudo-random order.
            limit = limit.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            model.keep_at_most(limit >> 42);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    model.keep_at_most(0);
    assert_eq!(model.kept_bytes(), 0);
    assert_eq!(root(&model, &runs[0], zoo::tokens), expected[0]);
}
