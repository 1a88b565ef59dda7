/* gzip_test - unpacking what zlib and Python packed, at every split and with a taker
   that refuses; damaged streams; and that Python unpacks what is packed here. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

typedef struct taker {
    unsigned char *data;
    size_t len, cap;
    unsigned refuse, left;  /* AGAIN so many times before each piece */
    const void *same;       /* what was refused must come again */
    size_t same_len;
    int end;                /* returned instead */
} taker;

static int take(void *ctx, const void *data, size_t len)
{
    taker *t = ctx;
    CHECK(len > 0);
    if (t->same) CHECK(t->same == data && t->same_len == len);
    if (t->end) return t->end;
    if (t->left) {
        t->left--;
        t->same = data;
        t->same_len = len;
        return SBX_E_AGAIN;
    }
    t->same = NULL;
    t->left = t->refuse;
    if (t->len + len > t->cap) {
        t->cap = (t->len + len) * 2;
        t->data = realloc(t->data, t->cap);
        if (!t->data) abort();
    }
    memcpy(t->data + t->len, data, len);
    t->len += len;
    return SBX_OK;
}

/* Feeds in pieces of `step`, the first of `first` bytes; what is paused goes on. */
static int unpack(const unsigned char *p, size_t len, size_t first, size_t step, taker *t)
{
    static sbxi_inflate z;
    size_t pos = 0;
    int rc = SBX_OK;
    sbxi_inflate_init(&z, take, t);
    memset(z.window, 0xA5, sizeof z.window);
    t->len = 0;
    t->left = t->refuse;
    t->same = NULL;
    while (pos < len && rc == SBX_OK) {
        size_t n = pos ? step : first, used = 0, at = 0;
        unsigned turns = 0;
        if (n > len - pos) n = len - pos;
        do {
            rc = sbxi_inflate_feed(&z, (const char *)p + pos + at, n - at, &used);
            CHECK(used <= n - at);
            at += used;
        } while (rc == SBX_E_AGAIN && turns++ < 1000000);
        pos += n;
    }
    if (rc != SBX_OK) return rc;
    return sbxi_inflate_whole(&z) ? SBX_OK : SBX_PENDING;
}

static unsigned char *read_vectors(size_t *len)
{
    FILE *f = popen("python3 tests/unit/gzip_vectors.py", "r");
    unsigned char *p = NULL;
    size_t cap = 0, n;
    *len = 0;
    if (!f) return NULL;
    do {
        if (*len + 65536 > cap) p = realloc(p, cap = cap * 2 + 65536);
        if (!p) abort();
        n = fread(p + *len, 1, 65536, f);
        *len += n;
    } while (n);
    if (pclose(f) != 0) *len = 0;
    return p;
}

