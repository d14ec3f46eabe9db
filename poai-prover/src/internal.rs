//! What the tests, benchmarks and fuzz targets of this workspace use beside the
//! public interface: systems of constraints, arkworks' keys, and files read
//! without a circuit.
//!
//! **Nothing in this module, nor any method that it defines, is promised.** Any
//! release may change it.

use crate::circuit::{Circuit, CircuitError};
use crate::keys::{KeyError, KeyIdentity, KeyOrigin, KeyProblem, KeyPurpose, ProvingKey};
use ark_bn254::Bn254;
use poai_core::Control;

pub use crate::circuit::synthesis::{Built, Witness};
pub use crate::iden3::{json, r1cs, wtns, zkey};
pub use crate::keys::file::{read_proving_key, write_proving_key, write_verifying_key};
pub use crate::matrices::{Matrices, Row};
pub use crate::reduction::CircomReduction;
pub use crate::setup::insecure_single_party_setup;
pub use crate::system::{Lc, System};
pub use crate::verifying::{checked as verifying_key, points as verifying_points};

/// The circuit's rows.
pub fn matrices(circuit: &Circuit) -> &Matrices {
    circuit.matrices()
}

/// The circuit's system with the assignment of a witness, or of zeros.
///
/// # Errors
/// [`CircuitError`].
pub fn synthesise(circuit: &Circuit, witness: Option<&Witness>) -> Result<Built, CircuitError> {
    let system = System::new(circuit.layout().count(), true);
    circuit.subject.synthesise(witness, system, &Control::new())
}

/// A key with these points.
///
/// # Errors
/// [`KeyError`] if they cannot be the circuit's.
pub fn proving_key(
    circuit: &Circuit,
    points: ark_groth16::ProvingKey<Bn254>,
    origin: KeyOrigin,
) -> Result<ProvingKey, KeyError> {
    ProvingKey::new(circuit.clone(), points, origin)
}

/// The points of a key.
pub fn points(key: &ProvingKey) -> &ark_groth16::ProvingKey<Bn254> {
    &key.points
}

#[doc(hidden)]
impl KeyIdentity {
    /// The identity of keys for these constraints.
    ///
    /// # Errors
    /// - [`KeyProblem::Matrices`] if the matrices can have no key.
    /// - [`KeyProblem::Unknown`] if the number of signals does not fit 16 bits.
    pub fn new(purpose: KeyPurpose, matrices: &Matrices) -> Result<Self, KeyProblem> {
        matrices.check()?;
        KeyIdentity::of(purpose, matrices, matrices.digest())
    }
}
