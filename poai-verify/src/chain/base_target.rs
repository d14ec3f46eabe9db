//! A difficulty as the target of one MAC: `⌊2^256 / difficulty⌋`.

use core::fmt;
use poai_core::Difficulty;
use ruint::aliases::U256;

/// The chance, in units of 2^-256, that one multiply-accumulate (MAC) wins; at
/// least 1. Retargeting multiplies it. [`BaseTarget::difficulty`] converts it
/// to the difficulty that a verifier checks proofs against.
///
/// It is not the threshold of a tile's ticket ([`poai_core::Target`]), which
/// also includes the MACs of the tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseTarget(U256);

/// The error for a target of zero, which no block can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a target of at least 1, got 0, which no block meets")]
#[non_exhaustive]
pub struct BaseTargetError;

impl BaseTarget {
    /// The hardest target.
    pub const ONE: BaseTarget = BaseTarget(U256::ONE);
    /// The easiest target, that of difficulty 1 (rounded down by 1, since 2^256
    /// does not fit).
    pub const MAX: BaseTarget = BaseTarget(U256::MAX);

    /// `⌊2^256 / difficulty⌋`, and [`BaseTarget::MAX`] for difficulty 1.
    /// [`BaseTarget::difficulty`] returns every difficulty unchanged.
    pub fn new(difficulty: Difficulty) -> BaseTarget {
        BaseTarget(inverse(U256::from(difficulty.macs())))
    }

    /// `⌊2^256 / target⌋`, or 2^128 − 1 if that does not fit 128 bits.
    pub fn difficulty(&self) -> Difficulty {
        let macs = inverse(self.0).saturating_to::<u128>();
        // The quotient is at least 1, because the target is below 2^256.
        Difficulty::new(macs).unwrap_or(Difficulty::ONE)
    }

    /// Reads 32 bytes, the most significant first.
    ///
    /// # Errors
    /// [`BaseTargetError`] for zero.
    pub fn from_be_bytes(bytes: [u8; 32]) -> Result<BaseTarget, BaseTargetError> {
        BaseTarget::from_uint(U256::from_be_bytes(bytes)).ok_or(BaseTargetError)
    }

    /// 32 bytes, the most significant first.
    pub fn to_be_bytes(&self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    pub(super) fn from_uint(target: U256) -> Option<BaseTarget> {
        (!target.is_zero()).then_some(BaseTarget(target))
    }

    pub(super) fn uint(&self) -> U256 {
        self.0
    }
}

/// `⌊2^256 / divisor⌋` for a divisor that is not 0, or 2^256 − 1 for 1.
fn inverse(divisor: U256) -> U256 {
    let (quotient, rest) = U256::MAX.div_rem(divisor);
    // 2^256 − 1 has the largest remainder exactly when 2^256 has none.
    let exact = rest == divisor - U256::ONE;
    quotient.saturating_add(U256::from(u8::from(exact)))
}

impl fmt::Display for BaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#066x}", self.0)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for BaseTarget {
    /// 64 hexadecimal digits in human-readable formats, 32 bytes in others.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        poai_core::digest::Ticket(self.to_be_bytes()).serialize(to)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for BaseTarget {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = poai_core::digest::Ticket::deserialize(from)?;
        BaseTarget::from_be_bytes(bytes.0).map_err(serde::de::Error::custom)
    }
}
