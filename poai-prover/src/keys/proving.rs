//! The key of a circuit, with which proofs are made.

use super::file::{read_proving_key, write_proving_key, write_verifying_key};
use super::header::{KeyIdentity, KeyOrigin, KeyOwner, KeyPurpose};
use super::{KeyError, KeyProblem};
use crate::circuit::{Circuit, CircuitError};
use crate::defect::Defect;
use crate::estimate::Held;
use crate::iden3::zkey::{Zkey, ZkeyError, read_zkey};
use crate::random;
use crate::setup::insecure_single_party_setup;
use crate::verifying;
use ark_bn254::Bn254;
use ark_groth16::ProvingKey as Points;
use poai_core::inference::{VerifyingKey, WeightsVisibility};
use poai_core::{Cancelled, Control};
use poai_engine::Cpu;
use poai_engine::execute::{Network, RunError, Session};
use poai_verify::inference::InferenceVerifier;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// A circuit with its proving key, which makes proofs.
///
/// [`Circuit::ceremony_key`], [`Circuit::load_key`] and
/// [`Circuit::insecure_single_party_key`] make it. Clones share the key's
/// points.
#[derive(Clone)]
pub struct ProvingKey {
    pub(crate) circuit: Circuit,
    pub(crate) points: Arc<Points<Bn254>>,
    pub(crate) verifying_key: VerifyingKey,
    pub(crate) session: Arc<Session>,
    origin: KeyOrigin,
}

impl fmt::Debug for ProvingKey {
    /// Omits the points, of which there are millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvingKey")
            .field("circuit", &self.circuit)
            .field("verifying_key", &self.verifying_key.digest())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Circuit {
    /// The program, architecture, run and constraints that a key of this
    /// circuit is for. Key files state it.
    ///
    /// # Errors
    /// [`KeyError::Matrices`] if the circuit is too large for any key.
    pub fn key_identity(&self) -> Result<KeyIdentity, KeyError> {
        let (program, visibility) = (self.network().program(), self.layout().visibility());
        let owner = match visibility.weights {
            WeightsVisibility::Fixed => KeyOwner::Program(program.program_id()),
            WeightsVisibility::Committed => KeyOwner::Architecture(program.architecture_id()),
        };
        let purpose = KeyPurpose { owner, visibility, run: *self.run() };
        let identity = KeyIdentity::of(purpose, self.matrices(), self.digest());
        identity.map_err(|problem| match problem {
            KeyProblem::Matrices(error) => error.into(),
            other => Defect::of("expected few signals, got many")(other).into(),
        })
    }

    /// A new key, made by this process alone. **The party that runs this can forge
    /// proofs of anything.**
    ///
    /// The secrets come from the operating system's randomness and pass through
    /// the memory of this process. Nothing shows that they were erased. The key
    /// is for tests and experiments; others trust only a ceremony's key
    /// ([`Circuit::ceremony_key`]).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn insecure_single_party_key(&self) -> Result<ProvingKey, KeyError> {
        self.insecure_single_party_key_with(&Control::new())
    }

    /// As [`Circuit::insecure_single_party_key`], with control over the call.
    ///
    /// The unit of progress is the whole key. It can be cancelled before and
    /// after the points are made, but not in between.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn insecure_single_party_key_with(
        &self,
        control: &Control,
    ) -> Result<ProvingKey, KeyError> {
        control.check()?;
        self.estimate().check_setup_memory()?;
        control.report(0, 1);
        let points = insecure_single_party_setup(self.matrices(), &mut random::generator()?)?;
        control.check()?;
        control.report(1, 1);
        ProvingKey::new(self.clone(), points, KeyOrigin::SingleParty)
    }

    /// The key of a ceremony, from the `.zkey` file that snarkjs made of
    /// [`Circuit::write_r1cs`].
    ///
    /// It checks that the file is for this circuit, and every point. It cannot
    /// check the contributions: `snarkjs zkey verify` does.
    ///
    /// # Errors
    /// [`KeyError`]. The file of another circuit is [`KeyError::Ceremony`] with
    /// [`ZkeyError::Size`] or [`ZkeyError::Coefficient`].
    pub fn ceremony_key(&self, path: impl AsRef<Path>) -> Result<ProvingKey, KeyError> {
        self.ceremony_key_with(path, &Control::new())
    }

    /// As [`Circuit::ceremony_key`], with control over the call. The unit of
    /// progress is a byte of the file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn ceremony_key_with(
        &self,
        path: impl AsRef<Path>,
        control: &Control,
    ) -> Result<ProvingKey, KeyError> {
        self.estimate().check_memory(Held::Rows)?;
        let path = path.as_ref();
        let read = || -> Result<Zkey, ZkeyError> {
            let file = File::open(path)?;
            let total = file.metadata()?.len();
            let file = Watched { file, done: 0, total, control };
            read_zkey(BufReader::with_capacity(1 << 16, file), self.matrices())
        };
        let Zkey { key, contributions, .. } = match read() {
            Ok(zkey) => zkey,
            // A cancelled call fails as a file that cannot be read.
            Err(ZkeyError::Container(_)) if control.is_cancelled() => {
                return Err(Cancelled.into());
            }
            Err(source) => return Err(KeyError::Ceremony { path: path.to_owned(), source }),
        };
        ProvingKey::new(self.clone(), key, KeyOrigin::Ceremony { contributions })
    }

    /// A key of this circuit that [`ProvingKey::save`] wrote.
    ///
    /// Load only files that you wrote yourself: [the key files](super) are not
    /// checked as far as a ceremony's file is.
    ///
    /// # Errors
    /// [`KeyError`]. The key of something else is [`KeyError::File`] with
    /// [`KeyProblem::Differs`].
    pub fn load_key(&self, path: impl AsRef<Path>) -> Result<ProvingKey, KeyError> {
        self.load_key_with(path, &Control::new())
    }

    /// As [`Circuit::load_key`], with control over the call. The unit of
    /// progress is a byte of the file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load_key_with(
        &self,
        path: impl AsRef<Path>,
        control: &Control,
    ) -> Result<ProvingKey, KeyError> {
        self.estimate().check_memory(Held::Rows)?;
        let identity = self.key_identity()?;
        let (header, points) = read_proving_key(path.as_ref(), &identity, control)?;
        ProvingKey::new(self.clone(), points, header.origin)
    }
}

