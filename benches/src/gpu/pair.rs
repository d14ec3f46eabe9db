//! A pair of operands on the GPU, and the setting of its measurements.

use crate::cublaslt::CublasLt;
use poai_benches::Failure;
use poai_benches::workload::{P, Workload};
use poai_core::difficulty::Target;
use poai_core::puzzle::seeds;
use poai_core::{Challenge, Difficulty, Seed, Shape, Side};
use poai_cuda::measure::{Measure, MeasuredOperand, OnGpu};
use poai_engine::Operand;

/// The setting of a measurement.
pub struct Setting<'a> {
    /// The GPU.
    pub measure: &'a Measure,
    /// cuBLASLt, or the reason why it is missing.
    pub cublaslt: Result<&'a CublasLt, &'a str>,
    /// Samples of each figure.
    pub repeats: usize,
    /// The GPU's tera-MACs a second, if known.
    pub peak: Option<f64>,
}

/// A pair of operands on the host and on the GPU, with memory for products.
pub struct Pair<'a> {
    /// The operands on the backend.
    pub workload: &'a Workload<'a>,
    /// The product's shape.
    pub shape: Shape,
    /// A on the GPU, clean.
    pub a: OnGpu,
    /// Bᵀ on the GPU, clean.
    pub bt: OnGpu,
    /// B's seed, which depends only on the challenge and B.
    pub seed_b: Seed,
    /// Bᵀ, noised once.
    pub b: MeasuredOperand,
    /// Memory for the product: m·n entries.
    pub c: OnGpu,
}

impl<'a> Pair<'a> {
    /// Copies the workload's operands to the GPU and noises B.
    ///
    /// # Errors
    /// The driver's error.
    pub fn new(
        measure: &Measure,
        workload: &'a Workload<'a>,
        shape: Shape,
    ) -> Result<Pair<'a>, Failure> {
        let [on_a, on_b] = [Side::A, Side::B].map(|side| workload.prepared(side));
        let (a, bt) = (
            measure.upload(on_a.operand().as_bytes())?,
            measure.upload(on_b.operand().as_bytes())?,
        );
        let seed_b = seeds::seed_b(&P, &Challenge::default(), shape.n, shape.k, on_b.root());
        let b = measure.noise(&seed_b, on_b.operand(), &bt)?;
        let c = measure.empty(4 * u64::from(shape.m) * u64::from(shape.n))?;
        Ok(Pair { workload, shape, a, bt, seed_b, b, c })
    }

    /// The operand of a side.
    pub fn operand(&self, side: Side) -> &Operand {
        self.workload.prepared(side).operand()
    }

    /// Commits to A on the GPU and noises it under the resulting seed.
    pub fn commit_and_noise(&self, measure: &Measure) -> Result<(Seed, MeasuredOperand), Failure> {
        let root = *measure.tree(&self.a)?.root();
        let seed_a = seeds::seed_a(&self.seed_b, self.shape.m, &root);
        let noised = measure.noise(&seed_a, self.operand(Side::A), &self.a)?;
        Ok((seed_a, noised))
    }

    /// A target that no tile of this product is likely to meet.
    pub fn target(&self) -> Target {
        let macs = self.shape.macs().saturating_mul(1 << 20);
        Difficulty::new(macs).unwrap_or(Difficulty::BLOCK_MIN).target(&P, self.shape.k)
    }

    /// The work of a ticketed product: A is committed and noised, and every
    /// ticket is drawn.
    pub fn ticketed(&self, measure: &Measure) -> Result<(), Failure> {
        let (seed_a, a) = self.commit_and_noise(measure)?;
        Ok(measure.mine(&a, &self.b, &seed_a, &self.target(), None).map(drop)?)
    }

    /// The same, and the exact product.
    pub fn recovered(&self, measure: &Measure) -> Result<(), Failure> {
        let (seed_a, a) = self.commit_and_noise(measure)?;
        Ok(measure.mine(&a, &self.b, &seed_a, &self.target(), Some(&self.c)).map(drop)?)
    }
}
