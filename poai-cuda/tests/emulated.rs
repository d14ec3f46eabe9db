//! The whole backend, through cudarc, on a driver whose one card is the
//! processor (`emulated/driver.cpp`): the same kernels, the same launches, the
//! shared tester. Each test runs itself again in a process that finds that
//! driver before any other.
#![cfg(target_os = "linux")]

#[path = "../../poai-core/tests/support/edges.rs"]
mod edges;
mod host;
#[path = "../../poai-core/tests/support/zoo.rs"]
mod zoo;

use host::compile;
use poai_core::backend::{self, Backend, tester};
use poai_core::execute::{Mining, Model, ProveError, RunOptions, ValueError};
use poai_core::program::{RunShape, ValueId};
use poai_core::{
    Challenge, Cpu, Difficulty, Operand, Options, Params, Side, operand::pseudorandom,
};
use poai_cuda::{Cuda, CudaError, Device, Variant, devices};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use std::{env, fs};

const INSIDE: &str = "POAI_EMULATED_KERNELS";
const FILES: [&str; 11] = [
    "check",
    "commit",
    "noise",
    "product_dp4a",
    "product_mma",
    "product_wgmma",
    "recover",
    "steps_attention",
    "steps_move",
    "steps_norms",
    "steps_rows",
];

/// The folder of a driver that has no function for tensor maps.
const WITHOUT_MAPS: &str = "without_maps";

/// The kernels, each file of them a library, and the driver.
struct Build {
    folder: PathBuf,
    kernels: String,
}

/// Compiled once for all tests; none without a compiler.
fn build() -> Option<&'static Build> {
    static BUILD: OnceLock<Option<Build>> = OnceLock::new();
    let make = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulated");
        fs::create_dir_all(&folder).unwrap();
        let mut kernels = vec![];
        for file in FILES {
            let source = fs::read_to_string(compile::folder("kernels").join(format!("{file}.cu")));
            let names = compile::names(&source.unwrap());
            let library = folder.join(format!("{file}.so"));
            let text = format!("#include \"simt.cuh\"\n#include \"{file}.cu\"");
            compile::build(&text, &names, &[], &library)?;
            kernels.push(library.into_os_string().into_string().unwrap());
        }
        for (place, flag) in [(".", "-Wall"), (WITHOUT_MAPS, "-DPOAI_WITHOUT_TENSOR_MAPS")] {
            let place = folder.join(place);
            fs::create_dir_all(&place).unwrap();
            let mut driver = Command::new("c++");
            driver.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Werror", flag]);
            driver.arg(compile::folder("tests/emulated/driver.cpp"));
            succeed(driver.arg("-o").arg(place.join("libcuda.so")).arg("-ldl").output().unwrap());
        }
        Some(Build { folder, kernels: kernels.join(":") })
    };
    BUILD.get_or_init(make).as_ref()
}

fn succeed(output: Output) -> String {
    let [seen, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{}\n{seen}\n{errors}", output.status);
    seen
}

/// Runs `check` where the driver is the emulated one. `test` is the name of the
/// calling test.
fn with_driver(test: &str, settings: &[(&str, &str)], check: impl FnOnce()) {
    with_driver_in(".", test, settings, check);
}

/// The same with the driver of a folder.
fn with_driver_in(place: &str, test: &str, settings: &[(&str, &str)], check: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return check();
    }
    let Some(build) = build() else { return };
    let search = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let search = [build.folder.join(place)].into_iter().chain(env::split_paths(&search));
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]);
    again.env("LD_LIBRARY_PATH", env::join_paths(search).unwrap()).env(INSIDE, &build.kernels);
    again.envs(settings.iter().copied());
    let seen = succeed(again.output().unwrap());
    // A name that no test has would succeed as well, by running nothing.
    assert!(seen.contains("ok. 1 passed; 0 failed"), "{seen}");
}

fn device() -> Device {
    devices().unwrap().remove(0)
}

fn operand(rows: usize, k: usize) -> Operand {
    Operand::new(&Params::CONSENSUS, Side::A, pseudorandom(b"emulated", rows, k)).unwrap()
}

#[test]
fn an_old_card_passes_the_tester() {
    let settings = [("POAI_EMULATED_CAPABILITY", "6.1")];
    with_driver("an_old_card_passes_the_tester", &settings, || {
        let cuda = Cuda::open(&device()).unwrap();
        assert_eq!(cuda.variant(), Variant::Dp4a);
        tester::check(&cuda);
        let error = Cuda::forced(&device(), Variant::Mma).unwrap_err();
        assert!(matches!(error, CudaError::NoVariant { variant: "cuda-mma", .. }), "{error}");
    });
}

#[test]
fn tensor_cores_pass_the_tester() {
    with_driver("tensor_cores_pass_the_tester", &[("POAI_EMULATED_ORDER", "1")], || {
        let cuda = Cuda::open(&device()).unwrap();
        assert_eq!(cuda.variant(), Variant::Mma);
        tester::check(&cuda);
        assert_eq!(Cuda::forced(&device(), Variant::Dp4a).unwrap().name(), "cuda-dp4a");
    });
}

