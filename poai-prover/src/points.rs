//! Curve points in files.
//!
//! Coordinates are in Montgomery form (times 2^256 modulo the field's order),
//! little-endian, x before y, and c0 before c1 in the extension. All zeros
//! encode the point at infinity; they are not a point of either curve
//! otherwise.
//!
//! This is iden3's encoding in `.zkey` files, and ours in key files. Both
//! provers compute with this form, so reading a key takes no multiplications
//! but those of the checks.

use ark_bn254::{Fq, Fq2, Fr};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ff::{BigInt, PrimeField};
use poai_core::inference::PointError;
use rayon::prelude::*;
use std::io::{self, Read, Write};

/// Number of bytes of an element of either field.
pub(super) const FIELD_BYTES: usize = 32;
/// Number of points that are read or written at a time.
const CHUNK: usize = 1 << 14;

/// Why points could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// Reading the file failed.
    Io(io::Error),
    /// One of the points is invalid.
    Point { index: usize, why: PointError },
}

/// Whether points of G2 are checked beyond the curve's equation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subgroup {
    Check,
    Skip,
}

/// A point of a curve, as files encode it.
pub(super) trait Encoded: AffineRepr + Send + Sync {
    /// Number of bytes of one point.
    const BYTES: usize;

    /// Writes the point into bytes that are all zero.
    fn encode(&self, to: &mut [u8]);

    /// The point with these coordinates. It checks only that each is below the
    /// order.
    fn from_coordinates(bytes: &[u8]) -> Option<Self>;

    /// Whether the curve's equation holds.
    fn on_curve(&self) -> bool;

    /// Whether a point of the curve has the prime order.
    fn in_subgroup(&self) -> bool;

    fn decode(bytes: &[u8], subgroup: Subgroup) -> Result<Self, PointError> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Self::zero());
        }
        let point = Self::from_coordinates(bytes).ok_or(PointError::Encoding)?;
        if !point.on_curve() {
            return Err(PointError::Curve);
        }
        if subgroup == Subgroup::Check && !point.in_subgroup() {
            return Err(PointError::Subgroup);
        }
        Ok(point)
    }
}

impl<C: SWCurveConfig<BaseField: Coordinate>> Encoded for Affine<C> {
    const BYTES: usize = 2 * C::BaseField::BYTES;

    fn encode(&self, to: &mut [u8]) {
        let coordinates = self.xy().into_iter().flat_map(<[_; 2]>::from);
        let limbs = coordinates.flat_map(Coordinate::limbs);
        for (bytes, limb) in to.chunks_exact_mut(8).zip(limbs) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
    }

    fn from_coordinates(bytes: &[u8]) -> Option<Self> {
        let (x, y) = bytes.split_at_checked(C::BaseField::BYTES)?;
        Some(Self::new_unchecked(Coordinate::decode(x)?, Coordinate::decode(y)?))
    }

    fn on_curve(&self) -> bool {
        self.is_on_curve()
    }

    fn in_subgroup(&self) -> bool {
        self.is_in_correct_subgroup_assuming_on_curve()
    }
}

/// A coordinate: an element of the base field or of its extension.
pub(super) trait Coordinate: Sized {
    /// Number of bytes of one coordinate.
    const BYTES: usize;

    /// The limbs in Montgomery form, c0 before c1.
    fn limbs(self) -> impl Iterator<Item = u64>;

    /// The coordinate, or `None` unless every part is below the order.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Coordinate for Fq {
    const BYTES: usize = FIELD_BYTES;

    fn limbs(self) -> impl Iterator<Item = u64> {
        self.0.0.into_iter()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        limbs(bytes).filter(|limbs| *limbs < Fq::MODULUS).map(Fq::new_unchecked)
    }
}

impl Coordinate for Fq2 {
    const BYTES: usize = 2 * FIELD_BYTES;

    fn limbs(self) -> impl Iterator<Item = u64> {
        [self.c0, self.c1].into_iter().flat_map(Coordinate::limbs)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (c0, c1) = bytes.split_at_checked(FIELD_BYTES)?;
        Some(Self::new(Coordinate::decode(c0)?, Coordinate::decode(c1)?))
    }
}

