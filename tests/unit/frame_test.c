/* Connect envelopes: every split, pauses at every place, hostile input. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

typedef struct seen {
    char log[512];          /* "<flags:len" data ">" for each envelope */
    size_t len;
    size_t take;            /* data() takes at most so many bytes, 0: all */
    int fail_begin, fail_data, fail_end;
} seen;

static void put(seen *s, const char *text, size_t n)
{
    if (n > sizeof s->log - 1 - s->len) n = sizeof s->log - 1 - s->len;
    memcpy(s->log + s->len, text, n);
    s->log[s->len += n] = 0;
}

static int on_begin(void *ctx, unsigned flags, uint32_t len)
{
    char text[40];
    snprintf(text, sizeof text, "<%u:%lu ", flags, (unsigned long)len);
    put((seen *)ctx, text, strlen(text));
    return ((seen *)ctx)->fail_begin;
}

static int on_data(void *ctx, const char *data, size_t len, size_t *used)
{
    seen *s = (seen *)ctx;
    size_t n = s->take && s->take < len ? s->take : len;
    put(s, data, n);
    if (s->fail_data) return s->fail_data;
    if (!s->take) return SBX_OK;
    *used = n;
    return SBX_E_AGAIN;
}

static int on_end(void *ctx)
{
    put((seen *)ctx, ">", 1);
    return ((seen *)ctx)->fail_end;
}

static const sbxi_connect_events events = { on_begin, on_data, on_end };

/* Feeds text[0..n) from a block of exactly that size; resumes after pauses. */
static int feed(sbxi_connect *c, const char *text, size_t n, size_t *used)
{
    char *copy = (char *)malloc(n ? n : 1);
    size_t pos = 0, took;
    int rc;
    if (!copy) abort();
    if (n) memcpy(copy, text, n);
    do {
        rc = sbxi_connect_feed(c, copy + pos, n - pos, &took);
        CHECK(took <= n - pos);
        pos += took;
    } while (rc == SBX_E_AGAIN);
    *used = pos;
    free(copy);
    return rc;
}

typedef struct row {
    const char *name, *text;
    size_t len;
    int rc;
    bool complete;
    const char *log;
} row;

#define BYTES(s) s, sizeof s - 1

static const row rows[] = {
    { "nothing", BYTES(""), SBX_OK, false, "" },
    { "one", BYTES("\0\0\0\0\x05" "hello"), SBX_OK, false, "<0:5 hello>" },
    { "two and the end", BYTES("\0\0\0\0\x02{}\0\0\0\0\x01x\x02\0\0\0\x02{}"), SBX_OK, true,
        "<0:2 {}><0:1 x><2:2 {}>" },
    { "empty ones", BYTES("\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\0"), SBX_OK, true,
        "<0:0 ><0:0 ><2:0 >" },
    { "cut in the head", BYTES("\0\0\0"), SBX_OK, false, "" },
    { "cut in the data", BYTES("\x02\0\0\0\x05hel"), SBX_OK, false, "<2:5 hel" },
    { "cut before the data", BYTES("\x02\0\0\0\x05"), SBX_OK, false, "<2:5 " },
    { "16-bit length", BYTES("\0\0\x01\x02\x03" "a"), SBX_OK, false, "<0:66051 a" },
    { "largest length", BYTES("\0\xff\xff\xff\xff" "a"), SBX_OK, false, "<0:4294967295 a" },
    { "compressed", BYTES("\x01\0\0\0\x01x"), SBX_E_PROTOCOL, false, "" },
    { "compressed end", BYTES("\x03\0\0\0\x01x"), SBX_E_PROTOCOL, false, "" },
    { "unknown flag", BYTES("\x04\0\0\0\x01x"), SBX_E_PROTOCOL, false, "" },
    { "gRPC trailer flag", BYTES("\x80\0\0\0\x01x"), SBX_E_PROTOCOL, false, "" },
    { "not envelopes", BYTES("{\"code\":\"internal\"}"), SBX_E_PROTOCOL, false, "" },
    { "data after the end", BYTES("\x02\0\0\0\0\0\0\0\0\0"), SBX_E_PROTOCOL, false, "<2:0 >" },
    { "second end", BYTES("\x02\0\0\0\x01x\x02\0\0\0\0"), SBX_E_PROTOCOL, false, "<2:1 x>" },
    { "a line after the end", BYTES("\x02\0\0\0\x01x\n"), SBX_E_PROTOCOL, false, "<2:1 x>" }
};

static void check_row(const row *r, size_t cut1, size_t cut2, size_t take)
{
    seen s;
    sbxi_connect c;
    size_t used = 0, total = 0;
    int rc;
    memset(&s, 0, sizeof s);
    s.take = take;
    sbxi_connect_init(&c, &events, &s);
    rc = feed(&c, r->text, cut1, &used);
    total += used;
    if (rc == SBX_OK) {
        rc = feed(&c, r->text + cut1, cut2 - cut1, &used);
        total += used;
    }
    if (rc == SBX_OK) {
        rc = feed(&c, r->text + cut2, r->len - cut2, &used);
        total += used;
    }
    CHECK_INT(rc, r->rc);
    CHECK_STR(s.log, r->log);
    CHECK(sbxi_connect_complete(&c) == r->complete);
    if (r->rc == SBX_OK) CHECK_INT(total, r->len);
    CHECK_INT(sbxi_connect_feed(&c, "", 0, &used), r->rc); /* sticky, or idle */
    CHECK_STR(s.log, r->log);
}

