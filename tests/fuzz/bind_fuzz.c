/* Binding JSON to structs: any cut and any pause give the same struct; a block of
   any limit and memory that runs out give an error, never a wrong pointer; what
   was read can be written and reads the same. Input: seed, flags, limit, text. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

typedef struct row { const char *name; int32_t n; sbx_pairs map; } row;
typedef struct all {
    const char *s;
    int32_t i;
    uint32_t u;
    sbx_choice c;
    sbx_pairs map;
    sbx_strings list;
    row in;
    /* from here on only read */
    char text[8];
    int64_t l, when;
    bool yes, seen;
    sbx_file_type kind;
} all;

static const char *const kinds[] = { "file", "dir", NULL };
static const sbxi_field row_fields[] = {
    { "s", NULL, offsetof(row, name), 0, SBXI_T_STRING },
    { "i", NULL, offsetof(row, n), 0, SBXI_T_INT },
    { "m", NULL, offsetof(row, map), 0, SBXI_T_PAIRS }
};
static const sbxi_shape row_shape = SBXI_SHAPE(row_fields, row);
static const sbxi_field all_fields[] = {
    { "s", NULL, offsetof(all, s), 0, SBXI_T_STRING },
    { "i", NULL, offsetof(all, i), 0, SBXI_T_INT },
    { "u", NULL, offsetof(all, u), 0, SBXI_T_UINT },
    { "c", NULL, offsetof(all, c), 0, SBXI_T_CHOICE },
    { "m", NULL, offsetof(all, map), 0, SBXI_T_PAIRS },
    { "l", NULL, offsetof(all, list), 0, SBXI_T_STRINGS },
    { "o", &row_shape, offsetof(all, in), 0, SBXI_T_OBJECT },
    { "t", NULL, offsetof(all, text), 8, SBXI_T_TEXT },
    { "n", NULL, offsetof(all, l), 0, SBXI_T_INT64 },
    { "w", NULL, offsetof(all, when), 0, SBXI_T_TIME },
    { "y", NULL, offsetof(all, yes), 0, SBXI_T_BOOL },
    { "k", kinds, offsetof(all, kind), 0, SBXI_T_ENUM },
    { "e", NULL, offsetof(all, seen), 0, SBXI_T_SEEN },
    { "e", &row_shape, 0, 0, SBXI_T_EACH },
    { "b", NULL, 0, 3, SBXI_T_BYTES }
};
static const sbxi_shape shape = SBXI_SHAPE(all_fields, all);
static const sbxi_shape writable = { all_fields, 7, sizeof(all) };

typedef struct seen { fuzz_hash items, pieces; uint32_t seed; bool pauses; } seen;

/* Every pointer is read to the end of what it points to. */
static void add_text(fuzz_hash *h, const char *s)
{
    if (s) fuzz_add(h, s, strlen(s) + 1);
    else fuzz_add(h, "\1", 1);
}

static void add_map(fuzz_hash *h, const sbx_pairs *m)
{
    size_t i;
    fuzz_add(h, &m->count, sizeof m->count);
    for (i = 0; i < m->count; i++) {
        add_text(h, m->items[i].key);
        add_text(h, m->items[i].value);
    }
}

static void add_row(fuzz_hash *h, const row *r)
{
    add_text(h, r->name);
    fuzz_add(h, &r->n, sizeof r->n);
    add_map(h, &r->map);
}

static void add_written(fuzz_hash *h, const all *a)
{
    size_t i;
    add_text(h, a->s);
    fuzz_add(h, &a->i, sizeof a->i);
    fuzz_add(h, &a->u, sizeof a->u);
    fuzz_add(h, &a->c, sizeof a->c);
    add_map(h, &a->map);
    fuzz_add(h, &a->list.count, sizeof a->list.count);
    for (i = 0; i < a->list.count; i++) add_text(h, a->list.items[i]);
    add_row(h, &a->in);
}

static void add_all(fuzz_hash *h, const all *a)
{
    add_written(h, a);
    fuzz_add(h, a->text, sizeof a->text);
    FUZZ_REQUIRE(memchr(a->text, 0, sizeof a->text));
    fuzz_add(h, &a->l, sizeof a->l);
    fuzz_add(h, &a->when, sizeof a->when);
    FUZZ_REQUIRE(a->kind <= 2 && a->c <= SBX_NO);
    fuzz_add(h, &a->kind, sizeof a->kind);
    fuzz_add(h, &a->yes, 1);
    fuzz_add(h, &a->seen, 1);
}

static int on_item(void *ctx, void *item)
{
    add_row(&((seen *)ctx)->items, (const row *)item);
    return SBX_OK;
}

static int on_piece(void *ctx, unsigned id, const char *text, size_t len, bool more)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(id == 3);
    fuzz_add(&s->pieces, text, len);
    if (!more) fuzz_add(&s->pieces, "|", 1);
    return s->pauses && (fuzz_piece(&s->seed, 64) & 1) ? SBX_PENDING : SBX_OK;
}

