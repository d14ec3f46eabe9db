//! Points of BN254's groups: which are valid, and their bytes.
//!
//! A point has one encoding. The point at infinity has none in this module: no
//! honest key or proof holds it, and a pairing with it shows nothing.

use super::field;
use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};

/// Number of bytes of a compressed point of G1.
pub const G1_LEN: usize = 32;
/// Number of bytes of a compressed point of G2.
pub const G2_LEN: usize = 64;

/// Why a point is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointError {
    /// The bytes encode no point: a coordinate is not below the modulus, a
    /// coordinate has no point on the curve, or the flags are invalid.
    #[error("expected the canonical encoding of a point, got other bytes")]
    Encoding,
    /// The point is at infinity.
    #[error("expected a finite point, got the point at infinity")]
    Infinity,
    /// The point is not on the curve.
    #[error("expected a point on the curve, got one off it")]
    Curve,
    /// The point is on the curve, but outside the group of prime order. Only
    /// G2's curve has such points.
    #[error("expected a point of the subgroup, got one outside it")]
    Subgroup,
}

/// Checks a point that was given as coordinates.
pub(super) fn check<P: SWCurveConfig>(point: &Affine<P>) -> Result<(), PointError> {
    if point.is_zero() {
        Err(PointError::Infinity)
    } else if !point.is_on_curve() {
        Err(PointError::Curve)
    } else if !point.is_in_correct_subgroup_assuming_on_curve() {
        Err(PointError::Subgroup)
    } else {
        Ok(())
    }
}

/// Reads a compressed point of `N` bytes.
///
/// The format is the x coordinate, little-endian, with the sign of y and the
/// flag of infinity in the last byte's top bits.
pub(super) fn decode<P: SWCurveConfig, const N: usize>(
    bytes: &[u8; N],
) -> Result<Affine<P>, PointError> {
    let point = Affine::<P>::deserialize_compressed_unchecked(&bytes[..])
        .map_err(|_| PointError::Encoding)?;
    check(&point)?;
    // The library may accept other bytes, so only the bytes that it would write
    // are accepted.
    if encode::<P, N>(&point) == *bytes { Ok(point) } else { Err(PointError::Encoding) }
}

/// The compressed bytes of a point.
pub(super) fn encode<P: SWCurveConfig, const N: usize>(point: &Affine<P>) -> [u8; N] {
    let mut bytes = [0; N];
    // The only error is a writer that is too short, and `N` is the curve's
    // length.
    let written = point.serialize_compressed(&mut bytes[..]);
    debug_assert!(written.is_ok());
    bytes
}

/// Reads x and y.
pub(super) fn g1_of_words([x, y]: &[[u8; 32]; 2]) -> Result<G1Affine, PointError> {
    let fq = |word| field::of_word::<Fq>(word).ok_or(PointError::Encoding);
    let (x, y) = (fq(x)?, fq(y)?);
    // The EVM writes infinity as two zeros, which are not on any curve.
    if x == Fq::default() && y == Fq::default() {
        return Err(PointError::Infinity);
    }
    let point = G1Affine::new_unchecked(x, y);
    check(&point).map(|()| point)
}

/// Reads x and y in the EVM's format, each with the imaginary part first.
pub(super) fn g2_of_words([x1, x0, y1, y0]: &[[u8; 32]; 4]) -> Result<G2Affine, PointError> {
    let fq = |word| field::of_word::<Fq>(word).ok_or(PointError::Encoding);
    let (x, y) = (Fq2::new(fq(x0)?, fq(x1)?), Fq2::new(fq(y0)?, fq(y1)?));
    if x == Fq2::default() && y == Fq2::default() {
        return Err(PointError::Infinity);
    }
    let point = G2Affine::new_unchecked(x, y);
    check(&point).map(|()| point)
}

/// x and y.
pub(super) fn g1_words(point: &G1Affine) -> [[u8; 32]; 2] {
    [field::to_word(&point.x), field::to_word(&point.y)]
}

/// x and y, each with the imaginary part first.
pub(super) fn g2_words(point: &G2Affine) -> [[u8; 32]; 4] {
    [point.x.c1, point.x.c0, point.y.c1, point.y.c0].map(|coordinate| field::to_word(&coordinate))
}
