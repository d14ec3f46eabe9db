//! A bounded memory of failed proofs, for nodes that gossip.
//!
//! A claimed transcript that meets the target binds neither tile nor openings.
//! Whoever has one, ground out or copied from an honest proof, can send it
//! again and again with other openings, each of which costs a node a hash of
//! two strips or a whole tile.
//!
//! What may be remembered about whom is delicate: a copy of an honest proof
//! with one opened byte changed carries the honest (challenge, statement, T).
//! A node that then refused this triple from *everybody* could be made to
//! refuse the honest proof by whoever forwards a broken copy first. So:
//!
//! - a failure after the target check is held against its **sender**: the same
//!   (challenge, statement, T) from the same source is refused at once;
//! - only a **proven** failure is held against everybody: both openings led to
//!   their roots and the tile's transcript was another. Then no proof of this
//!   (challenge, statement, tile, T) can ever hold.

use crate::error::{Invalid, VerifyError};
use crate::verifier::{Claim, Verified, Verifier};
use alloc::collections::{BTreeSet, VecDeque};
use poai_core::Challenge;

/// The identity of a failure.
type Key = [u8; 32];

/// Remembers up to a fixed number of failures; the oldest is forgotten first.
/// 64 bytes and some overhead each.
#[derive(Clone, Debug)]
pub struct Failures {
    capacity: usize,
    known: BTreeSet<Key>,
    order: VecDeque<Key>,
}

impl Failures {
    /// A memory of up to `capacity` failures. Memory is taken as they come.
    pub fn new(capacity: usize) -> Failures {
        Failures { capacity, known: BTreeSet::new(), order: VecDeque::new() }
    }

    /// How many failures are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// [`Verifier::verify`], refusing what is known to fail before the costly
    /// checks and remembering what fails in them.
    ///
    /// `source` is the authenticated identity of the peer that sent the proof.
    /// Where there is none, give `None`, never a made-up constant: one peer's
    /// broken copy would then keep another's honest proof out.
    ///
    /// A node that verifies in parallel calls [`Failures::refuses`] and
    /// [`Failures::record`] instead, and holds its lock for these alone.
    ///
    /// # Errors
    /// [`VerifyError::Known`], and whatever `verify` says.
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

    /// The cheap checks, and whether this proof is known to fail: what to ask
    /// before a costly [`Verifier::verify`] that runs without this memory.
    ///
    /// # Errors
    /// [`VerifyError::Known`], and whatever [`Verifier::preliminary_verify`] says.
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

    /// Remembers with what error this verifier has refused a proof. Errors of
    /// the cheap checks leave nothing to remember.
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

/// What one proof can be remembered under.
struct Keys {
    /// (source, challenge, statement, T), where there is a source.
    by_source: Option<Key>,
    /// (challenge, statement, tile, T).
    by_anyone: Key,
}

impl Keys {
    /// The rules belong to both keys: a share's verifier and a block's may use
    /// one memory.
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
        // Everything up to here has a fixed length, and the next byte tells the
        // two endings apart.
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
