//! The first signal: what a proof is tied to.

use super::{Fr, field};
use crate::digest::ProgramId;
use crate::encoding::bytes::bytes;
use sha3::{Digest, Keccak256};

bytes! {
    /// An address on the EVM, which names the prover. Prints as `0x` and 40
    /// digits.
    Address, 20, "0x"
}
bytes! {
    /// The requester's name for the job, as in a receipt.
    Job, 32, ""
}

/// What every binding begins with.
pub const TAG: [u8; 32] = *b"poai inference v1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// What a proof is tied to. The circuit doesn't look into it, and the verifier
/// computes it: a proof made for one binding fails under every other one.
///
/// It does not bind input and output: the other signals do. It does not say
/// that the program has this id or costs these MACs: whoever registered its
/// verifying key says so. It names no chain, no contract and no key: a requester
/// that pays in more than one place gives each its own job.
///
/// Nor does it measure work: whoever has proven one run proves the same run for
/// another binding at next to no cost (spec §16). A payer compares the other
/// signals with its own input, and counts neither proofs nor MACs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Binding {
    /// The program.
    pub program: ProgramId,
    /// The job.
    pub job: Job,
    /// Who may use the proof.
    pub prover: Address,
    /// Multiply-accumulates of the run, by which requester and prover agree on a
    /// price. The circuit does not know them.
    pub macs: u64,
}

impl Binding {
    /// The signal: Keccak-256 over five words (tag, program id, job, prover
    /// and MACs, the last two big-endian numbers) without its top three bits.
    ///
    /// In Solidity: `uint256(keccak256(abi.encode(tag, programId, job, prover,
    /// uint256(macs)))) & (2 ** 253 - 1)`. 253 bits stay below the field's
    /// modulus, and leave collisions as hard as 126 bits do.
    pub fn signal(&self) -> Fr {
        let mut hasher = Keccak256::new();
        hasher.update(TAG);
        hasher.update(self.program.0);
        hasher.update(self.job.0);
        hasher.update([0; 12]);
        hasher.update(self.prover.0);
        hasher.update([0; 24]);
        hasher.update(self.macs.to_be_bytes());
        let mut word: [u8; 32] = hasher.finalize().into();
        word[0] &= 0x1f;
        // Below 2^253, so below the modulus: the default is never taken.
        field::of_word(&word).unwrap_or_default()
    }
}