#[test]
fn hopper_passes_the_tester() {
    let settings = [("POAI_EMULATED_CAPABILITY", "9.0")];
    with_driver("hopper_passes_the_tester", &settings, || {
        let cuda = Cuda::open(&device()).unwrap();
        assert_eq!((cuda.variant(), cuda.name()), (Variant::Wgmma, "cuda-wgmma"));
        tester::check(&cuda);
        assert_eq!(Cuda::forced(&device(), Variant::Mma).unwrap().name(), "cuda-mma");
    });
}

/// Later cards have no `wgmma`.
#[test]
fn hoppers_kernels_are_hoppers_alone() {
    let settings = [("POAI_EMULATED_CAPABILITY", "12.0")];
    with_driver("hoppers_kernels_are_hoppers_alone", &settings, || {
        assert_eq!(Cuda::open(&device()).unwrap().variant(), Variant::Mma);
        let error = Cuda::forced(&device(), Variant::Wgmma).unwrap_err().to_string();
        assert!(error.contains("cuda-wgmma needs 9.0 and no other"), "{error}");
    });
}

#[test]
fn a_driver_without_maps_multiplies_on_hopper() {
    let settings = [("POAI_EMULATED_CAPABILITY", "9.0")];
    let test = "a_driver_without_maps_multiplies_on_hopper";
    with_driver_in(WITHOUT_MAPS, test, &settings, || {
        assert_eq!(Cuda::open(&device()).unwrap().variant(), Variant::Mma);
        let error = Cuda::forced(&device(), Variant::Wgmma).unwrap_err();
        assert_eq!(error, CudaError::Incomplete { function: "cuTensorMapEncodeTiled" });
    });
}

/// Matrices of one group of chunks, of several, and of more levels than one
/// launch makes have the trees that the CPU makes.
#[test]
fn commitments_are_the_cpus() {
    with_driver("commitments_are_the_cpus", &[], || {
        let cuda = Cuda::open(&device()).unwrap();
        for (rows, k) in [(32, 128), (32, 2048), (64, 1024), (544, 128), (1056, 384), (4128, 256)] {
            let operand = operand(rows, k);
            let bytes = operand.as_bytes().to_vec();
            let prepared = cuda.prepare(operand).unwrap();
            let expected = poai_core::commitment::Tree::new(&bytes);
            assert_eq!(format!("{:?}", prepared.tree()), format!("{expected:?}"), "{rows}×{k}");
        }
    });
}

/// Whole programs, on the card and product by product, traced and mined.
#[test]
fn programs_leave_the_cpus_traces() {
    with_driver("programs_leave_the_cpus_traces", &[], || {
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
    with_driver("steps_at_their_edges_are_the_cpus", &[], || {
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
    with_driver("traces_stay_on_the_card_until_they_are_read", &[], || {
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
    with_driver("a_trace_on_a_lost_card_is_told", &[], || {
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

/// Memory that runs out is an error, and the card is as good as before.
#[test]
fn memory_that_is_not_there_is_an_error() {
    let settings = [("POAI_EMULATED_MEMORY", "2000000")];
    with_driver("memory_that_is_not_there_is_an_error", &settings, || {
        let cuda = Cuda::open(&device()).unwrap();
        let error = cuda.prepare(operand(2048, 1024)).unwrap_err().to_string();
        for word in ["Emulated GPU", "2097152 bytes", "smaller batches"] {
            assert!(error.contains(word), "{error}");
        }
        cuda.prepare(operand(32, 1024)).unwrap();
    });
}

/// Every call that can fail, failing: a typed error with advice, no panic, and
/// nothing left behind.
macro_rules! failures {
    ($($test:ident: $fail:literal, $expected:pat, [$($word:literal),*];)*) => {$(
        #[test]
        fn $test() {
            with_driver(stringify!($test), &[("POAI_EMULATED_FAIL", $fail)], || {
                let failed = Cuda::open(&device()).and_then(|cuda| {
                    cuda.prepare(operand(1024, 1024)).map(drop).map_err(|error| match error {
                        poai_core::backend::BackendError::Device(error) => {
                            *error.downcast::<CudaError>().unwrap()
                        }
                        other => panic!("{other}"),
                    })
                });
                let error = failed.unwrap_err();
                assert!(matches!(error, $expected), "{error:?}");
                let message = error.to_string();
                $(assert!(message.contains($word), "{message}");)*
            });
        }
    )*};
}

failures! {
    a_kernel_that_fails_is_told: "cuLaunchKernel:2:719", CudaError::Kernel { .. },
        ["Emulated GPU", "start it again"];
    an_illegal_address_is_told: "cuStreamSynchronize:2:700", CudaError::Kernel { .. },
        ["EMULATED_700", "void"];
    a_lost_card_is_told: "cuMemcpyHtoDAsync_v2:3:46", CudaError::Lost { .. },
        ["Xid", "nvidia-smi"];
    memory_that_failed_is_told: "cuMemcpyDtoHAsync_v2:1:214", CudaError::Lost { .. },
        ["EMULATED_214", "restart"];
    a_context_that_is_refused_is_told: "cuDevicePrimaryCtxRetain:1:2", CudaError::Driver { .. },
        ["cuDevicePrimaryCtxRetain", "EMULATED_2"];
    ptx_that_is_refused_is_told: "cuModuleLoadData:1:222", CudaError::Driver { .. },
        ["cuModuleLoadData", "222"];
}
