//! What a circuit costs, before anything heavy is done.

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

/// Bytes of uncompressed points.
const G1_BYTES: u64 = 64;
const G2_BYTES: u64 = 128;
/// Bytes of a field element, and of a matrix's term in memory, with what its
/// row takes besides while it grows.
const FIELD_BYTES: u64 = 32;
const TERM_BYTES: u64 = 100;
/// Of a setup: bytes of a term, which the generator has copies of, and of a
/// variable or a point of the domain, of which it holds scalars and sums.
const SETUP_TERM_BYTES: u64 = 150;
const SETUP_BYTES: u64 = 300;
/// Bytes of the process itself, and of what is freed and not given back.
const BASE_BYTES: u64 = 24 << 20;
/// Gas of the contract's call with one signal, and of each further one: what
/// the verifier's tests in the EVM print.
const GAS: (u64, u64) = (189_000, 7_000);
/// Constraints of the system that times are measured on.
const PROBED: usize = 1 << 13;
/// How time grows with size: a little less than linearly, since sums of many
/// points take larger windows.
const GROWTH: f64 = 0.93;

/// What setup and proof of a circuit cost. Times are of this machine at this
/// moment, extrapolated from a small system, and good to a factor of two or
/// so; everything else follows from the sizes.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// Constraints.
    pub constraints: u64,
    /// One, signals and witnesses.
    pub variables: u64,
    /// Nonzero entries of the matrices.
    pub terms: u64,
    /// Public inputs.
    pub signals: u64,
    /// Bytes of a proving key's file, without its header.
    pub proving_key_bytes: u64,
    /// Bytes of a verifying key.
    pub verifying_key_bytes: u64,
    /// Memory that proving takes at its peak, key included.
    pub peak_memory_bytes: u64,
    /// The same of a single-party setup, the circuit's rows included.
    pub setup_memory_bytes: u64,
    /// Gas of the verifying contract's call.
    pub gas: u64,
    /// Seconds of a single-party setup; `None` where nothing was measured.
    pub setup_seconds: Option<f64>,
    /// Seconds of a proof.
    pub prove_seconds: Option<f64>,
}

/// A setup or a proof would take more memory than there is.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "a {what} takes {} MiB of memory, and {} MiB are available: {} constraints, {} variables, \
     {} terms",
    needed >> 20, available >> 20, estimate.constraints, estimate.variables, estimate.terms
)]
pub struct MemoryError {
    /// Which: "setup" or "proof".
    pub what: &'static str,
    /// Bytes that it takes.
    pub needed: u64,
    /// All of the estimate.
    pub estimate: Box<Estimate>,
    /// Bytes that the system says are available.
    pub available: u64,
}

/// What a circuit costs, times included: builds it without keeping it, and makes
/// a small key and proof.
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

/// Why there is no estimate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EstimateError {
    /// No circuit.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The small system has no key: a defect of the library.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Or no proof.
    #[error("no proof of the small system")]
    Probe,
}

impl Estimate {
    /// What follows from a system's size.
    pub fn of(system: &System) -> Estimate {
        let constraints = system.constraints() as u64;
        let (variables, signals) = (system.variables() as u64, system.signals() as u64);
        let terms = system.terms() as u64;
        let domain = (constraints + signals + 1).next_power_of_two();
        // A, B and the witnesses' points in G1 and the quotient's; B in G2.
        let proving_key_bytes = G1_BYTES * (3 * variables + domain) + G2_BYTES * variables;
        // Over the key and the rows: the assignment twice, as integers and not,
        // the three evaluations of the quotient, and what sums of points take.
        // Twice that, as circuits of 3 000 to 240 000 constraints were seen to
        // take, some a quarter less: it is meant to be enough.
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

    /// Whether a proof fits into the memory that the machine has now.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_memory(&self) -> Result<(), MemoryError> {
        available_memory().map_or(Ok(()), |available| self.check_available(available))
    }

    /// The same for memory that somebody knows of.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_available(&self, available: u64) -> Result<(), MemoryError> {
        self.check("proof", self.peak_memory_bytes, available)
    }

    /// Whether a single-party setup fits into the memory that the machine has
    /// now.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_setup_memory(&self) -> Result<(), MemoryError> {
        available_memory().map_or(Ok(()), |available| self.check_setup_available(available))
    }

    /// The same for memory that somebody knows of.
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

/// Bytes that are available now. A system that does not tell cannot be asked:
/// allocations will say.
fn available_memory() -> Option<u64> {
    let mut machine = Machine::new().ok()?;
    machine.refresh_memory();
    Some(machine.available_memory()).filter(|&available| available > 0)
}

/// Seconds of setup and proof of a small system of bits, which is what circuits
/// mostly are.
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
