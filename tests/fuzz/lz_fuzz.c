/* Deflate: at any level, any cut gives the same bytes; they unpack to what was packed,
   and are not longer than what is stored. Input: seed, level, then what makes the
   text: pieces as they are, runs, noise, pieces of what came before, so that a small
   input turns the ring over. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#define FUZZ_STEPS(size) (300000000 + 0 * (uint64_t)(size)) /* for TEXT bytes, packed twice */
#include "fuzz.h"

enum { TEXT = 30000, ROOM = TEXT + 2048 };

static size_t make(const uint8_t *data, size_t size, unsigned char *text)
{
    size_t at = 0, pos = 0, n, far;
    uint32_t noise = 1;
    while (pos + 3 <= size && at < TEXT) {
        unsigned what = data[pos] & 3;
        n = data[pos] >> 2 | (size_t)data[pos + 1] << 6;
        far = data[pos + 2] * 200u + data[pos + 1] + 1;
        pos += 3;
        if (what == 0) n %= 64;
        for (; n && at < TEXT; n--, at++) {
            if (what == 0 && pos == size) return at;
            noise = noise * 1664525u + 1013904223u;
            text[at] = what == 0 ? data[pos++] : what == 1 ? data[pos - 1] : what == 2
                ? (unsigned char)(noise >> 24) : far <= at ? text[at - far] : 0;
        }
    }
    return at;
}

static size_t pack(const unsigned char *text, size_t len, unsigned level, uint32_t seed,
    unsigned char *out)
{
    void *memory = malloc(sbxi_gzip_size(level));
    sbxi_gzip *g;
    sbxi_flow io = { text, 0, out, 0 };
    size_t left = len, made;
    bool done = false;
    if (!memory) abort();
    g = sbxi_gzip_init(memory, level);
    while (!done) {
        size_t n = seed ? fuzz_piece(&seed, left - io.in_len) : left - io.in_len;
        io.in_len += n;
        io.out_len = seed ? fuzz_piece(&seed, ROOM) : ROOM;
        done = sbxi_gzip_run(g, &io, io.in_len == left);
        FUZZ_REQUIRE(done || !io.in_len || !io.out_len);
        left = len - (size_t)(io.in - text);
        FUZZ_REQUIRE(io.in_len <= left && io.out - out <= ROOM);
    }
    FUZZ_REQUIRE(left == 0);
    made = (size_t)(io.out - out);
    free(memory);
    return made;
}

static int take(void *ctx, const void *data, size_t len)
{
    fuzz_add((fuzz_hash *)ctx, data, len);
    return SBX_OK;
}

FUZZ_TARGET(data, size)
{
    static sbxi_inflate z;
    static unsigned char text[TEXT], whole[2 * ROOM], cut[2 * ROOM];
    fuzz_hash want = { 0 }, got = { 0 };
    size_t len, n, used;
    if (size < 2) return;
    len = make(data + 2, size - 2, text);
    n = pack(text, len, data[1] % 10, 0, whole);
    FUZZ_REQUIRE(n <= len + len / 1024 * 5 + 23);
    FUZZ_REQUIRE(pack(text, len, data[1] % 10, data[0] + 1u, cut) == n);
    FUZZ_REQUIRE(memcmp(whole, cut, n) == 0);
    sbxi_inflate_init(&z, take, &got);
    FUZZ_REQUIRE(sbxi_inflate_feed(&z, (const char *)whole, n, &used) == SBX_OK);
    FUZZ_REQUIRE(sbxi_inflate_whole(&z));
    fuzz_add(&want, text, len);
    FUZZ_REQUIRE(got.count == want.count && got.value == want.value);
}