static uint32_t word(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void check_vector(const unsigned char *text, size_t len, const unsigned char *gz, size_t n)
{
    taker t = { 0 };
    size_t i;
    CHECK_INT(unpack(gz, n, n, n, &t), SBX_OK);
    CHECK(t.len == len && memcmp(t.data ? t.data : (void *)"", text, len) == 0);
    CHECK_INT(unpack(gz, n, 1, 1, &t), SBX_OK);
    CHECK(t.len == len && memcmp(t.data ? t.data : (void *)"", text, len) == 0);
    t.refuse = 2;
    CHECK_INT(unpack(gz, n, 7, 5000, &t), SBX_OK);
    CHECK(t.len == len && memcmp(t.data ? t.data : (void *)"", text, len) == 0);
    t.refuse = 1;
    for (i = 1; n < 700 && i < n; i++) {
        if (!CHECK_INT(unpack(gz, n, i, n, &t), SBX_OK)) break;
        if (!CHECK(t.len == len && memcmp(t.data ? t.data : (void *)"", text, len) == 0)) break;
    }
    t.refuse = 0;
    for (i = 0; n < 700 && i < n; i++) { /* cut: never whole, but between two members */
        int rc = unpack(gz, i, n, n, &t);
        CHECK(rc == SBX_PENDING || (rc == SBX_OK && (t.len < len || !len)));
    }
    free(t.data);
}

TEST(what_zlib_and_python_pack)
{
    size_t len, pos = 0, count = 0;
    unsigned char *p = read_vectors(&len);
    REQUIRE(len > 0);
    while (pos + 8 <= len) {
        size_t text = word(p + pos), gz = word(p + pos + 4);
        pos += 8;
        REQUIRE(text + gz <= len - pos);
        check_vector(p + pos, text, p + pos + text, gz);
        pos += text + gz;
        count++;
    }
    CHECK_INT(pos, len);
    CHECK_INT(count, 7 * 20 + 5 * 6);
    free(p);
}

/* Any one bit changed, in streams of all kinds of blocks: never OK with other bytes,
   and never out of bounds (which a sanitizer would see). Those of long texts would only
   take long. */
TEST(damage_is_noticed)
{
    size_t len, pos = 0, i;
    unsigned char *p = read_vectors(&len);
    unsigned bit;
    taker t = { 0 };
    REQUIRE(len > 0);
    while (pos + 8 <= len) {
        size_t text = word(p + pos), n = word(p + pos + 4);
        unsigned char *gz = p + pos + 8 + text;
        for (i = 0; n < 400 && text < 2000 && i < n; i++)
            for (bit = 0; bit < 8; bit++) {
                int rc;
                gz[i] ^= (unsigned char)(1u << bit);
                rc = unpack(gz, n, n, n, &t);
                /* time, system and the texts of a head mean nothing */
                if (rc == SBX_OK)
                    CHECK(t.len == text && memcmp(t.data ? t.data : (void *)"", p + pos + 8, text) == 0);
                else CHECK(rc == SBX_E_PROTOCOL || rc == SBX_PENDING);
                gz[i] ^= (unsigned char)(1u << bit);
            }
        pos += 8 + text + n;
    }
    free(t.data);
    free(p);
}

#define HEAD "\x1f\x8b\x08\0\0\0\0\0\0\xff"
#define ROW(s) { HEAD s, sizeof(HEAD s) - 1 }

TEST(bad_streams)
{
    static const struct { const char *p; size_t n; } rows[] = {
        { "\x1f\x8c", 2 }, { "\x1f\x8b\x07", 3 }, { "\x1f\x8b\x08\x20\0\0\0\0\0\0", 10 },
        { "hello", 5 },
        ROW("\x07"),                        /* a block of the kind that does not exist */
        ROW("\x01\x01\0\xff\xff"),          /* a stored length against its complement */
        ROW("\x05\xff\xff\xff\xff"),        /* 257 and 32 codes */
        ROW("\xfd\0\0\0\0"),              /* 288 and 1 */
        ROW("\x05\0\0\0\0\0\0\0\0"),        /* no code for the lengths */
        ROW("\x05\0\x92\x04"), /* too many */
        ROW("\x03\x02\0\0"),                /* a distance before the beginning */
        ROW("\x4b\x04\x3e\0\0"),            /* a distance symbol of none */
        ROW("\x03\0\0\0\0\1\0\0\0\0"),      /* checksum */
        ROW("\x03\0\0\0\0\0\1\0\0\0"),      /* length */
        ROW("\x03\0\0\0\0\0\0\0\0\0x"),     /* something behind */
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        taker t = { 0 };
        char name[16];
        snprintf(name, sizeof name, "%u", (unsigned)i);
        test_row = name;
        CHECK_INT(unpack((const unsigned char *)rows[i].p, rows[i].n, 1, 1, &t), SBX_E_PROTOCOL);
        free(t.data);
    }
    test_row = NULL;
}

TEST(what_the_taker_says_is_final)
{
    static const char gz[] = HEAD "\x01\x05\0\xfa\xffhello\x86\xa6\x10\x36\5\0\0\0";
    sbxi_inflate *z = malloc(sizeof *z);
    taker t = { 0 };
    size_t used;
    CHECK_INT(unpack((const unsigned char *)gz, sizeof gz - 1, 3, 3, &t), SBX_OK);
    CHECK_MEM(t.data, t.len, "hello", 5);
    t.end = SBX_E_CANCELLED;
    sbxi_inflate_init(z, take, &t);
    CHECK_INT(sbxi_inflate_feed(z, gz, 20, &used), SBX_E_CANCELLED);
    t.end = 0;
    CHECK_INT(sbxi_inflate_feed(z, gz + 20, 1, &used), SBX_E_CANCELLED);
    CHECK(!sbxi_inflate_whole(z));
    t.len = 0;
    sbxi_inflate_init(z, take, &t);
    CHECK_INT(sbxi_inflate_feed(z, gz, sizeof gz - 1, &used), SBX_OK);
    CHECK(sbxi_inflate_whole(z));
    CHECK_INT(sbxi_inflate_feed(z, "x", 1, &used), SBX_E_PROTOCOL);
    CHECK(!sbxi_inflate_whole(z)); /* not with that behind it */
    t.end = SBX_E_CANCELLED;
    sbxi_inflate_init(z, take, &t);
    CHECK_INT(sbxi_inflate_feed(z, gz, sizeof gz - 1, &used), SBX_E_CANCELLED);
    CHECK(!sbxi_inflate_whole(z)); /* all of it came, not all was taken */
    t.end = 0;
    free(z);
    free(t.data);
}

TEST(crc32_of_known_texts)
{
    CHECK_INT(sbxi_crc32(0, "", 0), 0);
    CHECK_INT(sbxi_crc32(0, "123456789", 9), 0xCBF43926);
    CHECK_INT(sbxi_crc32(sbxi_crc32(0, "1234", 4), "56789", 5), 0xCBF43926);
}

/* ---- packing --------------------------------------------------------------------- */

typedef struct spring { /* a source */
    const unsigned char *p;
    size_t len, pos, piece;
    unsigned refuse, left;
    int end;                /* returned where it ends; LIES: more is said to be there than was asked for */
} spring;
enum { LIES = 1000 };

static int spring_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    spring *s = ctx;
    size_t n = s->len - s->pos;
    if (s->left) {
        s->left--;
        return SBX_E_AGAIN;
    }
    s->left = s->refuse;
    if (n == 0 && s->end == LIES) return *got = cap + 1, SBX_OK;
    if (n == 0 && s->end) return s->end;
    if (n > cap) n = cap;
    if (s->piece && n > s->piece) n = s->piece;
    if (n) memcpy(buf, s->p + s->pos, n);
    s->pos += n;
    *got = n;
    return SBX_OK;
}

