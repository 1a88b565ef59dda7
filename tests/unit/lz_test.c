/* lz_test - what codec/lz and pack/gzip make: at every level it unpacks, here and in
   Python, to what was packed; how it was cut makes no difference; its memory is what
   it says. Prints how well it packs beside zlib. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

typedef struct bytes { unsigned char *data; size_t len, cap; } bytes;

static int add(void *ctx, const void *data, size_t len)
{
    bytes *b = ctx;
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->data = realloc(b->data, b->cap);
        if (!b->data) abort();
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return SBX_OK;
}

/* In steps of `in` and `out` bytes, the first of `first`. late: that it was all is said
   by a call of its own. */
static void pack(const void *data, size_t len, unsigned level, size_t first, size_t in, size_t out,
    bool late, bytes *to)
{
    static unsigned char room[1 << 20];
    unsigned char *memory = malloc(sbxi_gzip_size(level)), *piece;
    size_t pos = 0, n, turns = 0;
    sbxi_gzip *g;
    bool done = false;
    memset(memory, 0xA5, sbxi_gzip_size(level));
    g = sbxi_gzip_init(memory, level);
    to->len = 0;
    for (; !done && turns < 4 * len + 100000; turns++) {
        sbxi_flow io;
        n = turns ? in : first;
        if (n > len - pos) n = len - pos;
        piece = malloc(n ? n : 1); /* so that a byte too many is seen */
        memcpy(piece, (const unsigned char *)data + pos, n);
        io.in = piece;
        io.in_len = n;
        io.out = room;
        io.out_len = out;
        done = sbxi_gzip_run(g, &io, late ? pos == len : pos + n == len);
        CHECK(done || !io.out_len || !io.in_len);
        pos += n - io.in_len;
        add(to, room, out - io.out_len);
        free(piece);
    }
    CHECK(done);
    CHECK_INT(pos, len);
    free(memory);
}

static bool unpacks(const bytes *b, const void *data, size_t len)
{
    static sbxi_inflate z;
    bytes plain = { 0 };
    size_t used;
    bool same;
    int rc;
    sbxi_inflate_init(&z, add, &plain);
    rc = sbxi_inflate_feed(&z, (const char *)b->data, b->len, &used);
    same = rc == SBX_OK && sbxi_inflate_whole(&z) && plain.len == len
        && (!len || memcmp(plain.data, data, len) == 0);
    free(plain.data);
    return same;
}

/* ---- what is packed ---------------------------------------------------------- */

