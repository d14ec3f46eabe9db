//! Integers in a circuit: linear combinations with known bounds.
//!
//! The bounds ensure that no arithmetic wraps around the field, and that every
//! decomposition is as narrow as the program allows.

use super::super::system::{Lc, System};
use ark_bn254::Fr;
use ark_ff::Zero;

/// Bits of the widest integer whose arithmetic cannot wrap: the product of two
/// such integers stays below the field's 254 bits.
const WIDEST: u32 = 120;

/// An integer of the circuit.
#[derive(Clone, Debug)]
pub struct Number {
    lc: Lc,
    value: i128,
    /// The least and the largest value in every honest assignment.
    bounds: (i128, i128),
}

/// An integer as a field element.
pub(crate) fn field(value: i128) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

impl Number {
    /// A constant.
    pub(super) fn constant(value: i128) -> Number {
        Number { lc: Lc::constant(field(value)), value, bounds: (value, value) }
    }

    /// A witness that is *not* constrained to its bounds. The caller adds the
    /// constraints that enforce them.
    pub(super) fn witness(system: &mut System, value: i128, bounds: (i128, i128)) -> Number {
        Number { lc: system.witness(field(value)), value, bounds }
    }

    /// A combination whose bounds constraints enforce.
    pub(super) fn bounded(lc: Lc, value: i128, bounds: (i128, i128)) -> Number {
        Number { lc, value, bounds }
    }

    /// The linear combination.
    pub fn lc(&self) -> &Lc {
        &self.lc
    }

    /// The value in this assignment.
    pub fn value(&self) -> i128 {
        self.value
    }

    /// The least and the largest value.
    pub fn bounds(&self) -> (i128, i128) {
        self.bounds
    }

    /// Whether the value is the same in every assignment.
    pub(super) fn is_constant(&self) -> bool {
        self.lc.is_constant()
    }

    /// Σ factor·number + constant.
    pub(super) fn sum<'a>(
        parts: impl IntoIterator<Item = (i128, &'a Number)> + Clone,
        constant: i128,
    ) -> Number {
        let (mut value, mut least, mut most) = (constant, constant, constant);
        for (factor, number) in parts.clone() {
            value += factor * number.value;
            let ends = [factor * number.bounds.0, factor * number.bounds.1];
            least += ends[0].min(ends[1]);
            most += ends[0].max(ends[1]);
        }
        let constant = Lc::constant(field(constant));
        let terms = parts.into_iter().filter(|&(factor, _)| factor != 0);
        let terms = terms.map(|(factor, number)| (field(factor), &number.lc));
        let lc = Lc::sum(terms.chain([(field(1), &constant)]));
        Number { lc, value, bounds: (least, most) }.narrow()
    }

    pub(super) fn plus(&self, constant: i128) -> Number {
        Number::sum([(1, self)], constant)
    }

    pub(super) fn times(&self, factor: i128) -> Number {
        Number::sum([(factor, self)], 0)
    }

    pub(super) fn minus(&self, other: &Number) -> Number {
        Number::sum([(1, self), (-1, other)], 0)
    }

    /// The product of two numbers. It takes a constraint if neither is
    /// constant.
    pub(super) fn product(system: &mut System, a: &Number, b: &Number) -> Number {
        for (a, b) in [(a, b), (b, a)] {
            if a.is_constant() {
                return b.times(a.value);
            }
        }
        let value = a.value * b.value;
        let ends = [
            a.bounds.0 * b.bounds.0,
            a.bounds.0 * b.bounds.1,
            a.bounds.1 * b.bounds.0,
            a.bounds.1 * b.bounds.1,
        ];
        let least = ends.into_iter().fold(i128::MAX, i128::min);
        let most = ends.into_iter().fold(i128::MIN, i128::max);
        let product = Number::witness(system, value, (least, most)).narrow();
        system.enforce(a.lc.clone(), b.lc.clone(), product.lc.clone());
        product
    }

    /// Checks bounds against the width that arithmetic supports.
    ///
    /// # Panics
    /// If a bound has more than [`WIDEST`] bits. i32 entries, multipliers and
    /// rows of 2^16 entries cannot reach that.
    fn narrow(self) -> Number {
        let wide = |end: i128| end.unsigned_abs() >> WIDEST != 0;
        assert!(!wide(self.bounds.0) && !wide(self.bounds.1), "{:?}", self.bounds);
        self
    }
}

/// A number that is 0 or 1.
#[derive(Clone, Debug)]
pub struct Bit(Number);

impl Bit {
    /// A witness that is 0 or 1, which takes one constraint.
    pub(super) fn witness(system: &mut System, value: bool) -> Bit {
        let bit = Number::witness(system, value.into(), (0, 1));
        let less = bit.plus(-1);
        system.enforce(bit.lc.clone(), less.lc, Lc::default());
        Bit(bit)
    }

    pub(super) fn constant(value: bool) -> Bit {
        Bit(Number::constant(value.into()))
    }

    /// A bit from a combination that constraints limit to 0 or 1.
    pub(super) fn of(number: Number) -> Bit {
        Bit(number)
    }

    /// The bit as a number.
    pub fn number(&self) -> &Number {
        &self.0
    }

    pub(super) fn not(&self) -> Bit {
        Bit(Number::sum([(-1, &self.0)], 1))
    }

    /// `yes` if the bit is 1, else `no`. It takes one constraint, unless the
    /// bit or the difference is constant.
    pub(super) fn choose(&self, system: &mut System, yes: &Number, no: &Number) -> Number {
        let difference = yes.minus(no);
        let chosen = Number::product(system, &self.0, &difference);
        let sum = Number::sum([(1, &chosen), (1, no)], 0);
        let bounds = (yes.bounds.0.min(no.bounds.0), yes.bounds.1.max(no.bounds.1));
        Number { bounds, ..sum }
    }
}

/// Whether a combination is 0. It takes two constraints.
///
/// The constraints are x·inverse = 1 − zero and x·zero = 0. If x ≠ 0, the
/// second makes `zero` 0, and the first has its inverse. If x = 0, the first
/// makes `zero` 1. The inverse of 0 may have any value, and is the only free
/// variable of the circuit.
pub(super) fn is_zero(system: &mut System, number: &Number) -> Bit {
    use ark_ff::Field;
    if number.is_constant() {
        return Bit::constant(number.value == 0);
    }
    let inverse = field(number.value).inverse().unwrap_or_else(Fr::zero);
    let inverse = system.witness(inverse);
    let zero = Number::witness(system, (number.value == 0).into(), (0, 1));
    system.enforce(number.lc.clone(), inverse, Number::sum([(-1, &zero)], 1).lc);
    system.enforce(number.lc.clone(), zero.lc.clone(), Lc::default());
    Bit(zero)
}
