//! Whole programs on a card that is emulated (`emulated/driver.cpp`): the
//! processor's outputs, traces, winners and errors, in every order of streams.
#![cfg(target_os = "linux")]

#[path = "../../poai-core/tests/support/edges.rs"]
mod edges;
#[path = "emulated/harness.rs"]
mod harness;
mod host;
#[path = "../../poai-core/tests/support/zoo.rs"]
mod zoo;

use harness::{Settings, with_driver_of};
use poai_core::backend::{self, Backend};
use poai_core::execute::{Mining, Model, ProveError, RunOptions, ValueError};
use poai_core::program::{RunShape, ValueId};
use poai_core::{Challenge, Cpu, Difficulty, Options};
use poai_cuda::{Cuda, Device, devices};
use std::env;
use std::sync::Arc;

const FILES: [&str; 9] = [
    "check",
    "commit",
    "noise",
    "product_mma",
    "recover",
    "steps_attention",
    "steps_move",
    "steps_norms",
    "steps_rows",
];

/// Streams as late, as early and as mixed as events permit.
const ORDERS: [Settings<'_>; 3] = [
    &[("POAI_EMULATED_STREAMS", "late")],
    &[("POAI_EMULATED_STREAMS", "early")],
    &[("POAI_EMULATED_STREAMS", "random7")],
];