static uint32_t seed;
static unsigned dice(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

enum { EMPTY, ONE, ALL, RUN, RANDOM, TEXT, MIXED, FAR, FIBONACCI, STEPS, KINDS };
static const char *const names[KINDS] = { "empty", "one byte", "all bytes", "a run", "random",
    "text", "mixture", "far", "fibonacci", "stairs" };

static void words(bytes *b, size_t len)
{
    static const char *const list[] = { "the ", "sandbox ", "runs ", "a ", "command ", "and ",
        "streams ", "its ", "output ", "back ", "to ", "caller, ", "return ", "static ", "\n    " };
    char text[16];
    while (b->len < len) {
        const char *w = list[dice(15)];
        add(b, w, strlen(w));
        if (dice(20) == 0) add(b, text, (size_t)snprintf(text, sizeof text, "%u ", dice(100000)));
    }
    b->len = len;
}

static bytes make(int kind, size_t len)
{
    bytes b = { 0 };
    size_t i;
    unsigned char c;
    seed = 7;
    add(&b, "", 1);
    b.len = 0;
    if (kind == EMPTY) return b;
    if (kind == ONE) len = 1;
    if (kind == TEXT) words(&b, len);
    if (kind == FIBONACCI) { /* each byte as often as the two before it: words as long as can be */
        size_t n = 1, before = 1, k;
        for (c = 0; c < 22 && b.len < len; c++) {
            for (k = 0; k < n; k++) add(&b, &c, 1);
            k = n;
            n += before;
            before = k;
        }
        for (i = b.len; i-- > 1;) { /* shuffled, so that there is little to match */
            k = (size_t)dice((unsigned)i + 1);
            c = b.data[i];
            b.data[i] = b.data[k];
            b.data[k] = c;
        }
        return b;
    }
    while (b.len < len) {
        i = b.len;
        c = (unsigned char)dice(256);
        if (kind == RUN) c = 'x';
        if (kind == ALL) c = (unsigned char)i;
        if (kind == STEPS) c = (unsigned char)(i * i >> 12);
        if (kind == FAR && i >= 32768) c = b.data[i - 32768];
        add(&b, &c, 1);
        if (kind == MIXED && dice(3000) == 0) {
            unsigned n = dice(3) ? dice(600) : dice(20000), what = dice(3);
            if (what == 0) words(&b, b.len + n);
            for (; what == 1 && n; n--) add(&b, &c, 1);
            if (what == 2 && n < b.len) {
                size_t from = dice((unsigned)(b.len - n));
                for (; n; n--) c = b.data[from++], add(&b, &c, 1);
            }
        }
    }
    b.len = len;
    return b;
}

/* ---- tests ------------------------------------------------------------------- */

TEST(unpacks_to_itself)
{
    static const size_t lens[] = { 2, 300, 5000, 40000, 300000 };
    size_t k, i, level;
    char row[64];
    for (k = 0; k < KINDS; k++)
        for (i = 0; i < sizeof lens / sizeof *lens; i++) {
            bytes b = make((int)k, lens[i]), whole = { 0 }, cut = { 0 };
            for (level = 0; level <= 9; level += level < 1 ? 1 : 4) {
                snprintf(row, sizeof row, "%s, %zu bytes, level %zu", names[k], b.len, level);
                test_row = row;
                pack(b.data, b.len, (unsigned)level, b.len, b.len, 1 << 20, false, &whole);
                CHECK(unpacks(&whole, b.data, b.len));
                CHECK(whole.len <= b.len + b.len / 1024 * 5 + 23);
                pack(b.data, b.len, (unsigned)level, 1, 777, 333, true, &cut);
                CHECK_MEM(cut.data, cut.len, whole.data, whole.len);
                if (b.len > 40000) continue; /* byte by byte they take long */
                pack(b.data, b.len, (unsigned)level, 511, 512, 1, false, &cut);
                CHECK_MEM(cut.data, cut.len, whole.data, whole.len);
                pack(b.data, b.len, (unsigned)level, 1, 1, 65536, k & 1, &cut);
                CHECK_MEM(cut.data, cut.len, whole.data, whole.len);
            }
            free(b.data);
            free(whole.data);
            free(cut.data);
        }
}

TEST(any_cut_gives_the_same)
{
    static const int kinds[] = { EMPTY, ONE, TEXT, RUN, MIXED };
    size_t k, i, out;
    unsigned level;
    for (k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (level = 0; level < 9; level += 4) {
            bytes b = make(kinds[k], 120), whole = { 0 }, cut = { 0 };
            level += level == 0 && k % 2;
            pack(b.data, b.len, level, b.len, b.len, 1 << 20, false, &whole);
            for (i = 0; i <= b.len; i++)
                for (out = 1; out <= 40; out++) {
                    pack(b.data, b.len, level, i, out % 7 + 1, out, out & 1, &cut);
                    if (!CHECK_MEM(cut.data, cut.len, whole.data, whole.len)) return;
                }
            free(b.data);
            free(whole.data);
            free(cut.data);
        }
}

TEST(memory_is_what_it_says)
{
    unsigned level;
    for (level = 0; level < 12; level++)
        CHECK(sbxi_gzip_size(level) <= (level > 3 ? SBXI_GZIP_BEST
            : level > 0 ? SBXI_GZIP_FAST : SBXI_GZIP_STORED));
    CHECK(SBXI_GZIP_STORED <= 2048 && SBXI_GZIP_BEST <= 49152);
}

/* Noise that is the same again so far on: found at the window's length, at any place
   in the ring, but not behind it. */
TEST(matches_as_far_as_the_window)
{
    unsigned level, more, i;
    for (level = 1; level <= 9; level += 4)
        for (more = 0; more < 2; more++) {
            size_t far = sbxi_lz_step_of(level)->window + more, len = far * 5;
            bytes b = make(RANDOM, len), packed = { 0 };
            for (i = (unsigned)far; i < len; i++) b.data[i] = b.data[i - far];
            pack(b.data, b.len, level, b.len, b.len, 1 << 20, false, &packed);
            CHECK(unpacks(&packed, b.data, b.len));
            if (more) CHECK(packed.len > len);
            else CHECK(packed.len < far + far / 8);
            free(b.data);
            free(packed.data);
        }
}

/* A run at its end, so long that the last match is of any length. */
TEST(runs_of_every_length)
{
    bytes b = make(RUN, 1100), packed = { 0 };
    size_t n;
    unsigned level;
    for (level = 1; level <= 9; level += 4)
        for (n = 1; n < 1100; n++) {
            pack(b.data, n, level, n, n, 1 << 20, n & 1, &packed);
            if (!CHECK(unpacks(&packed, b.data, n) && packed.len < 18 + 12)) break;
        }
    free(b.data);
    free(packed.data);
}

/* What a code saves may be less than the bits that stored bytes waste. */
TEST(never_longer_than_stored)
{
    bytes b = make(RANDOM, 300), packed = { 0 };
    size_t n;
    unsigned level, round, values;
    for (level = 1; level <= 9; level += 4)
        for (n = 1; n < 300; n++)
            for (round = 0; round < 12; round++) {
                values = 2 + dice(255);
                for (size_t i = 0; i < n; i++) b.data[i] = (unsigned char)dice(values);
                pack(b.data, n, level, n, n, 1 << 20, false, &packed);
                if (!CHECK(packed.len <= n + 23)) printf("%zu of %u\n", n, values);
            }
    free(b.data);
    free(packed.data);
}

/* ---- codes ------------------------------------------------------------------- */

static int rising(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Bits of the best code of words so long at most: packages of coins, by the book. */
static uint64_t least_bits(const uint16_t *words, unsigned n, unsigned limit)
{
    uint64_t coins[SBXI_LZ_LITS], list[2 * SBXI_LZ_LITS], sum = 0;
    unsigned used = 0, len = 0, i;
    for (i = 0; i < n; i++)
        if (words[i]) coins[used++] = words[i];
    if (used < 2) return used ? coins[0] : 0;
    for (; limit; limit--) {
        for (i = 0; i + 1 < len; i += 2) list[i / 2] = list[i] + list[i + 1];
        i = len / 2;
        len = len / 2 + used;
        memcpy(list + i, coins, used * sizeof *coins);
        qsort(list, len, sizeof *list, rising);
    }
    for (i = 0; i < 2 * used - 2; i++) sum += list[i];
    return sum;
}

static void check_lengths(const uint16_t *words, unsigned n, unsigned limit)
{
    static sbxi_lz_codes c;
    uint8_t lens[SBXI_LZ_LITS];
    uint64_t bits = 0, least = least_bits(words, n, limit);
    uint32_t kraft = 0;
    unsigned i, k, longest = 0, used = 0;
    sbxi_lz_lengths(&c, words, n, limit, lens);
    for (i = 0; i < n; i++) {
        CHECK(!words[i] || lens[i]);
        bits += (uint64_t)words[i] * lens[i];
        used += words[i] > 0;
        if (!lens[i]) continue;
        kraft += 1u << (limit - lens[i]);
        if (lens[i] > longest) longest = lens[i];
    }
    CHECK_INT(kraft, 1u << limit); /* whole: no word is missing, none too many */
    CHECK(longest <= limit);
    CHECK(bits >= least);
    sbxi_lz_words(lens, n, c.words); /* no word begins another */
    for (i = 0; i < n; i++)
        for (k = 0; lens[i] && k < n; k++) {
            uint32_t same = c.words[i] ^ c.words[k];
            CHECK(c.words[i] >> lens[i] == 0);
            if (i != k && lens[i] <= lens[k]) CHECK(same & ((1u << lens[i]) - 1));
        }
    if (longest < limit || used < 2) CHECK_INT(bits, least);
    else CHECK(bits <= least + least / (limit < 15 ? 8 : 100)); /* at worst, which never comes */
}

TEST(words_of_limited_length)
{
    uint16_t words[SBXI_LZ_LITS];
    unsigned n, i, kind, round;
    seed = 3;
    for (kind = 0; kind < 6; kind++)
        for (round = 0; round < 20; round++)
            for (n = 19; n <= SBXI_LZ_LITS; n = n < 30 ? 30 : n < 288 ? 288 : 289) {
                uint16_t a = 1, b = 1, t;
                uint32_t sum = 0;
                memset(words, 0, sizeof words);
                for (i = 0; i < n; i++) {
                    if (kind == 0) words[i] = (uint16_t)(i < 22 ? a : 0);
                    if (kind == 1) words[i] = (uint16_t)dice(100);
                    if (kind == 2) words[i] = (uint16_t)(dice(10) ? 0 : dice(2000) + 1);
                    if (kind == 3) words[i] = 1;
                    if (kind == 4) words[i] = (uint16_t)(i == round % n ? 12800 : 0);
                    if (kind == 5) words[i] = (uint16_t)(1u << dice(14));
                    t = a;
                    a = b;
                    b = (uint16_t)(b + t);
                    if (sum + words[i] > 33000) words[i] = 0;
                    sum += words[i];
                }
                check_lengths(words, n, n == 19 ? 7 : 15);
            }
}

static bytes source(void)
{
    FILE *f = fopen("sandbox.h", "rb");
    bytes b = { 0 };
    char piece[4096];
    size_t n;
    while (f && (n = fread(piece, 1, sizeof piece, f)) > 0) add(&b, piece, n);
    if (f) fclose(f);
    return b;
}

/* python: unpacks it all, and says how long it would have made them. The best level must
   be near it for what people pack. */
TEST(python_unpacks_it)
{
    static const unsigned levels[] = { 0, 1, 6, 9 };
    FILE *f = popen("python3 tests/unit/lz_check.py", "w");
    size_t k, i;
    REQUIRE(f != NULL);
    for (k = 0; k <= KINDS; k++) {
        bytes b = k < KINDS ? make((int)k, 300000) : source(), whole = { 0 };
        for (i = 0; i < 4; i++) {
            pack(b.data, b.len, levels[i], b.len, b.len, 1 << 20, false, &whole);
            fprintf(f, "%s\n%u %zu %zu\n", k < KINDS ? names[k] : "sandbox.h", levels[i], b.len, whole.len);
            fwrite(b.data, 1, b.len, f);
            fwrite(whole.data, 1, whole.len, f);
        }
        free(b.data);
        free(whole.data);
    }
    CHECK_INT(pclose(f), 0);
}