static int spring_rewind(void *ctx)
{
    ((spring *)ctx)->pos = 0;
    return SBX_OK;
}

/* All that comes, by calls for `cap` bytes; as the exchange does, never for more than
   is still announced. */
static int pack(spring *s, int64_t size, size_t cap, taker *t, bool twice)
{
    sbxi_deflate z;
    sbx_source from = { spring_get, spring_rewind, s, size }, out;
    unsigned char buf[70000];
    size_t got = 1;
    int rc = SBX_OK;
    unsigned turns = 0;
    s->pos = 0;
    s->left = s->refuse;
    t->len = t->left = t->refuse = 0;
    if (!sbxi_deflate_init(&z, &from, &out)) return SBX_E_ARG;
    CHECK(size >= 0 || out.size == -1);
    if (twice) {
        rc = out.get(out.ctx, buf, cap, &got);
        CHECK(rc == SBX_OK || rc == SBX_E_AGAIN);
        CHECK_INT(out.rewind(out.ctx), SBX_OK);
        rc = SBX_OK;
        got = 1;
    }
    while (rc == SBX_OK && got && turns++ < 2000000) {
        size_t n = cap;
        if (size >= 0 && (int64_t)n > out.size - (int64_t)t->len) n = (size_t)(out.size - (int64_t)t->len);
        if (!n) n = 1;
        got = 0;
        rc = out.get(out.ctx, buf, n, &got);
        if (rc == SBX_E_AGAIN) {
            CHECK_INT(got, 0);
            rc = SBX_OK;
            got = 1;
            continue;
        }
        if (rc == SBX_OK && got) take(t, buf, got);
    }
    if (rc == SBX_OK && size >= 0) CHECK_INT(t->len, out.size);
    return rc;
}

TEST(packed_and_unpacked)
{
    static const size_t sizes[] = { 0, 1, 5, 65534, 65535, 65536, 131070, 131071, 200000 };
    static const size_t caps[] = { 16, 372, 6000, 70000 };
    unsigned char *data = malloc(200000);
    size_t i, c, k;
    taker packed = { 0 }, plain = { 0 };
    for (i = 0; i < 200000; i++) data[i] = (unsigned char)(i * 7 + i / 251);
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (c = 0; c < sizeof caps / sizeof *caps; c++)
            for (k = 0; k < 8; k++) {
                spring s = { data, sizes[i], 0, k & 1 ? 1000 : 0, k >> 1 & 1, 0, 0 };
                CHECK_INT(pack(&s, k & 4 ? -1 : (int64_t)sizes[i], caps[c], &packed, k & 1), SBX_OK);
                CHECK_INT(unpack(packed.data, packed.len, packed.len, 1, &plain), SBX_OK);
                CHECK(plain.len == sizes[i] && (!plain.len || !memcmp(plain.data, data, plain.len)));
            }
    free(packed.data);
    free(plain.data);
    free(data);
}

