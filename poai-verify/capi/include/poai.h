/* The C interface of poai's verifier. Made by cbindgen from src/; do not edit. MIT OR Apache-2.0. */

#ifndef POAI_H
#define POAI_H

#include <stddef.h>
#include <stdint.h>

/*
 A function reads the memory behind a pointer only before it returns. No other thread may change
 that memory until then. Only the function writes the memory that it fills. It keeps no pointer.
 */

/*
 A block's rules: rank 128, tile 32, k from 1024 to 16384, m and n up to
 2^24, difficulty at least 2^24.
 */
#define POAI_RULES_BLOCK 0

/*
 A pool's shares: a block's rules, but any difficulty from 1.
 */
#define POAI_RULES_SHARE 1

/*
 The proof holds, or the function did its work.
 */
#define POAI_OK 0

/*
 A pointer is null that must not be, or a length is beyond all memory.
 */
#define POAI_ERROR_ARGUMENT 1

/*
 No such rules exist.
 */
#define POAI_ERROR_RULES 2

/*
 The difficulty is 0, or below the least that the rules permit.
 */
#define POAI_ERROR_DIFFICULTY 3

/*
 A defect of the library; it decided nothing about the proof.
 */
#define POAI_ERROR_INTERNAL 4

/*
 Retargeting does not permit the block time, the half-life or the least
 difficulty.
 */
#define POAI_ERROR_ASERT 5

/*
 A target of 0, which no block can meet.
 */
#define POAI_ERROR_TARGET 6

/*
 An invalid supply: the foundation has more than the maximum, an era has no
 blocks, or the divisor is 0.
 */
#define POAI_ERROR_SUPPLY 7

/*
 A median of a number of ancestors that is even, 0 or above 101.
 */
#define POAI_ERROR_TIMES 8

/*
 Work beyond 256 bits, which takes 2^128 blocks.
 */
#define POAI_ERROR_WORK 9

/*
 The bytes are not a proof: length, shape or tile.
 */
#define POAI_MALFORMED_ENCODING 16

/*
 The bytes are not a proof: a dimension that the rules do not permit.
 */
#define POAI_MALFORMED_LIMIT 17

/*
 The bytes are not a proof: an opened entry out of range.
 */
#define POAI_MALFORMED_ENTRY 18

/*
 The bits are not a compact difficulty.
 */
#define POAI_MALFORMED_COMPACT 19

/*
 The proof is false: its ticket does not win.
 */
#define POAI_INVALID_TARGET 32

/*
 The proof is false: an opening does not lead to its root.
 */
#define POAI_INVALID_OPENING 33

/*
 The proof is false: the recomputed transcript differs.
 */
#define POAI_INVALID_TRANSCRIPT 34

/*
 The block's time is not after the median of its ancestors. It never becomes
 valid.
 */
#define POAI_INVALID_PAST 35

/*
 The block is too far ahead of the clock. It may become valid later.
 */
#define POAI_INVALID_FUTURE 36

/*
 What a proof that holds is about. Numbers are in the machine's byte order,
 digests are bytes.
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

/*
 A chain's retargeting, from an anchor on. All of it is the chain's
 constitution; a peer supplies none of it. Numbers of more than 64 bits are
 bytes, the highest first.
 */
typedef struct poai_asert {
  /*
   The anchor's height.
   */
  uint64_t anchor_height;
  /*
   The time of the anchor's *parent*, in seconds. A genesis has no parent; it takes its own
   time minus the block time.
   */
  uint64_t anchor_parent_time;
  /*
   Seconds between blocks: 1 to 86400.
   */
  uint32_t block_time;
  /*
   Seconds behind schedule that halve the difficulty: 16 block times to 365
   days.
   */
  uint32_t half_life;
  /*
   The anchor's base target, not rounded; poai_base_target computes it from
   a difficulty.
   */
  uint8_t anchor_target[32];
  /*
   The least difficulty, which poai_compact_encode must not round. A block's rules require
   2^24. poai_asert_next accepts another easiest target.
   */
  uint8_t difficulty_min[16];
} poai_asert;

