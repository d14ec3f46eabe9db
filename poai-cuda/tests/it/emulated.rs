//! The whole backend, through cudarc, on an emulated driver whose one GPU is
//! the processor (`poai-testing/emulated/driver.cpp`). The tests run the same
//! kernels, the same launches and the shared tester. Each test runs itself
//! again in a process that finds that driver before any other.
mod bands;

use bands::Watched;
use poai_core::{Difficulty, Params, Seed, Side};
use poai_cuda::{Cuda, CudaError, Gpu, Variant, gpus};
use poai_engine::Operand;
use poai_engine::backend::{Backend, BackendError, Multiplication, Output};
use poai_engine::operand::pseudorandom;
use poai_testing::emulated::{self, Settings};
use poai_testing::tester;

const FILES: [&str; 7] =
    ["check", "commit", "noise", "product_dp4a", "product_mma", "product_wgmma", "recover"];

/// Runs `check` in a process whose driver is the emulated one.
fn with_driver(settings: Settings<'_>, check: impl FnOnce()) {
    emulated::with_driver(&FILES, &[settings], check);
}

fn gpu() -> Gpu {
    gpus().unwrap().remove(0)
}

fn operand(rows: usize, k: usize) -> Operand {
    Operand::new(&Params::CONSENSUS, Side::A, pseudorandom(b"emulated", rows, k)).unwrap()
}

#[test]
fn an_old_card_passes_the_tester() {
    let settings = [("POAI_EMULATED_CAPABILITY", "6.1")];
    with_driver(&settings, || {
        let cuda = Cuda::open(&gpu()).unwrap();
        assert_eq!(cuda.variant(), Variant::Dp4a);
        tester::check_today(&cuda);
        let error = Cuda::forced(&gpu(), Variant::Mma).unwrap_err();
        assert!(matches!(error, CudaError::NoVariant { variant: "cuda-mma", .. }), "{error}");
    });
}

#[test]
fn tensor_cores_pass_the_tester() {
    with_driver(&[("POAI_EMULATED_ORDER", "1")], || {
        let cuda = Cuda::open(&gpu()).unwrap();
        assert_eq!(cuda.variant(), Variant::Mma);
        tester::check_today(&cuda);
        assert_eq!(Cuda::forced(&gpu(), Variant::Dp4a).unwrap().name(), "cuda-dp4a");
    });
}

#[test]
fn hopper_passes_the_tester() {
    let settings = [("POAI_EMULATED_CAPABILITY", "9.0")];
    with_driver(&settings, || {
        let cuda = Cuda::open(&gpu()).unwrap();
        assert_eq!((cuda.variant(), cuda.name()), (Variant::Wgmma, "cuda-wgmma"));
        tester::check_today(&cuda);
        assert_eq!(Cuda::forced(&gpu(), Variant::Mma).unwrap().name(), "cuda-mma");
    });
}

/// Later GPUs have no `wgmma`.
#[test]
fn hoppers_kernels_are_hoppers_alone() {
    let settings = [("POAI_EMULATED_CAPABILITY", "12.0")];
    with_driver(&settings, || {
        assert_eq!(Cuda::open(&gpu()).unwrap().variant(), Variant::Mma);
        let error = Cuda::forced(&gpu(), Variant::Wgmma).unwrap_err().to_string();
        assert!(error.contains("9.0 and no other for cuda-wgmma, got 12.0"), "{error}");
    });
}

#[test]
fn a_driver_without_maps_multiplies_on_hopper() {
    let settings = [("POAI_EMULATED_CAPABILITY", "9.0")];
    emulated::with_driver_without_maps(&FILES, &[&settings], || {
        assert_eq!(Cuda::open(&gpu()).unwrap().variant(), Variant::Mma);
        let error = Cuda::forced(&gpu(), Variant::Wgmma).unwrap_err();
        assert_eq!(error, CudaError::Incomplete { function: "cuTensorMapEncodeTiled" });
    });
}

/// Matrices of one group of chunks, of several, and of more levels than one
/// launch makes have the CPU's trees.
#[test]
fn commitments_are_the_cpus() {
    with_driver(&[], || {
        let cuda = Cuda::open(&gpu()).unwrap();
        for (rows, k) in [(32, 128), (32, 2048), (64, 1024), (544, 128), (1056, 384), (4128, 256)] {
            let operand = operand(rows, k);
            let bytes = operand.as_bytes().to_vec();
            let prepared = cuda.prepare(operand).unwrap();
            let expected = poai_core::puzzle::commitment::Tree::new(&bytes);
            assert_eq!(format!("{:?}", prepared.tree()), format!("{expected:?}"), "{rows}×{k}");
        }
    });
}

