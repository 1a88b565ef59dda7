/* The allocator over one buffer against a model: blocks keep their bytes, lie
   inside the buffer, never meet, are aligned; what is counted is what is held; all
   freed, the buffer is whole again. Input: size of the buffer, then a program of
   three bytes a step: which slot, and its new size. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#define FUZZ_STEPS(size) (1000000 + 200000 * (uint64_t)(size)) /* each step looks at all blocks */
#include "fuzz.h"

enum { SLOTS = 16 };
typedef struct slot { unsigned char *p; size_t size; unsigned char fill; } slot;

static void check(const slot *slots, const unsigned char *memory, size_t size)
{
    size_t i, k;
    for (i = 0; i < SLOTS; i++) {
        const slot *s = &slots[i];
        if (!s->p) continue;
        FUZZ_REQUIRE(s->p >= memory && s->p + s->size <= memory + size);
        FUZZ_REQUIRE((uintptr_t)s->p % sizeof(void *) == 0);
        for (k = 0; k < s->size; k++) FUZZ_REQUIRE(s->p[k] == s->fill);
    }
}

FUZZ_TARGET(data, size)
{
    slot slots[SLOTS] = { { 0 } };
    unsigned char *memory;
    size_t bytes, i, used, peak = 0;
    sbx_fixed f;
    sbx_alloc a;
    if (size < 2) return;
    bytes = (size_t)data[0] * 16 + (data[1] & 15);
    memory = (unsigned char *)malloc(bytes + 16);
    if (!memory) abort();
    a = sbx_alloc_fixed(&f, memory + (data[1] >> 4), bytes);
    for (i = 2; i + 3 <= size && i < 600; i += 3) {
        slot *s = &slots[data[i] % SLOTS];
        size_t want = (size_t)data[i + 1] << (data[i + 2] & 7), kept = SBXI_MIN(s->size, want), k;
        unsigned char *p = (unsigned char *)a.resize(a.ctx, s->p, s->size, want), *old = s->p;
        if (!want) {
            FUZZ_REQUIRE(!p);
            s->p = NULL;
            s->size = 0;
        } else if (p) {
            for (k = 0; k < kept; k++) FUZZ_REQUIRE(p[k] == s->fill);
            s->p = p;
            s->size = want;
            s->fill = (unsigned char)i;
            memset(p, s->fill, want);
        } else {
            FUZZ_REQUIRE(!old || want > s->size); /* shrinking always works */
        }
        check(slots, memory + (data[1] >> 4), bytes);
        for (used = 0, k = 0; k < SLOTS; k++) used += slots[k].size;
        FUZZ_REQUIRE(used <= f.used && f.used <= bytes && f.used <= f.peak && f.peak >= peak);
        peak = f.peak;
    }
    for (i = 0; i < SLOTS; i++) {
        FUZZ_REQUIRE(!slots[i].p || !a.resize(a.ctx, slots[i].p, slots[i].size, 0));
    }
    FUZZ_REQUIRE(f.used == 0);
    if (peak) { /* one free block again: nearly all can be had at once */
        void *all = a.resize(a.ctx, NULL, 0, f.size_ - sizeof(sbxi_cell));
        FUZZ_REQUIRE(all != NULL);
        a.resize(a.ctx, all, f.size_ - sizeof(sbxi_cell), 0);
    }
    free(memory);
}