/*
 How far a block's time may be from its ancestors' times and from now. Both
 limits are the chain's constitution.
 */
typedef struct poai_times {
  /*
   Seconds that a block may be ahead of the clock.
   */
  uint64_t future_limit;
  /*
   The number of ancestors whose median time a block's time has to be
   after: an odd number, 1 to 101.
   */
  uint32_t ancestors;
} poai_times;

/*
 A chain's schedule of supply, all of it the chain's constitution. Amounts
 are in base units, and are bytes, the highest first.
 */
typedef struct poai_supply {
  /*
   The largest supply that can ever exist.
   */
  uint8_t supply_max[16];
  /*
   The foundation's part of it, which exists from the genesis on.
   */
  uint8_t foundation[16];
  /*
   The number of blocks in an era, within which every block has the same
   subsidy: at least 1.
   */
  uint64_t era_blocks;
  /*
   The era divisor, n: an era pays 1/n of what is left to pay when it begins. At least 1. The
   number of eras that pay anything is at most about 90·n.
   */
  uint8_t era_divisor;
} poai_supply;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The library's version, such as "0.1.0", as text that ends with a zero and is
 never freed.
 */
const char *poai_version(void);

/*
 Writes the 32 bytes of the digest of `rules` (specification §10). Two nodes
 that accept the same proofs have the same digest. Returns POAI_OK,
 POAI_ERROR_RULES, or POAI_ERROR_ARGUMENT if `digest` is null.

 # Safety
 `digest` is null or points to 32 writable bytes.
 */
int32_t poai_rules_digest(uint32_t rules, uint8_t *digest);

/*
 The most bytes that a proof under `rules` has; 0 if there are no such rules.
 Refuse longer messages unread.
 */
uint64_t poai_proof_bytes_max(uint32_t rules);

/*
 The message of a code, as text that ends with a zero and is never freed. For
 a code that no function returns it is "unknown code".
 */
const char *poai_error_message(int32_t code);

/*
 Checks a proof. Returns POAI_OK if it holds, POAI_MALFORMED_... if the bytes are not a proof,
 POAI_INVALID_... if the proof is false, POAI_ERROR_... if an argument is wrong.

 - `rules`: POAI_RULES_BLOCK, or POAI_RULES_SHARE.
 - `challenge`: 32 bytes, the hash of all of the header but the proof.
 - `difficulty`: 16 bytes, a number of MACs whose first byte is the highest.
   The node's own, never one from the proof's sender.
 - `proof`, `proof_len`: the bytes as they arrived. Null if there are no bytes.
 - `verified`: null, or where to write what the proof is about. Written only
   on POAI_OK.

 # Safety
 `challenge` is null or points to 32 readable bytes, `difficulty` to 16, `proof` to `proof_len`;
 `verified` is null or points to a writable struct. The function keeps none of them.
 */
int32_t poai_verify(uint32_t rules,
                    const uint8_t *challenge,
                    const uint8_t *difficulty,
                    const uint8_t *proof,
                    size_t proof_len,
                    struct poai_verified *verified);

/*
 Runs only the cheap checks, a few microseconds, with the same arguments:
 lengths, limits and the ticket of the *claimed* transcript. POAI_OK means
 that the message deserves poai_verify; it proves nothing.

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
 roots, tile, transcript and both openings, with bytes in hexadecimal. It
 verifies nothing.

 On POAI_OK `*json` is text that ends with a zero and that poai_string_free frees; otherwise
 `*json` is null. Proofs above poai_proof_bytes_max(rules) are POAI_MALFORMED_ENCODING.

 # Safety
 `proof` is null or points to `proof_len` readable bytes; `json` is null, which
 is POAI_ERROR_ARGUMENT, or points to a writable pointer.
 */
int32_t poai_decode_json(uint32_t rules, const uint8_t *proof, size_t proof_len, char **json);

/*
 Frees a text of poai_decode_json, which must be freed only once. For null it
 does nothing. The zero at the end determines how much to free, so a caller
 may read the text but must not change it. To change it, copy it.

 # Safety
 `text` is null, or a result of poai_decode_json, unchanged and not yet
 freed.
 */