/// If memory runs out, the call fails, and the GPU still works.
#[test]
fn memory_that_is_not_there_is_an_error() {
    let settings = [("POAI_EMULATED_MEMORY", "2000000")];
    with_driver(&settings, || {
        let cuda = Cuda::open(&gpu()).unwrap();
        let error = cuda.prepare(operand(2048, 1024)).unwrap_err().to_string();
        for word in ["Emulated GPU", "2097152 bytes", "smaller batches"] {
            assert!(error.contains(word), "{error}");
        }
        cuda.prepare(operand(32, 1024)).unwrap();
    });
}

/// Prepares, noises and multiplies: makes every kind of GPU call.
fn everything(cuda: &Cuda) -> Result<(), BackendError> {
    let [a, b] = [(Side::A, 288), (Side::B, 64)].map(|(side, rows)| {
        let entries = pseudorandom(b"everything", rows, 1024);
        cuda.prepare(Operand::new(&Params::CONSENSUS, side, entries).unwrap())
    });
    let (a, b) = (a?, b?);
    let (a, b) = (cuda.noise(&Seed([1; 32]), &a)?, cuda.noise(&Seed([2; 32]), &b)?);
    let mut product = vec![0; 288 * 64];
    let target = Difficulty::ONE.target(&Params::CONSENSUS, 1024);
    cuda.multiply(
        &Multiplication { a: &a, b: &b, target },
        Output::Exact(&mut product),
        &Watched::default(),
    )?;
    Ok(())
}

fn failure() -> CudaError {
    let failed = Cuda::open(&gpu()).and_then(|cuda| {
        everything(&cuda).map_err(|error| match error {
            BackendError::Device(error) => *error.downcast::<CudaError>().unwrap(),
            other => panic!("{other}"),
        })
    });
    failed.unwrap_err()
}

