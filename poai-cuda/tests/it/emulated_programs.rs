//! Whole programs on an emulated GPU (`poai-testing/emulated/driver.cpp`): they
//! give the processor's outputs, traces, winners and errors, in every order of
//! streams.
use crate::gpu::{Draw, drawn};
use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape, ValueId};
use poai_core::{Beacon, Challenge, Difficulty, Job, Prover};
use poai_cuda::{Cuda, Gpu, gpus};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{
    Device, Mining, Network, OpenError, RunError, RunOptions, Session, Tensor, Trace, ValueError,
};
use poai_engine::{Cpu, MineOptions};
use poai_testing::edges;
use poai_testing::emulated::{self, Settings};
use poai_testing::zoo;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FILES: [&str; 14] = [
    "check",
    "commit",
    "noise",
    "product_mma",
    "recover",
    "steps_attention",
    "steps_blocks",
    "steps_gradients",
    "steps_move",
    "steps_norms",
    "steps_products",
    "steps_random",
    "steps_rows",
    "steps_training",
];

/// Streams run as late, as early and as mixed as events permit.
const ORDERS: [Settings<'_>; 3] = [
    &[("POAI_EMULATED_STREAMS", "late")],
    &[("POAI_EMULATED_STREAMS", "early")],
    &[("POAI_EMULATED_STREAMS", "random7")],
];

