//! Shifts by powers of two as multipliers with a shift, in standard form where they fit.

use poai_core::program::training::Shift;
use poai_core::program::{Clamp, Dtype, Op, Program, TrainingOp, standard};
use poai_engine::execute::Network;

/// The largest power of two among multipliers.
const POWER_MAX: i32 = 30;
/// The largest shift of a step.
const SHIFT_MAX: i32 = 62;

/// x·M·2^−s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scaled {
    /// M.
    pub(super) multiplier: i32,
    /// s.
    pub(super) shift: u8,
}

/// A product's x·2^−shift. It is of the standard form if M is below 2^26.
pub(super) fn scaled(shift: i32, output: Dtype) -> Scaled {
    let standard = i32::from(standard::shift(output));
    let power = standard - shift;
    let (power, shift) = match power {
        0.. if power < i32::from(standard::CHANNEL_BITS) => (power, standard),
        // A sum has fewer than 32 bits. Beyond these numbers, each entry of i8 or i16 is 0
        // or an end of the clamp.
        _ => ((-shift).clamp(0, POWER_MAX), shift.clamp(0, SHIFT_MAX)),
    };
    // Exact: both are in 0..=62.
    Scaled { multiplier: 1 << power, shift: shift as u8 }
}

/// `clamp(shift(x·multiplier, p))` as a step.
///
/// It is a requantise step, which proofs of inference know, if p permits that.
pub(super) fn rescale(multiplier: i32, p: i32, clamp: Clamp) -> Op {
    let standard = i32::from(standard::shift(clamp.dtype));
    let times = |power: i32| {
        let most = 1i64 << standard::MULTIPLIER_BITS;
        let power = u32::try_from(power).ok().filter(|power| *power < 31)?;
        // Exact: 32 bits and 31 more.
        let product = i64::from(multiplier) << power;
        (product.abs() < most).then(|| i32::try_from(product).ok())?
    };
    let step = |multiplier, shift: i32| {
        let shift = u8::try_from(shift).ok()?;
        Some(Op::Requantise { multiplier, shift, clamp })
    };
    let own = match p {
        0 => step(multiplier, 0),
        1..=SHIFT_MAX => match times(standard - p) {
            Some(multiplier) => step(multiplier, standard),
            None => step(multiplier, p),
        },
        _ => times(p.saturating_neg()).and_then(|multiplier| step(multiplier, 0)),
    };
    let rest = || {
        let shift = Shift::fixed(p.clamp(-SHIFT_MAX, SHIFT_MAX));
        Op::Training(TrainingOp::Rescale { shift, stream: None, multiplier, clamp })
    };
    own.unwrap_or_else(rest)
}

/// Whether a network is of the standard form, so that it can take a key of its
/// architecture.
pub(super) fn is_standard(network: &Network) -> bool {
    let program: &Program = network.program();
    let bias = 1i32 << standard::BIAS_BITS;
    let (channel, multipliers) = (1 << standard::CHANNEL_BITS, 1 << standard::MULTIPLIER_BITS);
    let fits = |entries: Vec<i32>| {
        let fits = |row: &[i32]| match row {
            [b0, m, b1] => (1 - bias..bias).contains(b0) && (0..channel).contains(m) && *b1 == 0,
            _ => false,
        };
        entries.chunks(3).all(fits)
    };
    program.steps().iter().all(|step| match &step.op {
        Op::Linear { requantise, shifts, clamp, .. } => {
            let held = network.constants().get(requantise.0 as usize);
            let entries = held.map(|held| held.tensor.entries());
            *shifts == [standard::shift(clamp.dtype), 0, 0] && entries.is_some_and(fits)
        }
        Op::Requantise { multiplier, shift, clamp } => {
            let shifted = *shift == standard::shift(clamp.dtype);
            *shift == 0 || (shifted && (0..multipliers).contains(multiplier))
        }
        Op::Add { multipliers: both, shift, clamp } => {
            let shifted = *shift == standard::shift(clamp.dtype);
            *shift == 0 || (shifted && both.iter().all(|m| (0..multipliers).contains(m)))
        }
        Op::Unfold(_) | Op::Relu | Op::MaxPool(_) | Op::AveragePool(_) | Op::Reshape { .. } => true,
        // Other steps have numbers that a key fixes, or have no circuit.
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `clamp(shift(x, p))` as it is defined.
    fn defined(x: i64, p: i32, clamp: Clamp) -> i64 {
        let shifted = match p {
            ..=0 => i128::from(x) << -p,
            _ => (i128::from(x) + (1 << (p - 1))) >> p,
        };
        shifted.clamp(clamp.min.into(), clamp.max.into()) as i64
    }

    #[test]
    fn multipliers_and_shifts_are_the_shift_that_they_replace() {
        let numbers = [0, 1, -1, 2, -3, 31, 32, -33, 127, 4095, -4096, 70_000, -(1 << 28), 1 << 30];
        for clamp in [Clamp::SYMMETRIC, Clamp::full(Dtype::I16)] {
            for p in -40..=62 {
                let Scaled { multiplier, shift } = scaled(p, clamp.dtype);
                let moved = |x: i64| defined(x * i64::from(multiplier), shift.into(), clamp);
                for x in numbers {
                    assert_eq!(moved(x), defined(x, p, clamp), "{x} by {p}, {clamp:?}");
                }
                for times in [1, -3] {
                    let other = |x: i64| match rescale(times, p, clamp) {
                        Op::Requantise { multiplier, shift, .. } => {
                            defined(x * i64::from(multiplier), shift.into(), clamp)
                        }
                        Op::Training(TrainingOp::Rescale { shift, multiplier, .. }) => {
                            defined(x * i64::from(multiplier), shift.base, clamp)
                        }
                        other => panic!("{other:?}"),
                    };
                    for x in numbers {
                        let expected = defined(x * i64::from(times), p, clamp);
                        assert_eq!(other(x), expected, "{x}·{times} by {p}, {clamp:?}");
                    }
                }
            }
        }
        // The standard form's shift, as long as it permits the multiplier.
        assert_eq!(scaled(24, Dtype::I8), Scaled { multiplier: 1, shift: 24 });
        assert_eq!(scaled(-1, Dtype::I8), Scaled { multiplier: 1 << 25, shift: 24 });
        assert_eq!(scaled(-2, Dtype::I8), Scaled { multiplier: 4, shift: 0 });
    }
}
