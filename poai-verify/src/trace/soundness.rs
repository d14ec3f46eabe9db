//! What an audit is worth.

/// An upper bound on the chance that an audit of `samples` tiles passes a
/// trace of which tiles that hold `cheated_fraction` of the sampling weight
/// are wrong (a step's weight spread evenly over its tiles), where the prover
/// can try `2^grinding_bits` traces or beacons: `min(1, 2^g·(1 − f)^q)`.
///
/// With a beacon fixed after the trace root by nobody, g is 0. With the trace
/// root itself as beacon (Fiat–Shamir), g is the binary logarithm of how many
/// traces the prover can afford to hash: 60 to 80 is customary.
///
/// `cheated_fraction` outside 0..=1 is taken as the nearer end, NaN as 0.
pub fn soundness(samples: u32, cheated_fraction: f64, grinding_bits: u32) -> f64 {
    let mut escape = Scaled::kept(cheated_fraction).power(samples);
    escape.exponent += i64::from(grinding_bits);
    escape.at_most_one()
}

/// The fewest samples with which a fault of that weight escapes with a chance
/// of at most `2^-target_bits`; `None` where 2^32 − 1 are not enough.
pub fn samples_for(cheated_fraction: f64, target_bits: u32, grinding_bits: u32) -> Option<u32> {
    let kept = Scaled::kept(cheated_fraction);
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

/// `mantissa·2^exponent`, which neither over- nor underflows, rounded up
/// throughout: a bound that is rounded to nearest may be none. The mantissa is
/// in 1..2, or 0.
#[derive(Clone, Copy)]
struct Scaled {
    mantissa: f64,
    exponent: i64,
}

impl Scaled {
    const ONE: Scaled = Scaled { mantissa: 1.0, exponent: 0 };

    /// What is left of 1.
    fn kept(fraction: f64) -> Scaled {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        let kept = 1.0 - fraction;
        // From a half to 1 differences are exact, which shows whether this was.
        let exact = fraction >= 0.5 || 1.0 - kept == fraction;
        let mut mantissa = if exact { kept } else { kept.next_up().min(1.0) };
        let mut exponent = 0;
        while mantissa > 0.0 && mantissa < 1.0 {
            mantissa *= 2.0;
            exponent -= 1;
        }
        Scaled { mantissa, exponent }
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

    /// By squaring. What is kept is 0 or at least 2^-53, so that exponents stay
    /// within 53·2^33.
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

    /// Whether it is at most 2^bits.
    fn is_at_most(self, bits: i64) -> bool {
        self.mantissa == 0.0 || (self.exponent, self.mantissa) <= (bits, 1.0)
    }

    /// As a number, no larger than 1 and, unless it is 0, no smaller than the
    /// least normal one.
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
