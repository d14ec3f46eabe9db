//! Verifying keys.

use super::points::{self, G1_LEN, G2_LEN, PointError};
use super::signals::SIGNALS_MAX;
use super::{G1Affine, G2Affine};
use crate::digest::derive;
use crate::encoding::bytes::{bytes, through_bytes};
use alloc::vec::Vec;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};

bytes! {
    /// Names a verifying key: `H("inference verifying key", bytes)`. It binds
    /// the circuit and its setup; it does not say who made the setup.
    VerifyingKeyDigest, 32, ""
}

/// Bytes before the points of the signals.
const HEADER_LEN: usize = G1_LEN + 3 * G2_LEN;

/// Why there is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyingKeyError {
    /// A number of points that no statement has.
    #[error("a key of {0} points for signals: 2 to {max} are permitted", max = SIGNALS_MAX + 1)]
    Count(usize),
    /// A number of bytes that no key has.
    #[error("{0} bytes are no key's: {HEADER_LEN} and 2 to {max} times {G1_LEN} are",
        max = SIGNALS_MAX + 1)]
    Length(usize),
    /// A point is refused.
    #[error("point {point}{}: {source}", Index(*.index))]
    Point {
        /// Which: "alpha", "beta", "gamma", "delta" or "ic".
        point: &'static str,
        /// Which of the points for signals.
        index: Option<usize>,
        /// What is wrong with it.
        source: PointError,
    },
    /// Two of β, γ and δ are equal, or opposite: whoever sees such a key forges
    /// proofs of any signals.
    #[error(
        "expected three unrelated points of G2, got {first} = {}{second}; make the key again, in a \
         ceremony with contributions", sign(*.opposite)
    )]
    Related {
        /// One: "beta" or "gamma".
        first: &'static str,
        /// The other: "gamma" or "delta".
        second: &'static str,
        /// Whether it is the negative.
        opposite: bool,
    },
    /// Two signals have equal or opposite points: a proof binds their sum or
    /// their difference, and neither of them.
    #[error(
        "expected a point of its own for each signal, got ic[{first}] = {}ic[{second}]; make the \
         key again, from a circuit that binds each signal", sign(*.opposite)
    )]
    Interchangeable {
        /// One, an index of `ic`, 1 or more.
        first: usize,
        /// The other, a larger index.
        second: usize,
        /// Whether it is the negative.
        opposite: bool,
    },
}

/// What stands before a negative.
fn sign(opposite: bool) -> &'static str {
    if opposite { "−" } else { "" }
}

/// Prints an index where there is one.
struct Index(Option<usize>);

impl core::fmt::Display for Index {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// What a proof is checked with: of one circuit and one setup.
///
/// Every key there is holds points of the right groups, none at infinity: were
/// a signal's point there, the signal could be anything. No two of β, γ and δ are
/// equal or opposite, and no two signals' points are (spec §16): such keys exist
/// where nobody contributed to a ceremony, and everybody can forge under them.
///
/// Other degenerate keys cannot be told: whoever made the setup alone, and kept
/// its secrets, can forge proofs, and whoever knows any ratio of β, γ and δ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifyingKey {
    alpha: G1Affine,
    beta: G2Affine,
    gamma: G2Affine,
    delta: G2Affine,
    ic: Vec<G1Affine>,
}

through_bytes!(VerifyingKey);

impl VerifyingKey {
    /// A key of these points; `ic` has one for the constant and one for each of
    /// 1 to 6 signals.
    ///
    /// # Errors
    /// [`VerifyingKeyError::Count`], [`VerifyingKeyError::Point`],
    /// [`VerifyingKeyError::Related`], [`VerifyingKeyError::Interchangeable`].
    pub fn new(
        alpha: G1Affine,
        beta: G2Affine,
        gamma: G2Affine,
        delta: G2Affine,
        ic: Vec<G1Affine>,
    ) -> Result<VerifyingKey, VerifyingKeyError> {
        if !(2..=SIGNALS_MAX + 1).contains(&ic.len()) {
            return Err(VerifyingKeyError::Count(ic.len()));
        }
        let at = |point, index| move |source| VerifyingKeyError::Point { point, index, source };
        points::check(&alpha).map_err(at("alpha", None))?;
        for (name, point) in [("beta", &beta), ("gamma", &gamma), ("delta", &delta)] {
            points::check(point).map_err(at(name, None))?;
        }
        for (index, point) in ic.iter().enumerate() {
            points::check(point).map_err(at("ic", Some(index)))?;
        }
        VerifyingKey { alpha, beta, gamma, delta, ic }.independent()
    }

