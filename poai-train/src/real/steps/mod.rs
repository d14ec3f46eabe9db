//! What each kind of step computes, in real numbers.
//!
//! - `tables`: functions of one number that a table holds.
//! - `entries`: steps that compute each entry from the same place.
//! - `products`: products, and shifts by exponents.
//! - `rows`: norms, softmax, and gradients of a row.
//! - `blocks`: attention.
//! - `windows`: steps that look through windows, and their gradients.
//! - `moves`: steps that move entries, integers included.

mod blocks;
mod entries;
mod moves;
mod products;
mod rows;
mod tables;
mod windows;

use super::error::RealError;
use super::value::{Real, RealValue};
use ndarray::{Array2, CowArray, Ix2};
use poai_core::program::ops::Local;
use poai_core::program::training::BlockKind;
use poai_core::program::{Op, TrainingOp};

/// A constant, as integers and as real numbers.
#[derive(Clone, Debug)]
pub struct RealConstant<F> {
    pub(super) integers: Array2<i32>,
    pub(super) reals: Array2<F>,
}

impl<F: Real> RealConstant<F> {
    pub(super) fn new(integers: Array2<i32>) -> RealConstant<F> {
        let reals = integers.mapv(|x| F::of(x.into()));
        RealConstant { integers, reals }
    }
}

/// A type that steps are compiled for in this crate, not in the crate that runs them:
/// tests are compiled without optimisation.
pub trait Compiled: Sized {
    /// Computes a step's value.
    fn compute(reading: &Reading<'_, Self>) -> Result<RealValue<Self>, RealError>;
}

impl Compiled for f32 {
    #[inline(never)]
    fn compute(reading: &Reading<'_, f32>) -> Result<RealValue<f32>, RealError> {
        reading.compute()
    }
}

impl Compiled for f64 {
    #[inline(never)]
    fn compute(reading: &Reading<'_, f64>) -> Result<RealValue<f64>, RealError> {
        reading.compute()
    }
}

/// A step with what it reads.
#[derive(Debug)]
pub struct Reading<'a, F> {
    /// The step's name.
    pub(super) name: &'a str,
    /// The step, with all shapes.
    pub(super) local: Local<'a>,
    /// The values of its inputs.
    pub(super) inputs: Vec<&'a RealValue<F>>,
    /// Its constants.
    pub(super) constants: Vec<&'a RealConstant<F>>,
}

impl<'a, F: Real> Reading<'a, F> {
    /// Computes the step's value.
    fn compute(&self) -> Result<RealValue<F>, RealError> {
        match self.local.op {
            Op::Training(op) => self.training(op),
            op => self.forward(op),
        }
    }

    fn forward(&self, op: &Op) -> Result<RealValue<F>, RealError> {
        let real = match *op {
            Op::Unfold(window) => return self.unfold(&window, [1, 1], 1, 0),
            Op::GroupUnfold(window) => {
                let covered = window.covered().ok_or_else(|| self.internal())?;
                return self.unfold(&covered, window.dilation, window.groups, window.fill);
            }
            Op::Transpose => return self.transpose_items(),
            Op::Reshape { .. } => return self.reshape(),
            Op::Arrange { .. } => return self.arrange(),
            Op::Linear { ref shifts, .. } => self.linear(1, shifts)?,
            Op::GroupLinear { groups, ref shifts, .. } => self.linear(groups as usize, shifts)?,
            Op::Product { blocks, shift, .. } => self.product(blocks as usize, shift)?,
            Op::MaxPool(ref window) => self.max_pool(window)?,
            Op::AveragePool(ref window) => self.average_pool(window)?,
            Op::MeanPool => self.mean_pool()?,
            Op::Softmax { multiplier, shift, one, .. } => self.softmax(multiplier, shift, one)?,
            Op::Normalise { centre, shift, .. } => self.normalise(centre, shift)?,
            Op::L2Normalise => self.l2_normalise()?,
            Op::Embed { shift, .. } => self.embed(shift)?,
            Op::AddRows { .. } => self.add_rows()?,
            Op::RowScale => self.row_scale()?,
            Op::Add { .. }
            | Op::Requantise { .. }
            | Op::ScaleColumns { .. }
            | Op::Relu
            | Op::Table { .. }
            | Op::Quantise
            | Op::Mul { .. }
            | Op::Curve { .. } => self.entries(op)?,
            _ => return Err(self.unknown()),
        };
        Ok(RealValue::Real(real))
    }

