//! Soundness: how likely a false trace passes an audit (spec §14).

use super::checker::Checker;
use super::error::TraceMalformed;
use poai_core::program::ops::Local;
use poai_core::program::{RunShape, ValueId};
use poai_core::trace::sample::inner_steps;

/// The chances that an audit under a checker's rules passes a false trace:
/// upper bounds, in 0..=1.
///
/// The three chances are far apart. Samples by MACs find MACs in wrong tiles. A
/// prover that skips work can avoid wrong MACs. It makes one early step wrong,
/// such as a row copied to all items, and computes all later steps correctly
/// from it. One wrong tile can make an answer wrong, and few samples of a large
/// run rarely find it. A full check, or the time for demands and fraud proofs,
/// decides whether an answer is right.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Soundness {
    /// The chance for a trace in which the given fraction of the MACs is in
    /// wrong tiles. It bounds neither skipped work nor how wrong the answer is.
    pub macs_wrong: f64,
    /// The chance for a trace in which the given fraction of the work was
    /// skipped. The fractions of wrong entries of all steps add up to it, in
    /// the steps that are drawn most rarely.
    pub work_skipped: f64,
    /// The chance for a trace in which any one tile is wrong, the one that is
    /// drawn most rarely. It bounds every wrong answer to right inputs.
    pub answer_wrong: f64,
}

/// The largest relative error from the rounding of strata and of this module's
/// fractions.
const ROUNDING: f64 = 1.0 - 1.0 / 32768.0;

impl Checker {
    /// How likely an audit of a run passes if the prover fakes `fraction` of
    /// the run and can try `2^grinding_bits` traces, receipts or beacons.
    ///
    /// If a source that the prover cannot influence fixes the beacon after the
    /// receipt is admitted, g is 0. If the trace root itself is the beacon
    /// (Fiat–Shamir), g is the binary logarithm of how many traces the prover
    /// can afford to hash: 60 to 80 is customary.
    ///
    /// A `fraction` outside 0..=1 is taken as the nearer end, NaN as 0.
    ///
    /// # Errors
    /// [`TraceMalformed`] if the rules do not permit the run.
    pub fn soundness(
        &self,
        run: &RunShape,
        fraction: f64,
        grinding_bits: u32,
    ) -> Result<Soundness, TraceMalformed> {
        let (program, rules, extents) = (self.program(), self.rules(), self.extents(run)?);
        let inputs = program.inputs().len();
        let total: u128 = (0..program.values() as u32)
            .map(|value| u128::from(program.macs(ValueId(value), run)))
            .sum();
        let inner = inner_steps(program);
        // Exact: at most 2^16. If it is 0, every step is an output.
        let steps = inner.len() as u32;
        let mut worst = Scaled { mantissa: 0.0, exponent: 0 };
        // The expected number of samples of a step that is wrong as a whole.
        let mut fewest = f64::INFINITY;
        for index in inputs..program.values() {
            // Exact: at most 2^16 + 4096 values.
            let value = ValueId(index as u32);
            let Some(local) = Local::new(program, &extents, *run, value) else { continue };
            let grid = local.grid();
            // The tile at the last row and column is the smallest.
            let rows = local.output.rows - (grid.down - 1) * grid.tile_rows;
            let columns = local.output.columns - (grid.across - 1) * grid.tile_columns;
            let of = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
            let tile = of(rows, local.output.rows) * of(columns, local.output.columns) * ROUNDING;
            let macs = program.macs(value, run) as f64 / (total as f64).max(1.0);
            let products = Scaled::kept(tile * macs).power(rules.product_samples);
            let by_macs = macs * f64::from(rules.product_samples);
            let (own, samples) = if inner.binary_search(&value).is_ok() {
                let (rounds, rest) = (rules.step_samples / steps, rules.step_samples % steps);
                let some = Scaled::kept(tile / f64::from(steps)).power(rest);
                let samples = f64::from(rounds) + f64::from(rest) / f64::from(steps);
                (Scaled::kept(tile).power(rounds).times(some), samples)
            } else if grid.tiles() <= rules.output_tiles.into() {
                (Scaled { mantissa: 0.0, exponent: 0 }, f64::INFINITY)
            } else {
                (Scaled::kept(tile).power(rules.output_tiles), rules.output_tiles.into())
            };
            let escape = products.times(own);
            if worst.is_below(&escape) {
                worst = escape;
            }
            fewest = fewest.min(samples + by_macs);
        }
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) * ROUNDING };
        // If no tile of any step can be wrong unseen, infinity times 0
        // must not become a number of samples.
        let expected = if fraction > 0.0 { fraction * fewest } else { 0.0 };
        let macs_wrong = match total {
            // There are no MACs, so no tile is drawn by them.
            0 => 1.0,
            _ => escape(rules.product_samples, fraction, grinding_bits),
        };
        let chance = |mut escape: Scaled| {
            escape.exponent += i64::from(grinding_bits);
            escape.at_most_one()
        };
        let work_skipped = chance(Scaled::exponential(expected));
        Ok(Soundness { macs_wrong, work_skipped, answer_wrong: chance(worst) })
    }
}

