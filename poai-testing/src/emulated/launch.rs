//! The inputs of a launch: orders of threads, shapes and arguments; and the
//! failures of a launch.

use std::fmt;

/// The order in which the threads of a block and the blocks of a grid run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lowest thread that can run, for as long as it can run.
    Forward,
    /// The highest thread that can run.
    Backward,
    /// Random threads, with switches at every wrapped call; the seed decides.
    Random(u64),
}

/// The orders in which every launch runs.
pub const ORDERS: [Order; 5] =
    [Order::Forward, Order::Backward, Order::Random(1), Order::Random(2), Order::Random(3)];

/// The shape of a launch.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) shared: u32,
}

impl Shape {
    /// A row of `blocks` blocks of `threads` threads.
    pub fn new(blocks: u32, threads: u32) -> Shape {
        Shape { grid: [blocks, 1, 1], block: [threads, 1, 1], shared: 0 }
    }

    /// Replaces the grid.
    pub fn grid(self, x: u32, y: u32, z: u32) -> Shape {
        Shape { grid: [x, y, z], ..self }
    }

    /// Replaces the block.
    pub fn block(self, x: u32, y: u32, z: u32) -> Shape {
        Shape { block: [x, y, z], ..self }
    }

    /// Sets the bytes of dynamic shared memory.
    pub fn shared(self, bytes: u32) -> Shape {
        Shape { shared: bytes, ..self }
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// A pointer to bytes that the kernel must not change.
    In(&'a [u8]),
    /// A tensor map (shim/hopper.hpp) followed by its entries, which must not
    /// change.
    Map(&'a [u8]),
    /// A pointer to bytes that are returned as the kernel leaves them.
    InOut(&'a [u8]),
    /// A pointer to this number of bytes, all of which the kernel must write. They are returned;
    /// before the launch, they differ from order to order.
    Out(usize),
    /// A null pointer.
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

/// Returned bytes, as values.
pub fn values<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

/// The failure of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel did not end, or did something that no GPU permits.
    Launch(Order, String),
    /// The kernel wrote or read outside a buffer, or wrote to an input: the
    /// argument, and the place.
    Stray(Order, usize, String),
    /// Two orders gave different bytes, in this argument from this byte on.
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
