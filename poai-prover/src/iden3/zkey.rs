//! `.zkey` files of Groth16, version 1: a ceremony's key, for our prover.
//!
//! | section | content |
//! | --- | --- |
//! | 1 | the protocol, 1 for Groth16 |
//! | 2 | both fields' orders, the counts, α, β, γ, δ |
//! | 3 | the verifying key's points for the one and the signals |
//! | 4 | the coefficients of A and B, with the rows added for signals |
//! | 5, 6, 7 | points of A, of B, and of B in G2, one for each variable |
//! | 8 | points of witnesses in the third element of a proof |
//! | 9 | points for the quotient, one for each point of the domain |
//! | 10 | a hash of the circuit, and the contributions |
//!
//! The reader checks:
//!
//! - the frame and every length, before it allocates;
//! - that the file is for the given constraints, as far as the file shows it;
//! - that points are on their curves, in their groups, and where required not at infinity;
//! - that β and δ agree in both groups;
//! - that γ is the generator;
//! - that no two of β, γ and δ are equal or opposite, nor the points of two signals;
//! - that the file lists a contribution.
//!
//! The reader cannot check two things: the file does not hold C, and nothing in it shows that its
//! points were made correctly. `snarkjs zkey verify` with the `.r1cs` file and the powers of tau
//! shows both. A party that relies on a ceremony must run it. A prover that gets a wrong key
//! notices when its own proofs fail.

