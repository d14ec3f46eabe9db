//! The whole backend, through cudarc, on a driver whose one card is the
//! processor (`emulated/driver.cpp`): the same kernels, the same launches, the
//! shared tester. Each test runs itself again in a process that finds that
//! driver before any other.
#![cfg(target_os = "linux")]

#[path = "emulated/driver.rs"]
mod driver;
mod host;
#[path = "../../poai-core/tests/support/zoo.rs"]
mod zoo;

use driver::{WITHOUT_MAPS, with_driver, with_driver_in};
use poai_core::backend::{Backend, tester};
use poai_core::execute::{Mining, Model, RunOptions};
use poai_core::program::RunShape;
use poai_core::{
    Challenge, Cpu, Difficulty, Operand, Options, Params, Side, operand::pseudorandom,
};
use poai_cuda::{Cuda, CudaError, Device, Variant, devices};
use std::sync::Arc;

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

/// Whole programs, product by product, traced and mined.
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
            let on = |backend: Arc<dyn Backend>| {
                let model = Model::new(network.clone(), backend).unwrap();
                let run = model.run(&run, inputs.clone(), &options).unwrap();
                let tickets: Vec<_> =
                    run.mined.iter().map(|step| step.found.best().copied()).collect();
                (run.trace.unwrap().root(), tickets)
            };
            let card = on(cuda.clone());
            assert_eq!(card, on(Arc::new(Cpu::new())));
            // The classifier's second product is deep enough to be mined.
            assert!(card.1.iter().all(Option::is_some) || card.1.is_empty());
        }
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
