//! The kernels that the crate carries, as PTX. The driver compiles PTX to
//! machine code for its GPU, so nothing else need be installed.
//!
//! The sources are `kernels/*.cu`; README.md says how to compile them.

use crate::version::Version;
use core::fmt;

/// The PTX version of the embedded kernels: the newest that the oldest accepted
/// driver, that of CUDA 12.0, can compile.
pub const PTX_VERSION: Version = Version { major: 8, minor: 0 };

/// Threads in a block of the kernel `check`.
pub const CHECK_THREADS: u32 = 256;

/// The target of a compiled kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Architecture {
    /// The compute capability.
    pub capability: Version,
    /// Whether it runs only on GPUs of this capability, and not on later ones,
    /// because it uses instructions that later GPUs lack.
    pub only_this: bool,
}

impl Architecture {
    /// Whether a GPU of the given compute capability runs code compiled for
    /// this architecture.
    pub fn runs_on(&self, capability: Version) -> bool {
        if self.only_this { capability == self.capability } else { capability >= self.capability }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Architecture { capability, only_this } = self;
        write!(f, "{capability} {}", if *only_this { "and no other" } else { "or higher" })
    }
}

/// A file of kernels, compiled for one architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ptx {
    /// The name of the file in `kernels/`, without `.cu`.
    pub file: &'static str,
    /// What it was compiled for.
    pub architecture: Architecture,
    /// The PTX itself.
    pub text: &'static str,
    /// The names of the kernels in it.
    pub entries: &'static [&'static str],
}

/// Every file of kernels, for every architecture that it was compiled for.
pub fn embedded() -> &'static [Ptx] {
    include!("../ptx/table.rs")
}

/// Finds a file of kernels for a GPU of the given compute capability, compiled
/// for the highest architecture that the GPU runs. Returns `None` if the file
/// does not exist, or if the GPU is too old for it.
///
/// ```
/// use poai_cuda::{Version, kernels};
///
/// let hopper = Version { major: 9, minor: 0 };
/// let ptx = kernels::find("check", hopper).expect("every GPU runs it");
/// assert_eq!(ptx.entries, ["check"]);
/// ```
pub fn find(file: &str, capability: Version) -> Option<&'static Ptx> {
    best(embedded(), file, capability)
}

fn best<'a>(table: &'a [Ptx], file: &str, capability: Version) -> Option<&'a Ptx> {
    table
        .iter()
        .filter(|ptx| ptx.file == file && ptx.architecture.runs_on(capability))
        // At equal capability, code for that capability alone can use more
        // instructions.
        .max_by_key(|ptx| (ptx.architecture.capability, ptx.architecture.only_this))
}

/// The answer of the kernel `check` for words of four signed bytes each. The
/// shorter of `a` and `b` determines the number of words.
pub fn check_answer(a: &[u32], b: &[u32]) -> u32 {
    let dot = |a: u32, b: u32| -> i32 {
        let products = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
        products.map(|(a, b)| i32::from(a as i8) * i32::from(b as i8)).sum()
    };
    a.iter().zip(b).zip(0..).fold(0, |answer, ((a, b), i)| {
        let sum = (dot(*a, *b) as u32).wrapping_add(i);
        answer ^ sum.rotate_left(1 + i % 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::DRIVER;

    fn ptx(file: &'static str, major: u32, minor: u32, only_this: bool) -> Ptx {
        let architecture = Architecture { capability: Version { major, minor }, only_this };
        Ptx { file, architecture, text: "", entries: &[] }
    }

    #[test]
    fn the_ptx_version_is_that_of_the_oldest_driver_accepted() {
        // Release notes of the PTX manual: version 8.0 came with CUDA 12.0.
        // If one changes, review the other, and the NVRTC release pinned in
        // scripts/requirements-kernels.txt.
        let release = Version { major: 12, minor: 0 };
        assert_eq!((DRIVER, PTX_VERSION), (release, Version { major: 8, minor: 0 }));
    }

    #[test]
    fn the_best_of_what_a_card_runs_is_found() {
        let table = [
            ptx("product", 6, 1, false),
            ptx("product", 9, 0, true),
            ptx("product", 9, 0, false),
            ptx("product", 8, 0, false),
            ptx("other", 7, 5, false),
        ];
        let found = |file, major, minor| {
            let best = best(&table, file, Version { major, minor })?;
            let Architecture { capability, only_this } = best.architecture;
            assert_eq!(best.file, file);
            Some((capability.major, capability.minor, only_this))
        };
        assert_eq!(found("product", 6, 0), None);
        assert_eq!(found("product", 6, 1), Some((6, 1, false)));
        assert_eq!(found("product", 7, 5), Some((6, 1, false)));
        assert_eq!(found("product", 8, 9), Some((8, 0, false)));
        assert_eq!(found("product", 9, 0), Some((9, 0, true)));
        assert_eq!(found("product", 12, 0), Some((9, 0, false)));
        assert_eq!(found("other", 7, 0), None);
        assert_eq!(found("another", 9, 0), None);
    }

    #[test]
    fn the_answer_of_the_check_is_worked_out() {
        assert_eq!(check_answer(&[], &[]), 0);
        // Bytes 1, 2, 3, −4 by 5, 6, 7, 8: 5 + 12 + 21 − 32 = 6.
        let (a, b) = (0xfc03_0201, 0x0807_0605);
        assert_eq!(check_answer(&[a], &[b]), 6 << 1);
        // The second word: (6 + 1) rotated by 2; the third: −128·−128 + 2 by 3.
        assert_eq!(check_answer(&[a, a], &[b, b]), (6 << 1) ^ (7 << 2));
        let min = 0x80;
        assert_eq!(check_answer(&[a, a, min], &[b, b, min]), 12 ^ 28 ^ (16386 << 3));
        // A negative sum, rotated: −1·1 of word 0 by 1.
        assert_eq!(check_answer(&[0xff], &[1]), u32::MAX);
    }
}
