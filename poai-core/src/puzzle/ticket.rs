//! The ticket of a transcript (spec §5).

use crate::digest::derive;
use crate::digest::{Seed, Ticket};
use crate::puzzle::transcript::Transcript;

/// The key that hashes a statement's transcripts to tickets.
#[derive(Clone, Copy)]
pub struct TicketKey([u8; 32]);

impl TicketKey {
    /// The key `H("ticket", seed_a)`.
    pub fn new(seed_a: &Seed) -> TicketKey {
        TicketKey(derive!("ticket", &seed_a.0))
    }

    /// The key, for devices that draw tickets.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The ticket of a transcript, by one keyed compression.
    ///
    /// It binds the statement (through `seed_a`) and the transcript. It binds
    /// neither the tile nor the openings. Only recomputing the tile binds them.
    pub fn ticket(&self, transcript: &Transcript) -> Ticket {
        Ticket(*blake3::keyed_hash(&self.0, &transcript.to_bytes()).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that has this key draws the same tickets.
    #[test]
    fn the_key_is_what_tickets_are_hashed_with() {
        let key = TicketKey::new(&Seed([7; 32]));
        let transcript = Transcript::default();
        let hash = blake3::keyed_hash(key.as_bytes(), &transcript.to_bytes());
        assert_eq!(key.ticket(&transcript).0, *hash.as_bytes());
        assert_eq!(*key.as_bytes(), derive!("ticket", &[7; 32]));
    }
}
