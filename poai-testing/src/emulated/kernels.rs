//! Kernels on the processor: sources compiled with the shim in `emulated/shim/`
//! and launched by name, in several orders of their threads.

use super::buffer::Buffer;
use super::compile::{self, Compiled, Source};
use super::entries::{Entries, RawLaunch};
use super::launch::{Arg, Failure, ORDERS, Order, Shape};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The kernels of one source, compiled for the processor.
pub struct Kernels {
    entries: Entries,
    /// One launch at a time: static shared memory and the scheduler are global.
    running: Mutex<()>,
    /// Whether the compiler's sanitiser ends the process at misaligned accesses
    /// and similar errors.
    pub sanitised: bool,
}

impl Kernels {
    /// The kernels of `poai-cuda/kernels/FILE`, compiled and loaded once.
    /// Returns `None`, after a SKIPPED line, if there is no C++ compiler or the
    /// system is not Linux, whose linker the shim needs.
    ///
    /// # Panics
    /// If the source does not compile.
    pub fn compile(file: &str) -> Option<&'static Kernels> {
        Kernels::compile_with(file, &[])
    }

    /// Compiles with more flags, such as `-DPOAI_ARCH=610` for an old GPU.
    ///
    /// # Panics
    /// If the source does not compile.
    pub fn compile_with(file: &str, flags: &[&str]) -> Option<&'static Kernels> {
        Kernels::load(compile::compile(&Source::file(file), flags)?)
    }

    /// Compiles a source given as text, which includes `simt.cuh` itself.
    ///
    /// # Panics
    /// If the source does not compile.
    pub fn of_source(source: &str) -> Option<&'static Kernels> {
        Kernels::load(compile::compile(&Source::text(source), &[])?)
    }

    /// A library has one machine in a process, for any number of tests that
    /// load it; they share the lock, too.
    fn load(compiled: Compiled) -> Option<&'static Kernels> {
        static LOADED: Mutex<BTreeMap<PathBuf, &Kernels>> = Mutex::new(BTreeMap::new());
        let Compiled { library, sanitised } = compiled;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernels) = loaded.get(&library) {
            return Some(kernels);
        }
        let entries = Entries::load(&library);
        let kernels = Kernels { entries, running: Mutex::new(()), sanitised };
        let kernels: &'static Kernels = Box::leak(Box::new(kernels));
        loaded.insert(library, kernels);
        Some(kernels)
    }

    /// Launches a kernel in every order, and returns the contents of its `Out`
    /// and `InOut` arguments, in their order.
    ///
    /// # Panics
    /// If the orders differ or anything else is wrong; see [`Failure`].
    pub fn run(&self, name: &str, shape: Shape, args: &[Arg]) -> Vec<Vec<u8>> {
        self.try_run(name, shape, args).unwrap_or_else(|failure| panic!("{name}: {failure}"))
    }

    /// Launches a kernel in every order, and returns a failure as an error.
    pub fn try_run(&self, name: &str, shape: Shape, args: &[Arg]) -> Result<Vec<Vec<u8>>, Failure> {
        let expected = self.run_in(name, shape, args, ORDERS[0])?;
        let outputs: Vec<usize> =
            (0..args.len()).filter(|&i| matches!(args[i], Arg::Out(_) | Arg::InOut(_))).collect();
        for order in &ORDERS[1..] {
            let got = self.run_in(name, shape, args, *order)?;
            for (&argument, (a, b)) in outputs.iter().zip(expected.iter().zip(&got)) {
                if let Some(at) = a.iter().zip(b).position(|(x, y)| x != y) {
                    return Err(Failure::Race { orders: [ORDERS[0], *order], argument, at });
                }
            }
        }
        Ok(expected)
    }

    /// Launches a kernel in one order.
    pub fn run_in(
        &self,
        name: &str,
        shape: Shape,
        args: &[Arg],
        order: Order,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let (number, seed) = match order {
            Order::Forward => (0, 0),
            Order::Backward => (1, 0),
            Order::Random(seed) => (2, seed),
        };
        let poison = 0x5a ^ (number as u8 + 3 * seed as u8).wrapping_mul(0x35);
        let mut buffers: Vec<Option<Buffer>> =
            args.iter().map(|arg| Buffer::of(&self.entries, arg, poison)).collect();
        let mut values = Vec::new();
        let mut kinds = Vec::new();
        for (arg, buffer) in args.iter().zip(&mut buffers) {
            let (kind, value) = match (arg, buffer) {
                (Arg::U32(value), _) => (b'w', u64::from(*value)),
                (Arg::U64(value), _) => (b'd', *value),
                (Arg::Map(_), Some(buffer)) => (b'm', buffer.address()),
                (_, Some(buffer)) => (b'p', buffer.address()),
                (_, None) => (b'p', 0),
            };
            kinds.push(kind);
            values.push(value);
        }
        let [name, kinds] =
            [name.as_bytes().to_vec(), kinds].map(|bytes| CString::new(bytes).unwrap());
        let launch = RawLaunch {
            grid: shape.grid,
            block: shape.block,
            shared: shape.shared,
            order: number,
            seed,
            values: values.as_ptr(),
            kinds: kinds.as_ptr(),
        };
        let (mut error, mut fault) = ([0; 1024], 0);
        // A launch that panicked left no state: the next starts fresh.
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the entry has this type (shim/launch.hpp), all pointers live
        // until it returns, and it checks the values against the kinds of the
        // kernel's arguments. The test is about what the kernel does with its
        // buffers; the code below finds stray accesses.
        let code = unsafe {
            (self.entries.launch)(
                name.as_ptr(),
                &raw const launch,
                error.as_mut_ptr(),
                error.len(),
                &raw mut fault,
            )
        };
        drop(running);
        if code != 0 {
            // SAFETY: the entry wrote a string that ends within the array.
            let text = unsafe { CStr::from_ptr(error.as_ptr()) }.to_string_lossy().into_owned();
            let near = buffers
                .iter()
                .enumerate()
                .find_map(|(argument, buffer)| Some((argument, buffer.as_ref()?.describe(fault)?)));
            return Err(match near {
                Some((argument, near)) => {
                    Failure::Stray(order, argument, format!("{near}: {text}"))
                }
                None => Failure::Launch(order, text),
            });
        }
        let mut outputs = Vec::new();
        for (argument, (arg, buffer)) in args.iter().zip(buffers).enumerate() {
            let Some(buffer) = buffer else { continue };
            buffer.check(arg).map_err(|text| Failure::Stray(order, argument, text))?;
            if matches!(arg, Arg::Out(_) | Arg::InOut(_)) {
                outputs.push(buffer.bytes().to_vec());
            }
        }
        Ok(outputs)
    }
}
