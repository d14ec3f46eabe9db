/* The C interface of poai's verifier. Made by cbindgen from src/; do not edit. MIT OR Apache-2.0. */

#ifndef POAI_H
#define POAI_H

#include <stddef.h>
#include <stdint.h>

/*
 A block's rules: rank 128, tile 32, k from 1024 to 16384, m and n up to 2^24,
 difficulty at least 2^24.
 */
#define POAI_RULES_BLOCK 0

/*
 A pool's shares: as a block's, at any difficulty from 1.
 */
#define POAI_RULES_SHARE 1

/*
 The proof holds, or the function has done what it says.
 */
#define POAI_OK 0

/*
 A pointer that may not be null is, or a length is beyond all memory.
 */
#define POAI_ERROR_ARGUMENT 1

/*
 No such rules.
 */
#define POAI_ERROR_RULES 2

/*
 The difficulty is 0, or below the least that the rules permit.
 */
#define POAI_ERROR_DIFFICULTY 3

/*
 A defect of the library; nothing was decided about the proof.
 */
#define POAI_ERROR_INTERNAL 4

/*
 The bytes are no proof: length, shape or tile.
 */
#define POAI_MALFORMED_ENCODING 16

/*
 The bytes are no proof: a dimension that the rules do not permit.
 */
#define POAI_MALFORMED_LIMIT 17

/*
 The bytes are no proof: an opened entry out of range.
 */
#define POAI_MALFORMED_ENTRY 18

/*
 The proof is false: its ticket does not win.
 */
#define POAI_INVALID_TARGET 32

/*
 The proof is false: an opening does not lead to its root.
 */
#define POAI_INVALID_OPENING 33

/*
 The proof is false: the recomputed transcript is another.
 */
#define POAI_INVALID_TRANSCRIPT 34

/*
 What a proof that holds is of. Numbers are the machine's, digests bytes.
 */
typedef struct poai_verified {
  /*
   Rows of A.
   */
  uint32_t m;
  /*
   Rows of Bᵀ, columns of the product.
   */
  uint32_t n;
  /*
   Columns of both.
   */
  uint32_t k;
  /*
   The tile's row, in tiles.
   */
  uint32_t tile_row;
  /*
   The tile's column, in tiles.
   */
  uint32_t tile_column;
  /*
   The commitment to A.
   */
  uint8_t root_a[32];
  /*
   The commitment to Bᵀ.
   */
  uint8_t root_b[32];
  /*
   The ticket, a number whose first byte is the highest.
   */
  uint8_t ticket[32];
  /*
   BLAKE3 of the proof's bytes: put it into the block's id.
   */
  uint8_t proof_hash[32];
  /*
   The digest of the rules that it holds under.
   */
  uint8_t rules_digest[32];
} poai_verified;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The library's version, as "0.1.0", as text that ends with a zero and is never
 freed.
 */
const char *poai_version(void);

/*
 Writes the 32 bytes of the digest of `rules` (specification §10): two nodes
 that accept the same proofs have the same. POAI_OK, POAI_ERROR_RULES, or
 POAI_ERROR_ARGUMENT where `digest` is null.

 # Safety
 `digest` is null or points to 32 writable bytes.
 */
int32_t poai_rules_digest(uint32_t rules, uint8_t *digest);

/*
 The most bytes that a proof under `rules` has: refuse longer messages unread.
 0 where there are no such rules.
 */
uint64_t poai_proof_bytes_max(uint32_t rules);

/*
 A code in words, as text that ends with a zero and is never freed; of codes
 that no function returns, "unknown code".
 */
const char *poai_error_message(int32_t code);

/*
 Checks a proof. POAI_OK where it holds; POAI_MALFORMED_... where the bytes are
 no proof, POAI_INVALID_... where the proof is false, POAI_ERROR_... where the
 question was no good.

 - `rules`: POAI_RULES_BLOCK, or POAI_RULES_SHARE.
 - `challenge`: 32 bytes, the hash of all of the header but the proof.
 - `difficulty`: 16 bytes, a number of MACs whose first byte is the highest.
   The node's own, never the proof's sender's.
 - `proof`, `proof_len`: the bytes as they arrived. Null where there are none.
 - `verified`: null, or where to write what the proof is of. Written on
   POAI_OK alone.

 # Safety
 `challenge` is null or points to 32 readable bytes, `difficulty` to 16, `proof`
 to `proof_len`; `verified` is null or points to a writable struct. Nothing of
 it is kept.
 */
int32_t poai_verify(uint32_t rules,
                    const uint8_t *challenge,
                    const uint8_t *difficulty,
                    const uint8_t *proof,
                    size_t proof_len,
                    struct poai_verified *verified);

/*
 The cheap checks alone, a few microseconds, by the same arguments: lengths,
 limits and the ticket of the *claimed* transcript. POAI_OK says that the
 message deserves poai_verify; it proves nothing.

 # Safety
 As poai_verify.
 */
int32_t poai_preliminary_verify(uint32_t rules,
                                const uint8_t *challenge,
                                const uint8_t *difficulty,
                                const uint8_t *proof,
                                size_t proof_len);

/*
 Decodes a proof into JSON, as Rust's `serde_json` writes a `Proof`: shape,
 roots, tile, transcript and both openings, bytes in hexadecimal. It verifies
 nothing.

 On POAI_OK `*json` is text that ends with a zero and that poai_string_free
 frees; otherwise `*json` is null. Proofs above poai_proof_bytes_max(rules) are
 POAI_MALFORMED_ENCODING.

 # Safety
 `proof` is null or points to `proof_len` readable bytes; `json` is null, which
 is POAI_ERROR_ARGUMENT, or points to a writable pointer.
 */
int32_t poai_decode_json(uint32_t rules, const uint8_t *proof, size_t proof_len, char **json);

/*
 Frees what poai_decode_json made, once. Null is nothing to free.

 # Safety
 `text` is null, or of poai_decode_json and not yet freed.
 */
void poai_string_free(char *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* POAI_H */
