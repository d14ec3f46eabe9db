//! Invalid points, pairs of points, encodings and words.

use super::*;
use ark_bn254::{Fq, Fq2};
use ark_ff::PrimeField;
use ark_serialize::CanonicalSerialize;
use core::ops::Neg;

/// A point of G2's curve outside the subgroup: nearly every x has one.
fn outside() -> G2Affine {
    (1_u64..)
        .filter_map(|x| {
            G2Affine::get_point_from_x_unchecked(Fq2::new(Fq::from(x), Fq::from(1)), false)
        })
        .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
        .unwrap()
}

#[test]
fn refused_points() {
    let infinity = (G1Affine::zero(), G2Affine::zero());
    let off = (
        G1Affine::new_unchecked(Fq::from(1), Fq::from(1)),
        G2Affine::new_unchecked(Fq2::from(1), Fq2::from(1)),
    );
    let at = |point, source| Groth16DecodeError::Point { point, source };
    let Groth16Proof { .. } = proof();
    let (a, b, c) = (*proof().a(), *proof().b(), *proof().c());
    for (g1, g2, source) in
        [(infinity.0, infinity.1, PointError::Infinity), (off.0, off.1, PointError::Curve)]
    {
        assert_eq!(Groth16Proof::new(g1, b, c), Err(at('A', source)));
        assert_eq!(Groth16Proof::new(a, g2, c), Err(at('B', source)));
        assert_eq!(Groth16Proof::new(a, b, g1), Err(at('C', source)));
    }
    assert_eq!(Groth16Proof::new(a, outside(), c), Err(at('B', PointError::Subgroup)));

    let ic = vec![g1(1), g1(2)];
    let key = |alpha, beta, gamma, delta, ic| VerifyingKey::new(alpha, beta, gamma, delta, ic);
    let at = |point, source| VerifyingKeyError::Point { point, index: None, source };
    let (inf, off2) = (G1Affine::zero(), off.1);
    assert_eq!(key(inf, b, b, b, ic.clone()), Err(at("alpha", PointError::Infinity)));
    assert_eq!(key(a, outside(), b, b, ic.clone()), Err(at("beta", PointError::Subgroup)));
    assert_eq!(key(a, b, G2Affine::zero(), b, ic.clone()), Err(at("gamma", PointError::Infinity)));
    assert_eq!(key(a, b, b, off2, ic.clone()), Err(at("delta", PointError::Curve)));
    let error = key(a, b, b, b, vec![g1(1), inf]).unwrap_err();
    assert_eq!(
        alloc::format!("{error}"),
        "point ic[1]: expected a finite point, got the point at infinity"
    );
    for count in [0, 1, 8] {
        assert_eq!(key(a, b, b, b, vec![g1(1); count]), Err(VerifyingKeyError::Count(count)));
    }
}

/// Two equal or opposite points of β, γ and δ, and of two signals. (The tests
/// of poai-prover forge proofs under such keys.)
#[test]
fn refused_pairs_of_points() {
    let ic = || (10..14).map(g1).collect::<Vec<_>>();
    let refused = |key: Result<VerifyingKey, VerifyingKeyError>, bytes: Vec<u8>| {
        let error = key.unwrap_err();
        assert_eq!(VerifyingKey::from_bytes(&bytes), Err(error));
        let json = alloc::format!("\"{}\"", ::hex::encode(&bytes));
        assert!(serde_json::from_str::<VerifyingKey>(&json).is_err());
        let postcard = postcard::to_allocvec(&bytes).unwrap();
        assert!(postcard::from_bytes::<VerifyingKey>(&postcard).is_err());
        error
    };
    let encoded = |beta: G2Affine, gamma: G2Affine, delta: G2Affine, ic: &[G1Affine]| {
        let mut bytes = points::encode::<_, 32>(&g1(2)).to_vec();
        [beta, gamma, delta].iter().for_each(|p| bytes.extend(points::encode::<_, 64>(p)));
        ic.iter().for_each(|p| bytes.extend(points::encode::<_, 32>(p)));
        bytes
    };
    let others = [(0, 1, "beta", "gamma"), (0, 2, "beta", "delta"), (1, 2, "gamma", "delta")];
    for (one, other, first, second) in others {
        for opposite in [false, true] {
            let mut of = [g2(3), g2(4), g2(5)];
            of[other] = if opposite { of[one].neg() } else { of[one] };
            let [beta, gamma, delta] = of;
            let bytes = encoded(beta, gamma, delta, &ic());
            let error = refused(VerifyingKey::new(g1(2), beta, gamma, delta, ic()), bytes);
            assert_eq!(error, VerifyingKeyError::Related { first, second, opposite });
            let sign = if opposite { "−" } else { "" };
            let text = alloc::format!("unrelated points of G2, got {first} = {sign}{second}");
            assert!(error.to_string().contains(&text), "{error}");
        }
    }
    let (beta, gamma, delta) = (g2(3), g2(4), g2(5));
    for (first, second) in [(1, 2), (1, 3), (2, 3)] {
        for opposite in [false, true] {
            let mut ic = ic();
            ic[second] = if opposite { ic[first].neg() } else { ic[first] };
            let bytes = encoded(beta, gamma, delta, &ic);
            let error = refused(VerifyingKey::new(g1(2), beta, gamma, delta, ic), bytes);
            assert_eq!(error, VerifyingKeyError::Interchangeable { first, second, opposite });
            let sign = if opposite { "−" } else { "" };
            let text = alloc::format!("got ic[{first}] = {sign}ic[{second}]");
            assert!(error.to_string().contains(&text), "{error}");
        }
    }
    // The constant's point may equal a signal's point: s·P + P still determines
    // s.
    let mut same = ic();
    same[0] = same[1];
    VerifyingKey::new(g1(2), beta, gamma, delta, same).unwrap();
}

