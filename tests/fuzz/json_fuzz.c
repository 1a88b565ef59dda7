/* The JSON reader: any cut and any pause give the same events; strings come
   valid; what was read can be written and reads the same. Input: seed, flags, text. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

typedef struct seen {
    fuzz_hash events;
    uint32_t seed;
    bool more, pauses, plain; /* plain: nothing was cut, so it can be written */
    unsigned depth;
    sbx_json_writer *w;
    char *text;             /* the string being read */
    size_t len, cap;
} seen;

static void write_event(seen *s, const sbx_json_event *e)
{
    switch (e->type) {
    case SBX_JSON_OBJECT: sbx_json_begin_object(s->w); break;
    case SBX_JSON_OBJECT_END: sbx_json_end_object(s->w); break;
    case SBX_JSON_ARRAY: sbx_json_begin_array(s->w); break;
    case SBX_JSON_ARRAY_END: sbx_json_end_array(s->w); break;
    case SBX_JSON_KEY: {
        char key[SBX_JSON_TOKEN + 1];
        FUZZ_REQUIRE(e->len <= SBX_JSON_TOKEN || !(e->flags & SBX_JSON_CUT));
        if (e->len > SBX_JSON_TOKEN || memchr(e->text, 0, e->len)) {
            s->plain = false; /* the writer's keys are C strings */
            break;
        }
        memcpy(key, e->text, e->len);
        key[e->len] = 0;
        sbx_json_key(s->w, key);
        break;
    }
    case SBX_JSON_STRING: sbx_json_string(s->w, s->text, s->len); break;
    case SBX_JSON_NUMBER: sbx_json_raw(s->w, e->text, e->len); break;
    case SBX_JSON_TRUE: sbx_json_bool(s->w, true); break;
    case SBX_JSON_FALSE: sbx_json_bool(s->w, false); break;
    case SBX_JSON_NULL: sbx_json_null(s->w); break;
    }
}

static int on_event(void *ctx, const sbx_json_event *e)
{
    seen *s = (seen *)ctx;
    unsigned char type = (unsigned char)e->type;
    unsigned flags = e->flags & ~(SBX_JSON_MORE | SBX_JSON_LONE);
    FUZZ_REQUIRE(e->depth <= SBX_MAX_JSON_DEPTH);
    FUZZ_REQUIRE(!s->more || type == SBX_JSON_STRING);
    if (type == SBX_JSON_STRING) {
        if (!s->more) s->len = 0;
        FUZZ_REQUIRE(s->len + e->len <= s->cap);
        if (e->len) memcpy(s->text + s->len, e->text, e->len);
        s->len += e->len;
    }
    s->more = type == SBX_JSON_STRING && (e->flags & SBX_JSON_MORE);
    if (!s->more) {
        bool is_string = type == SBX_JSON_STRING;
        fuzz_add(&s->events, &type, 1);
        fuzz_add(&s->events, &flags, sizeof flags);
        fuzz_add(&s->events, &e->depth, sizeof e->depth);
        fuzz_add(&s->events, is_string ? s->text : e->text, is_string ? s->len : e->len);
        if (flags & SBX_JSON_CUT) s->plain = false;
        if (s->w && s->plain) write_event(s, e);
    }
    if (!s->pauses) return SBX_OK;
    return fuzz_piece(&s->seed, 64) & 1 ? SBX_PENDING : SBX_OK;
}

static int run(seen *s, const char *data, size_t size, bool cut)
{
    static sbx_json_reader r;
    size_t pos = 0, used, n, feeds = 0;
    int rc = SBX_OK;
    s->plain = true;
    s->cap = 3 * size + 16;
    s->text = (char *)malloc(s->cap);
    if (!s->text) abort();
    sbx_json_init(&r, on_event, s);
    while (rc >= 0 && pos < size) {
        char *piece;
        n = cut ? fuzz_piece(&s->seed, size - pos) : size - pos;
        piece = fuzz_copy(data + pos, n);
        rc = sbx_json_feed(&r, piece, n, &used);
        free(piece);
        FUZZ_REQUIRE(used <= n && (rc != SBX_OK || used == n));
        FUZZ_REQUIRE(s->pauses || rc != SBX_PENDING);
        pos += used;
        FUZZ_REQUIRE(++feeds < 64 * size + 64);
    }
    if (rc >= 0) rc = sbx_json_end(&r);
    free(s->text);
    return rc;
}

typedef struct text { char *data; size_t len, cap; } text;

static int put(void *ctx, const void *data, size_t len)
{
    text *t = (text *)ctx;
    FUZZ_REQUIRE(t->len + len <= t->cap);
    memcpy(t->data + t->len, data, len);
    t->len += len;
    return SBX_OK;
}

FUZZ_TARGET(data, size)
{
    seen whole, cut, again;
    sbx_json_writer w;
    sbx_sink sink;
    text out;
    int rc;
    if (size < 2) return;
    out.len = 0;
    out.cap = 8 * size + 64;
    out.data = (char *)malloc(out.cap);
    if (!out.data) abort();
    sink.put = put;
    sink.ctx = &out;
    sbx_json_writer_init(&w, sink);
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    memset(&again, 0, sizeof again);
    whole.w = &w;
    cut.seed = data[0];
    cut.pauses = data[1] & 1;
    rc = run(&whole, (const char *)data + 2, size - 2, false);
    FUZZ_REQUIRE(rc == SBX_OK || rc == SBX_E_BAD_JSON || rc == SBX_E_TOO_LARGE);
    FUZZ_REQUIRE(run(&cut, (const char *)data + 2, size - 2, true) == rc);
    FUZZ_REQUIRE(memcmp(&cut.events, &whole.events, sizeof whole.events) == 0);
    if (rc == SBX_OK && whole.plain) {
        FUZZ_REQUIRE(w.status == SBX_OK);
        FUZZ_REQUIRE(run(&again, out.data, out.len, false) == SBX_OK);
        FUZZ_REQUIRE(memcmp(&again.events, &whole.events, sizeof whole.events) == 0);
    }
    free(out.data);
}