    fn training(&self, op: &TrainingOp) -> Result<RealValue<F>, RealError> {
        let real = match op {
            TrainingOp::TransposeTiles => return self.transpose(),
            TrainingOp::Gather { .. } => return self.gather(),
            TrainingOp::Draw { samples } => return self.draw(*samples),
            TrainingOp::Exponent { per_row } => return self.exponent(*per_row),
            TrainingOp::NextExponent => return self.next_exponent(),
            TrainingOp::Rescale { shift, stream, multiplier, clamp } => match stream {
                // The mask of a dropout: 0 or 1, drawn as in integers.
                Some(stream) if (clamp.min, clamp.max) == (0, 1) => {
                    return self.mask(shift, *stream, *multiplier);
                }
                _ => self.rescale(shift, *multiplier)?,
            },
            TrainingOp::ScaledProduct { shift, bias, bias_shift, .. } => {
                self.scaled_product(shift, *bias, *bias_shift)?
            }
            TrainingOp::RowSum => self.row_sum()?,
            TrainingOp::Gate { index_shift, shift, .. } => self.gate(*index_shift, *shift)?,
            TrainingOp::CrossEntropy { multiplier, shift, fraction, .. } => {
                self.cross_entropy(*multiplier, *shift, *fraction)?
            }
            TrainingOp::NormaliseGradient { centre, shift, .. } => {
                self.normalise_gradient(*centre, *shift)?
            }
            TrainingOp::ScatterAdd { rows } => self.scatter_add(*rows as usize)?,
            TrainingOp::UnfoldGradient(window) => self.unfold_gradient(window)?,
            TrainingOp::MaxPoolGradient(window) => self.max_pool_gradient(window)?,
            TrainingOp::Block { kind, heads, shift, offset, multiplier, .. } => {
                let heads = *heads as usize;
                let products = match kind {
                    BlockKind::Scores => self.scores(heads, *offset)?,
                    BlockKind::Mix => self.mix(heads, *offset, false)?,
                    BlockKind::MixBack => self.mix(heads, *offset, true)?,
                };
                self.shifted(products, *multiplier, shift, 2)?
            }
            TrainingOp::Exponentials { causal, multiplier, shift, .. } => {
                self.exponentials(*causal, *multiplier, *shift)?
            }
            TrainingOp::DivideBySums { shift, .. } => self.divide_by_sums(*shift)?,
            TrainingOp::SoftmaxGradient => self.softmax_gradient()?,
            TrainingOp::MeanPoolGradient { .. } => self.mean_pool_gradient()?,
            TrainingOp::Descend { shift, decay, .. } => self.descend(*shift, *decay)?,
            TrainingOp::SecondMoment { shift } => self.second_moment(*shift)?,
            TrainingOp::Ratio { .. } => self.ratio()?,
            _ => return Err(self.unknown()),
        };
        Ok(RealValue::Real(real))
    }

    /// Rows and columns of the output.
    pub(super) fn output(&self) -> (usize, usize) {
        (self.local.output.rows as usize, self.local.output.columns as usize)
    }

    fn input(&self, slot: usize) -> Result<&'a RealValue<F>, RealError> {
        self.inputs.get(slot).copied().ok_or_else(|| self.internal())
    }

    fn reals(&self, slot: usize) -> Result<CowArray<'a, F, Ix2>, RealError> {
        Ok(self.input(slot)?.reals())
    }

    fn constant(&self, index: usize) -> Result<&'a RealConstant<F>, RealError> {
        self.constants.get(index).copied().ok_or_else(|| self.internal())
    }

    /// The rows of an item of an input.
    fn item_rows(&self, slot: usize) -> usize {
        self.local.item_rows(slot) as usize
    }

    fn items(&self) -> usize {
        self.local.run.batch as usize
    }

    fn internal(&self) -> RealError {
        RealError::Internal(self.name.into())
    }

    fn unknown(&self) -> RealError {
        RealError::Kind { step: self.name.into(), kind: self.local.op.name() }
    }

    /// An entry that names one of `end` rows.
    fn index(&self, got: i32, end: usize) -> Result<usize, RealError> {
        let index = usize::try_from(got).ok().filter(|&index| index < end);
        let wrong = || RealError::Index { step: self.name.into(), end, got: got.into() };
        index.ok_or_else(wrong)
    }
}