use super::container::{Container, ContainerError, read_u32};
use crate::matrices::{Matrices, MatricesError, canonical};
use crate::points::{self, FIELD_BYTES, ReadError, Subgroup};
use crate::verifying;
use ark_bn254::{Bn254, Fq, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_ff::{BigInteger, Field, PrimeField};
use ark_groth16::{ProvingKey, VerifyingKey};
use poai_core::inference::{PointError, VerifyingKeyError};
use std::io::{self, Read, Seek};
use std::num::NonZeroU32;

const GROTH16: u32 = 1;
const G1_BYTES: u64 = 2 * FIELD_BYTES as u64;
const G2_BYTES: u64 = 4 * FIELD_BYTES as u64;
const HEADER_BYTES: u64 = 2 * (4 + FIELD_BYTES as u64) + 3 * 4 + 3 * (G1_BYTES + G2_BYTES);
/// Number of bytes of a coefficient: matrix, constraint, variable, value.
const COEFFICIENT_BYTES: usize = 3 * 4 + FIELD_BYTES;
/// Number of coefficients that are read at a time.
const CHUNK: usize = 1 << 12;
/// Number of bytes of the circuit's hash in the last section.
const HASH_BYTES: usize = 64;

const PROTOCOL: u32 = 1;
const HEADER: u32 = 2;
const SIGNALS: u32 = 3;
const COEFFICIENTS: u32 = 4;
const A: u32 = 5;
const B_G1: u32 = 6;
const B_G2: u32 = 7;
const WITNESSES: u32 = 8;
const QUOTIENT: u32 = 9;
const CONTRIBUTIONS: u32 = 10;

/// Why a file is not a key for a system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZkeyError {
    /// The file is not a whole `.zkey`.
    #[error("expected a whole .zkey file: {0}")]
    Container(#[from] ContainerError),
    /// The matrices are not a system that can have a key.
    #[error(transparent)]
    Matrices(#[from] MatricesError),
    /// The key is for another proof system than Groth16.
    #[error("expected a key of protocol {GROTH16}, Groth16, got {got}; make a Groth16 key")]
    Protocol {
        /// The file's protocol number.
        got: u32,
    },
    /// The key is on another curve than BN254.
    #[error("expected BN254's {field} field, got another; make a key on bn128")]
    Curve {
        /// `base` or `scalar`.
        field: &'static str,
    },
    /// The key is for a system of another size.
    #[error("a key of another system: expected {expected} {what}, got {got}")]
    Size {
        /// What was counted.
        what: &'static str,
        /// The number in the given system.
        expected: u64,
        /// The number in the file.
        got: u64,
    },
    /// The key is for a system of the same size with another coefficient in A
    /// or B.
    #[error("a key of another system: expected its coefficient {index}, got another")]
    Coefficient {
        /// Index of the coefficient, in the file's order.
        index: usize,
    },
    /// A point is invalid.
    #[error("section {section}, point {index}: {why}")]
    Point {
        /// The section.
        section: u32,
        /// Index of the point in the section. In the header: α, β, β, γ, δ, δ.
        index: usize,
        /// What is wrong.
        #[source]
        why: PointError,
    },
    /// An element has different values in the two groups.
    #[error("expected the same {name} in both groups, got two; take the ceremony's own file")]
    Unequal {
        /// The element's name.
        name: &'static str,
    },
    /// The file lists no contribution, or δ is still γ or −γ. Without a contribution, any party can
    /// forge.
    #[error("expected a contribution to this key, got none: any party can forge; contribute first")]
    NoContribution,
    /// γ is not the generator, which it is in every file of snarkjs. The party
    /// that wrote another point may know a ratio with which to forge.
    #[error("expected the generator of G2 as γ, got another point; take the ceremony's own file")]
    Gamma,
    /// The points are not a verifying key that is valid for inference proofs.
    #[error(transparent)]
    VerifyingKey(#[from] VerifyingKeyError),
}

impl From<io::Error> for ZkeyError {
    fn from(error: io::Error) -> Self {
        Self::Container(error.into())
    }
}

/// A ceremony's key.
#[derive(Clone, Debug, PartialEq)]
pub struct Zkey {
    /// The key, for the reduction of this crate.
    pub key: ProvingKey<Bn254>,
    /// snarkjs' hash of the circuit, as the ceremony's participants see it.
    pub circuit_hash: [u8; HASH_BYTES],
    /// Number of contributions that the file lists, the beacon included.
    pub contributions: NonZeroU32,
}

/// Reads a ceremony's key for a system.
///
/// `from` should be buffered. Memory holds no more of it than the key itself.
///
/// # Errors
/// [`ZkeyError`] states what is wrong. The key of another system is
/// [`ZkeyError::Size`] or [`ZkeyError::Coefficient`].
pub fn read_zkey(from: impl Read + Seek, matrices: &Matrices) -> Result<Zkey, ZkeyError> {
    matrices.check()?;
    matrices.check_signals()?;
    let domain = matrices.domain()?;
    let mut file = Container::open(from, "zkey", 1, PROTOCOL..=CONTRIBUTIONS)?;
    match read_u32(&mut file.section(PROTOCOL, 4)?)? {
        GROTH16 => {}
        got => return Err(ZkeyError::Protocol { got }),
    }
    let header = Header::read(&mut file, matrices, domain)?;
    compare_coefficients(&mut file, matrices)?;

    let gamma_abc_g1: Vec<G1Affine> = read_points(&mut file, SIGNALS, matrices.signals + 1)?;
    if let Some(index) = gamma_abc_g1.iter().position(AffineRepr::is_zero) {
        return Err(ZkeyError::Point { section: SIGNALS, index, why: PointError::Infinity });
    }
    let a_query = read_points(&mut file, A, matrices.variables)?;
    let b_g1_query = read_points(&mut file, B_G1, matrices.variables)?;
    let b_g2_query = read_points(&mut file, B_G2, matrices.variables)?;
    let l_query = read_points(&mut file, WITNESSES, matrices.witnesses())?;
    let h_query = read_points(&mut file, QUOTIENT, domain)?;

    let mut section = file.start_of(CONTRIBUTIONS, HASH_BYTES as u64 + 4)?;
    let mut circuit_hash = [0; HASH_BYTES];
    section.read_exact(&mut circuit_hash)?;
    let contributions =
        NonZeroU32::new(read_u32(&mut section)?).ok_or(ZkeyError::NoContribution)?;
    header.check_groups()?;
    let Header { alpha_g1, beta_g1, beta_g2, gamma_g2, delta_g1, delta_g2 } = header;
    let vk = VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, gamma_abc_g1 };
    verifying::checked(&vk)?;
    let key =
        ProvingKey { vk, beta_g1, delta_g1, a_query, b_g1_query, b_g2_query, h_query, l_query };
    Ok(Zkey { key, circuit_hash, contributions })
}

/// The points of the second section.
struct Header {
    alpha_g1: G1Affine,
    beta_g1: G1Affine,
    beta_g2: G2Affine,
    gamma_g2: G2Affine,
    delta_g1: G1Affine,
    delta_g2: G2Affine,
}

impl Header {
    fn read<R: Read + Seek>(
        file: &mut Container<R>,
        matrices: &Matrices,
        domain: usize,
    ) -> Result<Self, ZkeyError> {
        let mut section = file.section(HEADER, HEADER_BYTES)?;
        read_order::<Fq>(&mut section, "base")?;
        read_order::<Fr>(&mut section, "scalar")?;
        let sizes = [
            ("variables", matrices.variables),
            ("signals", matrices.signals),
            ("points of the domain", domain),
        ];
        for (what, expected) in sizes {
            let (expected, got) = (expected as u64, u64::from(read_u32(&mut section)?));
            if expected != got {
                return Err(ZkeyError::Size { what, expected, got });
            }
        }
        let at = |index| move |error| located(error, HEADER, index);
        let header = Self {
            alpha_g1: points::read_one(&mut section).map_err(at(0))?,
            beta_g1: points::read_one(&mut section).map_err(at(1))?,
            beta_g2: points::read_one(&mut section).map_err(at(2))?,
            gamma_g2: points::read_one(&mut section).map_err(at(3))?,
            delta_g1: points::read_one(&mut section).map_err(at(4))?,
            delta_g2: points::read_one(&mut section).map_err(at(5))?,
        };
        if header.gamma_g2 != G2Affine::generator() {
            return Err(ZkeyError::Gamma);
        }
        // Equal x coordinates show that δ is γ or its negative.
        match header.delta_g2.x == header.gamma_g2.x {
            true => Err(ZkeyError::NoContribution),
            false => Ok(header),
        }
    }

    /// Checks that β and δ are the same number in both groups.
    fn check_groups(&self) -> Result<(), ZkeyError> {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        for (name, in_g1, in_g2) in
            [("β", self.beta_g1, self.beta_g2), ("δ", self.delta_g1, self.delta_g2)]
        {
            if Bn254::pairing(in_g1, g2) != Bn254::pairing(g1, in_g2) {
                return Err(ZkeyError::Unequal { name });
            }
        }
        Ok(())
    }
}

/// Reads a field's order, after the length of its elements.
fn read_order<F: PrimeField>(from: &mut impl Read, field: &'static str) -> Result<(), ZkeyError> {
    let bytes = read_u32(from)?;
    let mut order = [0; FIELD_BYTES];
    from.read_exact(&mut order)?;
    match bytes as usize == FIELD_BYTES && order[..] == F::MODULUS.to_bytes_le()[..] {
        true => Ok(()),
        false => Err(ZkeyError::Curve { field }),
    }
}

/// Reads all points of one section.
fn read_points<P: points::Encoded, R: Read + Seek>(
    file: &mut Container<R>,
    id: u32,
    count: usize,
) -> Result<Vec<P>, ZkeyError> {
    let mut section = file.section(id, (count as u64).saturating_mul(P::BYTES as u64))?;
    points::read(&mut section, count, Subgroup::Check).map_err(|error| match error {
        ReadError::Io(error) => error.into(),
        ReadError::Point { index, why } => ZkeyError::Point { section: id, index, why },
    })
}

fn located(error: ReadError, section: u32, index: usize) -> ZkeyError {
    match error {
        ReadError::Io(error) => error.into(),
        ReadError::Point { why, .. } => ZkeyError::Point { section, index, why },
    }
}

/// Compares the file's coefficients with the system's, one by one.
///
/// snarkjs writes a constraint's terms of A, then of B, in the order of the
/// `.r1cs` file. The rows added for the one and the signals come last.
fn compare_coefficients<R: Read + Seek>(
    file: &mut Container<R>,
    matrices: &Matrices,
) -> Result<(), ZkeyError> {
    let terms =
        |rows: &[Vec<(Fr, usize)>]| -> usize { rows.iter().map(|row| canonical(row).len()).sum() };
    let count = terms(&matrices.a) + terms(&matrices.b) + matrices.signals + 1;
    // The count is compared before the length, so that the error is more
    // precise.
    let got = u64::from(read_u32(&mut file.start_of(COEFFICIENTS, 4)?)?);
    let expected = count as u64;
    if got != expected {
        return Err(ZkeyError::Size { what: "coefficients", expected, got });
    }
    let length = expected.saturating_mul(COEFFICIENT_BYTES as u64).saturating_add(4);
    let mut section = file.section(COEFFICIENTS, length)?;
    read_u32(&mut section)?;

    let rows = matrices.a.iter().zip(&matrices.b).enumerate();
    let of_rows = rows.flat_map(|(row, (a, b))| {
        let term =
            move |matrix: u32| move |(value, variable): (Fr, usize)| (matrix, row, variable, value);
        let a = canonical(a).into_owned().into_iter().map(term(0));
        a.chain(canonical(b).into_owned().into_iter().map(term(1)))
    });
    let of_signals =
        (0..=matrices.signals).map(|signal| (0, matrices.rows() + signal, signal, Fr::ONE));
    let mut expected = of_rows.chain(of_signals);
    // The file holds values times R² modulo the order, with R = 2^256, so that
    // a Montgomery product with a plain witness is in Montgomery form.
    let factor = Fr::from(2u64).pow([256]);

    let mut bytes = vec![0; CHUNK.min(count) * COEFFICIENT_BYTES];
    let mut done = 0;
    while done < count {
        let chunk = CHUNK.min(count - done);
        let bytes = bytes.get_mut(..chunk * COEFFICIENT_BYTES).unwrap_or_default();
        section.read_exact(bytes)?;
        for (at, got) in bytes.chunks(COEFFICIENT_BYTES).enumerate() {
            let same = expected.next().is_some_and(|term| same_coefficient(got, term, factor));
            if !same {
                return Err(ZkeyError::Coefficient { index: done + at });
            }
        }
        done += chunk;
    }
    Ok(())
}

/// Whether the file's bytes encode this coefficient.
fn same_coefficient(
    mut bytes: &[u8],
    (matrix, row, variable, value): (u32, usize, usize, Fr),
    factor: Fr,
) -> bool {
    let expected = [matrix as usize, row, variable];
    let named = expected
        .iter()
        .all(|expected| matches!(read_u32(&mut bytes), Ok(got) if got as usize == *expected));
    // Reading the value as an element in Montgomery form removes one of the two
    // factors R.
    named && points::fr(bytes) == Some(value * factor)
}
