//! Difficulty, in expected multiply-accumulates (MACs) per win (spec §6).

use crate::digest::Ticket;
use crate::params::Params;
use core::fmt;
use core::num::NonZeroU128;
use core::str::FromStr;

/// Why a number or a text is not a difficulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DifficultyError {
    /// Zero MACs: every ticket would win, and prices would divide by zero.
    #[error("expected a difficulty of at least 1 MAC, got 0; raise it")]
    Zero,
    /// The text is not a decimal number like `16777216`, `5e9` or `1.5e12`.
    #[error("expected a number of MACs, got other text; write an integer, or like 5e9")]
    Syntax,
    /// The text is a number, but not an integer.
    #[error("expected a whole number of MACs, got a fraction; write an integer, or like 5e9")]
    Fraction,
    /// The text is a number that does not fit 128 bits.
    #[error("expected a difficulty below 2^128, got a larger number; lower it")]
    TooLarge,
}

/// The expected multiply-accumulates (MACs) behind one winning ticket.
///
/// It is never zero. It does not depend on the shape, so a network's hashrate
/// is in MAC/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difficulty(NonZeroU128);

impl Difficulty {
    /// The difficulty at which every ticket wins. It serves to list all
    /// tickets.
    pub const ONE: Difficulty = Difficulty(NonZeroU128::MIN);

    /// The least difficulty of a block, `t²·16384 = 2^24` MACs.
    ///
    /// Below it the chance of a win saturates, and pricing would depend on k.
    pub const BLOCK_MIN: Difficulty = match NonZeroU128::new(1 << 24) {
        Some(macs) => Difficulty(macs),
        None => panic!("2^24 is not 0"),
    };

    /// A difficulty of `macs` MACs.
    ///
    /// # Errors
    /// [`DifficultyError::Zero`] if `macs` is 0.
    pub const fn new(macs: u128) -> Result<Difficulty, DifficultyError> {
        match NonZeroU128::new(macs) {
            Some(macs) => Ok(Difficulty(macs)),
            None => Err(DifficultyError::Zero),
        }
    }

    /// The expected MACs per win.
    pub const fn macs(&self) -> u128 {
        self.0.get()
    }

    /// Whether a ticket of a product of depth `k` wins.
    ///
    /// The test is `ticket · difficulty < t·t·k · 2^256`, exactly.
    pub fn wins(&self, params: &Params, k: u32, ticket: &Ticket) -> bool {
        // The right side is a multiple of 2^256. It is therefore exact to
        // compare only the bits of the 384-bit product from 2^256 up.
        product_above_256(ticket, self.macs()) < u128::from(params.macs_per_ticket(k))
    }

    /// The threshold of depth `k`, for backends that compare 256-bit numbers.
    ///
    /// `wins` holds for exactly those tickets that are at most this threshold.
    pub fn target(&self, params: &Params, k: u32) -> Target {
        // Greedy from the top bit: `wins` is monotone in the ticket.
        let mut largest = Ticket([0; 32]);
        for bit in 0..256 {
            let mut candidate = largest;
            candidate.0[bit / 8] |= 0x80 >> (bit % 8);
            if self.wins(params, k, &candidate) {
                largest = candidate;
            }
        }
        Target(largest)
    }

    /// The largest difficulty at which a ticket wins, or `None` if it never
    /// wins.
    ///
    /// `None` is impossible for a permitted shape, where every ticket wins at
    /// 1.
    pub fn largest_won(params: &Params, k: u32, ticket: &Ticket) -> Option<Difficulty> {
        let mut largest = 0;
        for bit in (0..128).rev() {
            let candidate = largest | 1 << bit;
            if product_above_256(ticket, candidate) < u128::from(params.macs_per_ticket(k)) {
                largest = candidate;
            }
        }
        NonZeroU128::new(largest).map(Difficulty)
    }
}

/// `⌊ticket · factor / 2^256⌋`, by schoolbook multiplication.
///
/// The limbs have 64 bits, the least significant first.
fn product_above_256(ticket: &Ticket, factor: u128) -> u128 {
    let factor = [factor as u64, (factor >> 64) as u64];
    let mut limbs = [0u64; 6];
    for (i, bytes) in ticket.0.as_chunks::<8>().0.iter().rev().enumerate() {
        let digit = u128::from(u64::from_be_bytes(*bytes));
        let mut carry = 0;
        for (j, &other) in factor.iter().enumerate() {
            // At most (2^64 − 1)² + 2·(2^64 − 1) = 2^128 − 1: never overflows.
            let sum = digit * u128::from(other) + u128::from(limbs[i + j]) + carry;
            limbs[i + j] = sum as u64;
            carry = sum >> 64;
        }
        limbs[i + 2] = carry as u64;
    }
    u128::from(limbs[5]) << 64 | u128::from(limbs[4])
}

