//! Kernels run on the processor: `kernels/*.cu` compiled by the system's C++
//! compiler with the shim in `tests/shim/`, launched by name in several orders
//! of their threads.
//!
//! ```ignore
//! let Some(kernels) = Kernels::compile("commit.cu") else { return };
//! let out = kernels.run("name", Shape::new(2, 64), &[input(&words), Arg::Out(64), Arg::U64(9)]);
//! ```
#![allow(dead_code)] // Every test file uses a part.

mod buffer;
pub mod compile;

use buffer::Buffer;
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::sync::Mutex;

/// In which order the threads of a block and the blocks of a grid run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lowest thread that can run, for as long as it can.
    Forward,
    /// The highest.
    Backward,
    /// Any, switching at every wrapped call as well; the seed decides.
    Random(u64),
}

/// The orders that every launch is tried in.
pub const ORDERS: [Order; 5] =
    [Order::Forward, Order::Backward, Order::Random(1), Order::Random(2), Order::Random(3)];

/// The shape of a launch.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
}

impl Shape {
    /// A row of `blocks` blocks of `threads` threads.
    pub fn new(blocks: u32, threads: u32) -> Shape {
        Shape { grid: [blocks, 1, 1], block: [threads, 1, 1], shared: 0 }
    }

    /// Another grid.
    pub fn grid(self, x: u32, y: u32, z: u32) -> Shape {
        Shape { grid: [x, y, z], ..self }
    }

    /// Another block.
    pub fn block(self, x: u32, y: u32, z: u32) -> Shape {
        Shape { block: [x, y, z], ..self }
    }

    /// With so many bytes of dynamic shared memory.
    pub fn shared(self, bytes: u32) -> Shape {
        Shape { shared: bytes, ..self }
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// A pointer to bytes that the kernel must leave as they are.
    In(&'a [u8]),
    /// A tensor map (shim/hopper.hpp) with its entries behind it, left likewise.
    Map(&'a [u8]),
    /// A pointer to bytes that come back as the kernel leaves them.
    InOut(&'a [u8]),
    /// A pointer to so many bytes that come back and that the kernel must write
    /// all: before, they differ from order to order.
    Out(usize),
    /// A pointer to nothing.
    Null,
    /// A 32-bit integer.
    U32(u32),
    /// A 64-bit integer.
    U64(u64),
}

/// A pointer to a copy of these values.
pub fn input<T: bytemuck::NoUninit>(values: &[T]) -> Arg<'_> {
    Arg::In(bytemuck::cast_slice(values))
}

/// Bytes that came back, as values.
pub fn values<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

/// What is wrong with a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It could not end, or did what no device permits.
    Launch(Order, String),
    /// It wrote or read outside a buffer, or wrote to an input: argument, where.
    Stray(Order, usize, String),
    /// Two orders gave different bytes: of this argument, from this byte on.
    Race { orders: [Order; 2], argument: usize, at: usize },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Launch(order, text) => write!(f, "in order {order:?}: {text}"),
            Failure::Stray(order, argument, text) => {
                write!(f, "in order {order:?}: argument {argument}: {text}")
            }
            Failure::Race { orders: [a, b], argument, at } => write!(
                f,
                "a race, or memory that is read or returned unwritten: orders {a:?} and {b:?} \
                 differ in argument {argument} from byte {at} on"
            ),
        }
    }
}

/// As in `shim/launch.hpp`.
#[repr(C)]
struct Launch {
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    order: u32,
    seed: u64,
    values: *const u64,
    kinds: *const c_char,
}

/// The functions of a compiled library.
#[derive(Clone, Copy)]
struct Entries {
    launch: unsafe extern "C" fn(*const c_char, *const Launch, *mut c_char, usize, *mut u64) -> i32,
    map: unsafe extern "C" fn(usize) -> *mut u8,
    unmap: unsafe extern "C" fn(*mut u8, usize),
}

/// The kernels of one source, compiled for the processor.
pub struct Kernels {
    entries: Entries,
    /// One launch at a time: static shared memory and the scheduler are global.
    running: Mutex<()>,
    /// Whether the compiler's sanitiser ends the process at misaligned accesses
    /// and the like.
    pub sanitised: bool,
}

impl Kernels {
    /// Compiles `kernels/FILE`. None, after a line that says SKIPPED, where
    /// there is no C++ compiler or no Linux, whose linker the shim needs.
    ///
    /// # Panics
    /// If the source does not compile.
    pub fn compile(file: &str) -> Option<Kernels> {
        Kernels::compile_with(file, &[])
    }

    /// The same with more flags, such as `-DPOAI_ARCH=610` for an old card.
    pub fn compile_with(file: &str, flags: &[&str]) -> Option<Kernels> {
        let path = compile::folder("kernels").join(file);
        let source = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        compile::load(&format!("#include \"{file}\""), &compile::names(&source), flags)
    }

    /// Compiles a source given as text, which includes `simt.cuh` itself.
    pub fn of_source(source: &str) -> Option<Kernels> {
        compile::load(source, &compile::names(source), &[])
    }

    /// Launches a kernel in every order and returns what it left in its `Out`
    /// and `InOut` arguments, in their order.
    ///
    /// # Panics
    /// If the orders differ or anything else is wrong; see [`Failure`].
    pub fn run(&self, name: &str, shape: Shape, args: &[Arg]) -> Vec<Vec<u8>> {
        self.try_run(name, shape, args).unwrap_or_else(|failure| panic!("{name}: {failure}"))
    }

    /// The same, with what is wrong as an error.
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

    /// Launches in one order alone.
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
        let launch = Launch {
            grid: shape.grid,
            block: shape.block,
            shared: shape.shared,
            order: number,
            seed,
            values: values.as_ptr(),
            kinds: kinds.as_ptr(),
        };
        let (mut error, mut fault) = ([0; 1024], 0);
        // A launch that panicked left nothing behind: the next starts anew.
        let running = self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // SAFETY: the entry has this type (shim/launch.hpp), all pointers live
        // until it returns, and it checks the values against the kernel's own
        // kinds of arguments. What the kernel does with its buffers is what is
        // tested; strays are looked for below.
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
