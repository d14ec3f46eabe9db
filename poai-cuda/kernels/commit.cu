// poai: arch compute_61 compute_80
// poai: sass compute_80 commit_chunks: LDGSTS
//
// Commitment (spec §3): plain BLAKE3 of a matrix's bytes, on the device.
//
// The device stores the chaining values of ALL nodes, from single chunks up. An
// opening then looks up every sibling and hashes nothing, for 1/16 of the
// matrix's memory. (The CPU stores groups of 64 chunks, because it has the
// bytes at hand.)
//
// `values` holds the levels one after the other, in nodes of 8 words. Level 0
// is the chunks. Level l has ceil(chunks / 2^l) nodes; node i covers chunks
// i·2^l and on. An odd last node is carried up unchanged, which makes this
// BLAKE3's tree. The last level is one node: the root, which is the hash
// itself. So level l begins at the sum of the levels below it, and `values` has
// room for 2·chunks + log2(chunks) + 1 nodes.
//
// `commit_chunks` makes 8 levels above the chunks, and each `commit_merge`
// makes 8 more: two launches for up to 64 MiB, three for up to 16 GiB.
#include "blake3.cuh"

// Threads of a block, its chunks, and the nodes that it merges.
#define COMMIT_THREADS 256u
#define COMMIT_LEVELS 8u
#define CHUNK_BYTES 1024u
#define BLOCK_BYTES 64u

// Nodes by words: word w of node i is at w·256 + i, so that lanes which write
// neighbours use different banks.
typedef uint32_t CommitNodes[8][COMMIT_THREADS];

// Merges a block's nodes of one level and writes the levels above. The whole
// level has `count` nodes and begins at `level`. `own` is the thread's node, if
// it has one. The block's first node is node `first` of the level, a multiple
// of 256.
static __device__ void merge_levels(CommitNodes& nodes, const uint32_t (&own)[8], uint32_t* level,
                                    uint64_t first, uint64_t count) {
    uint32_t i = threadIdx.x;
    uint64_t left = count - first;
    uint32_t here = left < COMMIT_THREADS ? uint32_t(left) : COMMIT_THREADS;
    if (i < here) {
#pragma unroll
        for (int w = 0; w < 8; w++) {
            nodes[w][i] = own[w];
        }
    }
#pragma unroll 1
    for (uint32_t l = 0; l < COMMIT_LEVELS && count > 1; l++) {
        __syncthreads();
        level += 8 * count;
        // Parents of two nodes, and possibly one node without a sibling. That
        // one is the tree's last, because only a tree's last block is not full.
        uint32_t pairs = here / 2, above = (here + 1) / 2;
        uint32_t children[16], parent[8];
        if (i < above) {
#pragma unroll
            for (int w = 0; w < 8; w++) {
                children[w] = nodes[w][2 * i];
                children[8 + w] = i < pairs ? nodes[w][2 * i + 1] : 0;
                parent[w] = children[w];
            }
            if (i < pairs) {
                blake3_parent(parent, children, count == 2 ? BLAKE3_ROOT : 0);
            }
        }
        first /= 2;
        count = (count + 1) / 2;
        here = above;
        // All threads have read the nodes that the parents overwrite.
        __syncthreads();
        if (i < above) {
            store_8(level + 8 * (first + i), parent);
#pragma unroll
            for (int w = 0; w < 8; w++) {
                nodes[w][i] = parent[w];
            }
        }
    }
}

// Requests 16 bytes of the matrix, with zeros beyond its end. GPUs before 8.0
// copy at once.
static __device__ __forceinline__ void stage_16(uint4* to, const uint8_t* matrix, uint64_t at,
                                                uint64_t bytes) {
    uint32_t inside = at >= bytes ? 0 : bytes - at < 16 ? uint32_t(bytes - at) : 16;
#if POAI_ARCH >= 800
    if (inside == 16) {
        cp_async16(to, matrix + at);
    } else {
        // A valid address, although nothing may be read from it.
        cp_async16_zfill(to, matrix + (inside == 0 ? 0 : at), inside);
    }
#else
    uint4 value = make_uint4(0, 0, 0, 0);
    if (inside == 16) {
        value = *reinterpret_cast<const uint4*>(matrix + at);
    } else if (inside > 0) {
        uint32_t words[4] = {0, 0, 0, 0};
        for (uint32_t i = 0; i < inside; i++) {
            words[i / 4] |= uint32_t(matrix[at + i]) << (8 * (i % 4));
        }
        value = make_uint4(words[0], words[1], words[2], words[3]);
    }
    *to = value;
#endif
}

