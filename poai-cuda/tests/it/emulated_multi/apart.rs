//! Tests of the emulated driver itself. If something of one device is used
//! under the context of another, the process ends. Events order the streams of
//! several devices. Without these checks, the tests of several GPUs would pass
//! even if they mixed up devices.

use super::{FILES, with_driver};
use poai_testing::emulated::output_of;
use std::env;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};

/// The misuse that the process tries.
const MISUSE: &str = "POAI_TEST_MISUSE";

/// Calls a function of the driver, whose types here are those in NVIDIA's
/// driver.
macro_rules! call {
    ($driver:expr, $name:literal($($value:expr => $type:ty),*)) => {{
        // SAFETY: the caller's types are the function's, and its pointers live.
        unsafe {
            let call = $driver.0.get::<unsafe extern "C" fn($($type),*) -> c_int>($name).unwrap();
            call($($value),*)
        }
    }};
}

type Handle = *mut c_void;

/// The driver, initialised.
struct Driver(libloading::Library);

impl Driver {
    /// Opens the driver with the contexts of devices 0 and 1.
    fn open() -> (Driver, [Handle; 2]) {
        // SAFETY: the emulated driver has no precondition for being loaded.
        let driver = Driver(unsafe { libloading::Library::new("libcuda.so") }.unwrap());
        assert_eq!(call!(driver, b"cuInit"(0 => c_uint)), 0);
        let contexts = [0, 1].map(|device| {
            driver.made(|context| {
                call!(driver, b"cuDevicePrimaryCtxRetain"(context => *mut Handle, device => c_int))
            })
        });
        (driver, contexts)
    }

    /// The handle that a call makes.
    fn made(&self, call: impl FnOnce(*mut Handle) -> c_int) -> Handle {
        let mut handle = null_mut();
        assert_eq!(call(&mut handle), 0);
        handle
    }

    fn enter(&self, context: Handle) {
        assert_eq!(call!(self, b"cuCtxSetCurrent"(context => Handle)), 0);
    }

    fn stream(&self) -> Handle {
        self.made(|stream| call!(self, b"cuStreamCreate"(stream => *mut Handle, 1 => c_uint)))
    }

    fn synchronize(&self, stream: Handle) -> c_int {
        call!(self, b"cuStreamSynchronize"(stream => Handle))
    }

    fn memory(&self) -> u64 {
        let mut memory = 0;
        let allocated = call!(self, b"cuMemAlloc_v2"(&mut memory => *mut u64, 64 => usize));
        assert_eq!(allocated, 0);
        memory
    }

    fn free(&self, memory: u64) -> c_int {
        call!(self, b"cuMemFree_v2"(memory => u64))
    }

    fn fill(&self, memory: u64, stream: Handle) -> c_int {
        call!(self, b"cuMemsetD8Async"(memory => u64, 5 => u8, 64 => usize, stream => Handle))
    }

    fn pinned(&self) -> Handle {
        self.made(|memory| {
            call!(self, b"cuMemHostAlloc"(memory => *mut Handle, 64 => usize, 0 => c_uint))
        })
    }

    fn module(&self) -> Handle {
        let text = c".entry check(".as_ptr();
        self.made(
            |module| call!(self, b"cuModuleLoadData"(module => *mut Handle, text => *const c_char)),
        )
    }

    fn function(&self, module: Handle) -> Handle {
        let name = c"check".as_ptr();
        self.made(|function| {
            call!(
                self,
                b"cuModuleGetFunction"(
                    function => *mut Handle, module => Handle, name => *const c_char
                )
            )
        })
    }
}