TEST(connect_every_two_cuts_and_pauses)
{
    size_t i, a, b, take;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        test_row = rows[i].name;
        for (take = 0; take < 3; take++)
            for (a = 0; a <= rows[i].len; a++)
                for (b = a; b <= rows[i].len; b++) check_row(&rows[i], a, b, take);
    }
}

TEST(connect_byte_by_byte)
{
    size_t i, k, used;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        seen s;
        sbxi_connect c;
        int rc = SBX_OK;
        test_row = rows[i].name;
        memset(&s, 0, sizeof s);
        sbxi_connect_init(&c, &events, &s);
        for (k = 0; k < rows[i].len && rc == SBX_OK; k++)
            rc = feed(&c, rows[i].text + k, 1, &used);
        CHECK_INT(rc, rows[i].rc);
        CHECK_STR(s.log, rows[i].log);
        CHECK(sbxi_connect_complete(&c) == rows[i].complete);
    }
}

/* A pause that took all: the end comes with the next call, even an empty one. */
TEST(connect_pause_at_the_end_of_an_envelope)
{
    seen s;
    sbxi_connect c;
    size_t used;
    memset(&s, 0, sizeof s);
    s.take = 9;
    sbxi_connect_init(&c, &events, &s);
    CHECK_INT(sbxi_connect_feed(&c, "\x02\0\0\0\x02{}", 7, &used), SBX_E_AGAIN);
    CHECK_INT(used, 7);
    CHECK(!sbxi_connect_complete(&c));
    CHECK_STR(s.log, "<2:2 {}");
    CHECK_INT(sbxi_connect_feed(&c, NULL, 0, &used), SBX_OK);
    CHECK(sbxi_connect_complete(&c));
    CHECK_STR(s.log, "<2:2 {}>");
}

TEST(connect_callback_errors_stick)
{
    static const char text[] = "\x02\0\0\0\x01x";
    int i;
    for (i = 0; i < 3; i++) {
        seen s;
        sbxi_connect c;
        size_t used, before;
        memset(&s, 0, sizeof s);
        if (i == 0) s.fail_begin = SBX_E_SINK;
        if (i == 1) s.fail_data = SBX_E_SINK;
        if (i == 2) s.fail_end = SBX_E_SINK;
        sbxi_connect_init(&c, &events, &s);
        CHECK_INT(sbxi_connect_feed(&c, text, 6, &used), SBX_E_SINK);
        before = s.len;
        CHECK_INT(sbxi_connect_feed(&c, text, 6, &used), SBX_E_SINK);
        CHECK_INT(used, 0);
        CHECK_INT(s.len, before);
        CHECK(!sbxi_connect_complete(&c));
    }
}

static int on_data_too_much(void *ctx, const char *data, size_t len, size_t *used)
{
    put((seen *)ctx, data, len);
    *used = len + 100;
    return SBX_E_AGAIN;
}

/* A callback that claims more than it got cannot move the reader past its input. */
TEST(connect_pause_taking_too_much)
{
    static const sbxi_connect_events wrong = { on_begin, on_data_too_much, on_end };
    seen s;
    sbxi_connect c;
    size_t used;
    memset(&s, 0, sizeof s);
    sbxi_connect_init(&c, &wrong, &s);
    CHECK_INT(sbxi_connect_feed(&c, "\0\0\0\0\x02{}\x02", 8, &used), SBX_E_AGAIN);
    CHECK_INT(used, 7);
    CHECK_INT(sbxi_connect_feed(&c, "", 0, &used), SBX_OK);
    CHECK_STR(s.log, "<0:2 {}>");
}

/* 4 GiB - 1 announced and delivered: counted, not kept. */
TEST(connect_largest_envelope_streams)
{
    static char block[1 << 16];
    seen s;
    sbxi_connect c;
    size_t used;
    uint32_t left = UINT32_MAX;
    memset(&s, 0, sizeof s);
    sbxi_connect_init(&c, &events, &s);
    CHECK_INT(sbxi_connect_feed(&c, "\0\xff\xff\xff\xff", 5, &used), SBX_OK);
    while (left) {
        size_t n = left < sizeof block ? left : sizeof block;
        if (!CHECK_INT(sbxi_connect_feed(&c, block, n, &used), SBX_OK)) break;
        left -= (uint32_t)n;
    }
    CHECK_INT(c.head, 0); /* the envelope ended with its last byte */
    CHECK_INT(sbxi_connect_feed(&c, "\x02\0\0\0\0", 5, &used), SBX_OK);
    CHECK(sbxi_connect_complete(&c));
}

TEST(connect_head_bytes)
{
    unsigned char h[5];
    sbxi_connect_head(h, 0, 0);
    CHECK_MEM(h, 5, "\0\0\0\0\0", 5);
    sbxi_connect_head(h, SBXI_CONNECT_END, 0x01020304);
    CHECK_MEM(h, 5, "\x02\x01\x02\x03\x04", 5);
    sbxi_connect_head(h, 0, UINT32_MAX);
    CHECK_MEM(h, 5, "\0\xff\xff\xff\xff", 5);
}
