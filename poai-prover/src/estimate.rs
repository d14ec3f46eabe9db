//! Estimates of what a circuit costs, before any heavy work.

use super::circuit::{Circuit, CircuitError};
use super::reduction::CircomReduction;
use super::setup::{SetupError, insecure_single_party_setup};
use super::system::{Lc, System};
use ark_bn254::{Bn254, Fr};
use ark_ff::{AdditiveGroup, Field};
use ark_groth16::Groth16;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use std::time::Instant;
use sysinfo::System as Machine;

/// Number of bytes of an uncompressed point.
const G1_BYTES: u64 = 64;
const G2_BYTES: u64 = 128;
/// Number of bytes of a field element, and of a matrix's term in memory. The
/// latter includes the spare capacity of a row while it grows.
const FIELD_BYTES: u64 = 32;
const TERM_BYTES: u64 = 100;
/// Memory of a setup: bytes for each term, which the generator copies, and
/// bytes for each variable or point of the domain, for which it holds scalars
/// and sums.
const SETUP_TERM_BYTES: u64 = 150;
const SETUP_BYTES: u64 = 300;
/// Bytes of the process itself, and of memory that is freed but not returned to
/// the system.
const BASE_BYTES: u64 = 24 << 20;
/// Gas of a call of the contract with one signal, and of each further signal,
/// as printed by the verifier's tests in the EVM.
const GAS: (u64, u64) = (189_000, 7_000);
/// Number of constraints of the system that times are measured on.
const PROBED: usize = 1 << 13;
/// Exponent by which time grows with size. It is a little below one, because
/// sums of many points use larger windows.
const GROWTH: f64 = 0.93;

/// The cost of setup and proof of a circuit.
///
/// Times are of this machine at this moment, extrapolated from a small system,
/// and accurate to a factor of about two. All other numbers follow from the
/// sizes.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// Number of constraints.
    pub constraints: u64,
    /// Number of variables: the one, the signals and the witnesses.
    pub variables: u64,
    /// Number of nonzero entries of the matrices.
    pub terms: u64,
    /// Number of public inputs.
    pub signals: u64,
    /// Bytes of a proving key's file, without its header.
    pub proving_key_bytes: u64,
    /// Bytes of a verifying key.
    pub verifying_key_bytes: u64,
    /// Bytes of memory that proving takes at its peak, key included.
    pub peak_memory_bytes: u64,
    /// Bytes of memory that a single-party setup takes at its peak, the
    /// circuit's rows included.
    pub setup_memory_bytes: u64,
    /// Gas of a call of the verifying contract.
    pub gas: u64,
    /// Seconds of a single-party setup, or `None` if they were not measured.
    pub setup_seconds: Option<f64>,
    /// Seconds of a proof, or `None` if they were not measured.
    pub prove_seconds: Option<f64>,
}

/// A setup or a proof would take more memory than is available.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "a {what} takes {} MiB of memory, and {} MiB are available: {} constraints, {} variables, \
     {} terms; free memory, or prove a smaller program or run",
    needed >> 20, available >> 20, estimate.constraints, estimate.variables, estimate.terms
)]
pub struct MemoryError {
    /// "setup" or "proof".
    pub what: &'static str,
    /// Bytes that it takes.
    pub needed: u64,
    /// The whole estimate.
    pub estimate: Box<Estimate>,
    /// Bytes that the system reports as available.
    pub available: u64,
}

/// Estimates what a circuit costs, times included.
///
/// It builds the circuit without keeping it, and makes a small key and a small proof to measure
/// times.
///
/// # Errors
/// [`EstimateError`].
pub fn estimate(circuit: &Circuit) -> Result<Estimate, EstimateError> {
    let built = circuit.build(None, false)?;
    let mut estimate = Estimate::of(&built.system);
    let (setup, prove) = probe()?;
    let size = |constraints: u64| (constraints.next_power_of_two() + constraints) as f64;
    let scale = (size(estimate.constraints) / size(PROBED as u64)).powf(GROWTH);
    estimate.setup_seconds = Some(setup * scale);
    estimate.prove_seconds = Some(prove * scale);
    Ok(estimate)
}

/// Why an estimate cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EstimateError {
    /// The program has no circuit.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The small system has no key. This is a defect of the library.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The small system has no proof. This is a defect of the library.
    #[error("expected a proof of the small system, got an error; report this defect")]
    Probe,
}