impl ProvingKey {
    /// The key with these points, if they can be the circuit's.
    pub(crate) fn new(
        circuit: Circuit,
        points: Points<Bn254>,
        origin: KeyOrigin,
    ) -> Result<ProvingKey, KeyError> {
        let matrices = circuit.matrices();
        for (what, expected, got) in [
            ("signals", matrices.signals + 1, points.vk.gamma_abc_g1.len()),
            ("variables", matrices.variables, points.a_query.len()),
            ("witnesses", matrices.witnesses(), points.l_query.len()),
        ] {
            if expected != got {
                return Err(KeyError::Size { what, expected, got });
            }
        }
        let verifying_key = verifying::checked(&points.vk)?;
        let session = Arc::new(session(circuit.network())?);
        Ok(ProvingKey { circuit, points: Arc::new(points), verifying_key, session, origin })
    }

    /// The same key for another network of the circuit's architecture, with
    /// committed weights ([`Circuit::for_network`]).
    ///
    /// # Errors
    /// [`CircuitError`] if the circuit is not the network's.
    pub fn for_network(&self, network: &Network) -> Result<ProvingKey, CircuitError> {
        let circuit = self.circuit.for_network(network)?;
        let what = "expected to execute a network of the circuit's architecture, got an error";
        let session = session(network).map_err(Defect::of(what))?;
        Ok(ProvingKey { circuit, session: Arc::new(session), ..self.clone() })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying_key
    }

    /// Who made the key.
    pub fn origin(&self) -> KeyOrigin {
        self.origin
    }

    /// A verifier of this network's proofs under this key.
    pub fn verifier(&self) -> InferenceVerifier {
        let (program, run) = (self.circuit.network().program(), self.circuit.run());
        let key = self.verifying_key.clone();
        InferenceVerifier::new(program.program_id(), program.total_macs(run), key)
    }

    /// Writes the key into a file that states what it is for. An existing file
    /// is replaced when the new one is whole.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        self.save_with(path, &Control::new())
    }

    /// As [`ProvingKey::save`], with control over the call. The unit of progress
    /// is a byte of the file. A cancelled call leaves no file behind.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn save_with(&self, path: impl AsRef<Path>, control: &Control) -> Result<(), KeyError> {
        let identity = self.circuit.key_identity()?;
        write_proving_key(path.as_ref(), &identity, self.origin, &self.points, control)?;
        Ok(())
    }

    /// Writes the verifying key into a file that states what it is for.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn save_verifying_key(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let identity = self.circuit.key_identity()?;
        write_verifying_key(path.as_ref(), &identity, self.origin, &self.points.vk)?;
        Ok(())
    }
}

fn session(network: &Network) -> Result<Session, RunError> {
    Session::new(network.clone(), Arc::new(Cpu::new()))
}

/// A file that reports how much of it was read, and whose reading fails once the
/// caller has cancelled.
struct Watched<'a> {
    file: File,
    done: u64,
    total: u64,
    control: &'a Control,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.control.check().map_err(io::Error::other)?;
        let read = self.file.read(into)?;
        // Sections are skipped and read again, so bytes can count twice.
        self.done = self.total.min(self.done + read as u64);
        self.control.report(self.done, self.total);
        Ok(read)
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
