// Tickets and winners (spec §5 and §6).
#pragma once

#include "blake3.cuh"
#include "transcript.cuh"

// The key and the target of tickets, made by the host.
struct Draw {
    uint32_t key[8];     // H("ticket", seed_a), little-endian words
    uint32_t target[8];  // the largest winning ticket as a number, highest word first
};

// 26 words.
struct Winner {
    uint32_t row, column;  // of tiles
    uint32_t transcript[16];
    uint32_t ticket[8];  // little-endian words of the ticket's bytes
};

// The host sets `count` to 0 before the first launch. All winners are counted,
// and the first `capacity` of them, in no particular order, are stored. If the
// count is above the capacity, the host draws again with more room.
struct Winners {
    uint32_t count, capacity;
    Winner list[1];  // `capacity` of them
};

// The outputs of a product. `c` may be null, and `tickets` (of all tiles, for
// tests) as well.
struct Output {
    int32_t* c;
    const Draw* draw;
    Winners* winners;
    uint32_t* tickets;
    // The launch has rows of A' from this row of tiles on: winners are named by
    // their place in the whole product.
    uint32_t first_row;
};

// Tickets are compared as big-endian numbers.
__device__ __forceinline__ bool ticket_wins(const uint32_t (&ticket)[8], const uint32_t* target) {
    bool below = false, equal = true;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        uint32_t digit = __byte_perm(ticket[i], 0, 0x0123);
        below |= equal && digit < target[i];
        equal &= digit == target[i];
    }
    return below || equal;
}

// Draws the ticket of the calling lane's tile and reports it if it wins.
__device__ __forceinline__ void ticket_draw(const Output& output, const uint32_t (&transcript)[16],
                                            uint32_t row, uint32_t column, uint32_t columns) {
    uint32_t key[8], ticket[8];
    load_8(key, output.draw->key);
    blake3_keyed_hash_64(ticket, key, transcript);
    if (output.tickets != nullptr) {
        uint32_t* to = output.tickets + 8 * (uint64_t(row) * columns + column);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            to[i] = ticket[i];
        }
    }
    if (ticket_wins(ticket, output.draw->target)) {
        Winners* winners = output.winners;
        uint32_t index = atomicAdd(&winners->count, 1u);
        if (index < winners->capacity) {
            Winner* to = winners->list + index;
            to->row = output.first_row + row;
            to->column = column;
#pragma unroll
            for (int i = 0; i < 16; i++) {
                to->transcript[i] = transcript[i];
            }
#pragma unroll
            for (int i = 0; i < 8; i++) {
                to->ticket[i] = ticket[i];
            }
        }
    }
}

// Converts the transcripts of a warp's TILES tiles, as `transcript_fold` stores
// them, to one whole transcript in each of the first TILES lanes.
template <int TILES>
__device__ __forceinline__ void transcript_gather(const uint32_t (&words)[TILES],
                                                  uint32_t (&transcript)[16]) {
#pragma unroll
    for (int i = 0; i < 16; i++) {
        transcript[i] = 0;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            uint32_t word = __shfl_sync(0xffffffffu, words[tile], i);
            transcript[i] = lane_id() == tile ? word : transcript[i];
        }
    }
}
