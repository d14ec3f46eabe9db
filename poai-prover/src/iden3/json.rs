//! snarkjs' JSON files: `proof.json`, `public.json` and
//! `verification_key.json`.
//!
//! Numbers are decimal strings. Points are projective, with a third coordinate
//! of one. Elements of the extension are written c0 before c1.

use crate::points::Encoded;
use crate::verifying;
use ark_bn254::{Bn254, Fq, Fq2, Fq6, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_ff::PrimeField;
use ark_groth16::{Proof, VerifyingKey};
use poai_core::inference::{PointError, VerifyingKeyError};
use serde::{Deserialize, Serialize};

/// iden3's names for Groth16 and for BN254.
const PROTOCOL: &str = "groth16";
const CURVE: &str = "bn128";
/// Number of decimal digits of the largest element.
const DIGITS_MAX: usize = 77;

/// Why a text is not a proof, signals or a verifying key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not JSON of the expected form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The file is for another protocol or curve.
    #[error("expected {expected} as {field}, got another")]
    Foreign {
        /// The field of the object.
        field: &'static str,
        /// The expected value.
        expected: &'static str,
    },
    /// A number is not a decimal number below the field's order.
    #[error("{field}: expected a decimal number below the field's order, got another text")]
    Number {
        /// The place in the object.
        field: &'static str,
    },
    /// A point is invalid.
    #[error("{field}: {why}")]
    Point {
        /// The place in the object.
        field: &'static str,
        /// What is wrong.
        why: PointError,
    },
    /// The verifying key does not have one point more than signals.
    #[error(
        "expected one point in IC more than signals, got {points} points and {signals} signals"
    )]
    Signals {
        /// Number of points.
        points: usize,
        /// Number of signals, from `nPublic`.
        signals: usize,
    },
    /// The points are not a verifying key that is valid for inference proofs.
    #[error(transparent)]
    VerifyingKey(#[from] VerifyingKeyError),
}

type TextG1 = [String; 3];
type TextFq2 = [String; 2];
type TextG2 = [TextFq2; 3];
type TextFq12 = [[TextFq2; 3]; 2];

#[derive(Serialize, Deserialize)]
struct TextProof {
    pi_a: TextG1,
    pi_b: TextG2,
    pi_c: TextG1,
    protocol: String,
    curve: String,
}

#[derive(Serialize, Deserialize)]
struct TextVerifyingKey {
    protocol: String,
    curve: String,
    #[serde(rename = "nPublic")]
    signals: usize,
    vk_alpha_1: TextG1,
    vk_beta_2: TextG2,
    vk_gamma_2: TextG2,
    vk_delta_2: TextG2,
    /// e(α, β). Verifiers compute it, so it is not read.
    vk_alphabeta_12: TextFq12,
    #[serde(rename = "IC")]
    ic: Vec<TextG1>,
}

/// A proof as `proof.json`.
pub fn proof_to_json(proof: &Proof<Bn254>) -> String {
    text(&TextProof {
        pi_a: g1(&proof.a),
        pi_b: g2(&proof.b),
        pi_c: g1(&proof.c),
        protocol: PROTOCOL.to_owned(),
        curve: CURVE.to_owned(),
    })
}

/// Signals, without the one, as `public.json`.
pub fn signals_to_json(signals: &[Fr]) -> String {
    text(&signals.iter().map(Fr::to_string).collect::<Vec<_>>())
}

/// A verifying key as `verification_key.json`.
pub fn verifying_key_to_json(key: &VerifyingKey<Bn254>) -> String {
    let product = Bn254::pairing(key.alpha_g1, key.beta_g2).0;
    let half = |half: Fq6| [fq2(&half.c0), fq2(&half.c1), fq2(&half.c2)];
    text(&TextVerifyingKey {
        protocol: PROTOCOL.to_owned(),
        curve: CURVE.to_owned(),
        signals: key.gamma_abc_g1.len().saturating_sub(1),
        vk_alpha_1: g1(&key.alpha_g1),
        vk_beta_2: g2(&key.beta_g2),
        vk_gamma_2: g2(&key.gamma_g2),
        vk_delta_2: g2(&key.delta_g2),
        vk_alphabeta_12: [half(product.c0), half(product.c1)],
        ic: key.gamma_abc_g1.iter().map(g1).collect(),
    })
}

/// A proof from `proof.json`.
///
/// Every number has one valid spelling. Points must be on their curves, in
/// their groups, and not at infinity.
///
/// # Errors
/// [`JsonError`] names the first field that is wrong.
pub fn proof_from_json(text: &str) -> Result<Proof<Bn254>, JsonError> {
    let proof: TextProof = serde_json::from_str(text)?;
    check_names(&proof.protocol, &proof.curve)?;
    Ok(Proof {
        a: parse_g1("pi_a", &proof.pi_a)?,
        b: parse_g2("pi_b", &proof.pi_b)?,
        c: parse_g1("pi_c", &proof.pi_c)?,
    })
}