void poai_string_free(char *text);

/*
 Writes the difficulty of the block after a parent of this height and time,
 in seconds, and its base target. A header is valid at this difficulty and no
 other. If a chain's headers carry compact difficulties, poai_compact_encode
 and poai_compact_decode round it first.

 First compare the block's height with its parent's plus one, and the
 header's parent hash with the parent's hash. Another block's parent, or a
 height that is only claimed, yields any difficulty.

 - `asert`: the chain's.
 - `easiest`: null, and the easiest target is that of the least difficulty.
   Or 32 bytes, the highest first: the easiest target itself, for a chain
   whose least difficulty has no compact form. `difficulty_min` is then
   checked, but limits nothing. It is the chain's constitution, too.
 - `difficulty`: null, or where to write 16 bytes, the highest first.
 - `target`: null, or where to write 32 bytes, the highest first.

 Returns POAI_OK, POAI_ERROR_ARGUMENT if `asert` is null, POAI_ERROR_DIFFICULTY if its least
 difficulty is 0, POAI_ERROR_TARGET if a target is 0, or POAI_ERROR_ASERT. Writes only on
 POAI_OK. Defined for every height and time.

 # Safety
 `asert` is null or points to a readable struct, `easiest` to 32 readable bytes, `difficulty` to
 16 writable ones, `target` to 32. The function keeps none of them.
 */
int32_t poai_asert_next(const struct poai_asert *asert,
                        const uint8_t *easiest,
                        uint64_t parent_height,
                        uint64_t parent_time,
                        uint8_t *difficulty,
                        uint8_t *target);

/*
 Writes the base target of a difficulty, `⌊2^256 / difficulty⌋`, or 2^256 − 1
 for difficulty 1. It is the target of one multiply-accumulate, not of a
 ticket. Returns POAI_OK, POAI_ERROR_DIFFICULTY for 0, or POAI_ERROR_ARGUMENT
 if either pointer is null.

 # Safety
 `difficulty` is null or points to 16 readable bytes, `target` to 32 writable
 ones. Numbers are bytes, the highest first.
 */
int32_t poai_base_target(const uint8_t *difficulty, uint8_t *target);

/*
 Writes the difficulty of a base target, `⌊2^256 / target⌋`, below 2^128. It
 inverts poai_base_target for every difficulty. Returns POAI_OK,
 POAI_ERROR_TARGET for 0, or POAI_ERROR_ARGUMENT if either pointer is null.

 # Safety
 `target` is null or points to 32 readable bytes, `difficulty` to 16 writable
 ones. Numbers are bytes, the highest first.
 */
int32_t poai_base_target_difficulty(const uint8_t *target, uint8_t *difficulty);

/*
 Writes a difficulty in the 32 bits that a header has for it, rounded down by a factor under
 2^-15. Returns POAI_OK, POAI_ERROR_DIFFICULTY for 0, or POAI_ERROR_ARGUMENT if either pointer is
 null.

 # Safety
 `difficulty` is null or points to 16 readable bytes, the highest first; `bits`
 is null or points to a writable number.
 */
int32_t poai_compact_encode(const uint8_t *difficulty, uint32_t *bits);

/*
 Writes the exact difficulty that a header's 32 bits stand for. Returns
 POAI_OK, POAI_MALFORMED_COMPACT if poai_compact_encode makes these bits of
 no difficulty, or POAI_ERROR_ARGUMENT if `difficulty` is null.

 # Safety
 `difficulty` is null or points to 16 writable bytes; the highest is written
 first.
 */
int32_t poai_compact_decode(uint32_t bits, uint8_t *difficulty);

/*
 Writes the work with one more block. `difficulty` is the one that the block
 was *checked against*: a ticket far below the target counts no more. 32 zero
 bytes are no work; adding one difficulty to them gives the work of one
 block.

 Returns POAI_OK, POAI_ERROR_DIFFICULTY for 0, POAI_ERROR_WORK if the sum is beyond 256 bits, or
 POAI_ERROR_ARGUMENT if any pointer is null. Writes only on POAI_OK. `sum` may be `work`.

 # Safety
 `work` is null or points to 32 readable bytes, `difficulty` to 16, `sum` to 32
 writable ones. Numbers are bytes, the highest first.
 */
