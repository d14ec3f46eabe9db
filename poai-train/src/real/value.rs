//! Values: reals, or integers where a real number would lose bits.

use super::steps::Compiled;
use ndarray::{Array2, CowArray, Ix2, NdFloat};
use poai_engine::execute::Tensor;

/// A floating-point type that a program is read in: f32 or f64.
pub trait Real: NdFloat + Compiled {
    /// The nearest number of this type.
    fn of(x: f64) -> Self;

    /// The number as f64.
    fn wide(self) -> f64;

    /// 2^power.
    fn power(power: i64) -> Self {
        // A power beyond f64's becomes 0 or infinity.
        Self::of(libm::exp2(power as f64))
    }
}

impl Real for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }

    fn wide(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    fn of(x: f64) -> f64 {
        x
    }

    fn wide(self) -> f64 {
        self
    }
}

/// A value of a program in its real reading, in the integers' units.
#[derive(Clone, Debug, PartialEq)]
pub enum RealValue<F> {
    /// Integers: ids, random numbers, exponents, and inputs that are no states.
    Exact(Array2<i32>),
    /// Real numbers.
    Real(Array2<F>),
}

impl<F: Real> RealValue<F> {
    /// A tensor's entries, as integers.
    pub fn exact(tensor: &Tensor) -> RealValue<F> {
        RealValue::Exact(entries(tensor))
    }

    /// A tensor's entries, as real numbers.
    pub fn real(tensor: &Tensor) -> RealValue<F> {
        RealValue::Real(entries(tensor).mapv(|x| F::of(x.into())))
    }

    /// Rows and columns.
    pub fn dim(&self) -> (usize, usize) {
        match self {
            RealValue::Exact(x) => x.dim(),
            RealValue::Real(x) => x.dim(),
        }
    }

    /// The entries as real numbers.
    pub fn reals(&self) -> CowArray<'_, F, Ix2> {
        match self {
            RealValue::Exact(x) => x.mapv(|x| F::of(x.into())).into(),
            RealValue::Real(x) => x.view().into(),
        }
    }

    /// The entries as integers. Real numbers are rounded to the nearest.
    pub fn integers(&self) -> CowArray<'_, i32, Ix2> {
        match self {
            RealValue::Exact(x) => x.view().into(),
            // A number beyond i32 saturates.
            RealValue::Real(x) => x.mapv(|x| x.round().wide() as i32).into(),
        }
    }

    /// The entry of a value of one entry, or of the first row.
    pub(super) fn first(&self) -> F {
        match self {
            RealValue::Exact(x) => x.first().map_or(F::zero(), |&x| F::of(x.into())),
            RealValue::Real(x) => x.first().copied().unwrap_or(F::zero()),
        }
    }
}

/// A tensor's entries as an array.
pub(super) fn entries(tensor: &Tensor) -> Array2<i32> {
    let extent = tensor.extent();
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    let entries = tensor.entries();
    // A tensor has rows·columns entries.
    Array2::from_shape_vec((rows, columns), entries).unwrap_or_else(|_| Array2::zeros((0, 0)))
}