static int feed(seen *s, sbxi_bind *b, const char *data, size_t size, bool cut)
{
    static sbx_json_reader r;
    size_t pos = 0, used, n, feeds = 0;
    int rc = SBX_OK;
    b->item = on_item;
    b->piece = on_piece;
    b->ctx = s;
    sbx_json_init(&r, sbxi_bind_event, b);
    while (rc >= 0 && pos < size) {
        char *piece;
        n = cut ? fuzz_piece(&s->seed, size - pos) : size - pos;
        piece = fuzz_copy(data + pos, n);
        rc = sbx_json_feed(&r, piece, n, &used);
        free(piece);
        pos += used;
        FUZZ_REQUIRE(++feeds < 64 * size + 64);
    }
    return rc >= 0 ? sbx_json_end(&r) : rc;
}

static unsigned calls, fail_at;
static void *heap(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    void *p;
    (void)ctx;
    if (new_size && fail_at && ++calls >= fail_at) return NULL;
    p = new_size ? malloc(new_size) : NULL; /* always another place */
    if (ptr && p) memcpy(p, ptr, SBXI_MIN(old_size, new_size));
    if (p || !new_size) free(ptr);
    return p;
}
static const sbx_alloc heap_alloc = { heap, NULL };

/* Into the block; its struct is added to h if all went well. */
static int run(seen *s, sbxi_buf *block, size_t max, const char *data, size_t size, bool cut,
    fuzz_hash *h, bool written)
{
    static sbxi_bind b;
    int rc;
    sbxi_buf_init(block, &heap_alloc, max);
    sbxi_bind_init(&b, &shape, block, NULL);
    rc = block->status ? block->status : feed(s, &b, data, size, cut);
    if (rc == SBX_OK) {
        const all *a = (const all *)sbxi_bind_result(&b);
        if (written) add_written(h, a);
        else add_all(h, a);
    }
    return rc;
}

static void check_written(const all *a)
{
    seen s;
    fuzz_hash before = { 0, 0 }, after = { 0, 0 };
    sbxi_buf text, block;
    sbx_json_writer w;
    sbx_sink sink;
    sbxi_buf_init(&text, &heap_alloc, 1 << 24);
    sink.put = sbxi_buf_put;
    sink.ctx = &text;
    sbx_json_writer_init(&w, sink);
    sbxi_bind_write(&w, &writable, a);
    FUZZ_REQUIRE(w.status == SBX_OK);
    memset(&s, 0, sizeof s);
    FUZZ_REQUIRE(run(&s, &block, 1 << 24, text.data, text.len, false, &after, true) == SBX_OK);
    add_written(&before, a);
    /* Long keys are cut, and skipped, when they are read: then there are fewer. */
    if (before.count <= after.count) FUZZ_REQUIRE(before.value == after.value);
    sbxi_buf_free(&block);
    sbxi_buf_free(&text);
}

FUZZ_TARGET(data, size)
{
    fuzz_hash whole_hash = { 0, 0 }, cut_hash = { 0, 0 }, none = { 0, 0 };
    seen whole, cut;
    sbxi_buf block, other;
    all fixed;
    static sbxi_bind b;
    const char *text = (const char *)data + 3;
    int rc, again;
    if (size < 3) return;
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    cut.seed = data[0];
    cut.pauses = data[1] & 1;
    fail_at = calls = 0;
    rc = run(&whole, &block, 1 << 24, text, size - 3, false, &whole_hash, false);
    again = run(&cut, &other, 1 << 24, text, size - 3, true, &cut_hash, false);
    /* A root string is refused at its first piece, which may come before its fault. */
    FUZZ_REQUIRE(again == rc || (rc == SBX_E_BAD_JSON && again == SBX_E_PROTOCOL));
    FUZZ_REQUIRE(memcmp(&whole_hash, &cut_hash, sizeof cut_hash) == 0);
    if (rc == SBX_OK) {
        FUZZ_REQUIRE(memcmp(&whole.items, &cut.items, sizeof cut.items) == 0);
        FUZZ_REQUIRE(memcmp(&whole.pieces, &cut.pieces, sizeof cut.pieces) == 0);
        check_written((const all *)(const void *)block.data);
    }
    sbxi_buf_free(&block);
    sbxi_buf_free(&other);
    /* Little room, no memory. */
    rc = run(&cut, &block, (size_t)data[2] * 4, text, size - 3, true, &none, false);
    FUZZ_REQUIRE(block.len <= block.cap && block.cap <= (size_t)data[2] * 4);
    sbxi_buf_free(&block);
    fail_at = 1 + (data[1] >> 1) % 16;
    rc = run(&cut, &block, 1 << 24, text, size - 3, true, &none, false);
    fail_at = 0;
    sbxi_buf_free(&block);
    /* Into a struct of the caller's. */
    memset(&fixed, 0, sizeof fixed);
    sbxi_bind_init(&b, &shape, NULL, &fixed);
    rc = feed(&cut, &b, text, size - 3, true);
    FUZZ_REQUIRE(rc == SBX_OK || rc == SBX_E_BAD_JSON || rc == SBX_E_TOO_LARGE
        || rc == SBX_E_PROTOCOL);
    FUZZ_REQUIRE(!fixed.s && !fixed.map.items && !fixed.list.items && !fixed.in.name);
}