// Hashes the chunks of `matrix` (`bytes` > 0 bytes, aligned to 16) and the
// first levels above them. 256 threads; a block for each 256 chunks.
//
// A thread hashes a chunk: 16 compressions that depend on each other. If each
// thread loaded its own bytes, one instruction would touch 32 lines. So a warp
// fetches the next 64 bytes of its 32 chunks together: 16 bytes a lane, 4 lanes
// to a chunk (whole sectors). They go to two buffers in shared memory: one
// block is copied while the one before is compressed, and the copy takes no
// registers. Unit u of chunk c lies at 4c + (u ^ (c/2 mod 4)), so 8 lanes that
// read or write together use every bank once. No warp waits for another before
// the chunks are done. The last turn, whose own group is empty, waits for the
// last copies.
extern "C" __global__ void __launch_bounds__(256)
commit_chunks(const uint8_t* matrix, uint64_t bytes, uint32_t* values) {
    __shared__ __align__(16) uint4 staged[COMMIT_THREADS / 32][2][32 * 4];
    // In the place of the first warps' bytes: with 32 KiB a block, three blocks
    // fit on GPUs that have 100 KiB.
    CommitNodes& nodes = *reinterpret_cast<CommitNodes*>(staged);

    uint64_t chunks = (bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
    uint64_t first = uint64_t(blockIdx.x) * COMMIT_THREADS;
    uint64_t chunk = first + threadIdx.x;
    uint32_t lane = threadIdx.x % 32;
    uint64_t warp_start = (chunk - lane) * CHUNK_BYTES;
    uint4(*buffers)[32 * 4] = staged[threadIdx.x / 32];

    uint32_t length = 0;
    if (chunk < chunks) {
        uint64_t rest = bytes - chunk * CHUNK_BYTES;
        length = rest < CHUNK_BYTES ? uint32_t(rest) : CHUNK_BYTES;
    }
    uint32_t blocks = (length + BLOCK_BYTES - 1) / BLOCK_BYTES;
    uint32_t last = BLAKE3_CHUNK_END | (chunks == 1 ? BLAKE3_ROOT : 0);

    auto stage = [&](uint32_t block) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t c = 8 * i + lane / 4, u = lane % 4;
            uint64_t at = warp_start + uint64_t(c) * CHUNK_BYTES + block * BLOCK_BYTES + 16 * u;
            stage_16(&buffers[block % 2][4 * c + (u ^ (c / 2 % 4))], matrix, at, bytes);
        }
    };

    uint32_t value[8];
    blake3_iv(value);
    stage(0);
#if POAI_ARCH >= 800
    cp_async_commit();
#endif
    // Not unrolled: sixteen compressions in a row do not fit the instruction
    // cache.
#pragma unroll 1
    for (uint32_t block = 0; block < CHUNK_BYTES / BLOCK_BYTES; block++) {
        if (block + 1 < CHUNK_BYTES / BLOCK_BYTES) {
            stage(block + 1);
        }
#if POAI_ARCH >= 800
        cp_async_commit();
        cp_async_wait<1>();
#endif
        __syncwarp();
        uint32_t message[16];
#pragma unroll
        for (uint32_t u = 0; u < 4; u++) {
            uint4 v = buffers[block % 2][4 * lane + (u ^ (lane / 2 % 4))];
            message[4 * u] = v.x, message[4 * u + 1] = v.y;
            message[4 * u + 2] = v.z, message[4 * u + 3] = v.w;
        }
        // The next turn copies over this buffer.
        __syncwarp();
        if (block < blocks) {
            uint32_t rest = length - block * BLOCK_BYTES;
            uint32_t flags = (block == 0 ? BLAKE3_CHUNK_START : 0) | (block + 1 == blocks ? last : 0);
            blake3_update(value, message, chunk, rest < BLOCK_BYTES ? rest : BLOCK_BYTES, flags);
        }
    }
    if (chunk < chunks) {
        store_8(values + 8 * chunk, value);
    }
    // No warp reads its bytes any more.
    __syncthreads();
    merge_levels(nodes, value, values, first, chunks);
}

// Merges the level of `count` > 1 nodes that begins at node `level_start` of
// `values`, the last level that the launch before wrote. Makes up to 8 levels
// above it. 256 threads; a block for each 256 of its nodes.
extern "C" __global__ void __launch_bounds__(256)
commit_merge(uint32_t* values, uint64_t level_start, uint64_t count) {
    __shared__ CommitNodes nodes;
    uint64_t first = uint64_t(blockIdx.x) * COMMIT_THREADS;
    uint32_t* level = values + 8 * level_start;
    uint32_t own[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (first + threadIdx.x < count) {
        load_8(own, level + 8 * (first + threadIdx.x));
    }
    merge_levels(nodes, own, level, first, count);
}