/// Signals, without the one, from `public.json`.
///
/// # Errors
/// [`JsonError::Number`] if a signal is not below the order.
pub fn signals_from_json(text: &str) -> Result<Vec<Fr>, JsonError> {
    let signals: Vec<String> = serde_json::from_str(text)?;
    signals.iter().map(|signal| number("signals", signal)).collect()
}

/// A verifying key from `verification_key.json`.
///
/// # Errors
/// [`JsonError`] names the first field that is wrong, as for proofs. [`JsonError::VerifyingKey`] is
/// for degenerate keys, and for keys with more than 6 signals.
pub fn verifying_key_from_json(text: &str) -> Result<VerifyingKey<Bn254>, JsonError> {
    let key: TextVerifyingKey = serde_json::from_str(text)?;
    check_names(&key.protocol, &key.curve)?;
    let (points, signals) = (key.ic.len(), key.signals);
    if points.checked_sub(1) != Some(signals) {
        return Err(JsonError::Signals { points, signals });
    }
    let key = VerifyingKey {
        alpha_g1: parse_g1("vk_alpha_1", &key.vk_alpha_1)?,
        beta_g2: parse_g2("vk_beta_2", &key.vk_beta_2)?,
        gamma_g2: parse_g2("vk_gamma_2", &key.vk_gamma_2)?,
        delta_g2: parse_g2("vk_delta_2", &key.vk_delta_2)?,
        gamma_abc_g1: key.ic.iter().map(|point| parse_g1("IC", point)).collect::<Result<_, _>>()?,
    };
    verifying::checked(&key)?;
    Ok(key)
}

fn text(value: &impl Serialize) -> String {
    // The value has only strings, numbers and arrays of them, which JSON can
    // represent.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn fq2(value: &Fq2) -> TextFq2 {
    [value.c0.to_string(), value.c1.to_string()]
}

/// iden3 writes infinity as (0 : 1 : 0).
fn g1(point: &G1Affine) -> TextG1 {
    let (x, y, z) = match point.xy() {
        Some((x, y)) => (x, y, 1u64),
        None => (Fq::from(0u64), Fq::from(1u64), 0),
    };
    [x.to_string(), y.to_string(), z.to_string()]
}

fn g2(point: &G2Affine) -> TextG2 {
    let small = |value: u64| Fq2::new(Fq::from(value), Fq::from(0u64));
    let (x, y, z) = match point.xy() {
        Some((x, y)) => (x, y, small(1)),
        None => (small(0), small(1), small(0)),
    };
    [fq2(&x), fq2(&y), fq2(&z)]
}

fn check_names(protocol: &str, curve: &str) -> Result<(), JsonError> {
    for (field, expected, got) in [("protocol", PROTOCOL, protocol), ("curve", CURVE, curve)] {
        if got != expected {
            return Err(JsonError::Foreign { field, expected });
        }
    }
    Ok(())
}

/// Parses a number that has the spelling that this module writes.
fn number<F: PrimeField>(field: &'static str, text: &str) -> Result<F, JsonError> {
    let wrong = JsonError::Number { field };
    if text.len() > DIGITS_MAX {
        return Err(wrong);
    }
    match F::from_str(text) {
        // Parsing reduces modulo the order; a reduced number has another
        // spelling.
        Ok(value) if value.to_string() == text => Ok(value),
        _ => Err(wrong),
    }
}

fn parse_g1(field: &'static str, [x, y, z]: &TextG1) -> Result<G1Affine, JsonError> {
    let affine = z == "1";
    let point = G1Affine::new_unchecked(number(field, x)?, number(field, y)?);
    checked(field, affine, point)
}

fn parse_g2(field: &'static str, [x, y, z]: &TextG2) -> Result<G2Affine, JsonError> {
    let affine = z[0] == "1" && z[1] == "0";
    let element = |[c0, c1]: &TextFq2| -> Result<Fq2, JsonError> {
        Ok(Fq2::new(number(field, c0)?, number(field, c1)?))
    };
    checked(field, affine, G2Affine::new_unchecked(element(x)?, element(y)?))
}

fn checked<P: Encoded>(field: &'static str, affine: bool, point: P) -> Result<P, JsonError> {
    let why = match () {
        () if !affine => PointError::Infinity,
        () if !point.on_curve() => PointError::Curve,
        () if !point.in_subgroup() => PointError::Subgroup,
        () => return Ok(point),
    };
    Err(JsonError::Point { field, why })
}