/// Reads `count` points. The caller knows that the file has them.
pub(super) fn read<P: Encoded>(
    from: &mut impl Read,
    count: usize,
    subgroup: Subgroup,
) -> Result<Vec<P>, ReadError> {
    let mut points = Vec::with_capacity(count);
    let mut bytes = vec![0; CHUNK.min(count) * P::BYTES];
    while points.len() < count {
        let chunk = CHUNK.min(count - points.len());
        let bytes = bytes.get_mut(..chunk * P::BYTES).unwrap_or_default();
        from.read_exact(bytes).map_err(ReadError::Io)?;
        let first = points.len();
        let decoded: Result<Vec<P>, ReadError> = bytes
            .par_chunks(P::BYTES)
            .enumerate()
            .map(|(at, bytes)| {
                P::decode(bytes, subgroup)
                    .map_err(|why| ReadError::Point { index: first + at, why })
            })
            .collect();
        points.extend(decoded?);
    }
    Ok(points)
}

/// Reads one point that is not at infinity.
pub(super) fn read_one<P: Encoded>(from: &mut impl Read) -> Result<P, ReadError> {
    let points = read::<P>(from, 1, Subgroup::Check)?;
    let point = points.into_iter().next().filter(|point| !point.is_zero());
    point.ok_or(ReadError::Point { index: 0, why: PointError::Infinity })
}

/// Writes the points, one after the other.
pub(super) fn write<P: Encoded>(to: &mut impl Write, points: &[P]) -> io::Result<()> {
    for points in points.chunks(CHUNK) {
        let mut encoded = vec![0; points.len() * P::BYTES];
        encoded.par_chunks_mut(P::BYTES).zip(points).for_each(|(to, point)| point.encode(to));
        to.write_all(&encoded)?;
    }
    Ok(())
}

/// Little-endian bytes as limbs, or `None` unless there are 32 bytes.
pub(super) fn limbs(bytes: &[u8]) -> Option<BigInt<4>> {
    let bytes: [u8; FIELD_BYTES] = bytes.try_into().ok()?;
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = u64::from_le_bytes(bytes.try_into().ok()?);
    }
    Some(BigInt(limbs))
}

/// A scalar in Montgomery form, or `None` unless it is below the order.
pub(super) fn fr(bytes: &[u8]) -> Option<Fr> {
    limbs(bytes).filter(|limbs| *limbs < Fr::MODULUS).map(Fr::new_unchecked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{G1Affine, G2Affine};
    use ark_ff::{AdditiveGroup, BigInteger, Field, UniformRand};

    fn encode<P: Encoded>(point: P) -> Vec<u8> {
        let mut bytes = vec![0; P::BYTES];
        point.encode(&mut bytes);
        bytes
    }

    #[test]
    fn points_come_back() {
        let mut rng = ark_std::test_rng();
        let mut g1 = vec![G1Affine::zero()];
        let mut g2 = vec![G2Affine::zero()];
        g1.extend((0..40).map(|_| G1Affine::rand(&mut rng)));
        g2.extend((0..40).map(|_| G2Affine::rand(&mut rng)));
        let mut bytes = vec![];
        write(&mut bytes, &g1).unwrap();
        write(&mut bytes, &g2).unwrap();
        assert_eq!(bytes.len(), 41 * (64 + 128));
        let mut from = bytes.as_slice();
        assert_eq!(read::<G1Affine>(&mut from, 41, Subgroup::Check).unwrap(), g1);
        assert_eq!(read::<G2Affine>(&mut from, 41, Subgroup::Check).unwrap(), g2);
        assert!(from.is_empty());
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let point = encode(G1Affine::generator());
        let mut off = point.clone();
        off[0] ^= 1;
        let decode = |bytes: &[u8]| G1Affine::decode(bytes, Subgroup::Check);
        assert_eq!(decode(&off), Err(PointError::Curve));
        // The same x, with the order added.
        let mut limbs = limbs(&point[..32]).unwrap();
        assert!(!limbs.add_with_carry(&Fq::MODULUS));
        let large = [&limbs.to_bytes_le()[..], &point[32..]].concat();
        assert_eq!(decode(&large), Err(PointError::Encoding));
        assert_eq!(decode(&point[..63]), Err(PointError::Encoding));
    }

    #[test]
    fn a_point_of_the_cofactor_is_refused() {
        let outside = (1u64..)
            .filter_map(|x| {
                G2Affine::get_point_from_x_unchecked(Fq2::new(Fq::from(x), Fq::ZERO), false)
            })
            .find(|point| !point.in_subgroup())
            .unwrap();
        assert!(outside.on_curve() && outside.x.c0.inverse().is_some());
        let bytes = encode(outside);
        let checked = G2Affine::decode(&bytes, Subgroup::Check);
        assert_eq!(checked, Err(PointError::Subgroup));
        assert_eq!(G2Affine::decode(&bytes, Subgroup::Skip), Ok(outside));
        let read = read_one::<G2Affine>(&mut [0; 128].as_slice());
        assert!(matches!(read, Err(ReadError::Point { why: PointError::Infinity, .. })));
    }
}