/// Makes every call that can fail, fail: the test expects a typed error with
/// advice and no panic.
macro_rules! failures {
    ($($test:ident: $fail:literal, $expected:pat, [$($word:literal),*];)*) => {$(
        #[test]
        fn $test() {
            with_driver(&[("POAI_EMULATED_FAIL", $fail)], || {
                let error = failure();
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
    an_illegal_address_is_told: "cuEventSynchronize:2:700", CudaError::Kernel { .. },
        ["EMULATED_700", "void"];
    a_lost_card_is_told: "cuMemcpyHtoDAsync_v2:3:46", CudaError::Lost { .. },
        ["Xid", "nvidia-smi"];
    memory_that_failed_is_told: "cuMemcpyDtoHAsync_v2:1:214", CudaError::Lost { .. },
        ["EMULATED_214", "restart"];
    a_context_that_is_refused_is_told: "cuDevicePrimaryCtxRetain:1:1", CudaError::Driver { .. },
        ["cuDevicePrimaryCtxRetain", "EMULATED_1"];
    a_context_on_a_full_card_is_told: "cuDevicePrimaryCtxRetain:1:2", CudaError::Full { .. },
        ["Emulated GPU", "full", "cuDevicePrimaryCtxRetain", "end other programs"];
    a_stream_on_a_full_card_is_told: "cuStreamCreate:3:2", CudaError::Full { .. },
        ["Emulated GPU", "full", "cuStreamCreate", "end other programs"];
    ptx_on_a_full_card_is_told: "cuModuleLoadData:2:2", CudaError::Full { .. },
        ["Emulated GPU", "full", "cuModuleLoadData", "end other programs"];
    a_function_on_a_full_card_is_told: "cuModuleGetFunction:1:2", CudaError::Full { .. },
        ["Emulated GPU", "full", "cuModuleGetFunction", "end other programs"];
    a_launch_on_a_full_card_is_told: "cuLaunchKernel:2:2", CudaError::Full { .. },
        ["Emulated GPU", "full", "end other programs"];
    an_event_on_a_full_card_is_told: "cuEventCreate:2:2", CudaError::Full { .. },
        ["Emulated GPU", "full", "cuEventCreate", "end other programs"];
    ptx_that_is_refused_is_told: "cuModuleLoadData:1:222", CudaError::Driver { .. },
        ["cuModuleLoadData", "222"];
    a_record_on_a_lost_card_is_told: "cuEventRecord:6:46", CudaError::Lost { .. },
        ["cuEventRecord", "Xid"];
    a_wait_on_a_lost_card_is_told: "cuStreamWaitEvent:3:214", CudaError::Lost { .. },
        ["cuStreamWaitEvent", "restart"];
    pinned_memory_of_a_lost_card_is_told: "cuMemHostAlloc:2:46", CudaError::Lost { .. },
        ["cuMemHostAlloc", "Xid"];
}

/// Makes a call fail once, at several times: the test expects a typed error
/// with advice. The backend works again when it is reopened.
macro_rules! refusals {
    ($($test:ident: $call:literal, [$($at:literal),*];)*) => {$(
        #[test]
        fn $test() {
            let hopper = ("POAI_EMULATED_CAPABILITY", "9.0");
            let settings = [$(
                &[("POAI_EMULATED_FAIL", concat!($call, ":", $at, ":1")), hopper] as Settings<'_>
            ),*];
            emulated::with_driver_today(&FILES, &settings, || {
                let error = failure();
                assert!(
                    matches!(error, CudaError::Driver { call, .. } if $call.starts_with(call)),
                    "{error:?}"
                );
                assert!(error.to_string().contains("check that `nvidia-smi` works"), "{error}");
                everything(&Cuda::open(&gpu()).unwrap()).unwrap();
            });
        }
    )*};
}

refusals! {
    events_that_are_refused_are_told: "cuEventCreate", [1, 2, 3, 9, 15];
    records_that_are_refused_are_told: "cuEventRecord", [1, 2, 3, 9, 15];
    waits_that_are_refused_are_told: "cuStreamWaitEvent", [1, 2, 3, 5, 6];
    reaching_that_is_refused_is_told: "cuEventSynchronize", [1, 2, 3];
    pinned_memory_that_is_refused_is_told: "cuMemHostAlloc", [1, 2, 3];
    uploads_that_are_refused_are_told: "cuMemcpyHtoDAsync_v2", [1, 3, 5];
    downloads_that_are_refused_are_told: "cuMemcpyDtoHAsync_v2", [1, 2, 3];
    streams_that_are_refused_are_told: "cuStreamCreate", [1, 4];
    pools_that_are_refused_are_told: "cuMemPoolSetAttribute", [1];
    maps_that_are_refused_are_told: "cuTensorMapEncodeTiled", [1, 2, 4];
}

/// Host memory runs out while copies are staged.
#[test]
fn pinned_memory_that_is_not_there_is_told() {
    let settings = ["1", "2", "3"].map(|at| format!("cuMemHostAlloc:{at}:2"));
    let settings = settings.each_ref().map(|fail| [("POAI_EMULATED_FAIL", fail.as_str())]);
    let settings = settings.each_ref().map(|fail| fail as Settings<'_>);
    emulated::with_driver_today(&FILES, &settings, || {
        let error = failure();
        assert!(matches!(error, CudaError::OutOfHostMemory { bytes: 4096.. }), "{error:?}");
        for word in ["bytes of the host", "got less", "pin", "ulimit -l"] {
            assert!(error.to_string().contains(word), "{error}");
        }
        everything(&Cuda::open(&gpu()).unwrap()).unwrap();
    });
}

/// A drop returns no error: it waits on the host instead of the GPU.
#[test]
fn a_wait_that_a_drop_is_refused_is_made_up_for() {
    let settings = [("POAI_EMULATED_FAIL", "cuStreamWaitEvent:4:1")];
    with_driver(&settings, || {
        everything(&Cuda::open(&gpu()).unwrap()).unwrap();
    });
}

/// The emulated driver has only functions that the library checks when it loads
/// a driver. If cudarc calls another one, it panics.
#[test]
fn every_driver_function_that_is_reached_is_looked_for() {
    let asked =
        concat!(include_str!("../../src/driver.rs"), include_str!("../../src/measure/clock.rs"));
    let driver = emulated::DRIVER;
    let lines = driver.lines().filter_map(|line| line.strip_prefix("int cu"));
    let functions: Vec<_> = lines.filter_map(|line| line.split_once('(')).collect();
    assert!(functions.len() > 30);
    for (function, _) in functions {
        assert!(asked.contains(&format!("\"cu{function}\"")), "cu{function}");
    }
}
