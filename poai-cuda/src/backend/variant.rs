//! The product kernels, and the GPUs that run them.

use crate::gpu::Launch;
use crate::kernels::Architecture;
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
    /// Tensor cores by `wgmma` m64n256k32, fed by tensor maps: 9.0 only.
    Wgmma,
}

/// How a kernel is launched: its name, the rows and columns that a cluster of
/// blocks computes, the blocks of a cluster, and the threads and dynamic shared
/// memory of a block. See `kernels/product.md`.
struct Shape {
    kernel: &'static str,
    rows: u32,
    columns: u32,
    cluster: u32,
    threads: u32,
    shared: u32,
}

impl Variant {
    /// All variants, the fastest first.
    pub const ALL: [Variant; 3] = [Variant::Wgmma, Variant::Mma, Variant::Dp4a];

    /// The name of the backend that uses this variant.
    pub const fn name(self) -> &'static str {
        match self {
            Variant::Dp4a => "cuda-dp4a",
            Variant::Mma => "cuda-mma",
            Variant::Wgmma => "cuda-wgmma",
        }
    }

    /// The compute capabilities that run this variant.
    pub const fn needs(self) -> Architecture {
        let (major, minor, only_this) = match self {
            Variant::Dp4a => (6, 1, false),
            Variant::Mma => (8, 0, false),
            Variant::Wgmma => (9, 0, true),
        };
        Architecture { capability: Version { major, minor }, only_this }
    }

    /// The fastest variant for a GPU of this compute capability.
    pub fn fastest(capability: Version) -> Option<Variant> {
        Variant::ALL.into_iter().find(|variant| variant.needs().runs_on(capability))
    }

    const fn file(self) -> &'static str {
        match self {
            Variant::Dp4a => "product_dp4a",
            Variant::Mma => "product_mma",
            Variant::Wgmma => "product_wgmma",
        }
    }

    /// Whether the kernels take tensor maps instead of pointers to operands.
    pub(crate) const fn takes_maps(self) -> bool {
        matches!(self, Variant::Wgmma)
    }

    /// The variant that makes a plain product of n columns.
    pub(super) const fn of_plain(self, n: u32) -> Variant {
        match self {
            // Half of each block would be idle. The smaller blocks of `Mma`
            // fill the GPU.
            Variant::Wgmma if n <= NARROW => Variant::Mma,
            other => other,
        }
    }

    const fn shape(self, kernel: &'static str) -> Shape {
        match self {
            // Two stages of both sides' 8 words of columns, rows padded by 4.
            Variant::Dp4a => Shape {
                kernel,
                rows: 128,
                columns: 128,
                cluster: 1,
                threads: 256,
                shared: 2 * 2 * 8 * 132 * 4,
            },
            // Four stages of 64 columns of both sides.
            Variant::Mma => Shape {
                kernel,
                rows: 128,
                columns: 256,
                cluster: 1,
                threads: 256,
                shared: 4 * 384 * 64,
            },
            // Four stages of 128 columns of both sides; 16 words of each tile
            // of 16 rows; two barriers for each stage.
            Variant::Wgmma => Shape {
                kernel,
                rows: 256,
                columns: 256,
                cluster: 2,
                threads: 384,
                shared: 4 * 384 * 128 + 8 * 8 * 16 * 4 + 4 * 2 * 8,
            },
        }
    }

    fn launch(self, shape: &Shape, [m, n]: [u32; 2], multiprocessors: u32) -> Launch {
        let blocks = u64::from(m.div_ceil(shape.rows)) * u64::from(n.div_ceil(shape.columns));
        let blocks = match shape.cluster {
            // Exact: a band of rows has at most `BLOCKS_MAX` blocks.
            1 => blocks as u32,
            // As many as run at once; each computes several blocks of sums.
            cluster => (multiprocessors / cluster).max(1) * cluster,
        };
        Launch {
            file: self.file(),
            kernel: shape.kernel,
            grid: [blocks, 1, 1],
            block: shape.threads,
            shared: shape.shared,
        }
    }

    /// A plain m×n product, by the variant of [`Variant::of_plain`].
    pub(crate) fn plain(self, [m, n]: [u32; 2], multiprocessors: u32) -> Launch {
        let variant = self.of_plain(n);
        let shape = match variant {
            Variant::Dp4a => variant.shape("product_dp4a_plain"),
            // Few columns: blocks of a quarter of the size.
            Variant::Mma if n <= NARROW => Shape {
                kernel: "product_mma_narrow",
                rows: 64,
                columns: NARROW,
                cluster: 1,
                threads: 128,
                shared: 4 * 192 * 64,
            },
            Variant::Mma => variant.shape("product_mma_plain"),
            Variant::Wgmma => variant.shape("product_wgmma_plain"),
        };
        variant.launch(&shape, [m, n], multiprocessors)
    }

    /// A noised product with its tickets.
    pub(crate) fn ticket(self, sizes: [u32; 2], multiprocessors: u32) -> Launch {
        let shape = self.shape(match self {
            Variant::Dp4a => "product_dp4a_ticket",
            Variant::Mma => "product_mma_ticket",
            Variant::Wgmma => "product_wgmma_ticket",
        });
        self.launch(&shape, sizes, multiprocessors)
    }

    /// A noised product with its tickets, made exact.
    pub(crate) fn exact(self, sizes: [u32; 2], multiprocessors: u32) -> Launch {
        let shape = self.shape(match self {
            Variant::Dp4a => "product_dp4a_exact",
            Variant::Mma => "product_mma_exact",
            Variant::Wgmma => "product_wgmma_exact",
        });
        self.launch(&shape, sizes, multiprocessors)
    }

    /// Rows of a band of an n-column product. A band is whole blocks, enough to
    /// keep `multiprocessors` busy for [`ROUNDS`] rounds. It is no larger than
    /// one launch allows or than `bytes` of memory hold at four bytes an entry.
    pub(crate) fn band(self, n: u32, multiprocessors: u32, bytes: Option<u64>) -> u32 {
        let Shape { rows, columns, cluster, .. } = self.shape("");
        let across = u64::from(n.div_ceil(columns));
        let busy = (u64::from(multiprocessors / cluster) * ROUNDS).div_ceil(across);
        let room = bytes.map_or(u64::MAX, |bytes| bytes / (4 * u64::from(n) * u64::from(rows)));
        let blocks = busy.min(room).min(BLOCKS_MAX / across).clamp(1, u64::from(u32::MAX / rows));
        blocks as u32 * rows
    }
}

