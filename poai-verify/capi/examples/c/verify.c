/* Runs the table of cases through the C interface: verify CASES FOLDER...
 *
 * A node needs only the two calls in `run`: poai_preliminary_verify to refuse early, poai_verify to decide. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poai.h"

struct proof {
    unsigned char *bytes;
    size_t len;
};

static int hex(const char *text, unsigned char *bytes, size_t len) {
    if (strlen(text) != 2 * len) return 0;
    for (size_t i = 0; i < len; i++) {
        unsigned value;
        if (sscanf(text + 2 * i, "%2x", &value) != 1) return 0;
        bytes[i] = (unsigned char)value;
    }
    return 1;
}

static int read_proof(const char *name, char **folders, int count, struct proof *proof) {
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        FILE *file = fopen(path, "rb");
        if (file == NULL) continue;
        size_t room = (size_t)poai_proof_bytes_max(POAI_RULES_BLOCK) + 1; /* one byte more for add:1 */
        proof->bytes = malloc(room);
        proof->len = proof->bytes == NULL ? 0 : fread(proof->bytes, 1, room - 1, file);
        fclose(file);
        return proof->bytes != NULL;
    }
    return 0;
}

static int change(const char *how, struct proof *proof) {
    size_t at;
    unsigned bit;
    if (strcmp(how, "-") == 0) return 1;
    if (sscanf(how, "keep:%zu", &at) == 1 && at <= proof->len) {
        proof->len = at;
        return 1;
    }
    if (strcmp(how, "add:1") == 0) {
        proof->bytes[proof->len++] = 0;
        return 1;
    }
    if (sscanf(how, "flip:%zu:%u", &at, &bit) == 2 && at < proof->len && bit < 8) {
        proof->bytes[at] ^= (unsigned char)(1u << bit);
        return 1;
    }
    return 0;
}

/* Returns whether every result is the one in the table. */
static int run(const char *name, int expected, unsigned rules, const unsigned char *challenge,
               const unsigned char *difficulty, const struct proof *proof) {
    struct poai_verified verified;
    int cheap = poai_preliminary_verify(rules, challenge, difficulty, proof->bytes, proof->len);
    int code = poai_verify(rules, challenge, difficulty, proof->bytes, proof->len, &verified);
    printf("%-24s %2d %s\n", name, code, poai_error_message(code));
    if (code == POAI_OK) {
        char *json = NULL;
        if (poai_decode_json(rules, proof->bytes, proof->len, &json) != POAI_OK) return 0;
        int same = strstr(json, "\"statement\"") != NULL && verified.k == 1024;
        poai_string_free(json);
        if (!same) return 0;
    }
    return code == expected && (cheap == POAI_OK || cheap == code);
}

int main(int argc, char **argv) {
    FILE *table = argc > 2 ? fopen(argv[1], "r") : NULL;
    if (table == NULL) {
        fprintf(stderr, "usage: verify CASES FOLDER...\n");
        return 2;
    }
    unsigned char digest[32];
    if (poai_rules_digest(POAI_RULES_BLOCK, digest) != POAI_OK) return 1;
    printf("poai %s, rules %02x%02x...\n", poai_version(), digest[0], digest[1]);
    char line[1024], name[64], challenge_hex[128], difficulty_hex[64], file[64], how[64];
    int cases = 0, wrong = 0;
    while (fgets(line, sizeof line, table) != NULL) {
        unsigned char challenge[32], difficulty[16];
        struct proof proof = {NULL, 0};
        int code;
        unsigned rules;
        if (line[0] == '#') continue;
        if (sscanf(line, "%63s %d %u %127s %63s %63s %63s", name, &code, &rules, challenge_hex,
                   difficulty_hex, file, how) != 7 ||
            !hex(challenge_hex, challenge, 32) || !hex(difficulty_hex, difficulty, 16) ||
            !read_proof(file, argv + 2, argc - 2, &proof) || !change(how, &proof)) {
            fprintf(stderr, "no case: %s", line);
            free(proof.bytes);
            fclose(table);
            return 2;
        }
        cases++;
        wrong += !run(name, code, rules, challenge, difficulty, &proof);
        free(proof.bytes);
    }
    fclose(table);
    printf("%d passed, %d failed\n", cases - wrong, wrong);
    return wrong != 0 || cases == 0;
}
