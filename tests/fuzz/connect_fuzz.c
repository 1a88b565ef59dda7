/* Connect envelopes: any cut and any pause give the same events; what was
   announced is what came. Input: seed, flags, stream. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

typedef struct seen {
    fuzz_hash events;
    uint32_t seed, left;
    unsigned flags;
    bool open, ended, pauses;
} seen;

static int on_begin(void *ctx, unsigned flags, uint32_t len)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(!s->open && !s->ended && (flags == 0 || flags == SBXI_CONNECT_END));
    s->open = true;
    s->left = len;
    s->flags = flags;
    fuzz_add(&s->events, &flags, sizeof flags);
    fuzz_add(&s->events, &len, sizeof len);
    return SBX_OK;
}

static int on_data(void *ctx, const char *data, size_t len, size_t *used)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(s->open && len > 0 && len <= s->left);
    *used = s->pauses ? fuzz_piece(&s->seed, len + 1) - 1 : len;
    fuzz_add(&s->events, data, *used);
    s->left -= (uint32_t)*used;
    return s->pauses ? SBX_E_AGAIN : SBX_OK;
}

static int on_end(void *ctx)
{
    seen *s = (seen *)ctx;
    FUZZ_REQUIRE(s->open && s->left == 0);
    s->open = false;
    s->ended = s->flags == SBXI_CONNECT_END;
    fuzz_add(&s->events, ">", 1);
    return SBX_OK;
}

static const sbxi_connect_events events = { on_begin, on_data, on_end };

static int run(seen *s, const uint8_t *data, size_t size, bool cut)
{
    sbxi_connect c;
    size_t pos = 0, used, n, feeds = 0;
    int rc = SBX_OK;
    sbxi_connect_init(&c, &events, s);
    while ((rc == SBX_OK && pos < size) || rc == SBX_E_AGAIN) {
        char *piece;
        n = cut && pos < size ? fuzz_piece(&s->seed, size - pos) : size - pos;
        piece = fuzz_copy(data + pos, n);
        rc = sbxi_connect_feed(&c, piece, n, &used);
        free(piece);
        FUZZ_REQUIRE(used <= n && (rc != SBX_OK || used == n));
        pos += used;
        FUZZ_REQUIRE(++feeds < 64 * size + 64);
    }
    FUZZ_REQUIRE(sbxi_connect_complete(&c) == (rc == SBX_OK && s->ended));
    return rc;
}

FUZZ_TARGET(data, size)
{
    seen whole, cut;
    int rc;
    if (size < 2) return;
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    cut.seed = data[0];
    cut.pauses = data[1] & 1;
    rc = run(&whole, data + 2, size - 2, false);
    FUZZ_REQUIRE(rc == SBX_OK || rc == SBX_E_PROTOCOL);
    FUZZ_REQUIRE(run(&cut, data + 2, size - 2, true) == rc);
    FUZZ_REQUIRE(memcmp(&cut.events, &whole.events, sizeof whole.events) == 0);
    FUZZ_REQUIRE(cut.ended == whole.ended);
}
