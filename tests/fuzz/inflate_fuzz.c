/* Inflate: any cut, and a taker that refuses, give the same bytes and the same
   verdict; what is packed here unpacks to itself. Input: seed, gzip. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

typedef struct taker { fuzz_hash hash; uint32_t seed; const void *refused; } taker;

static int take(void *ctx, const void *data, size_t len)
{
    taker *t = (taker *)ctx;
    FUZZ_REQUIRE(len > 0 && len <= SBXI_WINDOW);
    FUZZ_REQUIRE(!t->refused || t->refused == data);
    t->refused = NULL;
    if (t->seed) {
        t->seed = t->seed * 1664525u + 1013904223u;
        if (t->seed >> 30 == 0) {
            t->refused = data;
            return SBX_E_AGAIN;
        }
    }
    fuzz_add(&t->hash, data, len);
    return SBX_OK;
}

static int run(const char *data, size_t size, uint32_t seed, taker *t)
{
    static sbxi_inflate z;
    size_t pos = 0, n, used;
    int rc = SBX_OK;
    memset(t, 0, sizeof *t);
    t->seed = seed;
    sbxi_inflate_init(&z, take, t);
    while (rc == SBX_OK && pos < size) {
        n = seed ? fuzz_piece(&seed, size - pos) : size - pos;
        do {
            rc = sbxi_inflate_feed(&z, data + pos, n, &used);
            FUZZ_REQUIRE(used <= n);
            pos += used;
            n -= used;
        } while (rc == SBX_E_AGAIN);
    }
    return rc == SBX_OK && !sbxi_inflate_whole(&z) ? SBX_PENDING : rc;
}

/* Packs all of it; the container must hold it. */
static void pack(const uint8_t *data, size_t size, bool known)
{
    sbxi_deflate z;
    sbx_reading reading = { data, size, 0 };
    sbx_source from = sbx_source_memory(&reading), out;
    fuzz_hash want = { 0 };
    size_t cap = size + 64, got = 0;
    char *packed = (char *)malloc(cap);
    taker t;
    if (!packed) abort();
    if (!known) from.size = -1;
    FUZZ_REQUIRE(sbxi_deflate_init(&z, &from, &out));
    for (cap = 0;; cap += got) {
        FUZZ_REQUIRE(out.get(out.ctx, packed + cap, size + 64 - cap, &got) == SBX_OK);
        if (!got) break;
    }
    FUZZ_REQUIRE(!known || out.size == (int64_t)cap);
    FUZZ_REQUIRE(run(packed, cap, 0, &t) == SBX_OK);
    fuzz_add(&want, data, size);
    FUZZ_REQUIRE(t.hash.count == want.count && (!want.count || t.hash.value == want.value));
    free(packed);
}

FUZZ_TARGET(data, size)
{
    taker whole, cut;
    char *text;
    int rc;
    if (size < 1) return;
    text = fuzz_copy(data + 1, size - 1);
    rc = run(text, size - 1, 0, &whole);
    FUZZ_REQUIRE(rc == SBX_OK || rc == SBX_PENDING || rc == SBX_E_PROTOCOL);
    FUZZ_REQUIRE(run(text, size - 1, data[0] + 1u, &cut) == rc);
    if (rc != SBX_E_PROTOCOL) /* else less was taken before the offender was seen, or more */
        FUZZ_REQUIRE(whole.hash.count == cut.hash.count && whole.hash.value == cut.hash.value);
    pack(data, size, data[0] & 1);
    free(text);
}
