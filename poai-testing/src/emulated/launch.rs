//! What a launch takes: orders of threads, shapes and arguments; and what can be
//! wrong with it.

use std::fmt;

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
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) shared: u32,
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

    /// With this number of bytes of dynamic shared memory.
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
    /// A pointer to this number of bytes that come back and that the kernel must write
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
    /// It could not end, or did what no GPU permits.
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
