//! Checks proofs, wholly or by the cheap checks.

use crate::border::{array, bytes, guard, put};
use crate::code::{self, POAI_ERROR_DIFFICULTY};
use poai_verify::{Challenge, Difficulty, Verified, Verifier};

/// What a proof that holds is about. Numbers are in the machine's byte order,
/// digests are bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct poai_verified {
    /// Rows of A.
    pub m: u32,
    /// Rows of Bᵀ, columns of the product.
    pub n: u32,
    /// Columns of both.
    pub k: u32,
    /// The tile's row, in tiles.
    pub tile_row: u32,
    /// The tile's column, in tiles.
    pub tile_column: u32,
    /// The commitment to A.
    pub root_a: [u8; 32],
    /// The commitment to Bᵀ.
    pub root_b: [u8; 32],
    /// The ticket, a number whose first byte is the highest.
    pub ticket: [u8; 32],
    /// BLAKE3 of the proof's bytes: put it into the block's id.
    pub proof_hash: [u8; 32],
    /// The digest of the rules that it holds under.
    pub rules_digest: [u8; 32],
}

/// Checks a proof. Returns POAI_OK if it holds, POAI_MALFORMED_... if the bytes are not a proof,
/// POAI_INVALID_... if the proof is false, POAI_ERROR_... if an argument is wrong.
///
/// - `rules`: POAI_RULES_BLOCK, or POAI_RULES_SHARE.
/// - `challenge`: 32 bytes, the hash of all of the header but the proof.
/// - `difficulty`: 16 bytes, a number of MACs whose first byte is the highest.
///   The node's own, never one from the proof's sender.
/// - `proof`, `proof_len`: the bytes as they arrived. Null if there are no bytes.
/// - `verified`: null, or where to write what the proof is about. Written only
///   on POAI_OK.
///
/// # Safety
/// `challenge` is null or points to 32 readable bytes, `difficulty` to 16, `proof` to `proof_len`;
/// `verified` is null or points to a writable struct. The function keeps none of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_verify(
    rules: u32,
    challenge: *const u8,
    difficulty: *const u8,
    proof: *const u8,
    proof_len: usize,
    verified: *mut poai_verified,
) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees challenge, difficulty and proof.
        let asked = unsafe { Asked::new(rules, challenge, difficulty, proof, proof_len) }?;
        let found = asked.verifier.verify(&asked.challenge, asked.proof);
        let found = found.map_err(|error| code::of(&error))?;
        // SAFETY: the caller guarantees `verified`.
        unsafe { put(verified, describe(&found, asked.proof)) };
        Ok(())
    })
}

/// Runs only the cheap checks, a few microseconds, with the same arguments:
/// lengths, limits and the ticket of the *claimed* transcript. POAI_OK means
/// that the message deserves poai_verify; it proves nothing.
///
/// # Safety
/// As poai_verify.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_preliminary_verify(
    rules: u32,
    challenge: *const u8,
    difficulty: *const u8,
    proof: *const u8,
    proof_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees all three.
        let asked = unsafe { Asked::new(rules, challenge, difficulty, proof, proof_len) }?;
        let found = asked.verifier.preliminary_verify(&asked.challenge, asked.proof);
        found.map_err(|error| code::of(&error))
    })
}

/// The arguments as values.
struct Asked<'a> {
    verifier: Verifier,
    challenge: Challenge,
    proof: &'a [u8],
}

impl Asked<'_> {
    /// # Safety
    /// As [`poai_verify`], for as long as the result lives.
    unsafe fn new(
        rules: u32,
        challenge: *const u8,
        difficulty: *const u8,
        proof: *const u8,
        proof_len: usize,
    ) -> Result<Self, i32> {
        let rules = crate::facts::rules(rules)?;
        // SAFETY: the caller guarantees each.
        let (challenge, difficulty, proof) =
            unsafe { (array(challenge)?, array(difficulty)?, bytes(proof, proof_len)?) };
        let difficulty = Difficulty::new(u128::from_be_bytes(difficulty));
        let verifier = difficulty.ok().and_then(|difficulty| Verifier::new(rules, difficulty).ok());
        let verifier = verifier.ok_or(POAI_ERROR_DIFFICULTY)?;
        Ok(Self { verifier, challenge: Challenge(challenge), proof })
    }
}

fn describe(found: &Verified, proof: &[u8]) -> poai_verified {
    let shape = found.statement.shape;
    poai_verified {
        m: shape.m,
        n: shape.n,
        k: shape.k,
        tile_row: found.tile.row,
        tile_column: found.tile.column,
        root_a: found.statement.root_a.0,
        root_b: found.statement.root_b.0,
        ticket: found.ticket.0,
        proof_hash: poai_verify::proof_hash(proof),
        rules_digest: found.rules.0,
    }
}
