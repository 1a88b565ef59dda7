/* The HTTP response reader: any cut, any pause, any line buffer of one size give
   the same events. Input: seed, flags (1: answer to HEAD), line buffer, response. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

typedef struct seen {
    fuzz_hash events, body;
    uint32_t seed;
    unsigned long calls, heads;
    bool pauses;
} seen;

static int on_header(void *ctx, const char *name, const char *value, bool cut)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(s->heads == 0);
    FUZZ_REQUIRE(sbxi_is_token(sbxi_span_of(name)));
    FUZZ_REQUIRE(sbxi_is_field_value(sbxi_span_of(value)));
    fuzz_add(&s->events, name, strlen(name) + 1);
    fuzz_add(&s->events, value, strlen(value) + 1);
    fuzz_add(&s->events, &cut, 1);
    return SBX_OK;
}

static int on_head(void *ctx, const sbx_http_head *h)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(++s->heads == 1);
    FUZZ_REQUIRE(h->status >= 200 && h->status <= 999 && h->length >= -1);
    FUZZ_REQUIRE(!(h->chunked && h->length >= 0));
    FUZZ_REQUIRE(!(h->keep_alive && h->length < 0 && !h->chunked));
    fuzz_add(&s->events, &h->status, sizeof h->status);
    fuzz_add(&s->events, &h->length, sizeof h->length);
    fuzz_add(&s->events, &h->keep_alive, 1);
    fuzz_add(&s->events, &h->gzip, 1);
    return SBX_OK;
}

static int on_body(void *ctx, const char *data, size_t len, size_t *used)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(s->heads == 1 && len > 0);
    s->calls++;
    *used = s->pauses ? fuzz_piece(&s->seed, len + 1) - 1 : len;
    fuzz_add(&s->body, data, *used);
    return s->pauses ? SBX_E_AGAIN : SBX_OK;
}

static const sbx_http_events events = { on_header, on_head, on_body };

/* In one piece, or cut by seed. *end: how many bytes were taken. */
static int run(seen *s, const uint8_t *data, size_t size, size_t cap, bool to_head, bool cut,
    size_t *end)
{
    char *line = (char *)malloc(cap);
    sbx_http_reader r;
    size_t pos = 0, used, n, feeds = 0;
    int rc = SBX_PENDING;
    if (!line) abort();
    sbx_http_init(&r, line, cap, to_head, &events, s);
    while ((rc == SBX_PENDING && pos < size) || rc == SBX_E_AGAIN) {
        char *piece;
        n = cut && pos < size ? fuzz_piece(&s->seed, size - pos) : size - pos;
        piece = fuzz_copy(data + pos, n);
        rc = sbx_http_feed(&r, piece, n, &used);
        free(piece);
        FUZZ_REQUIRE(used <= n && (rc != SBX_PENDING || used == n));
        FUZZ_REQUIRE(rc <= SBX_PENDING && (s->pauses || rc != SBX_E_AGAIN));
        pos += used;
        FUZZ_REQUIRE(++feeds < 64 * size + 64); /* every call moves on */
    }
    if (rc == SBX_PENDING) rc = sbx_http_end(&r);
    *end = pos;
    free(line);
    return rc;
}

FUZZ_TARGET(data, size)
{
    seen whole, cut;
    size_t cap, end[2];
    bool to_head;
    int rc;
    if (size < 3) return;
    memset(&whole, 0, sizeof whole);
    to_head = data[1] & 1;
    cap = (size_t)data[2] * 2 + 1;
    rc = run(&whole, data + 3, size - 3, cap, to_head, false, &end[0]);
    FUZZ_REQUIRE(rc == SBX_OK || rc == SBX_E_PROTOCOL || rc == SBX_E_TOO_LARGE
        || rc == SBX_E_NETWORK);
    memset(&cut, 0, sizeof cut);
    cut.seed = data[0];
    cut.pauses = data[1] & 2;
    FUZZ_REQUIRE(run(&cut, data + 3, size - 3, cap, to_head, true, &end[1]) == rc);
    FUZZ_REQUIRE(memcmp(&cut.events, &whole.events, sizeof whole.events) == 0);
    FUZZ_REQUIRE(memcmp(&cut.body, &whole.body, sizeof whole.body) == 0);
    FUZZ_REQUIRE(cut.heads == whole.heads);
    if (rc == SBX_OK) FUZZ_REQUIRE(end[0] == end[1]);
}
