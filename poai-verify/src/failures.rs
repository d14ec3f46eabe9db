//! A bounded memory of failed proofs, for nodes that gossip.
//!
//! A claimed transcript that meets the target binds neither the tile nor the
//! openings. A peer that has such a transcript, from grinding or from an honest
//! proof, can send it repeatedly with other openings. Each message costs a node
//! a hash of two strips, or a whole tile.
//!
//! A node must be careful about what it remembers. A copy of an honest proof
//! with one opened byte changed has the honest (challenge, statement, T). If
//! the node then rejected this triple from *every* peer, a peer that forwards a
//! broken copy first could make it reject the honest proof. So:
//!
//! - A failure after the target check counts against its **sender**: the same
//!   (challenge, statement, T) from the same source is rejected at once.
//! - Only a **proven** failure counts against every peer: both openings led to
//!   their roots, and the tile's transcript differed. No proof of this
//!   (challenge, statement, tile, T) can then ever be valid.

use crate::error::{Invalid, VerifyError};
use crate::verifier::{Claim, Verified, Verifier};
use alloc::collections::{BTreeSet, VecDeque};
use poai_core::Challenge;

/// The identity of a failure.
type Key = [u8; 32];

/// A memory of up to a fixed number of failures.
///
/// The oldest failure is forgotten first. Each takes 64 bytes and some
/// overhead.
#[derive(Clone, Debug)]
pub struct Failures {
    capacity: usize,
    known: BTreeSet<Key>,
    order: VecDeque<Key>,
}

impl Failures {
    /// A memory of up to `capacity` failures. It allocates as failures are
    /// added.
    pub fn new(capacity: usize) -> Failures {
        Failures { capacity, known: BTreeSet::new(), order: VecDeque::new() }
    }

    /// Number of failures that are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no failure is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// As [`Verifier::verify`], with this memory.
    ///
    /// It rejects a known failure before the costly checks, and remembers a
    /// failure in them.
    ///
    /// `source` is the authenticated identity of the peer that sent the proof.
    /// Without one, pass `None`, never a made-up constant: otherwise, one
    /// peer's broken copy would keep another peer's honest proof out.
    ///
    /// A node that verifies in parallel calls [`Failures::refuses`] and
    /// [`Failures::record`] instead, and holds its lock only for these calls.
    ///
    /// # Errors
    /// [`VerifyError::Known`], and every error of `verify`.
    pub fn verify(
        &mut self,
        verifier: &Verifier,
        source: Option<&[u8]>,
        challenge: &Challenge,
        proof: &[u8],
    ) -> Result<Verified, VerifyError> {
        let claim = verifier.claim(challenge, proof)?;
        let keys = Keys::new(verifier, source, challenge, &claim);
        self.look_up(&keys)?;
        let result = verifier.finish(&claim);
        if let Err(error) = &result {
            self.remember_all(&keys, error);
        }
        result
    }

    /// Runs the cheap checks, and checks whether this proof is known to fail.
    ///
    /// Call it before a costly [`Verifier::verify`] that runs without this memory.
    ///
    /// # Errors
    /// [`VerifyError::Known`], and every error of [`Verifier::preliminary_verify`].
    pub fn refuses(
        &self,
        verifier: &Verifier,
        source: Option<&[u8]>,
        challenge: &Challenge,
        proof: &[u8],
    ) -> Result<(), VerifyError> {
        let claim = verifier.claim(challenge, proof)?;
        self.look_up(&Keys::new(verifier, source, challenge, &claim))
    }

    /// Remembers the error with which this verifier rejected a proof.
    ///
    /// Errors of the cheap checks are not remembered.
    pub fn record(
        &mut self,
        verifier: &Verifier,
        source: Option<&[u8]>,
        challenge: &Challenge,
        proof: &[u8],
        error: &VerifyError,
    ) {
        if let Ok(claim) = verifier.claim(challenge, proof) {
            self.remember_all(&Keys::new(verifier, source, challenge, &claim), error);
        }
    }

    fn look_up(&self, keys: &Keys) -> Result<(), VerifyError> {
        let by_source = keys.by_source.as_ref().is_some_and(|key| self.known.contains(key));
        if by_source || self.known.contains(&keys.by_anyone) {
            return Err(VerifyError::Known);
        }
        Ok(())
    }

    fn remember_all(&mut self, keys: &Keys, error: &VerifyError) {
        if let VerifyError::Known = error {
            return;
        }
        if let Some(key) = keys.by_source {
            self.remember(key);
        }
        if let VerifyError::Invalid(Invalid::Transcript { .. }) = error {
            self.remember(keys.by_anyone);
        }
    }

    fn remember(&mut self, key: Key) {
        if self.capacity == 0 || !self.known.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The keys under which one proof can be remembered.
struct Keys {
    /// The key of (source, challenge, statement, T), if there is a source.
    by_source: Option<Key>,
    /// The key of (challenge, statement, tile, T).
    by_anyone: Key,
}

impl Keys {
    /// Computes both keys. They include the rules, so that the verifiers of
    /// shares and of blocks can use one memory.
    fn new(
        verifier: &Verifier,
        source: Option<&[u8]>,
        challenge: &Challenge,
        claim: &Claim<'_>,
    ) -> Keys {
        let header = claim.proof.header();
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 failure");
        hasher.update(&verifier.rules().digest().0);
        hasher.update(&challenge.0);
        let shape = header.statement.shape;
        for value in [shape.m, shape.n, shape.k] {
            hasher.update(&value.to_le_bytes());
        }
        hasher.update(&header.statement.root_a.0);
        hasher.update(&header.statement.root_b.0);
        hasher.update(&header.transcript.to_bytes());
        // Everything before this point has a fixed length, and the next byte
        // distinguishes the two endings.
        let by_source = source.map(|source| {
            let mut hasher = hasher.clone();
            *hasher.update(&[1]).update(source).finalize().as_bytes()
        });
        hasher.update(&[0]);
        hasher.update(&header.tile.row.to_le_bytes());
        hasher.update(&header.tile.column.to_le_bytes());
        Keys { by_source, by_anyone: *hasher.finalize().as_bytes() }
    }
}