impl Estimate {
    /// The estimate that follows from a system's size, without times.
    pub fn of(system: &System) -> Estimate {
        let constraints = system.constraints() as u64;
        let (variables, signals) = (system.variables() as u64, system.signals() as u64);
        let terms = system.terms() as u64;
        let domain = (constraints + signals + 1).next_power_of_two();
        // Points of A, of B and of the witnesses in G1, points of the quotient,
        // and points of B in G2.
        let proving_key_bytes = G1_BYTES * (3 * variables + domain) + G2_BYTES * variables;
        // In addition to the key and the rows: the assignment twice, as
        // integers and as field elements, the three evaluations of the
        // quotient, and the memory for sums of points. The factor 2 is what
        // circuits of 3 000 to 240 000 constraints were measured to take; some
        // took a quarter less. The estimate is meant to be enough.
        let working = 2 * FIELD_BYTES * (4 * variables + 5 * domain);
        Estimate {
            constraints,
            variables,
            terms,
            signals,
            proving_key_bytes,
            verifying_key_bytes: 32 * (signals + 2) + 3 * 64,
            peak_memory_bytes: BASE_BYTES + proving_key_bytes + TERM_BYTES * terms + working,
            setup_memory_bytes: BASE_BYTES
                + proving_key_bytes
                + SETUP_TERM_BYTES * terms
                + SETUP_BYTES * (variables + domain),
            gas: GAS.0 + GAS.1 * signals.saturating_sub(1),
            setup_seconds: None,
            prove_seconds: None,
        }
    }

    /// Checks that a proof fits into the memory that the machine has now.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_memory(&self) -> Result<(), MemoryError> {
        available_memory().map_or(Ok(()), |available| self.check_available(available))
    }

    /// Checks that a proof fits into the given number of bytes.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_available(&self, available: u64) -> Result<(), MemoryError> {
        self.check("proof", self.peak_memory_bytes, available)
    }

    /// Checks that a single-party setup fits into the memory that the machine
    /// has now.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_setup_memory(&self) -> Result<(), MemoryError> {
        available_memory().map_or(Ok(()), |available| self.check_setup_available(available))
    }

    /// Checks that a single-party setup fits into the given number of bytes.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_setup_available(&self, available: u64) -> Result<(), MemoryError> {
        self.check("setup", self.setup_memory_bytes, available)
    }

    fn check(&self, what: &'static str, needed: u64, available: u64) -> Result<(), MemoryError> {
        if needed > available {
            return Err(MemoryError { what, needed, estimate: Box::new(self.clone()), available });
        }
        Ok(())
    }
}

/// Bytes that are available now, or `None` if the system does not report them.
/// Allocations then fail instead.
fn available_memory() -> Option<u64> {
    let mut machine = Machine::new().ok()?;
    machine.refresh_memory();
    Some(machine.available_memory()).filter(|&available| available > 0)
}

/// Seconds of setup and proof of a small system of bits, which most constraints
/// of circuits are.
fn probe() -> Result<(f64, f64), EstimateError> {
    let mut system = System::new(1, true);
    let signal = system.signal(0, Fr::ONE);
    system.enforce(signal.clone(), signal.clone(), signal);
    let one = Lc::constant(Fr::ONE);
    while system.constraints() < PROBED - 2 {
        let bit =
            system.witness(if system.constraints().is_multiple_of(2) { Fr::ONE } else { Fr::ZERO });
        let less = Lc::sum([(Fr::ONE, &bit), (-Fr::ONE, &one)]);
        system.enforce(bit, less, Lc::default());
    }
    let (matrices, assignment) = system.into_parts();
    let mut rng = StdRng::seed_from_u64(0);
    let start = Instant::now();
    let key = insecure_single_party_setup(&matrices, &mut rng)?;
    let setup = start.elapsed().as_secs_f64();
    let (signals, rows) = (matrices.signals, matrices.rows());
    let rows_of = [matrices.a, matrices.b, matrices.c];
    let start = Instant::now();
    let proof = Groth16::<Bn254, CircomReduction>::create_proof_with_reduction_and_matrices(
        &key,
        Fr::from(3u64),
        Fr::from(5u64),
        &rows_of,
        signals + 1,
        rows,
        &assignment,
    );
    proof.map_err(|_| EstimateError::Probe)?;
    Ok((setup, start.elapsed().as_secs_f64()))
}
