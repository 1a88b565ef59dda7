/* Lines of JSON: any cut and any pause give the same events; no line holds a line
   feed, none begins with a blank or is empty. Input: seed, flags, lines. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

typedef struct seen {
    fuzz_hash events;
    uint32_t seed;
    bool open, first, pauses;
} seen;

static int on_begin(void *ctx)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(!s->open);
    s->open = s->first = true;
    fuzz_add(&s->events, "<", 1);
    return SBX_OK;
}

static int on_data(void *ctx, const char *data, size_t len, size_t *used)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(s->open && len > 0 && !memchr(data, '\n', len));
    FUZZ_REQUIRE(!s->first || (*data != ' ' && *data != '\t' && *data != '\r'));
    *used = s->pauses ? fuzz_piece(&s->seed, len + 1) - 1 : len;
    if (*used) s->first = false;
    fuzz_add(&s->events, data, *used);
    return s->pauses ? SBX_E_AGAIN : SBX_OK;
}

static int on_end(void *ctx)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(s->open && !s->first);
    s->open = false;
    fuzz_add(&s->events, ">", 1);
    return SBX_OK;
}

static const sbxi_ndjson_events events = { on_begin, on_data, on_end };

static void run(seen *s, const uint8_t *data, size_t size, bool cut)
{
    sbxi_ndjson c;
    size_t pos = 0, used, n, feeds = 0;
    int rc = SBX_OK;
    sbxi_ndjson_init(&c, &events, s);
    while (pos < size) {
        char *piece;
        n = cut ? fuzz_piece(&s->seed, size - pos) : size - pos;
        piece = fuzz_copy(data + pos, n);
        rc = sbxi_ndjson_feed(&c, piece, n, &used);
        free(piece);
        FUZZ_REQUIRE(rc == SBX_OK || (rc == SBX_E_AGAIN && s->pauses));
        FUZZ_REQUIRE(used <= n && (rc != SBX_OK || used == n));
        pos += used;
        FUZZ_REQUIRE(++feeds < 64 * size + 64);
    }
    FUZZ_REQUIRE(sbxi_ndjson_end(&c) == SBX_OK && !s->open);
}

FUZZ_TARGET(data, size)
{
    seen whole, cut;
    if (size < 2) return;
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    cut.seed = data[0];
    cut.pauses = data[1] & 1;
    run(&whole, data + 2, size - 2, false);
    run(&cut, data + 2, size - 2, true);
    FUZZ_REQUIRE(memcmp(&cut.events, &whole.events, sizeof whole.events) == 0);
}
