//! What the crates of this workspace share beside the public interface:
//! arkworks' types of field elements and points.
//!
//! **Nothing in this module, nor any method that it defines, is promised.** Any
//! release may change it.

use super::element::FieldElement;
use super::key::{VerifyingKey, VerifyingKeyError};
use super::points;
use super::proof::{Groth16DecodeError, Groth16Proof, at};
use super::signals::SIGNALS_MAX;
use alloc::vec::Vec;

pub use ark_bn254::{Fr, G1Affine, G2Affine};

#[doc(hidden)]
impl From<Fr> for FieldElement {
    fn from(element: Fr) -> FieldElement {
        FieldElement(element)
    }
}

#[doc(hidden)]
impl From<FieldElement> for Fr {
    fn from(element: FieldElement) -> Fr {
        element.0
    }
}

#[doc(hidden)]
impl VerifyingKey {
    /// A key with these points.
    ///
    /// `ic` has one point for the constant and one for each of 1 to 6 signals.
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
}

#[doc(hidden)]
impl Groth16Proof {
    /// A proof with these points.
    ///
    /// # Errors
    /// [`Groth16DecodeError::Point`].
    pub fn new(a: G1Affine, b: G2Affine, c: G1Affine) -> Result<Groth16Proof, Groth16DecodeError> {
        points::check(&a).map_err(at('A'))?;
        points::check(&b).map_err(at('B'))?;
        points::check(&c).map_err(at('C'))?;
        Ok(Groth16Proof { a, b, c })
    }

    /// The point A of G1.
    pub fn a(&self) -> &G1Affine {
        &self.a
    }

    /// The point B of G2.
    pub fn b(&self) -> &G2Affine {
        &self.b
    }

    /// The point C of G1.
    pub fn c(&self) -> &G1Affine {
        &self.c
    }
}