int32_t poai_work_add(const uint8_t *work, const uint8_t *difficulty, uint8_t *sum);

/*
 Writes -1 if branch `a` has less work than `b`, 1 if it has more, and 0 if
 both have the same. The branch with more work is the chain, not the longer
 one. Returns POAI_OK, or POAI_ERROR_ARGUMENT if any pointer is null.

 # Safety
 `a` and `b` are null or point to 32 readable bytes, the highest first; `order`
 is null or points to a writable number.
 */
int32_t poai_work_compare(const uint8_t *a, const uint8_t *b, int32_t *order);

/*
 Checks that a time is after its ancestors' median, a rule of consensus.
 Returns POAI_OK, or POAI_INVALID_PAST if it is not.

 - `times`: the chain's.
 - `latest`, `len`: the ancestors' times, the parent's first. The rules'
   number of them counts, or all if there are fewer; more are not read. Null
   if there are no ancestors: a genesis may state any time.

 Otherwise POAI_ERROR_TIMES, or POAI_ERROR_ARGUMENT if `times` is null,
 `latest` is null with a length above 0, or the length is beyond all memory.

 # Safety
 `times` is null or points to a readable struct, `latest` to `len` readable
 numbers.
 */
int32_t poai_times_check_past(const struct poai_times *times,
                              uint64_t time,
                              const uint64_t *latest,
                              size_t len);

/*
 Checks that a time is not too far ahead of the clock, a rule for blocks that
 *arrive*. Returns POAI_OK, or POAI_INVALID_FUTURE if it is more than the
 limit after `now`. A refused block may become valid in a minute, and an
 accepted block stays valid. Do not check stored blocks again.

 Otherwise POAI_ERROR_TIMES, or POAI_ERROR_ARGUMENT if `times` is null.

 # Safety
 `times` is null or points to a readable struct.
 */
int32_t poai_times_check_future(const struct poai_times *times, uint64_t time, uint64_t now);

/*
 Writes the median of 1 to 101 times in any order; of an even number the
 later of the middle two. Returns POAI_OK, POAI_ERROR_TIMES for no times or
 more than 101, or POAI_ERROR_ARGUMENT if `times` or `median` is null. Writes
 only on POAI_OK.

 # Safety
 `times` is null or points to `len` readable numbers, `median` to a writable
 one.
 */
int32_t poai_median_time_past(const uint64_t *times, size_t len, uint64_t *median);

/*
 Writes EthereumAI's schedule. Returns POAI_OK, or POAI_ERROR_ARGUMENT if `supply` is null.

 # Safety
 `supply` is null or points to a writable struct.
 */
int32_t poai_supply_eai(struct poai_supply *supply);

/*
 Writes the subsidy of the block at a height. The genesis, at height 0, is
 paid nothing. Returns POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT if
 either pointer is null. Writes only on POAI_OK. Defined for every height.

 # Safety
 `supply` is null or points to a readable struct, `subsidy` to 16 writable
 bytes; the highest is written first.
 */
int32_t poai_supply_subsidy(const struct poai_supply *supply, uint64_t height, uint8_t *subsidy);

/*
 Writes the supply after the block at a height: the foundation's part and
 every subsidy up to this one. It is never above the largest supply. Returns
 POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT if either pointer is
 null. Writes only on POAI_OK. Defined for every height.

 # Safety
 `supply` is null or points to a readable struct, `issued` to 16 writable
 bytes; the highest is written first.
 */
int32_t poai_supply_issued(const struct poai_supply *supply, uint64_t height, uint8_t *issued);

/*
 Writes the last height whose block is paid: 2^64 − 1 if that is beyond every height, and 0 if no
 block is paid. Returns POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT if either pointer is
 null. Writes only on POAI_OK.

 # Safety
 `supply` is null or points to a readable struct, `height` to a writable number.
 */
int32_t poai_supply_last_paid_height(const struct poai_supply *supply, uint64_t *height);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* POAI_H */