/// A 256-bit threshold: a ticket wins if and only if it is at most this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Target(Ticket);

impl Target {
    /// The threshold with `largest` as its largest winning ticket.
    pub const fn up_to(largest: Ticket) -> Target {
        Target(largest)
    }

    /// Whether a ticket wins.
    pub fn is_met_by(&self, ticket: &Ticket) -> bool {
        *ticket <= self.0
    }

    /// The largest winning ticket.
    pub fn largest(&self) -> &Ticket {
        &self.0
    }
}

impl TryFrom<u128> for Difficulty {
    type Error = DifficultyError;

    fn try_from(macs: u128) -> Result<Self, DifficultyError> {
        Difficulty::new(macs)
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Difficulty {
    type Err = DifficultyError;

    /// Reads an integer (`16777216`), or scientific notation for one (`5e9`,
    /// `1.5e12`).
    ///
    /// The result is exact: no floating point is involved.
    fn from_str(text: &str) -> Result<Self, DifficultyError> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let digits = exponent.strip_prefix('+').unwrap_or(exponent);
                (mantissa, parse_digits(digits)?)
            }
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let fraction_digits = fraction.trim_end_matches('0');
        let mut macs = parse_digits(whole)?;
        parse_digits(fraction)?;
        let shift =
            exponent.checked_sub(fraction_digits.len() as u128).ok_or(DifficultyError::Fraction)?;
        for digit in fraction_digits.bytes() {
            macs = scale(macs, u128::from(digit - b'0'))?;
        }
        if macs == 0 {
            return Err(DifficultyError::Zero);
        }
        for _ in 0..shift {
            // Ends after at most 39 rounds, because then `macs` no longer fits.
            macs = scale(macs, 0)?;
        }
        Difficulty::new(macs)
    }
}

/// `10·macs + digit`.
fn scale(macs: u128, digit: u128) -> Result<u128, DifficultyError> {
    macs.checked_mul(10)
        .and_then(|tenfold| tenfold.checked_add(digit))
        .ok_or(DifficultyError::TooLarge)
}

/// The value of a non-empty string of decimal digits.
fn parse_digits(text: &str) -> Result<u128, DifficultyError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DifficultyError::Syntax);
    }
    text.bytes().try_fold(0, |value, byte| scale(value, u128::from(byte - b'0')))
}

#[cfg(feature = "serde")]
impl serde::Serialize for Difficulty {
    /// Writes decimal text in human-readable formats, because their numbers may
    /// be exact only up to 2^53.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { to.serialize_u128(self.macs()) }
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Difficulty {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if from.is_human_readable() {
            let text = alloc::string::String::deserialize(from)?;
            text.parse().map_err(D::Error::custom)
        } else {
            Difficulty::new(u128::deserialize(from)?).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_above_256_matches_extremes() {
        let top = Ticket([0xff; 32]);
        // (2^256 − 1)(2^128 − 1) = 2^384 − 2^256 − 2^128 + 1
        assert_eq!(product_above_256(&top, u128::MAX), u128::MAX - 1);
        assert_eq!(product_above_256(&top, 1), 0);
        let mut one_above = Ticket([0; 32]);
        one_above.0[0] = 0x80;
        assert_eq!(product_above_256(&one_above, 6), 3);
        assert_eq!(product_above_256(&one_above, 1 << 127), 1 << 126);
    }

    #[test]
    fn texts() {
        let parse = |text: &str| text.parse::<Difficulty>().map(|d| d.macs());
        assert_eq!(parse("16777216"), Ok(1 << 24));
        assert_eq!(parse("5e9"), Ok(5_000_000_000));
        assert_eq!(parse("1.5E+12"), Ok(1_500_000_000_000));
        assert_eq!(parse("2.50e1"), Ok(25));
        assert_eq!(parse("340282366920938463463374607431768211455"), Ok(u128::MAX));
        assert_eq!(
            parse("340282366920938463463374607431768211456"),
            Err(DifficultyError::TooLarge)
        );
        assert_eq!(parse("1e39"), Err(DifficultyError::TooLarge));
        assert_eq!(
            parse("1e340282366920938463463374607431768211455"),
            Err(DifficultyError::TooLarge)
        );
        assert_eq!(parse("1.5"), Err(DifficultyError::Fraction));
        assert_eq!(parse("0"), Err(DifficultyError::Zero));
        assert_eq!(parse("0e99999999"), Err(DifficultyError::Zero));
        for text in ["", "-1", "e9", "5e", "1.e3", ".5e3", "0x10", "5e-1", "1_000", " 1", "1.5.5"] {
            assert_eq!(parse(text), Err(DifficultyError::Syntax), "{text:?}");
        }
    }
}