/// Makes something under the context of device 0 and uses it under that of
/// device 1. The process ends there.
fn misuse(what: &str) {
    let (driver, [first, second]) = Driver::open();
    driver.enter(first);
    let (memory, pinned, stream) = (driver.memory(), driver.pinned(), driver.stream());
    let module = driver.module();
    let function = driver.function(module);
    driver.enter(second);
    let own = driver.stream();
    match what {
        "memory that is freed" => driver.free(memory),
        "memory that is set" => driver.fill(memory, own),
        "host memory" => call!(driver, b"cuMemFreeHost"(pinned => Handle)),
        "a stream that is waited for" => driver.synchronize(stream),
        "a stream that is given work" => driver.fill(driver.memory(), stream),
        "a module" => driver.function(module).is_null().into(),
        "a function that is set" => {
            call!(
                driver,
                b"cuFuncSetAttribute"(function => Handle, 8 => c_int, 1024 => c_int)
            )
        }
        "a function that is launched" => call!(
            driver,
            b"cuLaunchKernel"(
                function => Handle, 1 => c_uint, 1 => c_uint, 1 => c_uint, 1 => c_uint,
                1 => c_uint, 1 => c_uint, 0 => c_uint, own => Handle, null() => *const Handle,
                null() => *const Handle
            )
        ),
        other => panic!("{other}"),
    };
}

#[test]
fn the_driver_tells_devices_apart() {
    for (what, expected) in [
        ("memory that is freed", "cuMemFree_v2: memory"),
        ("memory that is set", "cuMemsetD8Async: memory"),
        ("host memory", "cuMemFreeHost: host memory"),
        ("a stream that is waited for", "cuStreamSynchronize: a stream"),
        ("a stream that is given work", "cuMemsetD8Async: a stream"),
        ("a module", "cuModuleGetFunction: a module"),
        ("a function that is set", "cuFuncSetAttribute: a function"),
        ("a function that is launched", "cuLaunchKernel: a function"),
    ] {
        let settings = [("POAI_EMULATED_GPUS", "2"), (MISUSE, what)];
        // Inside the process, the setting names the misuse.
        let check = || misuse(&env::var(MISUSE).unwrap());
        let Some(output) = output_of(&FILES, &settings, check) else { return };
        let errors = String::from_utf8(output.stderr).unwrap();
        let expected = format!("{expected} of device 0 under the context of device 1");
        assert!(
            !output.status.success() && errors.contains(&expected),
            "{}\n{errors}",
            output.status
        );
    }
}

/// An event is recorded in streams of its own device, and streams of any device
/// may wait for it.
#[test]
fn events_order_streams_of_several_devices() {
    let all: [&[_]; 2] = [
        &[("POAI_EMULATED_GPUS", "2"), ("POAI_EMULATED_STREAMS", "late")],
        &[("POAI_EMULATED_GPUS", "2"), ("POAI_EMULATED_STREAMS", "random7")],
    ];
    with_driver(&all, || {
        let (driver, [first, second]) = Driver::open();
        let record =
            |event, stream| call!(driver, b"cuEventRecord"(event => Handle, stream => Handle));
        driver.enter(second);
        let behind = driver.stream();
        driver.enter(first);
        let (memory, stream) = (driver.memory(), driver.stream());
        let event =
            driver.made(|event| call!(driver, b"cuEventCreate"(event => *mut Handle, 2 => c_uint)));
        assert_eq!((driver.fill(memory, stream), record(event, stream)), (0, 0));
        driver.enter(second);
        assert_eq!(record(event, behind), 400, "an invalid handle");
        // SAFETY: the GPU's memory is 64 bytes of this process, which nothing
        // writes while no call of the driver runs.
        let seen = || unsafe { *(memory as *const u8) };
        assert_ne!(seen(), 5, "nothing runs before a wait for it");
        let waited = call!(
            driver,
            b"cuStreamWaitEvent"(behind => Handle, event => Handle, 0 => c_uint)
        );
        assert_eq!((waited, driver.synchronize(behind), seen()), (0, 0, 5));
        // The host has waited for the fill, through the other device's stream.
        driver.enter(first);
        assert_eq!(driver.free(memory), 0);
    });
}
