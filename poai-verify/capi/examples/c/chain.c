/* Computes what a chain needs around proofs through the C interface: chain VECTORS TABLE. VECTORS are the published
 * vectors of aserti3-2d, TABLE is that of subsidies, times, work and easiest targets.
 *
 * A node needs only `bits_after`, the 32 bits that the header of the block after a parent has to carry, and
 * `is_accepted`, the other checks of a block that arrives. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poai.h"

/* Returns 0 if the chain's parameters are invalid; a compact difficulty is never 0. */
static uint32_t bits_after(const struct poai_asert *asert, uint64_t parent_height, uint64_t parent_time) {
    unsigned char difficulty[16];
    uint32_t bits;
    if (poai_asert_next(asert, NULL, parent_height, parent_time, difficulty, NULL) != POAI_OK) return 0;
    return poai_compact_encode(difficulty, &bits) == POAI_OK ? bits : 0;
}

/* Returns whether a block that arrives may state this time and subsidy, and adds its work to the parent's. */
static int is_accepted(const struct poai_times *times, const struct poai_supply *supply, uint64_t height, uint64_t time,
                       uint64_t now, const uint64_t *latest, size_t len, const unsigned char subsidy[16],
                       const unsigned char difficulty[16], unsigned char work[32]) {
    unsigned char expected[16];
    return poai_times_check_past(times, time, latest, len) == POAI_OK && poai_times_check_future(times, time, now) == POAI_OK &&
           poai_supply_subsidy(supply, height, expected) == POAI_OK && memcmp(subsidy, expected, 16) == 0 &&
           poai_work_add(work, difficulty, work) == POAI_OK;
}

/* Bitcoin's nBits, in which the vectors have their targets. */
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

/* Reads hexadecimal bytes. Returns 0 if their number is wrong. "-" stands for the bytes of unwritten memory. */
#define UNWRITTEN 7
static int from_hex(const char *text, unsigned char *bytes, size_t len) {
    memset(bytes, UNWRITTEN, len);
    if (strcmp(text, "-") == 0) return 1;
    if (strlen(text) != 2 * len) return 0;
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) return 0;
        bytes[i] = (unsigned char)byte;
    }
    return 1;
}

