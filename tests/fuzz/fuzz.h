/* fuzz.h - what the fuzz targets share. A target is a function on some bytes; it
   crashes on what must not happen. Build it with -fsanitize=fuzzer, or with
   -DFUZZ_REPLAY for a plain program that runs the files named to it.

   The first bytes of an input choose how the rest is cut into pieces, so every
   target checks what matters most for a push reader: the result does not depend
   on the cuts, and every call moves on. Built with -fsanitize-coverage=trace-pc,
   (and -Wl,--wrap for it, as libFuzzer has one) each branch is a step; too many steps for so many bytes are a crash:
   a loop that consumes nothing is found at once, not by a clock. */
#ifndef SBX_FUZZ_H
#define SBX_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_REQUIRE(expr) do { if (!(expr)) { \
    fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #expr); abort(); } } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Steps that an input may take. A target whose work is not linear says its own. */
#ifndef FUZZ_STEPS
#define FUZZ_STEPS(size) (200000 + 10000 * (uint64_t)(size))
#endif
static uint64_t fuzz_steps;

#if defined(__clang__)
#define FUZZ_UNTRACED __attribute__((no_sanitize("coverage")))
#elif defined(__GNUC__) && __GNUC__ >= 12
#define FUZZ_UNTRACED __attribute__((no_sanitize_coverage))
#endif

#ifdef FUZZ_UNTRACED
FUZZ_UNTRACED void __wrap___sanitizer_cov_trace_pc(void);
FUZZ_UNTRACED void __wrap___sanitizer_cov_trace_pc(void)
{
    if (fuzz_steps > 0 && --fuzz_steps == 0) {
        fprintf(stderr, "too many steps for an input of this size\n");
        abort();
    }
}
#endif

/* FUZZ_TARGET(data, size) { ... } is the body of a target. */
#define FUZZ_TARGET(data, size) \
    static void fuzz_run(const uint8_t *data, size_t size); \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) \
    { \
        fuzz_steps = FUZZ_STEPS(size); \
        fuzz_run(data, size); \
        fuzz_steps = 0; \
        return 0; \
    } \
    static void fuzz_run(const uint8_t *data, size_t size)

/* FNV-1a, to compare long rows of events cheaply. */
typedef struct fuzz_hash { uint64_t value, count; } fuzz_hash;

static inline void fuzz_add(fuzz_hash *h, const void *data, size_t len)
{
    const unsigned char *p = (const unsigned char *)data;
    size_t i;
    for (i = 0; i < len; i++) h->value = (h->value ^ p[i]) * 0x100000001b3u;
    h->count += len;
}

/* The length of the next piece, 1 to 64, of what a small generator says. */
static inline size_t fuzz_piece(uint32_t *seed, size_t left)
{
    size_t n;
    *seed = *seed * 1664525u + 1013904223u;
    n = (*seed >> 24 & 1) ? 1 : (*seed >> 25) % 64 + 1;
    return n < left ? n : left;
}

/* A copy of exactly its size, so that a read one byte past it is seen. */
static inline char *fuzz_copy(const void *data, size_t len)
{
    char *p = (char *)malloc(len ? len : 1);
    if (!p) abort();
    if (len) memcpy(p, data, len);
    return p;
}

/* The same as a C string. */
static inline char *fuzz_text(const void *data, size_t len)
{
    char *p = (char *)malloc(len + 1);
    if (!p) abort();
    if (len) memcpy(p, data, len);
    p[len] = 0;
    return p;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        uint8_t *data = (uint8_t *)malloc(1 << 20);
        size_t n;
        if (!f || !data) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
        n = fread(data, 1, 1 << 20, f);
        fclose(f);
        LLVMFuzzerTestOneInput(data, n);
        free(data);
    }
    printf("%d inputs, none failed\n", argc - 1);
    return 0;
}
#endif
#endif
