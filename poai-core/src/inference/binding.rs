//! The binding, which is the first signal of a proof.

use super::element::FieldElement;
use super::field;
use crate::digest::{Job, ProgramId, Prover};
use crate::encoding::bytes::bytes;
use sha3::{Digest, Keccak256};

bytes! {
    /// An address on the EVM, which names the prover.
    ///
    /// It prints as `0x` and 40 digits.
    Address, 20, "0x"
}

/// The prover of receipts that has this address: 12 zero bytes, then the address.
impl From<Address> for Prover {
    fn from(address: Address) -> Prover {
        let mut bytes = [0; 32];
        bytes[12..].copy_from_slice(&address.0);
        Prover(bytes)
    }
}

/// The first word of every binding.
pub const TAG: [u8; 32] = *b"poai inference v1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The program, job, prover and MACs that a proof is bound to.
///
/// The circuit does not interpret it, and the verifier computes it. A proof that was made for one
/// binding fails under every other.
///
/// It does not bind input and output, which the other signals bind. It does not state that the
/// program has this id or costs these MACs; the registrar of the verifying key states that. It
/// names no chain, no contract and no key: a requester that pays in more than one place gives each
/// place its own job.
///
/// It does not measure work either. A party that has proven one run can prove the same run for
/// another binding at almost no cost (spec §16). A payer must compare the other signals with its
/// own input, and must not pay by the number of proofs or MACs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Binding {
    /// The program.
    pub program: ProgramId,
    /// The job.
    pub job: Job,
    /// The prover, which alone may use the proof.
    pub prover: Address,
    /// Multiply-accumulates of the run, by which requester and prover agree on a price. The circuit
    /// does not check them.
    pub macs: u64,
}

impl Binding {
    /// The signal: Keccak-256 over five words without its top three bits.
    ///
    /// The words are the tag, the program id, the job, the prover and the MACs;
    /// the last two are big-endian numbers.
    ///
    /// In Solidity:
    /// `uint256(keccak256(abi.encode(tag, programId, job, prover, uint256(macs)))) & (2 ** 253 - 1)`.
    ///
    /// 253 bits stay below the field's modulus, and finding a collision still
    /// takes about 2^126 steps.
    pub fn signal(&self) -> FieldElement {
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
        // The word is below 2^253, so below the modulus, and the default is
        // never used.
        FieldElement(field::of_word(&word).unwrap_or_default())
    }
}