/// Runs `check` where the driver is the emulated one. `test` is the name of the
/// calling test.
fn with_driver(test: &str, settings: &[Settings<'_>], check: impl FnOnce()) {
    with_driver_of(&FILES, ".", test, settings, check);
}

fn device() -> Device {
    devices().unwrap().remove(0)
}

/// Whole programs, on the card and product by product, traced and mined.
#[test]
fn programs_leave_the_cpus_traces() {
    with_driver("programs_leave_the_cpus_traces", &ORDERS, || {
        let cuda = Arc::new(Cuda::open(&device()).unwrap());
        let run = |batch, sequence| RunShape { batch, sequence };
        let (encoder, classifier) = (run(3, 20), run(5, 1));
        for (network, run, inputs) in [
            (zoo::encoder(), encoder, zoo::tokens(&encoder)),
            (zoo::classifier(), classifier, zoo::images(&classifier)),
        ] {
            let mining =
                Mining { challenge: Challenge([3; 32]), options: Options::new(Difficulty::ONE) };
            let options = RunOptions::new().trace().mine(mining);
            let on = |model: &Model| {
                let run = model.run(&run, inputs.clone(), &options).unwrap();
                let tickets: Vec<_> =
                    run.mined.iter().map(|step| step.found.best().copied()).collect();
                let proofs: Vec<_> = run.mined.iter().map(|step| step.found.proof()).collect();
                (run.output, run.trace.unwrap().root(), tickets, proofs)
            };
            let resident = Model::new(network.clone(), cuda.clone()).unwrap();
            let products = Model::by_products(network.clone(), cuda.clone()).unwrap();
            let cpu = Model::new(network.clone(), Arc::new(Cpu::new())).unwrap();
            assert!(resident.is_resident() && !products.is_resident() && !cpu.is_resident());
            let card = on(&resident);
            assert_eq!(card, on(&cpu));
            assert_eq!(card, on(&products));
            // The classifier's second product is deep enough to be mined.
            assert!(card.2.iter().all(Option::is_some) || card.2.is_empty());
        }
    });
}

/// Every kind of step at its edges: the CPU's output, trace and errors.
#[test]
fn steps_at_their_edges_are_the_cpus() {
    with_driver("steps_at_their_edges_are_the_cpus", &[&[]], || {
        let cuda = Arc::new(Cuda::open(&device()).unwrap());
        let (mut outputs, mut errors) = (0, 0);
        for case in edges::cases() {
            let on = |backend: Arc<dyn Backend>| {
                let model = Model::new(case.network.clone(), backend).unwrap();
                model.run(&case.run, case.inputs.clone(), &RunOptions::new().trace())
            };
            match (on(cuda.clone()), on(backend::by_name("cpu-scalar").unwrap())) {
                (Ok(card), Ok(cpu)) => {
                    assert_eq!(card.output, cpu.output, "{} ({})", case.name, case.about);
                    let (card, cpu) = (card.trace.unwrap(), cpu.trace.unwrap());
                    assert_eq!(card.root(), cpu.root(), "{} ({})", case.name, case.about);
                    outputs += 1;
                }
                (Err(card), Err(cpu)) => {
                    assert_eq!(card.to_string(), cpu.to_string(), "{} ({})", case.name, case.about);
                    errors += 1;
                }
                (card, cpu) => panic!("{} ({}): {card:?}, {cpu:?}", case.name, case.about),
            }
        }
        assert!(outputs > 100 && errors > 3, "{outputs} outputs, {errors} errors");
    });
}

/// What a run leaves on the card is fetched when it is read, and then the card
/// is needed no more.
#[test]
fn traces_stay_on_the_card_until_they_are_read() {
    with_driver("traces_stay_on_the_card_until_they_are_read", &ORDERS, || {
        let run = RunShape { batch: 3, sequence: 20 };
        let options = RunOptions::new().trace().sums();
        let on = |backend: Arc<dyn Backend>| {
            let model = Model::new(zoo::encoder(), backend).unwrap();
            model.run(&run, zoo::tokens(&run), &options).unwrap().trace.unwrap()
        };
        let card = on(Arc::new(Cuda::open(&device()).unwrap()));
        let cpu = on(Arc::new(Cpu::new()));
        assert_eq!(card.audit(&[7; 32], 30).unwrap(), cpu.audit(&[7; 32], 30).unwrap());
        let copy = card.clone();
        copy.fetch().unwrap();
        for value in (0..cpu.records().len() as u32).map(ValueId) {
            assert_eq!(card.value(value).unwrap(), cpu.value(value).unwrap(), "{value:?}");
            // Clones share the one copy.
            assert!(std::ptr::eq(card.value(value).unwrap(), copy.value(value).unwrap()));
            assert_eq!(card.sums(value), cpu.sums(value), "{value:?}");
        }
        let beyond = ValueId(cpu.records().len() as u32);
        assert!(matches!(card.value(beyond), Err(ValueError::None(value)) if value == beyond));
        assert_eq!(card.find_fraud().unwrap(), None);
    });
}

/// A card that is lost before a trace is read: an error that says so, and what
/// was read before stays.
#[test]
fn a_trace_on_a_lost_card_is_told() {
    with_driver("a_trace_on_a_lost_card_is_told", &[&[]], || {
        let run = RunShape { batch: 3, sequence: 20 };
        let cuda = Arc::new(Cuda::open(&device()).unwrap());
        let model = Model::new(zoo::encoder(), cuda).unwrap();
        let run = model.run(&run, zoo::tokens(&run), &RunOptions::new().trace()).unwrap();
        let trace = run.trace.unwrap();
        let [read, unread] = [ValueId(5), ValueId(6)];
        let first = trace.value(read).unwrap().clone();
        // SAFETY: of this process's threads only the driver, which is called
        // from here, looks at the environment.
        unsafe { env::set_var("POAI_EMULATED_FAIL", "cuMemcpyDtoHAsync_v2:1:46") };
        let error = trace.value(unread).unwrap_err();
        assert!(matches!(error, ValueError::Fetch { value, .. } if value == unread), "{error}");
        assert!(error.to_string().contains("value 6 is still on its device"), "{error}");
        assert!(matches!(trace.fetch(), Err(ValueError::Fetch { .. })));
        assert_eq!(trace.value(read).unwrap(), &first);
        // An opening that needs it is an error as well, and no wrong proof.
        assert!(matches!(trace.tile_openings(unread, 0), Err(ProveError::Value(_))));
    });
}
