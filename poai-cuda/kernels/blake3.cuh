// BLAKE3's compression, and hashes of at most one block (64 bytes).
//
// A thread compresses alone. Everything is in its registers (16 words of state,
// 16 of the message), because all loops unroll and the message is permuted by
// renaming. A compression is 7·8·12 operations of 32 bits (a sum of three is
// one instruction). At 64 a cycle and multiprocessor, 132 of these at 1.7 GHz
// could hash 1.4 TB/s, which is less than their memory gives. So hashing is
// bound by arithmetic, not by loads.
#pragma once

#include "simt.cuh"

#define BLAKE3_CHUNK_START 1u
#define BLAKE3_CHUNK_END 2u
#define BLAKE3_PARENT 4u
#define BLAKE3_ROOT 8u
#define BLAKE3_KEYED_HASH 16u
#define BLAKE3_DERIVE_KEY_CONTEXT 32u
#define BLAKE3_DERIVE_KEY_MATERIAL 64u
// A message of one chunk of one block.
#define BLAKE3_ALONE (BLAKE3_CHUNK_START | BLAKE3_CHUNK_END | BLAKE3_ROOT)

// SHA-256's initial value; the state's third row is its first four words, too.
#define BLAKE3_IV0 0x6a09e667u
#define BLAKE3_IV1 0xbb67ae85u
#define BLAKE3_IV2 0x3c6ef372u
#define BLAKE3_IV3 0xa54ff53au

__device__ __forceinline__ void blake3_iv(uint32_t (&value)[8]) {
    value[0] = BLAKE3_IV0, value[1] = BLAKE3_IV1, value[2] = BLAKE3_IV2, value[3] = BLAKE3_IV3;
    value[4] = 0x510e527fu, value[5] = 0x9b05688cu, value[6] = 0x1f83d9abu, value[7] = 0x5be0cd19u;
}

__device__ __forceinline__ void blake3_mix(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d,
                                           uint32_t x, uint32_t y) {
    a = a + b + x;
    d = __funnelshift_r(d ^ a, d ^ a, 16);
    c = c + d;
    b = __funnelshift_r(b ^ c, b ^ c, 12);
    a = a + b + y;
    d = __funnelshift_r(d ^ a, d ^ a, 8);
    c = c + d;
    b = __funnelshift_r(b ^ c, b ^ c, 7);
}

// All 16 words of output. A chaining value is the first 8; only output beyond
// 32 bytes needs the others.
__device__ __forceinline__ void blake3_compress(uint32_t (&out)[16], const uint32_t (&value)[8],
                                                const uint32_t (&message)[16], uint64_t counter,
                                                uint32_t length, uint32_t flags) {
    uint32_t m[16], s[16];
#pragma unroll
    for (int i = 0; i < 16; i++) {
        m[i] = message[i];
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        s[i] = value[i];
    }
    s[8] = BLAKE3_IV0, s[9] = BLAKE3_IV1, s[10] = BLAKE3_IV2, s[11] = BLAKE3_IV3;
    s[12] = uint32_t(counter), s[13] = uint32_t(counter >> 32), s[14] = length, s[15] = flags;
#pragma unroll
    for (int round = 0; round < 7; round++) {
        blake3_mix(s[0], s[4], s[8], s[12], m[0], m[1]);
        blake3_mix(s[1], s[5], s[9], s[13], m[2], m[3]);
        blake3_mix(s[2], s[6], s[10], s[14], m[4], m[5]);
        blake3_mix(s[3], s[7], s[11], s[15], m[6], m[7]);
        blake3_mix(s[0], s[5], s[10], s[15], m[8], m[9]);
        blake3_mix(s[1], s[6], s[11], s[12], m[10], m[11]);
        blake3_mix(s[2], s[7], s[8], s[13], m[12], m[13]);
        blake3_mix(s[3], s[4], s[9], s[14], m[14], m[15]);
        const int order[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
        uint32_t next[16];
#pragma unroll
        for (int i = 0; i < 16; i++) {
            next[i] = m[order[i]];
        }
#pragma unroll
        for (int i = 0; i < 16; i++) {
            m[i] = next[i];
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        out[i] = s[i] ^ s[i + 8];
        out[i + 8] = s[i + 8] ^ value[i];
    }
}

// Replaces a chunk's chaining value by the one after its next block.
__device__ __forceinline__ void blake3_update(uint32_t (&value)[8], const uint32_t (&message)[16],
                                              uint64_t chunk, uint32_t length, uint32_t flags) {
    uint32_t out[16];
    blake3_compress(out, value, message, chunk, length, flags);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        value[i] = out[i];
    }
}

// The parent of two nodes of a plain hash; the root if `flags` says so.
__device__ __forceinline__ void blake3_parent(uint32_t (&parent)[8],
                                              const uint32_t (&children)[16], uint32_t flags) {
    blake3_iv(parent);
    blake3_update(parent, children, 0, 64, BLAKE3_PARENT | flags);
}

// Bytes 64·index to 64·index + 63 of the extendable output of the keyed hash,
// for a message of `length` <= 64 bytes. The rest of the 16 words must be zero.
__device__ __forceinline__ void blake3_keyed_output(uint32_t (&out)[16], const uint32_t (&key)[8],
                                                    const uint32_t (&message)[16],
                                                    uint32_t length, uint64_t index) {
    blake3_compress(out, key, message, index, length, BLAKE3_KEYED_HASH | BLAKE3_ALONE);
}

// The keyed hash of 64 bytes: a ticket of a transcript (spec §5).
__device__ __forceinline__ void blake3_keyed_hash_64(uint32_t (&hash)[8], const uint32_t (&key)[8],
                                                     const uint32_t (&message)[16]) {
    uint32_t out[16];
    blake3_keyed_output(out, key, message, 64, 0);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        hash[i] = out[i];
    }
}

// H(label, message) of spec §2 for `length` <= 64 bytes, the rest of the words
// zero. `context` is the hash of the context string in BLAKE3's mode for
// contexts, a constant of the label which the host knows.
__device__ __forceinline__ void blake3_derive_key(uint32_t (&key)[8], const uint32_t (&context)[8],
                                                  const uint32_t (&message)[16], uint32_t length) {
    uint32_t out[16];
    blake3_compress(out, context, message, 0, length, BLAKE3_DERIVE_KEY_MATERIAL | BLAKE3_ALONE);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        key[i] = out[i];
    }
}

// 8 words from and to memory that is aligned to 16 bytes.
__device__ __forceinline__ void load_8(uint32_t (&words)[8], const uint32_t* from) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
        uint4 v = reinterpret_cast<const uint4*>(from)[i];
        words[4 * i] = v.x, words[4 * i + 1] = v.y, words[4 * i + 2] = v.z, words[4 * i + 3] = v.w;
    }
}

__device__ __forceinline__ void store_8(uint32_t* to, const uint32_t (&words)[8]) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
        reinterpret_cast<uint4*>(to)[i] =
            make_uint4(words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
    }
}
