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
    /// checks and remembering what fails in them. `source` identifies the peer
    /// that sent the proof.
    ///
    /// # Errors
    /// [`VerifyError::Known`], and whatever `verify` says.
    pub fn verify(
        &mut self,
        verifier: &Verifier,
        source: &[u8],
        challenge: &Challenge,
        proof: &[u8],
    ) -> Result<Verified, VerifyError> {
        let claim = verifier.claim(challenge, proof)?;
        let by_source = key(Some(source), verifier, challenge, &claim);
        let by_anyone = key(None, verifier, challenge, &claim);
        if self.known.contains(&by_source) || self.known.contains(&by_anyone) {
            return Err(VerifyError::Known);
        }
        let result = verifier.finish(&claim);
        match result {
            Ok(_) => {}
            Err(VerifyError::Invalid(Invalid::Transcript { .. })) => {
                self.remember(by_source);
                self.remember(by_anyone);
            }
            Err(_) => self.remember(by_source),
        }
        result
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

/// Names (source, challenge, statement, T), or (challenge, statement, tile, T)
/// for everybody. The rules belong to both: a share's verifier and a block's
/// may use one memory.
fn key(
    source: Option<&[u8]>,
    verifier: &Verifier,
    challenge: &Challenge,
    claim: &Claim<'_>,
) -> Key {
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
    // Everything up to here has a fixed length, and this byte tells the two
    // endings apart.
    match source {
        Some(source) => hasher.update(&[1]).update(source),
        None => {
            hasher.update(&[0]);
            hasher.update(&header.tile.row.to_le_bytes());
            hasher.update(&header.tile.column.to_le_bytes())
        }
    };
    *hasher.finalize().as_bytes()
}