/// An upper bound on the chance that `samples` draws miss a `fraction` of the drawn items, if the
/// prover can try `2^grinding_bits` traces, receipts or beacons: `min(1, 2^g·(1 − f)^q)`. Strata do
/// not increase it, except for their rounding, below one part in 2^15.
///
/// A `fraction` outside 0..=1 is taken as the nearer end, NaN as 0.
pub fn escape(samples: u32, fraction: f64, grinding_bits: u32) -> f64 {
    let mut escape = Scaled::kept(fraction).power(samples);
    escape.exponent += i64::from(grinding_bits);
    escape.at_most_one()
}

/// The fewest samples with which [`escape`] is at most `2^-target_bits`; `None`
/// if 2^32 − 1 are not enough.
pub fn samples_for(fraction: f64, target_bits: u32, grinding_bits: u32) -> Option<u32> {
    let kept = Scaled::kept(fraction);
    let bits = i64::from(target_bits) + i64::from(grinding_bits);
    let enough = |samples| kept.power(samples).is_at_most(-bits);
    if !enough(u32::MAX) {
        return None;
    }
    let (mut low, mut high) = (0, u32::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// `mantissa·2^exponent`, which neither over- nor underflows. Every operation
/// rounds up, because a result rounded to nearest may be below the true bound.
/// The mantissa is in 1..2, or 0.
#[derive(Clone, Copy)]
struct Scaled {
    mantissa: f64,
    exponent: i64,
}

impl Scaled {
    const ONE: Scaled = Scaled { mantissa: 1.0, exponent: 0 };

    /// 1 minus the fraction.
    fn kept(fraction: f64) -> Scaled {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        let kept = 1.0 - fraction;
        // From a half to 1 differences are exact, which shows whether the
        // subtraction was.
        let exact = fraction >= 0.5 || 1.0 - kept == fraction;
        let mut mantissa = if exact { kept } else { kept.next_up().min(1.0) };
        let mut exponent = 0;
        while mantissa > 0.0 && mantissa < 1.0 {
            mantissa *= 2.0;
            exponent -= 1;
        }
        Scaled { mantissa, exponent }
    }

    /// An upper bound of e^−x, for x ≥ 0: e^−y ≤ 1 − y + y²/2, to the power of
    /// 2^16.
    fn exponential(x: f64) -> Scaled {
        let y = (x / 65536.0).min(1.0);
        Scaled::kept(y - y * y / 2.0).power(65536)
    }

    fn times(self, other: Scaled) -> Scaled {
        let (a, b) = (self.mantissa, other.mantissa);
        let exact = [0.0, 1.0].contains(&a) || [0.0, 1.0].contains(&b);
        let product = if exact { a * b } else { (a * b).next_up() };
        let exponent = self.exponent + other.exponent;
        match product >= 2.0 {
            // Halving is exact.
            true => Scaled { mantissa: product / 2.0, exponent: exponent + 1 },
            false => Scaled { mantissa: product, exponent },
        }
    }

    /// The power, by squaring. What is kept is 0 or at least 2^-53, so
    /// exponents stay within 53·2^33.
    fn power(self, mut exponent: u32) -> Scaled {
        let (mut base, mut power) = (self, Scaled::ONE);
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = power.times(base);
            }
            base = base.times(base);
            exponent >>= 1;
        }
        power
    }

    /// Whether it is smaller than `other`.
    fn is_below(&self, other: &Scaled) -> bool {
        match (self.mantissa > 0.0, other.mantissa > 0.0) {
            (true, true) => (self.exponent, self.mantissa) < (other.exponent, other.mantissa),
            (own, theirs) => !own && theirs,
        }
    }

    /// Whether it is at most 2^bits.
    fn is_at_most(self, bits: i64) -> bool {
        self.mantissa == 0.0 || (self.exponent, self.mantissa) <= (bits, 1.0)
    }

    /// The value as a number, at most 1. Unless it is 0, it is at least the
    /// smallest normal number.
    fn at_most_one(self) -> f64 {
        if self.mantissa == 0.0 {
            return 0.0;
        }
        match self.exponent {
            0.. => 1.0,
            -1022.. => {
                // Exact: 1 to 1022 below a bias of 1023.
                let scale = f64::from_bits(((self.exponent + 1023) as u64) << 52);
                self.mantissa * scale
            }
            _ => f64::MIN_POSITIVE,
        }
    }
}
