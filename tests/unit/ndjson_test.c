/* Lines of JSON: every two cuts, pauses at every place, byte by byte, errors that
   stick; blank lines, carriage returns, a last line without its line feed. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

typedef struct seen {
    char log[256];          /* "<" data ">" for each line */
    size_t len;
    size_t take;            /* data() takes at most so many bytes and pauses, 0: all */
    bool none;              /* the next data() takes nothing */
    int fail_begin, fail_data, fail_end;
} seen;

static void put(seen *s, const char *text, size_t n)
{
    if (n > sizeof s->log - 1 - s->len) n = sizeof s->log - 1 - s->len;
    memcpy(s->log + s->len, text, n);
    s->log[s->len += n] = 0;
}

static int on_begin(void *ctx)
{
    put((seen *)ctx, "<", 1);
    return ((seen *)ctx)->fail_begin;
}

static int on_data(void *ctx, const char *data, size_t len, size_t *used)
{
    seen *s = (seen *)ctx;
    size_t n = s->take && s->take < len ? s->take : len;
    CHECK(len > 0);
    if (s->none) n = 0;
    s->none = s->take && n;
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

static const sbxi_ndjson_events events = { on_begin, on_data, on_end };

/* Feeds text[0..n) from a block of exactly that size; resumes after pauses. */
static int feed(sbxi_ndjson *c, const char *text, size_t n)
{
    char *copy = (char *)malloc(n ? n : 1);
    size_t pos = 0, took;
    int rc;
    if (!copy) abort();
    if (n) memcpy(copy, text, n);
    do {
        rc = sbxi_ndjson_feed(c, copy + pos, n - pos, &took);
        CHECK(took <= n - pos);
        pos += took;
    } while (rc == SBX_E_AGAIN);
    CHECK_INT(pos, n);
    free(copy);
    return rc;
}

static const struct { const char *name, *text, *log; } rows[] = {
    { "nothing", "", "" },
    { "one", "{}\n", "<{}>" },
    { "two", "{\"a\":1}\n[2]\n", "<{\"a\":1}><[2]>" },
    { "the last without a line feed", "1\n2", "<1><2>" },
    { "cut in the middle", "1\n{\"a", "<1><{\"a>" },
    { "carriage returns", "1\r\n2\r\n", "<1><2>" },
    { "blank lines", "\n\r\n  \n\t\r\n1\n\n 2\n", "<1><2>" },
    { "only blanks", " \t\r", "" },
    { "a carriage return inside", "1\r2\n", "<1\r2>" },
    { "several of them", "1\r\r\r\n", "<1\r\r>" },
    { "one at the end", "1\r", "<1>" },
    { "blanks behind", "1 \t\n", "<1 \t>" }
};

TEST(ndjson_every_two_cuts_and_pauses)
{
    size_t i, a, b, take;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        size_t n = strlen(rows[i].text);
        test_row = rows[i].name;
        for (take = 0; take < 3; take++)
            for (a = 0; a <= n; a++)
                for (b = a; b <= n; b++) {
                    seen s;
                    sbxi_ndjson c;
                    memset(&s, 0, sizeof s);
                    s.take = take;
                    sbxi_ndjson_init(&c, &events, &s);
                    CHECK_INT(feed(&c, rows[i].text, a), SBX_OK);
                    CHECK_INT(feed(&c, rows[i].text + a, b - a), SBX_OK);
                    CHECK_INT(feed(&c, rows[i].text + b, n - b), SBX_OK);
                    CHECK_INT(sbxi_ndjson_end(&c), SBX_OK);
                    CHECK_STR(s.log, rows[i].log);
                    CHECK_INT(sbxi_ndjson_end(&c), SBX_OK); /* once is enough */
                    CHECK_STR(s.log, rows[i].log);
                }
    }
}

TEST(ndjson_byte_by_byte)
{
    size_t i, k;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        seen s;
        sbxi_ndjson c;
        test_row = rows[i].name;
        memset(&s, 0, sizeof s);
        sbxi_ndjson_init(&c, &events, &s);
        for (k = 0; rows[i].text[k]; k++) CHECK_INT(feed(&c, rows[i].text + k, 1), SBX_OK);
        CHECK_INT(sbxi_ndjson_end(&c), SBX_OK);
        CHECK_STR(s.log, rows[i].log);
    }
}

TEST(ndjson_callback_errors_stick)
{
    int i;
    for (i = 0; i < 4; i++) {
        seen s;
        sbxi_ndjson c;
        size_t used, before;
        memset(&s, 0, sizeof s);
        if (i == 0) s.fail_begin = SBX_E_SINK;
        if (i == 1 || i == 3) s.fail_data = SBX_E_SINK;
        if (i == 2) s.fail_end = SBX_E_SINK;
        sbxi_ndjson_init(&c, &events, &s);
        CHECK_INT(sbxi_ndjson_feed(&c, "1\n2", 3, &used), SBX_E_SINK);
        before = s.len;
        CHECK_INT(sbxi_ndjson_feed(&c, "3\n", 2, &used), SBX_E_SINK);
        CHECK_INT(used, 0);
        CHECK_INT(sbxi_ndjson_end(&c), SBX_E_SINK);
        CHECK_INT(s.len, before);
    }
}

static int on_data_too_much(void *ctx, const char *data, size_t len, size_t *used)
{
    put((seen *)ctx, data, len);
    *used = len + 100;
    return SBX_E_AGAIN;
}

/* A callback that claims more than it got cannot move the reader past its input. */
TEST(ndjson_a_callback_claims_too_much)
{
    static const sbxi_ndjson_events liar = { on_begin, on_data_too_much, on_end };
    seen s;
    sbxi_ndjson c;
    size_t used;
    memset(&s, 0, sizeof s);
    sbxi_ndjson_init(&c, &liar, &s);
    CHECK_INT(sbxi_ndjson_feed(&c, "abc\n", 4, &used), SBX_E_AGAIN);
    CHECK_INT(used, 3);
    CHECK_INT(sbxi_ndjson_feed(&c, "\n", 1, &used), SBX_OK);
    CHECK_STR(s.log, "<abc>");
}
