//! Estimates of what a circuit costs, before any heavy work.

use super::defect::Defect;
use super::groth16::{self, Stopped};
use super::setup::insecure_single_party_setup;
use super::system::{Lc, System};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
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

/// A single-party setup or a proof would take more memory than is available.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "a {what} takes {}{} MiB of memory, and {} MiB are available: {} constraints, {} variables, \
     {} terms{}; free memory, or prove a smaller program or run",
    if *whole { "" } else { "at least " }, needed >> 20, available >> 20,
    estimate.constraints, estimate.variables, estimate.terms,
    if *whole { "" } else { ", and more to come" }
)]
#[non_exhaustive]
pub struct MemoryError {
    /// "setup" or "proof".
    pub what: &'static str,
    /// Bytes that it takes, the circuit and the key included.
    pub needed: u64,
    /// Bytes that the system reports as available, or the caller's limit, and
    /// the bytes that the circuit and the key take already.
    pub available: u64,
    /// The estimate.
    pub estimate: Box<Estimate>,
    /// Whether the estimate is of the whole circuit. Otherwise the build stopped
    /// at this part of it.
    pub whole: bool,
}

impl Estimate {
    /// The estimate that follows from a system's size, without times.
    pub(crate) fn of(system: &System) -> Estimate {
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

    /// Adds the times of setup and proof on this machine. It makes a small key
    /// and a small proof, which takes about a second.
    ///
    /// # Errors
    /// [`Defect`].
    pub fn measure(mut self) -> Result<Estimate, Defect> {
        let (setup, prove) = probe()?;
        let size = |constraints: u64| (constraints.next_power_of_two() + constraints) as f64;
        let scale = (size(self.constraints) / size(PROBED as u64)).powf(GROWTH);
        self.setup_seconds = Some(setup * scale);
        self.prove_seconds = Some(prove * scale);
        Ok(self)
    }

    /// Checks that a proof fits into the given number of bytes.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_available(&self, available: u64) -> Result<(), MemoryError> {
        self.check("proof", self.peak_memory_bytes, available)
    }

    /// Checks that a single-party setup fits into the given number of bytes.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn check_setup_available(&self, available: u64) -> Result<(), MemoryError> {
        self.check("setup", self.setup_memory_bytes, available)
    }

    /// Checks that a proof fits into the memory that the machine has now and
    /// that this process holds for it already.
    pub(crate) fn check_memory(&self, held: Held) -> Result<(), MemoryError> {
        let held = self.held(held);
        available_memory().map_or(Ok(()), |free| self.check_available(free.saturating_add(held)))
    }

    /// The same for a single-party setup, if the circuit is there.
    pub(crate) fn check_setup_memory(&self) -> Result<(), MemoryError> {
        let held = self.held(Held::Rows);
        let check = |free: u64| self.check_setup_available(free.saturating_add(held));
        available_memory().map_or(Ok(()), check)
    }

    fn held(&self, held: Held) -> u64 {
        let rows = TERM_BYTES * self.terms;
        match held {
            Held::Rows => rows,
            Held::RowsAndKey => rows + self.proving_key_bytes,
        }
    }

    /// The error of a circuit that is this large already, and not whole.
    pub(crate) fn part_exceeds(&self, available: u64) -> MemoryError {
        let (what, needed, estimate) = ("proof", self.peak_memory_bytes, Box::new(self.clone()));
        MemoryError { what, needed, available, estimate, whole: false }
    }

    fn check(&self, what: &'static str, needed: u64, available: u64) -> Result<(), MemoryError> {
        if needed > available {
            let estimate = Box::new(self.clone());
            return Err(MemoryError { what, needed, available, estimate, whole: true });
        }
        Ok(())
    }
}

/// What is in memory before the work that an estimate is of.
#[derive(Clone, Copy)]
pub(crate) enum Held {
    /// The circuit's rows.
    Rows,
    /// The rows and the proving key.
    RowsAndKey,
}

/// Bytes that are available now, or `None` if the system does not report them.
/// Allocations then fail instead.
pub(crate) fn available_memory() -> Option<u64> {
    let mut machine = Machine::new().ok()?;
    machine.refresh_memory();
    Some(machine.available_memory()).filter(|&available| available > 0)
}

/// Seconds of setup and proof of a small system of bits, which most constraints
/// of circuits are.
fn probe() -> Result<(f64, f64), Defect> {
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
    let start = Instant::now();
    let what = "expected a key of the small system, got an error";
    let mut rng = StdRng::seed_from_u64(0);
    let key = insecure_single_party_setup(&matrices, &mut rng).map_err(Defect::of(what))?;
    let setup = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let masks = [Fr::from(3u64), Fr::from(5u64)];
    let proof = groth16::prove(&key, &matrices, &assignment, masks, &mut || Ok(()));
    match proof {
        Err(Stopped::Defect(defect)) => Err(defect),
        _ => Ok((setup, start.elapsed().as_secs_f64())),
    }
}
