//! Detection on this machine, and with fake drivers.

use poai_cuda::{CudaError, Version, gpus};

#[test]
fn a_machine_without_a_gpu_gets_advice() {
    let error = match gpus() {
        Ok(_) => {
            println!("SKIPPED: this machine has a GPU");
            return;
        }
        Err(error) => error,
    };
    let advice = match error {
        CudaError::NoDriver => ["libcuda", "nvcuda"].as_slice(),
        CudaError::NoGpu => ["CUDA_VISIBLE_DEVICES", "container"].as_slice(),
        _ => panic!("this machine's driver does not work: {error}"),
    };
    let message = error.to_string();
    assert!(advice.iter().any(|word| message.contains(word)), "{message}");
    assert!(message.contains("NVIDIA driver"), "{message}");
    // After the failure the next call must not panic.
    assert_eq!(gpus(), Err(error));
}

#[test]
fn a_machine_with_a_gpu_lists_it() {
    let list = match gpus() {
        Ok(list) => list,
        Err(error) => {
            println!("SKIPPED: no GPU to list: {error}");
            return;
        }
    };
    assert!(!list.is_empty());
    for (ordinal, gpu) in list.iter().enumerate() {
        println!("{gpu:?}");
        assert_eq!(gpu.ordinal, ordinal);
        assert!(!gpu.name.is_empty());
        // No driver accepted here supports less than Maxwell's 5.0.
        assert!((5..100).contains(&gpu.capability.major), "{gpu:?}");
        assert!((1 << 28..1 << 48).contains(&gpu.memory), "{gpu:?}");
        assert!((1..10_000).contains(&gpu.multiprocessors), "{gpu:?}");
        let supported = gpu.capability >= Version { major: 6, minor: 1 };
        assert_eq!(gpu.check_supported().is_ok(), supported);
    }
    assert_eq!(gpus(), Ok(list));
}

/// Each of these tests compiles its own driver and runs itself again, in a
/// process that finds that driver before any other.
#[cfg(target_os = "linux")]
mod fake {
    use poai_cuda::{CudaError, Gpu, Version, gpus};
    use poai_testing::emulated::fake::with_driver;

    #[test]
    fn every_device_is_listed_and_the_old_one_turned_down() {
        with_driver(&[], || {
            let old = Gpu {
                ordinal: 0,
                name: "Fake Old".into(),
                capability: Version { major: 5, minor: 2 },
                memory: 4 << 30,
                multiprocessors: 16,
            };
            let new = Gpu {
                ordinal: 1,
                name: "Fake New".into(),
                capability: Version { major: 8, minor: 9 },
                memory: 24 << 30,
                multiprocessors: 128,
            };
            assert_eq!(gpus(), Ok(vec![old.clone(), new.clone()]));
            let error = old.check_supported().unwrap_err();
            assert_eq!(
                error,
                CudaError::TooOld {
                    name: "Fake Old".into(),
                    capability: Version { major: 5, minor: 2 },
                    needed: Version { major: 6, minor: 1 },
                }
            );
            let message = error.to_string();
            for word in ["Fake Old", "5.2", "6.1", "use another GPU"] {
                assert!(message.contains(word), "{message}");
            }
            assert_eq!(new.check_supported(), Ok(()));
        });
    }

    #[test]
    fn no_device_is_an_error_and_not_an_empty_list() {
        with_driver(&["-DCOUNT=0"], || {
            let error = gpus().unwrap_err();
            assert_eq!(error, CudaError::NoGpu);
            let message = error.to_string();
            for word in ["CUDA_VISIBLE_DEVICES", "container", "nvidia-smi"] {
                assert!(message.contains(word), "{message}");
            }
        });
    }

    #[test]
    fn a_device_that_appears_later_is_found() {
        // cuInit answers CUDA_ERROR_NO_DEVICE (100) twice, then succeeds.
        with_driver(&["-DINIT=calls<2?100:0"], || {
            assert_eq!(gpus(), Err(CudaError::NoGpu));
            assert_eq!(gpus(), Err(CudaError::NoGpu));
            assert_eq!(gpus().map(|list| list.len()), Ok(2));
        });
    }

    #[test]
    fn an_old_driver_is_named_with_what_is_needed() {
        with_driver(&["-DVERSION=11080"], || {
            let error = gpus().unwrap_err();
            assert_eq!(
                error,
                CudaError::DriverTooOld {
                    found: Version { major: 11, minor: 8 },
                    needed: Version { major: 12, minor: 0 },
                }
            );
            let message = error.to_string();
            for word in ["11.8", "12.0", "install a newer driver"] {
                assert!(message.contains(word), "{message}");
            }
        });
    }

    #[test]
    fn a_stub_is_told_from_a_driver() {
        // CUDA_ERROR_STUB_LIBRARY.
        with_driver(&["-DINIT=34"], || {
            let error = gpus().unwrap_err();
            assert_eq!(error, CudaError::Stub);
            assert!(error.to_string().contains("LD_LIBRARY_PATH"), "{error}");
        });
    }

    #[test]
    fn another_error_comes_with_its_call_code_and_words() {
        // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH.
        with_driver(&["-DINIT=803"], || {
            let error = gpus().unwrap_err();
            assert_eq!(
                error,
                CudaError::Driver {
                    call: "cuInit",
                    code: 803,
                    name: "FAKE_NAME".into(),
                    description: "unknown error".into(),
                }
            );
            let message = error.to_string();
            for word in ["cuInit", "803", "FAKE_NAME", "nvidia-smi"] {
                assert!(message.contains(word), "{message}");
            }
        });
    }

    /// One test for each function of the fake driver, with that function
    /// missing. The listing above passes with only these functions, so it needs
    /// no other.
    macro_rules! missing {
        ($($function:ident)*) => {$(
            #[test]
            #[allow(non_snake_case)]
            fn $function() {
                let function = stringify!($function);
                with_driver(&[&format!("-D{function}=gone")], || {
                    let error = gpus().unwrap_err();
                    assert_eq!(error, CudaError::Incomplete { function });
                    assert!(error.to_string().contains(function), "{error}");
                });
            }
        )*};
    }

    missing! {
        cuInit cuDriverGetVersion cuDeviceGetCount cuDeviceGet cuDeviceGetName
        cuDeviceTotalMem_v2 cuDeviceGetAttribute cuGetErrorName cuGetErrorString
    }
}