#[test]
fn visibilities_are_shown_as_they_are_named() {
    for (byte, text) in [
        (0, "input=public,output=public,weights=fixed"),
        (0b1_10_01, "input=hashed,output=private,weights=committed"),
        (0b0_01_10, "input=private,output=hashed,weights=fixed"),
    ] {
        assert_eq!(Visibility::from_byte(byte).unwrap().to_string(), text);
    }
}

#[test]
fn refused_encodings() {
    let at = |point, source| Err(Groth16DecodeError::Point { point, source });
    let bytes = proof().to_bytes();
    assert_eq!(Groth16Proof::from_bytes(&bytes[..127]), Err(Groth16DecodeError::Length(127)));
    assert_eq!(
        Groth16Proof::from_bytes(&[&bytes[..], &[0]].concat()),
        Err(Groth16DecodeError::Length(129))
    );
    // Infinity with zeros, and flags over another coordinate; then both flags
    // at once.
    for (start, last, point) in [(0, 31, 'A'), (32, 95, 'B'), (96, 127, 'C')] {
        let mut other = bytes;
        other[start..=last].fill(0);
        other[last] = 0x40;
        assert_eq!(Groth16Proof::from_bytes(&other), at(point, PointError::Infinity));
        other = bytes;
        other[last] = other[last] & 0x3f | 0xc0;
        assert_eq!(Groth16Proof::from_bytes(&other), at(point, PointError::Encoding));
        other[start..=last].fill(0xff);
        assert_eq!(Groth16Proof::from_bytes(&other), at(point, PointError::Encoding));
        // The modulus is not accepted as zero.
        let modulus = ark_ff::BigInteger::to_bytes_le(&Fq::MODULUS);
        other = bytes;
        other[last - 31..=last].copy_from_slice(&modulus);
        assert_eq!(Groth16Proof::from_bytes(&other), at(point, PointError::Encoding));
    }
    let mut other = bytes;
    outside().serialize_compressed(&mut other[32..96]).unwrap();
    assert_eq!(Groth16Proof::from_bytes(&other), at('B', PointError::Subgroup));

    let bytes = key(6).to_bytes();
    assert_eq!(VerifyingKey::from_bytes(&bytes).unwrap(), key(6));
    for length in [0, 31, 224, 256, bytes.len() - 1] {
        assert_eq!(
            VerifyingKey::from_bytes(&bytes[..length]),
            Err(VerifyingKeyError::Length(length))
        );
    }
    let long = [&bytes[..], &[0; 32]].concat();
    assert_eq!(VerifyingKey::from_bytes(&long), Err(VerifyingKeyError::Length(long.len())));
}

#[test]
fn refused_words() {
    let at = |point, source| Err(Groth16DecodeError::Point { point, source });
    let words = proof().words();
    assert_eq!(Groth16Proof::of_words(&words), Ok(proof()));
    let modulus = word(&::hex::encode(ark_ff::BigInteger::to_bytes_be(&Fq::MODULUS)));
    for (index, point) in "AABBBBCC".chars().enumerate() {
        let mut other = words;
        other[index][31] ^= 1;
        assert_eq!(Groth16Proof::of_words(&other), at(point, PointError::Curve));
        other[index] = modulus;
        assert_eq!(Groth16Proof::of_words(&other), at(point, PointError::Encoding));
    }
    for (range, point) in [(0..2, 'A'), (2..6, 'B'), (6..8, 'C')] {
        let mut other = words;
        other[range].fill([0; 32]);
        assert_eq!(Groth16Proof::of_words(&other), at(point, PointError::Infinity));
    }
    let mut other = words;
    other[2..6].copy_from_slice(&points::g2_words(&outside()));
    assert_eq!(Groth16Proof::of_words(&other), at('B', PointError::Subgroup));
}
