/* alloc - calls of the caller's allocator, the malloc default, the allocator
   over one fixed buffer, and blocks that know their own allocator so that
   sbx_free() needs nothing else. */

#ifndef SBX_NO_STDLIB
#include <stdlib.h>

static void *sbxi_std_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_size);
}
#endif

static void *sbxi_alloc_get(const sbx_alloc *a, size_t size)
{
    void *p = a->resize(a->ctx, NULL, 0, size);
    if (p) memset(p, 0, size);
    return p;
}

static void sbxi_alloc_free(const sbx_alloc *a, void *ptr, size_t size)
{
    if (ptr) a->resize(a->ctx, ptr, size, 0);
}

/* For what held secrets. */
static void sbxi_alloc_wipe(const sbx_alloc *a, void *ptr, size_t size)
{
    if (!ptr) return;
    sbxi_wipe(ptr, size);
    sbxi_alloc_free(a, ptr, size);
}

/* A block handed to the user starts behind this, at a multiple of SBXI_ALIGN. */
typedef struct sbxi_owner { sbx_alloc alloc; size_t size; } sbxi_owner;

typedef union sbxi_owned {
    sbxi_owner of;
    long double align_;
    void *align2_;
    int64_t align3_[(sizeof(sbxi_owner) + 7) / 8]; /* of 4 on x86 with 32 bits */
} sbxi_owned;

SBX_API void sbx_free(void *result)
{
    if (result) {
        sbxi_owned *o = (sbxi_owned *)result - 1;
        sbx_alloc a = o->of.alloc;
        sbxi_alloc_wipe(&a, o, o->of.size);
    }
}

/* ---- one caller buffer -----------------------------------------------------
   The buffer is a row of blocks, each behind a header that gives its length and
   whether it is free; free neighbours are merged when a block is freed. First
   fit. Blocks are few (tens), so walking the row is cheaper than any list. */

typedef union sbxi_cell {
    struct { size_t len; bool used; } of; /* len: with this header */
    long double align_;
    void *align2_;
    int64_t align3_;
} sbxi_cell;

static size_t sbxi_fixed_round(size_t n)
{
    return (n + sizeof(sbxi_cell) - 1) / sizeof(sbxi_cell) * sizeof(sbxi_cell);
}

static sbxi_cell *sbxi_fixed_next(sbxi_cell *c)
{
    return (sbxi_cell *)((unsigned char *)c + c->of.len);
}

static void sbxi_fixed_merge(sbx_fixed *f)
{
    unsigned char *end = f->base_ + f->size_;
    sbxi_cell *c = (sbxi_cell *)f->base_;
    while ((unsigned char *)c < end) {
        sbxi_cell *n = sbxi_fixed_next(c);
        if ((unsigned char *)n < end && !c->of.used && !n->of.used)
            c->of.len += n->of.len;
        else
            c = n;
    }
}

/* Splits c after `need` bytes if the rest can be a block of its own. */
static void sbxi_fixed_split(sbxi_cell *c, size_t need)
{
    if (c->of.len - need >= 2 * sizeof(sbxi_cell)) {
        sbxi_cell *rest = (sbxi_cell *)((unsigned char *)c + need);
        rest->of.len = c->of.len - need;
        rest->of.used = false;
        c->of.len = need;
    }
}

static void sbxi_fixed_note(sbx_fixed *f, sbxi_cell *c)
{
    size_t end = (size_t)((unsigned char *)sbxi_fixed_next(c) - f->base_);
    f->used += c->of.len;
    if (end > f->peak) f->peak = end;
}

static void *sbxi_fixed_get(sbx_fixed *f, size_t size)
{
    unsigned char *end;
    sbxi_cell *c = (sbxi_cell *)f->base_;
    size_t need;
    if (size > f->size_) return NULL;
    end = f->base_ + f->size_;
    need = sbxi_fixed_round(size) + sizeof(sbxi_cell);
    for (; (unsigned char *)c < end; c = sbxi_fixed_next(c)) {
        if (c->of.used || c->of.len < need) continue;
        sbxi_fixed_split(c, need);
        c->of.used = true;
        sbxi_fixed_note(f, c);
        return c + 1;
    }
    return NULL;
}

/* Grows or shrinks where it stands, if the neighbour allows. */
static bool sbxi_fixed_stretch(sbx_fixed *f, sbxi_cell *c, size_t need)
{
    unsigned char *end = f->base_ + f->size_;
    sbxi_cell *n = sbxi_fixed_next(c);
    size_t before = c->of.len;
    if (c->of.len < need) {
        if ((unsigned char *)n >= end || n->of.used || c->of.len + n->of.len < need)
            return false;
        c->of.len += n->of.len;
    }
    sbxi_fixed_split(c, need);
    f->used -= before;
    sbxi_fixed_note(f, c);
    sbxi_fixed_merge(f);
    return true;
}

static void sbxi_fixed_free(sbx_fixed *f, void *ptr)
{
    sbxi_cell *c = (sbxi_cell *)ptr - 1;
    f->used -= c->of.len;
    c->of.used = false;
    sbxi_fixed_merge(f);
}

static void *sbxi_fixed_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    sbx_fixed *f = (sbx_fixed *)ctx;
    void *moved = NULL;
    if (!ptr) return new_size ? sbxi_fixed_get(f, new_size) : NULL;
    if (new_size > f->size_) return NULL;
    if (new_size) {
        if (sbxi_fixed_stretch(f, (sbxi_cell *)ptr - 1,
            sbxi_fixed_round(new_size) + sizeof(sbxi_cell))) return ptr;
        moved = sbxi_fixed_get(f, new_size);
        if (!moved) return NULL;
        memcpy(moved, ptr, SBXI_MIN(old_size, new_size));
    }
    sbxi_fixed_free(f, ptr);
    return moved;
}

SBX_API sbx_alloc sbx_alloc_fixed(sbx_fixed *state, void *memory, size_t size)
{
    sbx_alloc a;
    size_t skew = (size_t)((uintptr_t)memory % sizeof(sbxi_cell));
    size_t skip = skew ? sizeof(sbxi_cell) - skew : 0;
    memset(state, 0, sizeof *state);
    if (size >= skip + 2 * sizeof(sbxi_cell)) {
        sbxi_cell *c = (sbxi_cell *)((unsigned char *)memory + skip);
        state->base_ = (unsigned char *)c;
        state->size_ = (size - skip) / sizeof(sbxi_cell) * sizeof(sbxi_cell);
        c->of.len = state->size_;
        c->of.used = false;
    }
    a.resize = sbxi_fixed_resize;
    a.ctx = state;
    return a;
}