    /// The key, if its points are of the groups and unrelated.
    ///
    /// If β, γ or δ is ± another, two of the four pairings are of one base, and
    /// points that everybody knows cancel: with δ = γ, C = −L cancels the signals.
    fn independent(self) -> Result<VerifyingKey, VerifyingKeyError> {
        let [b, c, d] = [("beta", &self.beta), ("gamma", &self.gamma), ("delta", &self.delta)];
        for [(first, one), (second, other)] in [[b, c], [b, d], [c, d]] {
            if let Some(opposite) = opposite(one, other) {
                return Err(VerifyingKeyError::Related { first, second, opposite });
            }
        }
        // The constant's point is no signal's.
        let signals = self.ic.iter().enumerate().skip(1);
        for (first, one) in signals.clone() {
            for (second, other) in signals.clone().skip(first) {
                if let Some(opposite) = opposite(one, other) {
                    return Err(VerifyingKeyError::Interchangeable { first, second, opposite });
                }
            }
        }
        Ok(self)
    }

    /// How many signals it takes.
    pub fn signals(&self) -> usize {
        // There are at least two points.
        self.ic.len().saturating_sub(1)
    }

    /// The point α of G1.
    pub fn alpha(&self) -> &G1Affine {
        &self.alpha
    }

    /// The point β of G2.
    pub fn beta(&self) -> &G2Affine {
        &self.beta
    }

    /// The point γ of G2.
    pub fn gamma(&self) -> &G2Affine {
        &self.gamma
    }

    /// The point δ of G2.
    pub fn delta(&self) -> &G2Affine {
        &self.delta
    }

    /// The points of the constant and of the signals.
    pub fn ic(&self) -> &[G1Affine] {
        &self.ic
    }

    /// The canonical bytes: α, β, γ, δ and the signals' points, compressed. No
    /// prefix: how many follows from the length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.ic.len() * G1_LEN);
        bytes.extend(points::encode::<_, G1_LEN>(&self.alpha));
        for point in [&self.beta, &self.gamma, &self.delta] {
            bytes.extend(points::encode::<_, G2_LEN>(point));
        }
        for point in &self.ic {
            bytes.extend(points::encode::<_, G1_LEN>(point));
        }
        bytes
    }

    /// Reads the canonical bytes; `encode` gives exactly them again.
    ///
    /// # Errors
    /// [`VerifyingKeyError::Length`], [`VerifyingKeyError::Point`],
    /// [`VerifyingKeyError::Related`], [`VerifyingKeyError::Interchangeable`].
    pub fn decode(bytes: &[u8]) -> Result<VerifyingKey, VerifyingKeyError> {
        let length = VerifyingKeyError::Length(bytes.len());
        let (alpha, rest) = bytes.split_first_chunk().ok_or(length)?;
        let (beta, rest) = rest.split_first_chunk().ok_or(length)?;
        let (gamma, rest) = rest.split_first_chunk().ok_or(length)?;
        let (delta, rest) = rest.split_first_chunk().ok_or(length)?;
        let (ic, rest) = rest.as_chunks::<G1_LEN>();
        if !rest.is_empty() || !(2..=SIGNALS_MAX + 1).contains(&ic.len()) {
            return Err(length);
        }
        let at = |point, index| move |source| VerifyingKeyError::Point { point, index, source };
        let g2 = |name, bytes: &[u8; G2_LEN]| points::decode(bytes).map_err(at(name, None));
        let ic_point = |(index, bytes): (usize, &[u8; G1_LEN])| {
            points::decode(bytes).map_err(at("ic", Some(index)))
        };
        let key = VerifyingKey {
            alpha: points::decode::<_, G1_LEN>(alpha).map_err(at("alpha", None))?,
            beta: g2("beta", beta)?,
            gamma: g2("gamma", gamma)?,
            delta: g2("delta", delta)?,
            ic: ic.iter().enumerate().map(ic_point).collect::<Result<_, _>>()?,
        };
        key.independent()
    }

    /// The key's name, which proofs carry.
    pub fn digest(&self) -> VerifyingKeyDigest {
        VerifyingKeyDigest(derive!("inference verifying key", &self.encode()))
    }

    /// α as the EVM has it: x, y.
    pub fn alpha_words(&self) -> [[u8; 32]; 2] {
        points::g1_words(&self.alpha)
    }

    /// β, γ and δ as the EVM has them: x and y, of each the imaginary part
    /// first.
    pub fn g2_words(&self) -> [[[u8; 32]; 4]; 3] {
        [&self.beta, &self.gamma, &self.delta].map(points::g2_words)
    }

    /// The points of the constant and the signals as the EVM has them: x, y.
    pub fn ic_words(&self) -> Vec<[[u8; 32]; 2]> {
        self.ic.iter().map(points::g1_words).collect()
    }
}

/// Whether two points of a group, none at infinity, are opposite or equal;
/// `None` if they are neither. Equal x have two points alone, one the other's
/// negative.
fn opposite<P: SWCurveConfig>(one: &Affine<P>, other: &Affine<P>) -> Option<bool> {
    (one.x == other.x).then_some(one.y != other.y)
}
