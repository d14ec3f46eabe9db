//! The partial sums of one tile, and their fold into the transcript (spec §5).
//!
//! Portable code that the compiler vectorises; verifiers and the portable CPU
//! kernel share it.

use crate::params::Params;
use crate::transcript::Transcript;
use alloc::vec;
use alloc::vec::Vec;

/// A tile in the making: `t×t` partial sums and the transcript so far.
#[derive(Clone, Debug)]
pub struct TileSums {
    tile: usize,
    rank: usize,
    step: u32,
    sums: Vec<i32>,
    transcript: Transcript,
}

/// The rows of one strip within one step: row `i` is
/// `entries[i·stride..][..r]`.
#[derive(Clone, Copy, Debug)]
pub struct StepRows<'a> {
    /// The strip's entries from the step's first column on.
    pub entries: &'a [i8],
    /// The distance of two rows, at least the rank.
    pub stride: usize,
}

impl TileSums {
    /// A tile before its first step. Allocates `4·t²` bytes.
    pub fn new(params: &Params) -> TileSums {
        let tile = params.tile();
        TileSums {
            tile,
            rank: params.rank(),
            step: 0,
            sums: vec![0; tile * tile],
            transcript: Transcript::default(),
        }
    }

    /// Starts another tile in the same memory.
    pub fn reset(&mut self) {
        self.step = 0;
        self.sums.fill(0);
        self.transcript = Transcript::default();
    }

    /// Adds one rank-step of noised rows and folds the sums.
    ///
    /// # Panics
    /// If either side has fewer than `t` rows of `r` entries.
    pub fn add_step(&mut self, a: StepRows<'_>, b: StepRows<'_>) {
        let (tile, rank) = (self.tile, self.rank);
        let mut x = 0;
        for (i, sums) in self.sums.chunks_exact_mut(tile).enumerate() {
            let a_row = &a.entries[i * a.stride..][..rank];
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum += dot(a_row, &b.entries[j * b.stride..][..rank]);
                x ^= *sum as u32;
            }
        }
        self.transcript.fold(self.step, x);
        self.step += 1;
    }

    /// The transcript of the steps so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The partial sums, row-major `t×t`.
    pub fn sums(&self) -> &[i32] {
        &self.sums
    }
}

/// The exact dot product of two rows of one step.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    // At most 256 products of magnitude 2^14: no overflow. Widening to i16
    // first is what compilers turn into multiply-add-pairs instructions.
    a.iter().zip(b).map(|(&a, &b)| i32::from(i16::from(a)) * i32::from(i16::from(b))).sum()
}
