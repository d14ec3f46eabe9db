//! Verifying keys.

use super::points::{self, G1_LEN, G2_LEN, PointError};
use super::signals::SIGNALS_MAX;
use crate::digest::derive;
use crate::encoding::bytes::{bytes, through_bytes};
use alloc::vec::Vec;
use ark_bn254::{G1Affine, G2Affine};
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};

bytes! {
    /// The name of a verifying key: `H("inference verifying key", bytes)`.
    ///
    /// It binds the circuit and its setup. It does not state who made the
    /// setup.
    VerifyingKeyDigest, 32, ""
}

/// Number of bytes before the points of the signals.
const HEADER_LEN: usize = G1_LEN + 3 * G2_LEN;

/// Why bytes or points are not a verifying key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyingKeyError {
    /// The number of points does not fit any statement.
    #[error("expected 2 to {max} points for signals, got {0}", max = SIGNALS_MAX + 1)]
    Count(usize),
    /// The bytes do not have the length of a key.
    #[error(
        "expected {HEADER_LEN} and 2 to {max} times {G1_LEN} bytes of a key, got {0}; read a key \
         file, which has a header, by poai-prover's read_verifying_key",
        max = SIGNALS_MAX + 1
    )]
    Length(usize),
    /// A point is invalid.
    #[error("point {point}{}: {source}", Index(*.index))]
    Point {
        /// The point: "alpha", "beta", "gamma", "delta" or "ic".
        point: &'static str,
        /// Index among the points for signals, for "ic".
        index: Option<usize>,
        /// The point's error.
        source: PointError,
    },
    /// Two of β, γ and δ are equal or opposite. Any party that sees such a key
    /// can forge proofs of any signals.
    #[error(
        "expected three unrelated points of G2, got {first} = {}{second}; make the key again, in a \
         ceremony with contributions", sign(*.opposite)
    )]
    Related {
        /// The first point: "beta" or "gamma".
        first: &'static str,
        /// The second point: "gamma" or "delta".
        second: &'static str,
        /// Whether the points are opposite.
        opposite: bool,
    },
    /// Two signals have equal or opposite points. A proof then binds only their
    /// sum or their difference.
    #[error(
        "expected a point of its own for each signal, got ic[{first}] = {}ic[{second}]; make the \
         key again, from a circuit that binds each signal", sign(*.opposite)
    )]
    Interchangeable {
        /// The first index in `ic`, 1 or more.
        first: usize,
        /// The second index, which is larger.
        second: usize,
        /// Whether the points are opposite.
        opposite: bool,
    },
}

/// The sign before an opposite point.
fn sign(opposite: bool) -> &'static str {
    if opposite { "−" } else { "" }
}

/// Prints an index if there is one.
struct Index(Option<usize>);

impl core::fmt::Display for Index {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// A verifying key of one circuit and one setup, with which proofs are checked.
///
/// Its points are always of the right groups, and never at infinity: if a signal's point were at
/// infinity, the signal could have any value. No two of β, γ and δ are equal or opposite, and no
/// two signals' points are (spec §16). Degenerate keys of this kind exist if a ceremony had no
/// contribution, and any party can forge under them.
///
/// Other degenerate keys cannot be detected. A party that made the setup alone and kept its secrets
/// can forge proofs. So can a party that knows any ratio of β, γ and δ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifyingKey {
    pub(super) alpha: G1Affine,
    pub(super) beta: G2Affine,
    pub(super) gamma: G2Affine,
    pub(super) delta: G2Affine,
    pub(super) ic: Vec<G1Affine>,
}

through_bytes!(VerifyingKey);

impl VerifyingKey {
    /// The key, if its points are unrelated.
    ///
    /// If β, γ or δ is ± another, two of the four pairings have one base, and public points cancel:
    /// with δ = γ, C = −L cancels the signals.
    pub(super) fn independent(self) -> Result<VerifyingKey, VerifyingKeyError> {
        let [b, c, d] = [("beta", &self.beta), ("gamma", &self.gamma), ("delta", &self.delta)];
        for [(first, one), (second, other)] in [[b, c], [b, d], [c, d]] {
            if let Some(opposite) = opposite(one, other) {
                return Err(VerifyingKeyError::Related { first, second, opposite });
            }
        }
        // The constant's point is not compared, because it does not belong to a
        // signal.
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

    /// Number of signals that the key checks.
    pub fn signals(&self) -> usize {
        // There are at least two points.
        self.ic.len().saturating_sub(1)
    }

    /// The canonical bytes: α, β, γ, δ and the signals' points, compressed.
    ///
    /// There is no length prefix, because the number of points follows from the
    /// length.
    pub fn to_bytes(&self) -> Vec<u8> {
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

    /// Reads the canonical bytes, which `to_bytes` reproduces exactly.
    ///
    /// # Errors
    /// [`VerifyingKeyError::Length`], [`VerifyingKeyError::Point`],
    /// [`VerifyingKeyError::Related`], [`VerifyingKeyError::Interchangeable`].
    pub fn from_bytes(bytes: &[u8]) -> Result<VerifyingKey, VerifyingKeyError> {
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

    /// The digest that names the key in proofs.
    pub fn digest(&self) -> VerifyingKeyDigest {
        VerifyingKeyDigest(derive!("inference verifying key", &self.to_bytes()))
    }

    /// α in the EVM's format: x, y.
    pub fn alpha_words(&self) -> [[u8; 32]; 2] {
        points::g1_words(&self.alpha)
    }

    /// β, γ and δ in the EVM's format: x and y, each with the imaginary part
    /// first.
    pub fn g2_words(&self) -> [[[u8; 32]; 4]; 3] {
        [&self.beta, &self.gamma, &self.delta].map(points::g2_words)
    }

    /// The points of the constant and the signals in the EVM's format: x, y.
    pub fn ic_words(&self) -> Vec<[[u8; 32]; 2]> {
        self.ic.iter().map(points::g1_words).collect()
    }
}

/// Whether two points of a group, neither at infinity, are opposite (`true`) or
/// equal (`false`); `None` if they are neither.
///
/// Only two points have the same x, and each is the negative of the other.
fn opposite<P: SWCurveConfig>(one: &Affine<P>, other: &Affine<P>) -> Option<bool> {
    (one.x == other.x).then_some(one.y != other.y)
}