TEST(python_unpacks_it)
{
    static const size_t sizes[] = { 0, 1, 65535, 65536, 150000 };
    unsigned char *data = malloc(150000);
    size_t i;
    for (i = 0; i < 150000; i++) data[i] = (unsigned char)(i * 13 + i / 251);
    for (i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i / 2];
        spring s = { data, n, 0, 0, 0, 0, 0 };
        taker packed = { 0 };
        FILE *f = popen("python3 -c \"import gzip,sys;p=sys.stdin.buffer.read();"
            "d=gzip.decompress(p);sys.exit(d!=bytes((i*13+i//251)%256 for i in range(len(d))) or "
            "len(d)!=int.from_bytes(p[-4:],'little'))\"", "w");
        REQUIRE(f != NULL);
        CHECK_INT(pack(&s, i & 1 ? -1 : (int64_t)n, 6000, &packed, false), SBX_OK);
        CHECK_INT(fwrite(packed.data, 1, packed.len, f), packed.len);
        CHECK_INT(pclose(f), 0);
        free(packed.data);
    }
    free(data);
}

TEST(sources_that_lie_to_it)
{
    static const struct { size_t len; int64_t size; int end, rc; } rows[] = {
        { 10, 11, 0, SBX_E_SOURCE }, { 10, 9, 0, SBX_E_SOURCE }, { 0, 1, 0, SBX_E_SOURCE },
        { 1, 0, 0, SBX_E_SOURCE }, { 10, 11, SBX_E_CANCELLED, SBX_E_CANCELLED },
        { 10, -1, SBX_E_CANCELLED, SBX_E_CANCELLED }, { 10, 11, 1, SBX_E_SOURCE },
        { 10, INT64_MAX, 0, SBX_E_ARG }, { 10, 10, 0, SBX_OK }, { 10, 10, SBX_E_AGAIN, SBX_OK },
        { 10, 10, SBX_E_CANCELLED, SBX_E_CANCELLED }, { 10, -1, LIES, SBX_E_SOURCE },
        { 10, 11, LIES, SBX_E_SOURCE },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        spring s = { (const unsigned char *)"0123456789", rows[i].len, 0, 0, 0, 0, rows[i].end };
        taker t = { 0 };
        CHECK_INT(pack(&s, rows[i].size, 6000, &t, false), rows[i].rc);
        free(t.data);
    }
}

/* What does not even hold the next part is refused; nothing of it is lost. */
TEST(room_for_a_part_at_least)
{
    static const size_t needs[] = { 10, 6, 8 }; /* head; head of a block and its byte; tail */
    spring s = { (const unsigned char *)"x", 1, 0, 0, 0, 0, 0 };
    sbx_source from = { spring_get, spring_rewind, &s, 1 }, out;
    sbxi_deflate z;
    taker packed = { 0 }, plain = { 0 };
    unsigned char buf[16];
    size_t i, got;
    REQUIRE(sbxi_deflate_init(&z, &from, &out));
    for (i = 0; i < sizeof needs / sizeof *needs; i++) {
        CHECK_INT(out.get(out.ctx, buf, needs[i] - 1, &got), SBX_E_TOO_LARGE);
        CHECK_INT(got, 0);
        CHECK_INT(out.get(out.ctx, buf, needs[i], &got), SBX_OK);
        if (got) take(&packed, buf, got);
    }
    CHECK_INT(packed.len, out.size);
    CHECK_INT(out.get(out.ctx, buf, sizeof buf, &got), SBX_OK);
    CHECK_INT(got, 0);
    CHECK_INT(unpack(packed.data, packed.len, packed.len, 1, &plain), SBX_OK);
    CHECK_MEM(plain.data, plain.len, "x", 1);
    free(packed.data);
    free(plain.data);
}
