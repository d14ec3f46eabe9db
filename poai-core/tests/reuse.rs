//! Memory that runs use again holds nothing of the run before.

#[path = "support/zoo.rs"]
mod zoo;

use poai_core::backend;
use poai_core::execute::{Model, Network, RunOptions, Tensor};
use poai_core::program::RunShape;

type Inputs = fn(&RunShape) -> Vec<Tensor>;

fn model(network: Network) -> Model {
    Model::new(network, backend::by_name("cpu-scalar").unwrap()).unwrap()
}

fn root(model: &Model, run: &RunShape, inputs: Inputs) -> String {
    let run = model.run(run, inputs(run), &RunOptions::new().trace()).unwrap();
    run.trace.unwrap().root().to_string()
}

#[test]
fn later_runs_are_as_the_first() {
    let zoo: [(fn() -> Network, Inputs); 2] =
        [(zoo::encoder, zoo::tokens), (zoo::classifier, zoo::images)];
    for (network, inputs) in zoo {
        let model = model(network());
        // Extents whose padded bytes are alike and their padding is not, too.
        for (batch, sequence) in [(3, 40), (3, 39), (1, 64), (3, 40), (7, 1), (6, 1), (1, 1)] {
            let run = RunShape { batch, sequence };
            let expected = root(&self::model(network()), &run, inputs);
            assert_eq!(root(&model, &run, inputs), expected, "{batch}×{sequence}");
            assert!(model.kept_bytes() > 0, "a finished run leaves its memory");
        }
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let model = model(zoo::encoder());
    let run = RunShape { batch: 3, sequence: 40 };
    let first = root(&model, &run, zoo::tokens);
    let kept = model.kept_bytes();
    model.keep_at_most(kept / 2);
    assert!(model.kept_bytes() <= kept / 2);
    assert_eq!(root(&model, &run, zoo::tokens), first);
    assert!(model.kept_bytes() <= kept / 2);
    model.keep_at_most(0);
    assert_eq!(root(&model, &run, zoo::tokens), first);
    assert_eq!(model.kept_bytes(), 0);
    // What somebody holds is not the model's.
    model.keep_at_most(u64::MAX);
    let held = model.run(&run, zoo::tokens(&run), &RunOptions::new()).unwrap().output;
    let copy = held.as_ref().clone();
    drop(held);
    let before = model.kept_bytes();
    drop(copy);
    assert_eq!(model.kept_bytes(), before);
}