/// The most columns of a narrow plain product.
const NARROW: u32 = 128;

/// Blocks that a multiprocessor, or a cluster of two, computes in one band. The
/// idle blocks of the last round and the wait for the host then cost a few per
/// cent at most.
const ROUNDS: u64 = 32;

/// The most blocks of a launch; a grid may have 2^31 − 1.
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
        assert_eq!(fastest(9, 0), Some(Variant::Wgmma));
        for (major, minor) in [(8, 0), (8, 9), (9, 1), (10, 0), (12, 0)] {
            assert_eq!(fastest(major, minor), Some(Variant::Mma));
        }
    }

    #[test]
    fn what_a_variant_needs_reads_well() {
        assert_eq!(Variant::Mma.needs().to_string(), "8.0 or higher");
        assert_eq!(Variant::Wgmma.needs().to_string(), "9.0 and no other");
    }

    #[test]
    fn every_kernel_launched_is_embedded() {
        for variant in Variant::ALL {
            let capability = variant.needs().capability;
            for n in [128, 256] {
                let sizes = [256, n];
                let plain = variant.plain(sizes, 132);
                assert_eq!(plain.file, variant.of_plain(n).file());
                for launch in [plain, variant.ticket(sizes, 132), variant.exact(sizes, 132)] {
                    let ptx = crate::kernels::find(launch.file, capability).unwrap();
                    assert!(ptx.entries.contains(&launch.kernel), "{launch:?}");
                }
            }
        }
    }

    #[test]
    fn clusters_fill_the_card_whatever_the_product() {
        for (multiprocessors, blocks) in [(0, 2), (1, 2), (2, 2), (113, 112), (132, 132)] {
            for sizes in [[32, 32], [1 << 20, 1 << 15]] {
                let launch = Variant::Wgmma.ticket(sizes, multiprocessors);
                assert_eq!((launch.grid, launch.block), ([blocks, 1, 1], 384));
                assert_eq!(launch.shared, 200_768);
            }
        }
        assert_eq!(Variant::Wgmma.plain([4096, 128], 132).kernel, "product_mma_narrow");
        assert_eq!(Variant::Wgmma.plain([4096, 160], 132).kernel, "product_wgmma_plain");
    }

    #[test]
    fn bands_are_whole_blocks_within_memory_and_grid() {
        for variant in Variant::ALL {
            for n in [32, 256, 4096, 1 << 24, u32::MAX / 32 * 32] {
                for bytes in [None, Some(0), Some(1 << 30)] {
                    let rows = variant.band(n, 132, bytes);
                    let shape = variant.shape("");
                    assert!(rows > 0 && rows % shape.rows == 0);
                    let launch = variant.ticket([rows, n], 132);
                    assert!(u64::from(launch.grid[0]) <= BLOCKS_MAX);
                    let entries = 4 * u64::from(rows) * u64::from(n);
                    // A band has at least one row of blocks.
                    assert!(bytes.is_none_or(|b| entries <= b || rows == shape.rows));
                }
            }
        }
    }
}