/* Reads numbers between commas; "-" is an empty list. */
static size_t from_list(const char *text, uint64_t *numbers, size_t max) {
    size_t len = 0;
    while (*text != '\0' && *text != '-' && len < max) {
        char *end;
        numbers[len++] = strtoull(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
    return len;
}

static uint64_t from_decimal(const char *text) { return strtoull(text, NULL, 10); }

static int same(const void *got, const void *expected, size_t len) { return memcmp(got, expected, len) == 0; }

/* Returns 1 if a line gets its answer, 0 if it gets another one, -1 if it is not a line of the table. */
static int line_holds(char **word, int words) {
    const char *kind = word[0];
    int code = words > 1 ? atoi(word[1]) : 0;
    if (strcmp(kind, "eai") == 0 && words == 5) {
        struct poai_supply eai;
        unsigned char most[16], foundation[16];
        if (!from_hex(word[1], most, 16) || !from_hex(word[2], foundation, 16)) return -1;
        return poai_supply_eai(&eai) == POAI_OK && same(eai.supply_max, most, 16) && same(eai.foundation, foundation, 16) &&
               eai.era_blocks == from_decimal(word[3]) && eai.era_divisor == from_decimal(word[4]);
    }
    if (strcmp(kind, "supply") == 0 && words == 10) {
        struct poai_supply supply;
        unsigned char subsidy[16], issued[16], got[2][16];
        uint64_t last = UNWRITTEN, height = from_decimal(word[6]);
        memset(got, UNWRITTEN, sizeof got);
        if (!from_hex(word[2], supply.supply_max, 16) || !from_hex(word[3], supply.foundation, 16)) return -1;
        if (!from_hex(word[7], subsidy, 16) || !from_hex(word[8], issued, 16)) return -1;
        supply.era_blocks = from_decimal(word[4]);
        supply.era_divisor = (uint8_t)from_decimal(word[5]);
        return poai_supply_subsidy(&supply, height, got[0]) == code && same(got[0], subsidy, 16) &&
               poai_supply_issued(&supply, height, got[1]) == code && same(got[1], issued, 16) &&
               poai_supply_last_paid_height(&supply, &last) == code &&
               last == (code == POAI_OK ? from_decimal(word[9]) : UNWRITTEN);
    }
    if (strcmp(kind, "past") == 0 && words == 5) {
        struct poai_times times = {.future_limit = 15, .ancestors = (uint32_t)from_decimal(word[2])};
        uint64_t latest[128];
        size_t len = from_list(word[4], latest, 128);
        return poai_times_check_past(&times, from_decimal(word[3]), len == 0 ? NULL : latest, len) == code;
    }
    if (strcmp(kind, "future") == 0 && words == 6) {
        struct poai_times times = {.future_limit = from_decimal(word[3]), .ancestors = (uint32_t)from_decimal(word[2])};
        return poai_times_check_future(&times, from_decimal(word[4]), from_decimal(word[5])) == code;
    }
    if (strcmp(kind, "median") == 0 && words == 4) {
        uint64_t times[128], median = UNWRITTEN;
        size_t len = from_list(word[2], times, 128);
        return poai_median_time_past(len == 0 ? NULL : times, len, &median) == code &&
               median == (code == POAI_OK ? from_decimal(word[3]) : UNWRITTEN);
    }
    if (strcmp(kind, "work") == 0 && words == 5) {
        unsigned char work[32], difficulty[16], sum[32], expected[32];
        memset(sum, UNWRITTEN, sizeof sum);
        if (!from_hex(word[2], work, 32) || !from_hex(word[3], difficulty, 16) || !from_hex(word[4], expected, 32)) return -1;
        return poai_work_add(work, difficulty, sum) == code && same(sum, expected, 32);
    }
    if (strcmp(kind, "order") == 0 && words == 4) {
        unsigned char a[32], b[32];
        int32_t order = UNWRITTEN;
        if (!from_hex(word[2], a, 32) || !from_hex(word[3], b, 32)) return -1;
        return poai_work_compare(a, b, &order) == POAI_OK && order == code;
    }
    if (strcmp(kind, "next") == 0 && words == 11) {
        struct poai_asert asert = {.anchor_parent_time = 985};
        unsigned char easiest[32], difficulty[16], target[32], got_difficulty[16], got_target[32];
        memset(got_difficulty, UNWRITTEN, sizeof got_difficulty);
        memset(got_target, UNWRITTEN, sizeof got_target);
        asert.block_time = (uint32_t)from_decimal(word[2]);
        asert.half_life = (uint32_t)from_decimal(word[3]);
        if (!from_hex(word[4], asert.anchor_target, 32) || !from_hex(word[5], asert.difficulty_min, 16)) return -1;
        if (!from_hex(word[6], easiest, 32) || !from_hex(word[9], difficulty, 16) || !from_hex(word[10], target, 32)) return -1;
        return poai_asert_next(&asert, strcmp(word[6], "-") == 0 ? NULL : easiest, from_decimal(word[7]), from_decimal(word[8]),
                               got_difficulty, got_target) == code &&
               same(got_difficulty, difficulty, 16) && same(got_target, target, 32);
    }
    return -1;
}

/* Returns how many lines of the table get another answer, or -1 if a line is not one of the table. */
static int table(FILE *file, int *count) {
    char line[1024];
    int wrong = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char *word[12];
        int words = 0;
        if (line[0] == '#') continue;
        for (char *next = strtok(line, " \n"); next != NULL && words < 12; next = strtok(NULL, " \n")) word[words++] = next;
        int good = words == 0 ? -1 : line_holds(word, words);
        if (good < 0) return -1;
        if (!good) printf("line %d of the table, %s: otherwise\n", *count + 1, word[0]);
        wrong += !good;
        ++*count;
    }
    return wrong;
}

/* Checks a chain's own retargeting, and the refusal of wrong arguments. */
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
    static const uint64_t latest[2] = {1000, 985};
    static const struct poai_times times = {.future_limit = 15, .ancestors = 11};
    struct poai_supply eai;
    unsigned char subsidy[16], work[32] = {0};
    int32_t order = 0;
    good &= poai_supply_eai(&eai) == POAI_OK && poai_supply_subsidy(&eai, 1, subsidy) == POAI_OK;
    good &= is_accepted(&times, &eai, 1, 1015, 1000, latest, 2, subsidy, start, work) && work[25] == 0x1a;
    good &= poai_work_compare(work, zero, &order) == POAI_OK && order == 1;
    good &= !is_accepted(&times, &eai, 1, 1000, 1000, latest, 2, subsidy, start, work);       /* not after the median */
    good &= !is_accepted(&times, &eai, 1, 1016, 1000, latest, 2, subsidy, start, work);       /* ahead of the clock */
    good &= !is_accepted(&times, &eai, 2102401, 1015, 1000, latest, 2, subsidy, start, work); /* paid too much */
    good &= poai_times_check_past(&times, 1, NULL, 2) == POAI_ERROR_ARGUMENT;
    good &= poai_times_check_past(&times, 1001, latest, SIZE_MAX) == POAI_ERROR_ARGUMENT;
    good &= poai_supply_subsidy(NULL, 1, subsidy) == POAI_ERROR_ARGUMENT;
    good &= poai_work_add(NULL, start, work) == POAI_ERROR_ARGUMENT;
    asert.half_life = 0;
    good &= poai_asert_next(&asert, NULL, 0, 0, difficulty, NULL) == POAI_ERROR_ASERT;
    return good;
}

int main(int argc, char **argv) {
    FILE *file = argc == 3 ? fopen(argv[1], "r") : NULL;
    FILE *lines = argc == 3 ? fopen(argv[2], "r") : NULL;
    if (file == NULL || lines == NULL) {
        if (file != NULL) fclose(file);
        fprintf(stderr, "usage: chain VECTORS TABLE\n");
        return 2;
    }
    int count = 0, counted = 0;
    int wrong = vectors(file, &count);
    int otherwise = table(lines, &counted);
    fclose(file);
    fclose(lines);
    if (wrong < 0 || otherwise < 0) {
        fprintf(stderr, "no vector after %d of them, or no line of the table after %d\n", count, counted);
        return 2;
    }
    int good = own();
    printf("%d of %d vectors, %d of %d lines of the table, %s\n", count - wrong, count, counted - otherwise, counted,
           good ? "and the chain's own" : "but not the chain's own");
    return wrong != 0 || otherwise != 0 || count == 0 || counted == 0 || !good;
}
