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
    let kept = 1.0 - fraction(cheated_fraction);
    // Halved as often as grinding doubles, bit by bit, so that neither factor
    // under- or overflows alone.
    let mut escape = power(kept, samples);
    for _ in 0..grinding_bits {
        escape *= 2.0;
        if escape >= 1.0 {
            return 1.0;
        }
    }
    escape.min(1.0)
}

/// The fewest samples with which a fault of that weight escapes with a chance
/// of at most `2^-target_bits`; `None` where 2^32 − 1 are not enough.
pub fn samples_for(cheated_fraction: f64, target_bits: u32, grinding_bits: u32) -> Option<u32> {
    let target = power(0.5, target_bits);
    let enough = |samples| soundness(samples, cheated_fraction, grinding_bits) <= target;
    if target == 0.0 || !enough(u32::MAX) {
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

fn fraction(fraction: f64) -> f64 {
    if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) }
}

/// By squaring: `powi` needs the standard library.
fn power(mut base: f64, mut exponent: u32) -> f64 {
    let mut power = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    power
}