/// Runs `check` in a process whose driver is the emulated one, in today's orders.
pub fn with_driver(settings: &[Settings<'_>], check: impl FnOnce()) {
    emulated::with_driver_today(&FILES, settings, check);
}

pub fn gpu() -> Gpu {
    gpus().unwrap().remove(0)
}

/// Whole programs, on the GPU and product by product, traced and mined.
#[test]
fn programs_leave_the_cpus_traces() {
    with_driver(&ORDERS, || {
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        let run = |batch, sequence| RunShape::new(batch, sequence);
        let (encoder, classifier, gates) = (run(3, 20), run(5, 1), run(3, 1));
        for (network, run, inputs) in [
            (zoo::encoder(), encoder, zoo::tokens(&encoder)),
            (zoo::classifier(), classifier, zoo::images(&classifier)),
            (zoo::gates(), gates, zoo::small_images(&gates)),
            (zoo::relative(), encoder, zoo::states(&encoder)),
        ] {
            let mining = Mining {
                challenge: Challenge([3; 32]),
                options: MineOptions::new(Difficulty::ONE),
            };
            let options = RunOptions::new().mine(mining);
            let on = |model: &Session| {
                let run = model.trace_with((run, inputs.clone()), &options).unwrap();
                let tickets: Vec<_> =
                    run.mined.iter().map(|step| step.found.best().copied()).collect();
                let proofs: Vec<_> = run.mined.iter().map(|step| step.found.proof()).collect();
                (run.output, run.trace.root(), tickets, proofs)
            };
            let resident = Session::new(network.clone(), cuda.clone()).unwrap();
            let products = Session::by_products(network.clone(), cuda.clone()).unwrap();
            let cpu = Session::new(network.clone(), Arc::new(Cpu::new())).unwrap();
            assert!(resident.is_resident() && !products.is_resident() && !cpu.is_resident());
            let gpu = on(&resident);
            assert_eq!(gpu, on(&cpu));
            assert_eq!(gpu, on(&products));
            // The classifier's second product is deep enough to be mined.
            assert!(gpu.2.iter().all(Option::is_some) || gpu.2.is_empty());
        }
    });
}

/// Drawn programs of steps of any kind: the CPU's output, trace and errors.
#[test]
fn drawn_programs_are_the_cpus() {
    with_driver(&[&[]], || {
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        for index in 0..60 {
            let mut draw = Draw::new(&format!("emulated {index}"));
            let (batch, sequence) = (1 + draw.below(4) as u32, 1 + draw.below(9) as u32);
            let mut run = RunShape::new(batch, sequence);
            let (network, inputs) = drawn::program(&mut draw, &mut run);
            let on = |backend: Arc<dyn Device>| {
                let model = Session::new(network.clone(), backend).unwrap();
                let traced = model.trace((run, inputs.clone()));
                traced.map(|run| run.trace.root()).map_err(|error| error.to_string())
            };
            let cpu = on(poai_engine::choose::by_name("cpu-scalar").unwrap());
            assert_eq!(on(cuda.clone()), cpu, "{index}");
        }
    });
}

/// Every kind of step at its edges: the CPU's output, trace and errors.
#[test]
fn steps_at_their_edges_are_the_cpus() {
    with_driver(&[&[]], || {
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        let (mut outputs, mut errors) = (0, 0);
        for case in edges::cases() {
            let on = |backend: Arc<dyn Device>| {
                let model = Session::new(case.network.clone(), backend).unwrap();
                model.trace((case.run, case.inputs.clone()))
            };
            match (on(cuda.clone()), on(poai_engine::choose::by_name("cpu-scalar").unwrap())) {
                (Ok(gpu), Ok(cpu)) => {
                    assert_eq!(gpu.output, cpu.output, "{} ({})", case.name, case.about);
                    let (gpu, cpu) = (gpu.trace, cpu.trace);
                    assert_eq!(gpu.root(), cpu.root(), "{} ({})", case.name, case.about);
                    outputs += 1;
                }
                (Err(gpu), Err(cpu)) => {
                    assert_eq!(gpu.to_string(), cpu.to_string(), "{} ({})", case.name, case.about);
                    errors += 1;
                }
                (gpu, cpu) => panic!("{} ({}): {gpu:?}, {cpu:?}", case.name, case.about),
            }
        }
        assert!(outputs > 100 && errors > 3, "{outputs} outputs, {errors} errors");
    });
}

/// Callers may call the device's own run: it must refuse inputs that do not fit
/// before a kernel reads beyond them.
#[test]
fn inputs_that_do_not_fit_are_refused() {
    with_driver(&[&[]], || {
        let cuda = Cuda::open(&gpu()).unwrap();
        let resident = cuda.resident(&Arc::new(zoo::encoder())).unwrap().unwrap();
        let shape = RunShape::new(3, 20);
        let inputs: Vec<_> = zoo::tokens(&shape).into_iter().map(Arc::new).collect();
        let run = |shape, inputs: &[Arc<Tensor>]| {
            resident.run(&shape, inputs, &RunOptions::new()).map(drop)
        };
        run(shape, &inputs).unwrap();
        let (expected, fewer, more) = (inputs.len(), &inputs[1..], [&inputs[..], &inputs[..1]]);
        for wrong in [&[], fewer, &more.concat()] {
            let got = wrong.len();
            let error = run(shape, wrong).unwrap_err();
            assert!(
                matches!(error, RunError::Inputs { expected: e, got: g } if (e, g) == (expected, got)),
                "{error}"
            );
        }
        // A run of more items than the inputs have.
        let error = run(RunShape { batch: 4, ..shape }, &inputs).unwrap_err();
        assert!(matches!(error, RunError::Input { input: 0, .. }), "{error}");
        let mut swapped = inputs.clone();
        swapped[1] = Arc::new(Tensor::new(1, 1, Dtype::I8, &[0]).unwrap());
        let error = run(shape, &swapped).unwrap_err();
        assert!(matches!(error, RunError::Input { input: 1, .. }), "{error}");
    });
}

/// Values that a run leaves on the GPU are fetched when they are read. After
/// that, the trace no longer needs the GPU.
#[test]
fn traces_stay_on_the_card_until_they_are_read() {
    with_driver(&ORDERS, || {
        let run = RunShape::new(3, 20);
        let options = RunOptions::new().sums();
        let on = |backend: Arc<dyn Device>| {
            let model = Session::new(zoo::encoder(), backend).unwrap();
            model.trace_with((run, zoo::tokens(&run)), &options).unwrap().trace
        };
        let gpu = on(Arc::new(Cuda::open(&gpu()).unwrap()));
        let cpu = on(Arc::new(Cpu::new()));
        let receipt = cpu.receipt(Job([1; 32]), Prover([2; 32]));
        let audit = |trace: &Trace| trace.audit(&receipt, &Beacon([7; 32])).unwrap();
        assert_eq!(audit(&gpu), audit(&cpu));
        let copy = gpu.clone();
        copy.fetch().unwrap();
        for value in (0..cpu.records().len() as u32).map(ValueId) {
            assert_eq!(gpu.value(value).unwrap(), cpu.value(value).unwrap(), "{value:?}");
            // Clones share the one copy.
            assert!(std::ptr::eq(gpu.value(value).unwrap(), copy.value(value).unwrap()));
            assert_eq!(gpu.sums(value), cpu.sums(value), "{value:?}");
        }
        let beyond = ValueId(cpu.records().len() as u32);
        assert!(matches!(gpu.value(beyond), Err(ValueError::None(value)) if value == beyond));
        assert_eq!(gpu.find_fraud().unwrap(), None);
    });
}

/// If the GPU is lost before a trace is read, the error says so, and values
/// that were read before stay readable.
#[test]
fn a_trace_on_a_lost_card_is_told() {
    with_driver(&[&[]], || {
        let run = RunShape::new(3, 20);
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        let model = Session::new(zoo::encoder(), cuda).unwrap();
        let run = model.trace((run, zoo::tokens(&run))).unwrap();
        let trace = run.trace;
        let [read, unread] = [ValueId(5), ValueId(6)];
        let first = trace.value(read).unwrap().clone();
        // SAFETY: of this process's threads only the driver reads the
        // environment, and only this thread calls the driver.
        unsafe { env::set_var("POAI_EMULATED_FAIL", "cuMemcpyDtoHAsync_v2:1:46") };
        let error = trace.value(unread).unwrap_err();
        assert!(matches!(error, ValueError::Fetch { value, .. } if value == unread), "{error}");
        assert!(error.to_string().contains("value 6 is still on its device"), "{error}");
        assert!(matches!(trace.fetch(), Err(ValueError::Fetch { .. })));
        assert_eq!(trace.value(read).unwrap(), &first);
        // An opening that needs the value fails as well, instead of giving a
        // wrong proof.
        assert!(matches!(trace.fraud_proof(unread, 0), Err(OpenError::Value(_))));
    });
}

/// Products with weights in several bands, the last one shorter: with scales of
/// rows, with sums kept, and mined.
#[test]
fn products_of_several_bands_are_the_cpus() {
    // With no multiprocessors to keep busy, a band is one row of blocks.
    let settings: [Settings<'_>; 1] = [&[("POAI_EMULATED_MULTIPROCESSORS", "0")]];
    with_driver(&settings, || {
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        for (rows, columns, scaled) in [(300, 100, true), (420, 1100, false)] {
            let network = dense(columns, scaled);
            let entries = zoo::entries("rows", rows * columns, -64, 63);
            let mut inputs = vec![Tensor::new(rows, columns, Dtype::I8, &entries).unwrap()];
            if scaled {
                let scales = zoo::entries("scales", rows, 1, 1 << 20);
                inputs.push(Tensor::new(rows, 1, Dtype::I32, &scales).unwrap());
            }
            let run = RunShape::new(rows as u32, 1);
            let mining = Mining {
                challenge: Challenge([4; 32]),
                options: MineOptions::new(Difficulty::ONE),
            };
            for options in [RunOptions::new(), RunOptions::new().mine(mining)] {
                let options = options.sums();
                let on = |backend: Arc<dyn Device>| {
                    let model = Session::new(network.clone(), backend).unwrap();
                    let run = model.trace_with((run, inputs.clone()), &options).unwrap();
                    let trace = run.trace;
                    let sums = trace.sums(ValueId(inputs.len() as u32)).map(<[i32]>::to_vec);
                    let proofs: Vec<_> = run.mined.iter().map(|step| step.found.proof()).collect();
                    (run.output, trace.root(), sums, proofs)
                };
                let gpu = on(cuda.clone());
                assert!(gpu.2.is_some());
                assert_eq!(gpu, on(Arc::new(Cpu::new())), "{rows}×{columns}");
            }
        }
    });
}

/// One dense layer, one row per item; `scaled` adds scales of rows.
fn dense(columns: usize, scaled: bool) -> Network {
    let form = |columns, dtype| Form::new(Dim::fixed(1), Dim::fixed(columns), dtype);
    let mut forms = vec![form(columns as u32, Dtype::I8)];
    forms.extend(scaled.then(|| form(1, Dtype::I32)));
    let (mut builder, mut held) = (Builder::new(&forms), Constants::default());
    let weights = zoo::entries("weights", 40 * columns, -63, 63);
    let weights = held.add(&mut builder, "w", (40, columns), Dtype::I8, &weights).unwrap();
    let channels = zoo::entries("channels", 40 * 3, -900, 900);
    let requantise = held.add(&mut builder, "r", (40, 3), Dtype::I32, &channels).unwrap();
    let clamp = Clamp::full(Dtype::I16);
    let op = Op::Linear { weights, requantise, shifts: [9, 12, 1], clamp };
    let inputs: Vec<ValueId> = (0..forms.len()).map(|input| builder.input(input)).collect();
    builder.step("dense", op, &inputs).unwrap();
    Network::new(builder.finish().unwrap(), held.into_tensors()).unwrap()
}

/// A step without a result is not mined, and the error is the first step's.
#[test]
fn nothing_is_mined_behind_an_entry_without_a_result() {
    with_driver(&[&[]], || {
        let ids = Form::new(Dim::fixed(1), Dim::fixed(1), Dtype::I32);
        let (mut builder, mut held) = (Builder::new(&[ids]), Constants::default());
        let mut constant = |builder: &mut Builder, shape: (usize, usize), dtype, least, most| {
            let entries = zoo::entries("constant", shape.0 * shape.1, least, most);
            held.add(builder, "c", shape, dtype, &entries).unwrap()
        };
        let table = constant(&mut builder, (9, 1024), Dtype::I8, -63, 63);
        let scales = constant(&mut builder, (9, 1), Dtype::I32, 1, 99);
        let weights = constant(&mut builder, (32, 1024), Dtype::I8, -63, 63);
        let requantise = constant(&mut builder, (32, 3), Dtype::I32, 1, 99);
        let x = builder.input(0);
        let x = builder.step("embed", Op::Embed { table, scales, shift: 3 }, &[x]).unwrap();
        let clamp = Clamp::full(Dtype::I8);
        let narrow = Op::Requantise { multiplier: 1, shift: 5, clamp };
        let x = builder.step("narrow", narrow, &[x]).unwrap();
        let op = Op::Linear { weights, requantise, shifts: [9, 0, 0], clamp };
        builder.step("dense", op, &[x]).unwrap();
        let network = Network::new(builder.finish().unwrap(), held.into_tensors()).unwrap();
        let ids = Tensor::new(3, 1, Dtype::I32, &[4, 9, 2]).unwrap();
        let run = RunShape::new(3, 1);
        let drawn = Arc::new(AtomicBool::new(false));
        let seen = drawn.clone();
        let options = MineOptions::new(Difficulty::ONE)
            .progress(move |_| seen.store(true, Ordering::Relaxed));
        let mining = Mining { challenge: Challenge([4; 32]), options };
        let cuda: Arc<dyn Device> = Arc::new(Cuda::open(&gpu()).unwrap());
        let [gpu, cpu] = [cuda, Arc::new(Cpu::new())].map(|backend| {
            let model = Session::new(network.clone(), backend).unwrap();
            let options = RunOptions::new().mine(mining.clone());
            model.run_with((run, vec![ids.clone()]), &options).unwrap_err().to_string()
        });
        assert_eq!(gpu, cpu);
        assert!(gpu.contains("embed") && gpu.contains("got 9"), "{gpu}");
        assert!(!drawn.load(Ordering::Relaxed));
    });
}
