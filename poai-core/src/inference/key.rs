//! Verifying keys.

use super::points::{self, G1_LEN, G2_LEN, PointError};
use super::signals::SIGNALS_MAX;
use super::{G1Affine, G2Affine};
use crate::digest::derive;
use crate::encoding::bytes::{bytes, through_bytes};
use alloc::vec::Vec;

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
}

/// Prints an index where there is one.
struct Index(Option<usize>);

impl core::fmt::Display for Index {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// What a proof is checked with: of one circuit and one setup. Every key there
/// is holds points of the right groups, none at infinity: were a signal's point
/// there, the signal could be anything.
///
/// Whoever made the setup alone, and kept its secrets, can forge proofs.
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
    /// [`VerifyingKeyError::Count`], [`VerifyingKeyError::Point`].
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
        Ok(VerifyingKey { alpha, beta, gamma, delta, ic })
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
    /// [`VerifyingKeyError::Length`], [`VerifyingKeyError::Point`].
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
        Ok(VerifyingKey {
            alpha: points::decode::<_, G1_LEN>(alpha).map_err(at("alpha", None))?,
            beta: g2("beta", beta)?,
            gamma: g2("gamma", gamma)?,
            delta: g2("delta", delta)?,
            ic: ic.iter().enumerate().map(ic_point).collect::<Result<_, _>>()?,
        })
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
