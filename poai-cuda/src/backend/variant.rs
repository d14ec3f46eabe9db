//! The ways to multiply, and which cards have them.

use crate::card::Launch;
use crate::version::Version;
use core::fmt;

/// A product kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Variant {
    /// Dot products of four i8 (`dp4a`): compute capability 6.1 and above.
    Dp4a,
    /// Tensor cores by `mma.sync` m16n8k32: 8.0 and above.
    Mma,
}

/// How a kernel is launched: its name, what a block computes, its threads and
/// dynamic shared memory. As in `kernels/README.md`.
struct Shape {
    kernel: &'static str,
    rows: u32,
    columns: u32,
    threads: u32,
    shared: u32,
}

impl Variant {
    /// All of them, the fastest first.
    pub const ALL: [Variant; 2] = [Variant::Mma, Variant::Dp4a];

    /// The name of the backend that takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Variant::Dp4a => "cuda-dp4a",
            Variant::Mma => "cuda-mma",
        }
    }

    /// The lowest compute capability that has it.
    pub const fn needs(self) -> Version {
        match self {
            Variant::Dp4a => Version { major: 6, minor: 1 },
            Variant::Mma => Version { major: 8, minor: 0 },
        }
    }

    /// The fastest that a card of this compute capability has.
    pub fn fastest(capability: Version) -> Option<Variant> {
        Variant::ALL.into_iter().find(|variant| capability >= variant.needs())
    }

    const fn file(self) -> &'static str {
        match self {
            Variant::Dp4a => "product_dp4a",
            Variant::Mma => "product_mma",
        }
    }

    const fn shape(self, kernel: &'static str) -> Shape {
        match self {
            // Two stages of both sides' 8 words of columns, rows padded by 4.
            Variant::Dp4a => {
                Shape { kernel, rows: 128, columns: 128, threads: 256, shared: 2 * 2 * 8 * 132 * 4 }
            }
            // Four stages of 64 columns of both sides.
            Variant::Mma => {
                Shape { kernel, rows: 128, columns: 256, threads: 256, shared: 4 * 384 * 64 }
            }
        }
    }

    fn launch(self, shape: &Shape, m: u32, n: u32) -> Launch {
        let blocks = u64::from(m.div_ceil(shape.rows)) * u64::from(n.div_ceil(shape.columns));
        Launch {
            file: self.file(),
            kernel: shape.kernel,
            // Exact: a band of rows has at most `BLOCKS_MAX` blocks.
            grid: [blocks as u32, 1, 1],
            block: shape.threads,
            shared: shape.shared,
        }
    }

    /// A plain m×n product.
    pub(super) fn plain(self, m: u32, n: u32) -> Launch {
        let shape = match self {
            Variant::Dp4a => self.shape("product_dp4a_plain"),
            // Few columns: blocks of a quarter of the size.
            Variant::Mma if n <= 128 => Shape {
                kernel: "product_mma_narrow",
                rows: 64,
                columns: 128,
                threads: 128,
                shared: 4 * 192 * 64,
            },
            Variant::Mma => self.shape("product_mma_plain"),
        };
        self.launch(&shape, m, n)
    }

    /// A noised product with its tickets.
    pub(super) fn ticket(self, m: u32, n: u32) -> Launch {
        let shape = self.shape(match self {
            Variant::Dp4a => "product_dp4a_ticket",
            Variant::Mma => "product_mma_ticket",
        });
        self.launch(&shape, m, n)
    }

    /// The same, made exact.
    pub(super) fn exact(self, m: u32, n: u32) -> Launch {
        let shape = self.shape(match self {
            Variant::Dp4a => "product_dp4a_exact",
            Variant::Mma => "product_mma_exact",
        });
        self.launch(&shape, m, n)
    }

    /// Rows of a band of an n-column product: whole blocks, enough of them to
    /// keep `multiprocessors` busy for some rounds, and no more than a launch
    /// or `bytes` of memory take where every entry is four bytes.
    pub(super) fn band(self, n: u32, multiprocessors: u32, bytes: Option<u64>) -> u32 {
        let Shape { rows, columns, .. } = self.shape("");
        let across = u64::from(n.div_ceil(columns));
        let busy = (u64::from(multiprocessors) * ROUNDS).div_ceil(across);
        let room = bytes.map_or(u64::MAX, |bytes| bytes / (4 * u64::from(n) * u64::from(rows)));
        let blocks = busy.min(room).min(BLOCKS_MAX / across).clamp(1, u64::from(u32::MAX / rows));
        blocks as u32 * rows
    }
}

/// Blocks that a multiprocessor computes in one band: the last round's idle
/// ones and the wait for the host after it are then a few per cent at most.
const ROUNDS: u64 = 32;

/// Blocks of a launch; a grid may have 2^31 − 1.
const BLOCKS_MAX: u64 = 1 << 30;

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_take_the_fastest_that_they_have() {
        let fastest = |major, minor| Variant::fastest(Version { major, minor });
        assert_eq!(fastest(6, 0), None);
        assert_eq!(fastest(6, 1), Some(Variant::Dp4a));
        assert_eq!(fastest(7, 5), Some(Variant::Dp4a));
        for (major, minor) in [(8, 0), (8, 9), (9, 0), (12, 0)] {
            assert_eq!(fastest(major, minor), Some(Variant::Mma));
        }
    }

    #[test]
    fn bands_are_whole_blocks_within_memory_and_grid() {
        for variant in Variant::ALL {
            for n in [32, 256, 4096, 1 << 24, u32::MAX / 32 * 32] {
                for bytes in [None, Some(0), Some(1 << 30)] {
                    let rows = variant.band(n, 132, bytes);
                    let shape = variant.shape("");
                    assert!(rows > 0 && rows % shape.rows == 0);
                    let launch = variant.ticket(rows, n);
                    assert!(u64::from(launch.grid[0]) <= BLOCKS_MAX);
                    let entries = 4 * u64::from(rows) * u64::from(n);
                    // One row of blocks is the least.
                    assert!(bytes.is_none_or(|b| entries <= b || rows == shape.rows));
                }
            }
        }
    }
}
