/* Tests retargeting and compact difficulties through the C interface: chain VECTORS, the published ones of aserti3-2d.
 *
 * A node needs only `bits_after`: the 32 bits that the header of the block after a parent has to carry. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "poai.h"

/* Returns 0 if the chain's parameters are invalid; a compact difficulty is never 0. */
static uint32_t bits_after(const struct poai_asert *asert, uint64_t parent_height, uint64_t parent_time) {
    unsigned char difficulty[16];
    uint32_t bits;
    if (poai_asert_next(asert, NULL, parent_height, parent_time, difficulty, NULL) != POAI_OK) return 0;
    return poai_compact_encode(difficulty, &bits) == POAI_OK ? bits : 0;
}

/* Decodes Bitcoin's nBits, the form of the targets in the vectors. */
static int from_nbits(uint32_t bits, unsigned char target[32]) {
    uint32_t length = bits >> 24;
    if (length > 32) return 0;
    memset(target, 0, 32);
    for (uint32_t i = 0; i < 3 && i < length; i++) target[32 - length + i] = (unsigned char)(bits >> (16 - 8 * i));
    return 1;
}

static uint32_t to_nbits(const unsigned char target[32]) {
    uint32_t first = 0;
    while (first < 31 && target[first] == 0) first++;
    uint32_t length = 32 - first, mantissa = 0;
    for (uint32_t i = 0; i < 3; i++) mantissa = mantissa << 8 | (first + i < 32 ? target[first + i] : 0);
    if (mantissa & 0x800000) { /* this bit would be a sign */
        mantissa >>= 8;
        length++;
    }
    return length << 24 | mantissa;
}

/* Returns how many vectors get another answer, or -1 if a line of the file is not a vector. */
static int vectors(FILE *file, int *count) {
    struct poai_asert asert;
    char line[256];
    int wrong = 0;
    unsigned char easiest[32];
    memset(&asert, 0, sizeof asert);
    asert.block_time = 600;
    asert.half_life = 172800;
    asert.difficulty_min[15] = 1; /* it limits nothing: no compact difficulty has the easiest target */
    if (!from_nbits(0x1d00ffff, easiest)) return -1;
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t height, time;
        uint32_t bits;
        unsigned char target[32];
        if (line[0] == '#') continue;
        if (sscanf(line, "run %*s %" SCNu64 " %" SCNu64 " %" SCNx32, &height, &time, &bits) == 3) {
            asert.anchor_height = height;
            asert.anchor_parent_time = time;
            if (!from_nbits(bits, asert.anchor_target)) return -1;
        } else if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNx32, &height, &time, &bits) == 3) {
            int code = poai_asert_next(&asert, easiest, height, time, NULL, target);
            int good = code == POAI_OK && to_nbits(target) == bits;
            if (!good) printf("%s is %d, 0x%08" PRIx32 "\n", line, code, to_nbits(target));
            wrong += !good;
            ++*count;
        } else {
            return -1;
        }
    }
    return wrong;
}

/* Checks a chain's own retargeting, and the codes of invalid arguments. */
static int own(void) {
    static const unsigned char start[16] = {[9] = 0x1a, 0xa5, 0x35, 0xd3, 0xd0, 0xc0, 0x00}; /* 7.5e15 */
    unsigned char difficulty[16], zero[32] = {0};
    uint32_t bits = 0;
    struct poai_asert asert = {.anchor_parent_time = 985, .block_time = 15, .half_life = 7200, .difficulty_min = {[12] = 1}};
    int good = poai_base_target(start, asert.anchor_target) == POAI_OK;
    good &= poai_base_target_difficulty(asert.anchor_target, difficulty) == POAI_OK;
    good &= memcmp(difficulty, start, sizeof start) == 0;
    good &= bits_after(&asert, 0, 1000) == 0x071aa535;             /* on schedule */
    good &= bits_after(&asert, 0, 1000 + 7200) == 0x070d529a;      /* a half-life late */
    good &= bits_after(&asert, 0, UINT64_MAX) == 0x04010000;       /* at the floor */
    good &= poai_compact_decode(0x071aa535, difficulty) == POAI_OK && difficulty[9] == 0x1a && difficulty[12] == 0;
    good &= poai_compact_decode(0x07001aa5, difficulty) == POAI_MALFORMED_COMPACT;
    good &= poai_compact_encode(zero, &bits) == POAI_ERROR_DIFFICULTY;
    good &= poai_compact_encode(NULL, &bits) == POAI_ERROR_ARGUMENT;
    good &= poai_base_target_difficulty(zero, difficulty) == POAI_ERROR_TARGET;
    good &= poai_asert_next(NULL, NULL, 0, 0, difficulty, NULL) == POAI_ERROR_ARGUMENT;
    asert.half_life = 0;
    good &= poai_asert_next(&asert, NULL, 0, 0, difficulty, NULL) == POAI_ERROR_ASERT;
    return good;
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: chain VECTORS\n");
        return 2;
    }
    int count = 0;
    int wrong = vectors(file, &count);
    fclose(file);
    if (wrong < 0) {
        fprintf(stderr, "no vector after %d of them\n", count);
        return 2;
    }
    int good = own();
    printf("%d of %d vectors, %s\n", count - wrong, count, good ? "and the chain's own" : "but not the chain's own");
    return wrong != 0 || count == 0 || !good;
}
