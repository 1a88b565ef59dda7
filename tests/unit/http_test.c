/* The HTTP response reader: every case whole, byte by byte and cut in two at
   every place; hostile heads and bodies; the response cases of llhttp; multipart. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

#ifndef TEST_DATA
#define TEST_DATA "tests/data"
#endif

/* ---- what a reader made of some bytes ---- */
typedef struct result {
    char log[4096];         /* header and head events, one a line */
    char body[4096];
    size_t log_len, body_len, pieces, used;
    int rc;                 /* of the last feed */
    int end_rc;             /* of sbx_http_end, if rc was SBX_PENDING */
    int status, heads;
    bool keep_alive;
    size_t take;            /* body() takes so many bytes and pauses, 0: all */
    int fail_header, fail_head, fail_body;
} result;

static void add(char *out, size_t cap, size_t *len, const char *text, size_t n)
{
    if (n > cap - 1 - *len) n = cap - 1 - *len;
    memcpy(out + *len, text, n);
    out[*len += n] = 0;
}

static void note(result *r, const char *text)
{
    add(r->log, sizeof r->log, &r->log_len, text, strlen(text));
}

static int on_header(void *ctx, const char *name, const char *value, bool cut)
{
    result *r = (result *)ctx;
    note(r, name);
    note(r, "=");
    note(r, value);
    note(r, cut ? " ...\n" : "\n");
    return r->fail_header;
}

static int on_head(void *ctx, const sbx_http_head *h)
{
    result *r = (result *)ctx;
    char text[100];
    snprintf(text, sizeof text, "%d 1.%d %lld%s%s%s\n", h->status, h->minor,
        (long long)h->length, h->chunked ? " chunked" : "", h->keep_alive ? " keep" : "",
        h->gzip ? " gzip" : "");
    note(r, text);
    r->status = h->status;
    r->keep_alive = h->keep_alive;
    r->heads++;
    return r->fail_head;
}

static int on_body(void *ctx, const char *data, size_t len, size_t *used)
{
    result *r = (result *)ctx;
    size_t n = r->take && r->take < len ? r->take : len;
    add(r->body, sizeof r->body, &r->body_len, data, n);
    r->pieces++;
    if (r->fail_body) return r->fail_body;
    if (!r->take) return SBX_OK;
    *used = n;
    return SBX_E_AGAIN;
}

static const sbx_http_events events = { on_header, on_head, on_body };

/* One piece from a block of exactly its size; goes on after pauses. */
static int feed(sbx_http_reader *reader, const char *text, size_t n, size_t *used)
{
    char *copy = (char *)malloc(n ? n : 1);
    size_t pos = 0, took;
    int rc;
    if (!copy) abort();
    if (n) memcpy(copy, text, n);
    do {
        rc = sbx_http_feed(reader, copy + pos, n - pos, &took);
        CHECK(took <= n - pos);
        pos += took;
    } while (rc == SBX_E_AGAIN);
    *used = pos;
    free(copy);
    return rc;
}

typedef struct how { size_t cut, step, take, cap; bool to_head; } how;

static void run(result *r, const char *text, size_t len, how h)
{
    size_t cap = h.cap ? h.cap : SBX_MAX_LINE, used = 0, n;
    char *line = (char *)malloc(cap);
    sbx_http_reader reader;
    if (!line) abort();
    r->take = h.take;
    r->rc = SBX_PENDING;
    r->used = 0;
    sbx_http_init(&reader, line, cap, h.to_head, &events, r);
    while (r->rc == SBX_PENDING && r->used < len) {
        n = h.step ? h.step : r->used < h.cut ? h.cut - r->used : len - r->used;
        if (n > len - r->used) n = len - r->used;
        r->rc = feed(&reader, text + r->used, n, &used);
        r->used += used;
        if (r->rc == SBX_PENDING) CHECK_INT(used, n);
    }
    r->end_rc = r->rc;
    if (r->rc == SBX_PENDING) r->end_rc = sbx_http_end(&reader);
    else CHECK_INT(sbx_http_feed(&reader, "x", 1, &used), r->rc); /* sticky */
    if (r->rc == SBX_OK) CHECK_INT(sbx_http_end(&reader), SBX_OK);
    free(line);
}

/* Runs text every way and checks that nothing depends on it. *r: the whole run. */
static void run_all(result *r, const char *text, size_t len, bool to_head)
{
    static result other;
    size_t i;
    how h = { 0, 0, 0, 0, false };
    h.to_head = to_head;
    memset(r, 0, sizeof *r);
    run(r, text, len, h);
    for (i = 0; i <= len + 4; i++) {
        how k = h;
        if (i <= len) k.cut = i;
        if (i == len + 1) k.step = 1;
        if (i == len + 2) { k.step = 1; k.take = 1; }
        if (i == len + 3) k.take = 1;
        if (i == len + 4) { k.step = 7; k.take = 3; }
        memset(&other, 0, sizeof other);
        run(&other, text, len, k);
        if (!CHECK_INT(other.rc, r->rc) || !CHECK_INT(other.end_rc, r->end_rc)
            || !CHECK_STR(other.log, r->log)
            || !CHECK_MEM(other.body, other.body_len, r->body, r->body_len)) {
            printf("    cut %lu of %lu\n", (unsigned long)i, (unsigned long)len);
            return;
        }
        if (r->rc == SBX_OK) CHECK_INT(other.used, r->used);
    }
}

/* ---- accepted responses ---- */
typedef struct good_row {
    const char *name, *text;
    size_t len;
    int rc;                 /* SBX_PENDING: until close */
    const char *log, *body;
    size_t rest;            /* bytes left for the next response */
} good_row;

#define BYTES(s) s, sizeof s - 1

static const good_row good_rows[] = {
    { "length", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloNEXT"), SBX_OK,
        "content-length=5\n200 1.1 5 keep\n", "hello", 4 },
    { "length 0", BYTES("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\nH"), SBX_OK,
        "content-length=0\n201 1.1 0 keep\n", "", 1 },
    { "length with zeros", BYTES("HTTP/1.1 200 \r\ncontent-LENGTH:\t 0002 \t\r\n\r\nhi"), SBX_OK,
        "content-length=0002\n200 1.1 2 keep\n", "hi", 0 },
    { "chunks", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1\r\na\r\n00000000000000a\r\n0123456789\r\nC;x=\"1;2\\\"\";y\r\nabcdefghijkl\r\n"
        "0\r\nTrailer: 1\r\nContent-Length: 7\r\n\r\nHTTP/1.1"), SBX_OK,
        "transfer-encoding=chunked\n200 1.1 -1 chunked keep\n", "a0123456789abcdefghijkl", 8 },
    { "chunk size digits", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n"
        "0000000000000001\r\nx\r\n0000000000000000\r\n\r\n"), SBX_OK,
        "transfer-encoding=CHUNKED\n200 1.1 -1 chunked keep\n", "x", 0 },
    { "body of line ends", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "4\r\n\r\n\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n"), SBX_OK,
        "transfer-encoding=chunked\n200 1.1 -1 chunked keep\n", "\r\n\r\n\r\n", 0 },
    { "until close", BYTES("HTTP/1.1 200 OK\r\nA: b\r\n\r\nall of it"), SBX_PENDING,
        "a=b\n200 1.1 -1\n", "all of it", 0 },
    { "until close, nothing came", BYTES("HTTP/1.1 404 Not Found\r\n\r\n"), SBX_PENDING,
        "404 1.1 -1\n", "", 0 },
    { "1.0", BYTES("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), SBX_OK,
        "content-length=1\n200 1.0 1\n", "x", 0 },
    { "1.0 keep-alive", BYTES("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n"
        "Content-Length: 1\r\n\r\nx"), SBX_OK,
        "connection=Keep-Alive\ncontent-length=1\n200 1.0 1 keep\n", "x", 0 },
    { "1.0 keep-alive but no length", BYTES("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx"),
        SBX_PENDING, "connection=keep-alive\n200 1.0 -1\n", "x", 0 },
    { "close in a list", BYTES("HTTP/1.1 200 OK\r\nConnection: foo,\t CLOSE ,bar\r\n"
        "Content-Length: 0\r\n\r\n"), SBX_OK,
        "connection=foo,\t CLOSE ,bar\ncontent-length=0\n200 1.1 0\n", "", 0 },
    { "close in the second line", BYTES("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n"
        "Connection: close\r\nContent-Length: 0\r\n\r\n"), SBX_OK,
        "connection=keep-alive\nconnection=close\ncontent-length=0\n200 1.1 0\n", "", 0 },
    { "1.0 keep-alive and close", BYTES("HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n"
        "Content-Length: 0\r\n\r\n"), SBX_OK,
        "connection=keep-alive, close\ncontent-length=0\n200 1.0 0\n", "", 0 },
    { "not quite close", BYTES("HTTP/1.1 200 OK\r\nConnection: closed, xclose, clos\r\n"
        "Proxy-Connection: close\r\nContent-Length: 0\r\n\r\n"), SBX_OK,
        "connection=closed, xclose, clos\nproxy-connection=close\ncontent-length=0\n"
        "200 1.1 0 keep\n", "", 0 },
    { "204 with a length", BYTES("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nHTTP/"),
        SBX_OK,
        "content-length=5\n204 1.1 0 keep\n", "", 5 },
    { "304 chunked and gzip", BYTES("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n"
        "Content-Encoding: gzip\r\n\r\nHTTP/"), SBX_OK,
        "transfer-encoding=chunked\ncontent-encoding=gzip\n304 1.1 0 keep\n", "", 5 },
    { "204 bare", BYTES("HTTP/1.1 204 No Content\r\n\r\n"), SBX_OK, "204 1.1 0 keep\n", "", 0 },
    { "interim ones", BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
        "Link: </a>\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        SBX_OK, "content-length=1\n200 1.1 1 keep\n", "x", 0 },
    { "interim connection header", BYTES("HTTP/1.1 103 E\r\nConnection: close\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), SBX_OK,
        "content-length=0\n200 1.1 0 keep\n", "", 0 },
    { "gzip",
        BYTES("HTTP/1.1 200 OK\r\nContent-Encoding: X-GZip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"),
        SBX_OK, "content-encoding=X-GZip\ncontent-length=2\n200 1.1 2 keep gzip\n", "\x1f\x8b", 0 },
    { "identity",
        BYTES("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 0\r\n\r\n"),
        SBX_OK, "content-encoding=identity\ncontent-length=0\n200 1.1 0 keep\n", "", 0 },
    { "values", BYTES("HTTP/1.1 200 OK\r\nX_a.b: a: b\tc \r\nMarks:!a!\r\nEmpty:\r\nBlank: \t \r\n"
        "Latin:\xe9\r\n!#$%&'*+-.^_`|~0: 1\r\nContent-Length: 0\r\n\r\n"), SBX_OK,
        "x_a.b=a: b\tc\nmarks=!a!\nempty=\nblank=\nlatin=\xe9\n"
        "!#$%&'*+-.^_`|~0=1\ncontent-length=0\n"
        "200 1.1 0 keep\n", "", 0 },
    { "no reason", BYTES("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), SBX_OK,
        "content-length=0\n200 1.1 0 keep\n", "", 0 },
    { "reason of any text", BYTES("HTTP/1.1 599  x\t\xff HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        SBX_OK, "content-length=0\n599 1.1 0 keep\n", "", 0 },
    { "status 999", BYTES("HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n"), SBX_OK,
        "content-length=0\n999 1.1 0 keep\n", "", 0 },
    { "largest length", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nx"),
        SBX_PENDING, "content-length=9223372036854775807\n200 1.1 9223372036854775807 keep\n",
        "x", 0 },
    { "largest chunk", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "7fffffffffffffff\r\nx"), SBX_PENDING,
        "transfer-encoding=chunked\n200 1.1 -1 chunked keep\n", "x", 0 },
    { "nothing", BYTES(""), SBX_PENDING, "", "", 0 }
};

TEST(http_accepted)
{
    static result r;
    size_t i;
    for (i = 0; i < SBXI_LEN(good_rows); i++) {
        const good_row *row = &good_rows[i];
        test_row = row->name;
        run_all(&r, row->text, row->len, false);
        CHECK_INT(r.rc, row->rc);
        CHECK_STR(r.log, row->log);
        CHECK_STR(r.body, row->body);
        CHECK_INT(row->len - r.used, row->rest);
    }
}

/* A close is the end only where the head says so. */
TEST(http_end_of_connection)
{
    static const struct { const char *name, *text; int want; } rows[] = {
        { "until close", "HTTP/1.1 200 OK\r\n\r\nabc", SBX_OK },
        { "until close, empty", "HTTP/1.0 200 OK\r\n\r\n", SBX_OK },
        { "nothing", "", SBX_E_NETWORK },
        { "in the head", "HTTP/1.1 200 OK\r\nA: b\r\n", SBX_E_NETWORK },
        { "after 100", "HTTP/1.1 100 Continue\r\n\r\n", SBX_E_NETWORK },
        { "in the body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", SBX_E_NETWORK },
        { "before the body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", SBX_E_NETWORK },
        { "in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na",
            SBX_E_NETWORK },
        { "after a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
            SBX_E_NETWORK },
        { "before the trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            SBX_E_NETWORK },
        { "in the last line end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r",
            SBX_E_NETWORK }
    };
    static result r;
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        test_row = rows[i].name;
        run_all(&r, rows[i].text, strlen(rows[i].text), false);
        CHECK_INT(r.rc, SBX_PENDING);
        CHECK_INT(r.end_rc, rows[i].want);
    }
}

/* No prefix of a complete response is itself complete. */
TEST(http_cut_everywhere)
{
    static result r;
    size_t i, k;
    for (i = 0; i < SBXI_LEN(good_rows); i++) {
        const good_row *row = &good_rows[i];
        how h = { 0, 0, 0, 0, false };
        if (row->rc != SBX_OK) continue;
        test_row = row->name;
        for (k = 0; k < row->len - row->rest; k++) {
            memset(&r, 0, sizeof r);
            run(&r, row->text, k, h);
            CHECK_INT(r.rc, SBX_PENDING);
            CHECK_INT(r.end_rc, SBX_E_NETWORK);
        }
    }
}

TEST(http_answer_to_head)
{
    static const char *const rows[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n"
    };
    static result r;
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        test_row = rows[i];
        run_all(&r, rows[i], strlen(rows[i]), true);
        CHECK_INT(r.rc, SBX_OK);
        CHECK_INT(r.used, strlen(rows[i]));
        CHECK_INT(r.body_len, 0);
        CHECK(r.keep_alive);
        CHECK(strstr(r.log, "200 1.1 0 keep\n") != NULL);
    }
}

/* ---- refused responses ---- */
#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define CHUNKS OK_LINE "Transfer-Encoding: chunked\r\n\r\n"

typedef struct bad_row { const char *name, *text; size_t len; } bad_row;

static const bad_row bad_rows[] = {
    { "garbage", BYTES("garbage\r\n") }, { "empty status line", BYTES("\r\n") },
    { "TLS alert", BYTES("\x15\x03\x01\x00\x02\x02\x46") },
    { "SSH", BYTES("SSH-2.0-OpenSSH_9.6\r\n") },
    { "HTTP/2 preface", BYTES("PRI * HTTP/2.0\r\n") },
    { "version 2", BYTES("HTTP/2 200\r\n") }, { "version 2.0", BYTES("HTTP/2.0 200 OK\r\n") },
    { "version 0.9", BYTES("HTTP/0.9 200 OK\r\n") }, { "version 1.2",
        BYTES("HTTP/1.2 200 OK\r\n") },
    { "version 1.11", BYTES("HTTP/1.11 200 OK\r\n") },
    { "version 257.1", BYTES("HTTP/257.1 200 OK\r\n") },
    { "version 1.257", BYTES("HTTP/1.257 200 OK\r\n") },
    { "lower case http", BYTES("http/1.1 200 OK\r\n") },
    { "RTSP", BYTES("RTSP/1.1 200 OK\r\n") }, { "ICY", BYTES("ICY 200 OK\r\n") },
    { "space before", BYTES(" HTTP/1.1 200 OK\r\n") },
    { "line end before", BYTES("\r\nHTTP/1.1 200 OK\r\n") },
    { "no space", BYTES("HTTP/1.1200 OK\r\n") }, { "two spaces", BYTES("HTTP/1.1  200 OK\r\n") },
    { "tab", BYTES("HTTP/1.1\t200 OK\r\n") }, { "no status", BYTES("HTTP/1.1\r\n") },
    { "no status, space", BYTES("HTTP/1.1 \r\n") }, { "status 20", BYTES("HTTP/1.1 20 OK\r\n") },
    { "status 2", BYTES("HTTP/1.1 2\r\n") }, { "status 2000", BYTES("HTTP/1.1 2000 OK\r\n") },
    { "status 000", BYTES("HTTP/1.1 000 x\r\n") }, { "status 099", BYTES("HTTP/1.1 099 x\r\n") },
    { "status +20", BYTES("HTTP/1.1 +20 OK\r\n") }, { "status 0x2", BYTES("HTTP/1.1 0x2 OK\r\n") },
    { "status 2\\x00", BYTES("HTTP/1.1 20\0 OK\r\n") },
    { "status 200OK", BYTES("HTTP/1.1 200OK\r\n") }, { "status 200\\t",
        BYTES("HTTP/1.1 200\tOK\r\n") },
    { "101 was not asked for", BYTES("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n") },
    { "bare LF after status", BYTES("HTTP/1.1 200 OK\n") },
    { "bare CR after status", BYTES("HTTP/1.1 200 OK\rA: b\r\n") },
    { "CR CR LF", BYTES("HTTP/1.1 200 OK\r\r\n") },
    { "NUL in reason", BYTES("HTTP/1.1 200 O\0K\r\n") },
    { "control in reason", BYTES("HTTP/1.1 200 O\x1bK\r\n") },
    { "bare LF after a header", BYTES(OK_LINE "A: b\n\r\n") },
    { "bare CR in a value", BYTES(OK_LINE "A: b\rC: d\r\n") },
    { "bare CR before the end", BYTES(OK_LINE "A: b\r\r\n") },
    { "bare LF ends the head", BYTES(OK_LINE "A: b\r\n\n") },
    { "bare CR ends the head", BYTES(OK_LINE "A: b\r\n\rx") },
    { "NUL in a value", BYTES(OK_LINE "A: b\0c\r\n") },
    { "BEL in a value", BYTES(OK_LINE "A: b\ac\r\n") },
    { "DEL in a value", BYTES(OK_LINE "A: b\x7f" "c\r\n") },
    { "vertical tab", BYTES(OK_LINE "A: b\vc\r\n") },
    { "folded line", BYTES(OK_LINE "A: b\r\n c\r\n") },
    { "folded line, tab", BYTES(OK_LINE "A: b\r\n\tc\r\n") },
    { "folded first line", BYTES(OK_LINE " A: b\r\n") },
    { "folded length", BYTES(OK_LINE "Content-Length:\r\n 5\r\n") },
    { "space before colon", BYTES(OK_LINE "A : b\r\n") },
    { "tab before colon", BYTES(OK_LINE "Content-Length\t: 5\r\n") },
    { "space in name", BYTES(OK_LINE "A B: c\r\n") }, { "empty name", BYTES(OK_LINE ": b\r\n") },
    { "no colon", BYTES(OK_LINE "header\r\n") }, { "NUL in name", BYTES(OK_LINE "A\0: b\r\n") },
    { "quote in name", BYTES(OK_LINE "A\": b\r\n") }, { "@ in name", BYTES(OK_LINE "A@b: c\r\n") },
    { "8-bit name", BYTES(OK_LINE "\xc3\xa9: b\r\n") }, { "blank line of spaces",
        BYTES(OK_LINE " \r\n") },
    { "length empty", BYTES(OK_LINE "Content-Length:\r\n") },
    { "length blank", BYTES(OK_LINE "Content-Length:  \t\r\n") },
    { "length +5", BYTES(OK_LINE "Content-Length: +5\r\n") },
    { "length -1", BYTES(OK_LINE "Content-Length: -1\r\n") },
    { "length 0x5", BYTES(OK_LINE "Content-Length: 0x5\r\n") },
    { "length 5 5", BYTES(OK_LINE "Content-Length: 5 5\r\n") },
    { "length 5, 5", BYTES(OK_LINE "Content-Length: 5, 5\r\n") },
    { "length 5,", BYTES(OK_LINE "Content-Length: 5,\r\n") },
    { "length 5.0", BYTES(OK_LINE "Content-Length: 5.0\r\n") },
    { "length 1e3", BYTES(OK_LINE "Content-Length: 1e3\r\n") },
    { "length 1_0", BYTES(OK_LINE "Content-Length: 1_0\r\n") },
    { "length \"5\"", BYTES(OK_LINE "Content-Length: \"5\"\r\n") },
    { "length 2^63", BYTES(OK_LINE "Content-Length: 9223372036854775808\r\n") },
    { "length 2^64", BYTES(OK_LINE "Content-Length: 18446744073709551616\r\n") },
    { "length 2^64+5", BYTES(OK_LINE "Content-Length: 18446744073709551621\r\n") },
    { "length 21 digits", BYTES(OK_LINE "Content-Length: 000000000000000000005\r\n") },
    { "two lengths", BYTES(OK_LINE "Content-Length: 5\r\nContent-Length: 6\r\n") },
    { "two equal lengths", BYTES(OK_LINE "Content-Length: 5\r\ncontent-length: 5\r\n") },
    { "length then chunks",
        BYTES(OK_LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n") },
    { "chunks then length",
        BYTES(OK_LINE "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n") },
    { "TE empty", BYTES(OK_LINE "Transfer-Encoding:\r\n") },
    { "TE identity", BYTES(OK_LINE "Transfer-Encoding: identity\r\n") },
    { "TE gzip, chunked", BYTES(OK_LINE "Transfer-Encoding: gzip, chunked\r\n") },
    { "TE chunked, gzip", BYTES(OK_LINE "Transfer-Encoding: chunked, gzip\r\n") },
    { "TE ,chunked", BYTES(OK_LINE "Transfer-Encoding: ,chunked\r\n") },
    { "TE chunked,", BYTES(OK_LINE "Transfer-Encoding: chunked,\r\n") },
    { "TE chunked;a", BYTES(OK_LINE "Transfer-Encoding: chunked;a=b\r\n") },
    { "TE xchunked", BYTES(OK_LINE "Transfer-Encoding: xchunked\r\n") },
    { "TE \"chunked\"", BYTES(OK_LINE "Transfer-Encoding: \"chunked\"\r\n") },
    { "TE chunked\\v", BYTES(OK_LINE "Transfer-Encoding: chunked\v\r\n") },
    { "TE twice", BYTES(OK_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") },
    { "TE in 1.0", BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n") },
    { "TE in 204", BYTES("HTTP/1.1 204 x\r\nTransfer-Encoding: gzip\r\n") },
    { "encoding br", BYTES(OK_LINE "Content-Encoding: br\r\n") },
    { "encoding deflate", BYTES(OK_LINE "Content-Encoding: deflate\r\n") },
    { "encoding list", BYTES(OK_LINE "Content-Encoding: gzip, gzip\r\n") },
    { "encoding twice", BYTES(OK_LINE "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n") },
    { "encoding empty", BYTES(OK_LINE "Content-Encoding:\r\n") },
    { "interim with bad header", BYTES("HTTP/1.1 103 E\r\nA : b\r\n") },
    { "interim, then LF", BYTES("HTTP/1.1 100 C\r\n\r\n\r\nHTTP/1.1 200 OK\r\n") },
    { "chunk size empty", BYTES(CHUNKS "\r\n") }, { "chunk size ;", BYTES(CHUNKS ";a\r\n") },
    { "chunk size g", BYTES(CHUNKS "g\r\n") }, { "chunk size 0x5", BYTES(CHUNKS "0x5\r\n") },
    { "chunk size +5", BYTES(CHUNKS "+5\r\n") }, { "chunk size -5", BYTES(CHUNKS "-5\r\n") },
    { "chunk size 1_0", BYTES(CHUNKS "1_0\r\n") }, { "chunk size ' 5'", BYTES(CHUNKS " 5\r\n") },
    { "chunk size '5 '", BYTES(CHUNKS "5 \r\n") }, { "chunk size '5\\t'", BYTES(CHUNKS "5\t\r\n") },
    { "chunk size 5 ;a", BYTES(CHUNKS "5 ;a\r\n") }, { "chunk size 5.", BYTES(CHUNKS "5.\r\n") },
    { "chunk size 17 digits", BYTES(CHUNKS "00000000000000005\r\n") },
    { "chunk size 2^63", BYTES(CHUNKS "8000000000000000\r\n") },
    { "chunk size 2^64-1", BYTES(CHUNKS "ffffffffffffffff\r\n") },
    { "chunk size 2^64", BYTES(CHUNKS "10000000000000000\r\n") },
    { "chunk size NUL", BYTES(CHUNKS "5\0\r\n") }, { "chunk size LF",
        BYTES(CHUNKS "5\nhello\r\n") },
    { "chunk size CR", BYTES(CHUNKS "5\rhello\r\n") }, { "chunk size CR CR",
        BYTES(CHUNKS "5\r\r\n") },
    { "extension empty", BYTES(CHUNKS "5;\r\n") }, { "extension empty 2",
        BYTES(CHUNKS "5;;a\r\n") },
    { "extension empty 3", BYTES(CHUNKS "5;a;\r\n") },
    { "extension open quote", BYTES(CHUNKS "5;a=\"b\r\n") },
    { "extension open quote 2", BYTES(CHUNKS "5;a=\"b\\\"\r\n") },
    { "extension ends in a backslash", BYTES(CHUNKS "5;a=\"b\\\r\n") },
    { "extension with LF", BYTES(CHUNKS "5;a\nb\r\n") },
    { "extension with NUL", BYTES(CHUNKS "5;a\0b\r\n") },
    { "chunk longer than said", BYTES(CHUNKS "2\r\nabc\r\n") },
    { "chunk ends in LF", BYTES(CHUNKS "2\r\nab\n0\r\n\r\n") },
    { "chunk ends in CR", BYTES(CHUNKS "2\r\nab\r0\r\n\r\n") },
    { "chunk ends in XX", BYTES(CHUNKS "2\r\nabXX0\r\n\r\n") },
    { "chunk shorter than said", BYTES(CHUNKS "3\r\na\r\n0\r\n\r\n") },
    { "last chunk, text", BYTES(CHUNKS "0\r\nxx\r\n") },
    { "last chunk, LF", BYTES(CHUNKS "0\r\n\n") },
    { "trailer folded", BYTES(CHUNKS "0\r\nA: b\r\n c\r\n\r\n") },
    { "trailer with NUL", BYTES(CHUNKS "0\r\nA: \0\r\n\r\n") },
    { "trailer, space before colon", BYTES(CHUNKS "0\r\nA : b\r\n\r\n") }
};

TEST(http_refused)
{
    static result r;
    size_t i;
    for (i = 0; i < SBXI_LEN(bad_rows); i++) {
        test_row = bad_rows[i].name;
        run_all(&r, bad_rows[i].text, bad_rows[i].len, false);
        CHECK_INT(r.rc, SBX_E_PROTOCOL);
    }
}

/* Every control byte at every place of a head: only HTAB may pass, in values. */
TEST(http_control_bytes)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nAb: cd\r\nContent-Length: 0\r\n\r\n";
    static result r;
    how h = { 0, 0, 0, 0, false };
    size_t i;
    unsigned c;
    for (i = 0; i < sizeof text - 1; i++)
        for (c = 0; c < 0x20; c++) {
            char copy[sizeof text];
            memcpy(copy, text, sizeof text);
            if (copy[i] == (char)c) continue;
            copy[i] = (char)c;
            memset(&r, 0, sizeof r);
            run(&r, copy, sizeof text - 1, h);
            if (c != '\t') CHECK_INT(r.rc, SBX_E_PROTOCOL);
            else CHECK(r.rc == SBX_E_PROTOCOL || (i > 12 && r.rc == SBX_OK));
        }
}

/* ---- limits ---- */
static char *fill(size_t *len, const char *head, const char *unit, size_t times, const char *tail)
{
    size_t a = strlen(head), u = strlen(unit), t = strlen(tail), i;
    char *p = (char *)malloc(a + u * times + t + 1);
    if (!p) abort();
    memcpy(p, head, a);
    for (i = 0; i < times; i++) memcpy(p + a + i * u, unit, u);
    memcpy(p + a + u * times, tail, t + 1);
    *len = a + u * times + t;
    return p;
}

static int run_fill(result *r, const char *head, const char *unit, size_t times,
    const char *tail, size_t step)
{
    how h = { 0, 0, 0, 0, false };
    size_t len;
    char *text = fill(&len, head, unit, times, tail);
    h.step = step;
    memset(r, 0, sizeof *r);
    run(r, text, len, h);
    free(text);
    return r->rc;
}

#define END0 "Content-Length: 0\r\n\r\n"

TEST(http_limits)
{
    static result r;
    size_t step;
    for (step = 0; step < 2; step++) {
        CHECK_INT(run_fill(&r, OK_LINE, "A: b\r\n", SBX_MAX_HEADERS - 1, END0, step), SBX_OK);
        CHECK_INT(run_fill(&r, OK_LINE, "A: b\r\n", SBX_MAX_HEADERS, END0, step),
            SBX_E_TOO_LARGE);
        CHECK_INT(run_fill(&r, CHUNKS "0\r\n", "A: b\r\n", SBX_MAX_HEADERS - 1, "\r\n", step),
            SBX_OK);
        CHECK_INT(run_fill(&r, CHUNKS "0\r\n", "A: b\r\n", SBX_MAX_HEADERS, "\r\n", step),
            SBX_E_TOO_LARGE);
        CHECK_INT(run_fill(&r, "", "HTTP/1.1 103 E\r\n\r\n", SBX_MAX_INTERIM, OK_LINE END0, step),
            SBX_OK);
        CHECK_INT(run_fill(&r, "", "HTTP/1.1 103 E\r\n\r\n", SBX_MAX_INTERIM + 1,
            OK_LINE END0, step), SBX_E_TOO_LARGE);
        /* line ends do not count: 15 bytes, 3 + n, 17 */
        CHECK_INT(run_fill(&r, OK_LINE "A: ", "b", SBX_MAX_HEAD - 35, "\r\n" END0, step), SBX_OK);
        CHECK_INT(run_fill(&r, OK_LINE "A: ", "b", SBX_MAX_HEAD - 34, "\r\n" END0, step),
            SBX_E_TOO_LARGE);
        CHECK_INT(run_fill(&r, OK_LINE "A: ", "b", SBX_MAX_HEAD, "", step), SBX_E_TOO_LARGE);
        CHECK_INT(run_fill(&r, CHUNKS "0\r\nA: ", "b", SBX_MAX_HEAD, "", step), SBX_E_TOO_LARGE);
        CHECK_INT(run_fill(&r, CHUNKS "1;a=", "b", 253, "\r\nx\r\n0\r\n\r\n", step), SBX_OK);
        CHECK_INT(run_fill(&r, CHUNKS "1;a=", "b", 300, "\r\nx\r\n0\r\n\r\n", step),
            SBX_E_PROTOCOL);
        CHECK_INT(run_fill(&r, CHUNKS, "0", 300, "", step), SBX_E_PROTOCOL);
    }
}

/* A line longer than the buffer: cut where its meaning is not ours, refused
   where it is. */
TEST(http_cut_lines)
{
    static result r;
    size_t cap, step;
    static const char text[] = OK_LINE "X-Long: 0123456789012345678901234567890123456789 \r\n"
        "B: c\r\n" END0;
    for (cap = 18; cap < 80; cap++)
        for (step = 0; step < 3; step++) {
            how h = { 0, 0, 0, 0, false };
            const char *first = strchr(text, '\n') + 1;
            char want[200];
            size_t line = 49, kept = cap - 1 < line ? cap - 1 : line;
            bool cut = cap - 1 < line;
            h.cap = cap;
            h.step = step;
            memset(&r, 0, sizeof r);
            run(&r, text, sizeof text - 1, h);
            CHECK_INT(r.rc, SBX_OK);
            if (kept == line) kept--; /* the blank is trimmed */
            snprintf(want, sizeof want, "x-long=%.*s%s\nb=c\ncontent-length=0\n200 1.1 0 keep\n",
                (int)(kept - 8), first + 8, cut ? " ..." : "");
            CHECK_STR(r.log, want);
        }
}

TEST(http_cut_framing_lines)
{
    static const struct { const char *name, *head, *unit, *tail; int want; } rows[] = {
        { "status line", "HTTP/1.1 200 ", "x", "\r\n" END0, SBX_E_PROTOCOL },
        { "length", OK_LINE "Content-Length: ", "0", "5\r\n\r\nhello", SBX_E_PROTOCOL },
        { "length, blanks", OK_LINE "Content-Length: 5", " ", "5\r\n\r\nhello", SBX_E_PROTOCOL },
        { "TE", OK_LINE "Transfer-Encoding: chunked", " ", ", gzip\r\n\r\n", SBX_E_PROTOCOL },
        { "connection", OK_LINE "Connection: keep-alive,", " ", "close\r\n" END0, SBX_E_PROTOCOL },
        { "encoding", OK_LINE "Content-Encoding: identity", " ", "\r\n" END0, SBX_E_PROTOCOL },
        { "name", OK_LINE "X", "x", ": b\r\n" END0, SBX_E_PROTOCOL },
        { "NUL in the cut part", OK_LINE "A: b", "c", "\x01\r\n" END0, SBX_E_PROTOCOL },
        { "LF in the cut part", OK_LINE "A: b", "c", "\n" END0, SBX_E_PROTOCOL },
        { "another", OK_LINE "A: b", "c", "\r\n" END0, SBX_OK }
    };
    static result r;
    size_t i, step;
    for (i = 0; i < SBXI_LEN(rows); i++)
        for (step = 0; step < 3; step++) {
            test_row = rows[i].name;
            CHECK_INT(run_fill(&r, rows[i].head, rows[i].unit, SBX_MAX_LINE, rows[i].tail, step),
                rows[i].want);
        }
}

TEST(http_tiny_buffers)
{
    char line[1];
    size_t used = 9;
    sbx_http_reader reader;
    sbx_http_init(&reader, NULL, 0, false, &events, NULL);
    CHECK_INT(sbx_http_feed(&reader, "HTTP", 4, &used), SBX_E_ARG);
    CHECK_INT(used, 0);
    sbx_http_init(&reader, line, 1, false, &events, NULL);
    CHECK_INT(sbx_http_feed(&reader, "HTTP/1.1 200 OK\r\n", 17, &used), SBX_E_PROTOCOL);
}

/* ---- callbacks ---- */
TEST(http_callback_errors_stick)
{
    static const char text[] = OK_LINE "Content-Length: 2\r\n\r\nhi";
    int i;
    for (i = 0; i < 3; i++) {
        static result r;
        char line[64];
        sbx_http_reader reader;
        size_t used, log, body;
        memset(&r, 0, sizeof r);
        if (i == 0) r.fail_header = SBX_E_NOMEM;
        if (i == 1) r.fail_head = SBX_E_NOMEM;
        if (i == 2) r.fail_body = SBX_E_NOMEM;
        sbx_http_init(&reader, line, sizeof line, false, &events, &r);
        CHECK_INT(sbx_http_feed(&reader, text, sizeof text - 1, &used), SBX_E_NOMEM);
        log = r.log_len;
        body = r.body_len;
        CHECK_INT(sbx_http_feed(&reader, text, sizeof text - 1, &used), SBX_E_NOMEM);
        CHECK_INT(used, 0);
        CHECK_INT(r.log_len, log);
        CHECK_INT(r.body_len, body);
        CHECK_INT(sbx_http_end(&reader), SBX_E_NOMEM);
        CHECK_INT(r.heads, i > 0);
    }
}

TEST(http_no_callbacks)
{
    static const sbx_http_events none = { NULL, NULL, NULL };
    static const char text[] = CHUNKS "2\r\nhi\r\n0\r\n\r\n";
    char line[64];
    sbx_http_reader reader;
    size_t used;
    sbx_http_init(&reader, line, sizeof line, false, &none, NULL);
    CHECK_INT(sbx_http_feed(&reader, text, sizeof text - 1, &used), SBX_OK);
    CHECK_INT(used, sizeof text - 1);
}

/* A pause with everything taken: the next call, even an empty one, completes. */
TEST(http_pause_at_the_end)
{
    static const char text[] = OK_LINE "Content-Length: 2\r\n\r\nhi";
    static result r;
    char line[64];
    sbx_http_reader reader;
    size_t used;
    memset(&r, 0, sizeof r);
    r.take = 2;
    sbx_http_init(&reader, line, sizeof line, false, &events, &r);
    CHECK_INT(sbx_http_feed(&reader, text, sizeof text - 1, &used), SBX_E_AGAIN);
    CHECK_INT(used, sizeof text - 1);
    CHECK_INT(sbx_http_feed(&reader, NULL, 0, &used), SBX_OK);
    CHECK_INT(used, 0);
    CHECK_INT(sbx_http_end(&reader), SBX_OK);
}

static int on_body_nothing(void *ctx, const char *data, size_t len, size_t *used)
{
    (void)data;
    (void)len;
    *used = 0;
    ++*(int *)ctx;
    return SBX_E_AGAIN;
}

/* A pause that took nothing: the same bytes come again, nothing is lost. */
TEST(http_pause_taking_nothing)
{
    static const sbx_http_events paused = { NULL, NULL, on_body_nothing };
    static const char text[] = OK_LINE "Content-Length: 2\r\n\r\nhi";
    int calls = 0, i;
    char line[64];
    sbx_http_reader reader;
    size_t used, pos = 0;
    sbx_http_init(&reader, line, sizeof line, false, &paused, &calls);
    for (i = 1; i < 4; i++) {
        CHECK_INT(sbx_http_feed(&reader, text + pos, sizeof text - 1 - pos, &used), SBX_E_AGAIN);
        pos += used;
        CHECK_INT(pos, sizeof text - 3);
        CHECK_INT(calls, i);
    }
    CHECK_INT(sbx_http_feed(&reader, text + pos, 0, &used), SBX_PENDING); /* nothing to give */
    CHECK_INT(calls, 3);
    CHECK_INT(sbx_http_end(&reader), SBX_E_NETWORK);
}

static int on_body_too_much(void *ctx, const char *data, size_t len, size_t *used)
{
    add(((result *)ctx)->body, 4096, &((result *)ctx)->body_len, data, len);
    *used = len + 100;
    return SBX_E_AGAIN;
}

/* A callback that claims more than it got cannot move the reader past its input. */
TEST(http_pause_taking_too_much)
{
    static const sbx_http_events wrong = { NULL, NULL, on_body_too_much };
    static const char text[] = OK_LINE "Content-Length: 2\r\n\r\nhiNEXT";
    static result r;
    char line[64];
    sbx_http_reader reader;
    size_t used;
    memset(&r, 0, sizeof r);
    sbx_http_init(&reader, line, sizeof line, false, &wrong, &r);
    CHECK_INT(sbx_http_feed(&reader, text, sizeof text - 1, &used), SBX_E_AGAIN);
    CHECK_INT(used, sizeof text - 5);
    CHECK_INT(sbx_http_feed(&reader, "", 0, &used), SBX_OK);
    CHECK_MEM(r.body, r.body_len, "hi", 2);
}

/* Body bytes go through uncopied and unsplit: one piece a feed. */
TEST(http_body_pieces)
{
    static result r;
    how h = { 0, 0, 0, 0, false };
    static const char text[] = OK_LINE "Content-Length: 10\r\n\r\n0123456789";
    memset(&r, 0, sizeof r);
    run(&r, text, sizeof text - 1, h);
    CHECK_INT(r.pieces, 1);
    memset(&r, 0, sizeof r);
    h.cut = sizeof text - 5;
    run(&r, text, sizeof text - 1, h);
    CHECK_INT(r.pieces, 2);
}

/* ---- the response cases of llhttp (strict) ---- */
typedef struct vector {
    char title[160], type[64];
    bool to_head;
    char input[8192], log[16384];
} vector;

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = (char *)calloc(1, 1 << 18);
    if (!text) abort();
    if (f) {
        size_t n = fread(text, 1, (1 << 18) - 1, f);
        text[n] = 0;
        fclose(f);
    }
    return text;
}

static void copy_block(char *out, size_t cap, const char *from, const char *to)
{
    size_t n = (size_t)(to - from);
    if (n >= cap) abort();
    memcpy(out, from, n);
    out[n] = 0;
}

/* The fixture's text conventions: the last newline goes, "\" at a line's end
   joins, newlines are CR LF, \r \n \t \f are escapes. In place: CR LF may need
   room, which the caller leaves. Returns the length. */
static size_t vector_bytes(char *out, size_t cap, const char *in)
{
    size_t len = strlen(in), n = 0, i;
    if (len && in[len - 1] == '\n') len--;
    for (i = 0; i < len && n + 2 < cap; i++) {
        char next = i + 1 < len ? in[i + 1] : 0;
        if (in[i] == '\\' && (next == '\n' || strchr("rntf", next ? next : 'x'))) {
            i++;
            if (next == '\n') continue;
            out[n++] = (char)(next == 'r' ? '\r' : next == 'n' ? '\n' : next == 't' ? '\t' : '\f');
        } else if (in[i] == '\n') {
            out[n++] = '\r';
            out[n++] = '\n';
        } else {
            out[n++] = in[i];
        }
    }
    return n;
}

/* The next case of a file, or NULL. */
static const char *next_vector(const char *p, vector *v)
{
    const char *meta = strstr(p, "<!-- meta="), *http, *log, *end, *t, *type;
    if (!meta) return NULL;
    for (t = p; t < meta; t = strchr(t, '\n') + 1)
        if (*t == '#') copy_block(v->title, sizeof v->title, t + strspn(t, "# "), strchr(t, '\n'));
    type = strstr(meta, "\"type\": \"");
    if (!type) abort();
    type += 9;
    copy_block(v->type, sizeof v->type, type, strchr(type, '"'));
    end = strstr(meta, "skipBody");
    v->to_head = end && end < strchr(meta, '\n');
    http = strstr(meta, "```http\n");
    if (!http) abort();
    end = strstr(http += 8, "\n```");
    log = end ? strstr(end, "```log\n") : NULL;
    if (!log) abort();
    copy_block(v->input, sizeof v->input, http, end + 1);
    end = strstr(log += 7, "\n```");
    if (!end) abort();
    copy_block(v->log, sizeof v->log, log, end + 1);
    return end + 4;
}

/* "headers complete" of the first response that is not 1xx, or NULL. */
static const char *llhttp_head(const vector *v)
{
    const char *head = strstr(v->log, " status=1"), *next = head ? strstr(head, "reset") : NULL;
    return strstr(next ? next : v->log, " status=");
}

/* About that response: E refused, C complete, U unfinished. */
static char llhttp_verdict(const vector *v)
{
    const char *error = strstr(v->log, "error code=");
    const char *head = llhttp_head(v);
    /* 5: bytes behind a last response; 22: an upgrade, which is complete */
    if (error && strncmp(error + 11, "5 ", 2) != 0 && strncmp(error + 11, "22", 2) != 0)
        return 'E';
    return head && strstr(head, "message complete") ? 'C' : 'U';
}

/* Status and body are those of the log. */
static void check_content(const vector *v, const result *r)
{
    const char *p = llhttp_head(v), *end;
    char body[4096];
    size_t n = 0;
    if (!CHECK_INT(r->heads, p != NULL) || !p) return;
    CHECK_INT(r->status, strtol(p + 8, NULL, 10));
    end = strstr(p, "message complete");
    while ((p = strstr(p, "span[body]=")) != NULL && (!end || p < end)) {
        const char *line = p;
        while (line[-1] != '\n') line--;
        p += 11;
        if (*p == '"')
            add(body, sizeof body, &n, p + 1, strtoul(strstr(line, "len=") + 4, NULL, 10));
        else
            add(body, sizeof body, &n, *p == 'c' ? "\r" : "\n", 1);
    }
    CHECK_MEM(r->body, r->body_len, body, n);
}

/* Where we differ from llhttp's strict mode, and why. */
static const struct { const char *file, *title; char want; const char *why; } differs[] = {
    { "sample.md", "RTSP response", 'E', "HTTP only" },
    { "sample.md", "ICE response", 'E', "HTTP only" },
    { "sample.md", "HTTP version 0.9", 'E', "HTTP/1.0 and 1.1 only" },
    { "sample.md", "Response starting with CRLF", 'E', "no bytes before a response" },
    { "connection.md", "HTTP 100 first, then 400", 'E', "no bytes before a response" },
    { "connection.md", "HTTP 101 response with Upgrade and Content-Length header", 'E',
        "an upgrade is never asked for" },
    { "connection.md", "HTTP 101 response with Upgrade and Transfer-Encoding header", 'E',
        "an upgrade is never asked for" },
    { "transfer-encoding.md", "`chunked` before other transfer-encoding", 'E',
        "one transfer coding, chunked" },
    { "transfer-encoding.md", "multiple transfer-encoding where chunked is not the last one",
        'E', "one transfer coding, chunked" },
    { "transfer-encoding.md",
        "`chunkedchunked` transfer-encoding does not enable chunked enconding", 'E',
        "one transfer coding, chunked" },
    { "invalid.md", "Invalid space after start line", 'U',
        "a line is judged when it is whole: refused with its CR LF" }
};

static char expected_verdict(const char *file, const vector *v, bool *named)
{
    size_t i;
    for (i = 0; i < SBXI_LEN(differs); i++)
        if (strcmp(differs[i].file, file) == 0 && strcmp(differs[i].title, v->title) == 0) {
            *named = true;
            return differs[i].want;
        }
    return llhttp_verdict(v);
}

static unsigned check_vectors(const char *file, unsigned *strict)
{
    static vector v;
    static result r;
    char path[200], row[300], bytes[8192];
    char *text;
    const char *p;
    unsigned names = 0;
    snprintf(path, sizeof path, "%s/http/%s", TEST_DATA, file);
    p = text = read_text(path);
    CHECK(*text != 0);
    while ((p = next_vector(p, &v)) != NULL) {
        size_t len = vector_bytes(bytes, sizeof bytes, v.input);
        char want, got;
        bool named = false;
        snprintf(row, sizeof row, "%s: %s", file, v.title);
        test_row = row;
        if (strncmp(v.type, "response-lenient", 16) == 0) { /* we have no lenient mode */
            bool same = strstr(v.type, "after-close") || strstr(v.type, "keep-alive");
            run_all(&r, bytes, len, false);
            CHECK_INT(r.rc, same ? SBX_OK : SBX_E_PROTOCOL);
            continue;
        }
        want = expected_verdict(file, &v, &named);
        run_all(&r, bytes, len, v.to_head);
        got = r.rc == SBX_OK ? 'C' : r.rc == SBX_PENDING ? 'U' : 'E';
        if (named) names += got != llhttp_verdict(&v);
        if (CHECK_INT(got, want) && !named && got != 'E') check_content(&v, &r);
        ++*strict;
    }
    free(text);
    return names;
}

TEST(http_llhttp_cases)
{
    static const char *const files[] = { "connection.md", "content-length.md", "finish.md",
        "invalid.md", "lenient-version.md", "pausing.md", "pipelining.md", "sample.md",
        "transfer-encoding.md" };
    unsigned strict = 0, names = 0;
    size_t i;
    for (i = 0; i < SBXI_LEN(files); i++) names += check_vectors(files[i], &strict);
    test_row = NULL;
    printf("http: %u llhttp cases, %u named differences\n", strict, names);
    CHECK_INT(names, SBXI_LEN(differs)); /* a listed one that is none must go */
    CHECK_INT(strict, 77);
}

/* ---- readers of one's own ---- */
static int too_much(void *ctx, const char *data, size_t len, size_t *took)
{
    (void)ctx;
    (void)data;
    *took = len + 1;
    return SBX_E_AGAIN;
}

/* Without a callback a body is passed over; one that took more than there was is not
   believed. */
TEST(bodies_that_nobody_or_a_liar_takes)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    sbx_http_events events;
    sbx_http_reader r;
    char line[SBX_MAX_LINE];
    size_t used;
    memset(&events, 0, sizeof events);
    sbx_http_init(&r, line, sizeof line, false, &events, NULL);
    CHECK_INT(sbx_http_feed(&r, text, sizeof text - 1, &used), SBX_OK);
    CHECK_INT(used, sizeof text - 1);
    CHECK_INT(sbx_http_end(&r), SBX_OK);
    events.body = too_much;
    sbx_http_init(&r, line, sizeof line, false, &events, NULL);
    CHECK_INT(sbx_http_feed(&r, text, sizeof text - 1, &used), SBX_E_AGAIN);
    CHECK_INT(used, sizeof text - 1);
}

/* ---- multipart ---- */
static const sbx_alloc heap_alloc = { sbxi_std_resize, NULL };

#define B32 "0123456789abcdef0123456789abcdef"

/* The body of "files.write ..." as the SDK sent it. */
TEST(multipart_as_recorded)
{
    static const struct { const char *file[2], *data[2], *want; } rows[] = {
        { { "/home/user/a.txt", NULL }, { "hello", NULL },
            "--" B32 "\r\nContent-Disposition: form-data; name=\"file\"; "
            "filename=\"/home/user/a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--"
            B32 "--\r\n" },
        { { "/tmp/\xc5\xbe \"q\".txt", NULL }, { "x", NULL },
            "--" B32 "\r\nContent-Disposition: form-data; name=\"file\"; "
            "filename=\"/tmp/\xc5\xbe %22q%22.txt\"\r\nContent-Type: text/plain\r\n\r\nx\r\n--"
            B32 "--\r\n" },
        { { "/a", "b" }, { "1", "2" },
            "--" B32 "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"/a\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\n1\r\n"
            "--" B32 "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\n2\r\n--" B32 "--\r\n" }
    };
    size_t i, k;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        sbxi_buf b;
        sbxi_buf_init(&b, &heap_alloc, 4096);
        for (k = 0; k < 2 && rows[i].file[k]; k++) {
            CHECK_INT(sbxi_multipart_part(&b, B32, k == 0, "file", rows[i].file[k]), SBX_OK);
            sbxi_buf_text(&b, rows[i].data[k]);
        }
        CHECK_INT(sbxi_multipart_end(&b, B32), SBX_OK);
        CHECK_MEM(b.data, b.len, rows[i].want, strlen(rows[i].want));
        sbxi_buf_free(&b);
    }
}

TEST(multipart_escapes)
{
    static const char want[] = "--B\r\nContent-Disposition: form-data; name=\"%22\\\\%0D%0A\"; "
        "filename=\"a%0Ab%0Dc\\\\d%22e%09f%1Fg%%2F'\x7f\xff\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\n";
    sbxi_buf b;
    sbxi_buf_init(&b, &heap_alloc, 4096);
    CHECK_INT(sbxi_multipart_part(&b, "B", true, "\"\\\r\n", "a\nb\rc\\d\"e\tf\x1fg%%2F'\x7f\xff"),
        SBX_OK);
    CHECK_MEM(b.data, b.len, want, sizeof want - 1);
    sbxi_buf_free(&b);
}

TEST(multipart_types)
{
    static const struct { const char *file, *type; } rows[] = {
        { "a.txt", "text/plain" }, { "a.TXT", "text/plain" }, { "/x.y/a.py", "text/x-python" },
        { "a.html", "text/html" }, { "a.htm", "text/html" }, { "a.css", "text/css" },
        { "a.js", "text/javascript" }, { "a.mjs", "text/javascript" },
        { "a.json", "application/json" }, { "a.csv", "text/csv" }, { "a.xml", "text/xml" },
        { "a.png", "image/png" }, { "a.jpg", "image/jpeg" }, { "a.jpeg", "image/jpeg" },
        { "a.gif", "image/gif" }, { "a.svg", "image/svg+xml" }, { "a.svgz", "image/svg+xml" },
        { "a.pdf", "application/pdf" }, { "a.zip", "application/zip" },
        { "a.tar", "application/x-tar" }, { "a.tar.gz", "application/x-tar" },
        { "a.tgz", "application/x-tar" }, { "a.tar.xz", "application/x-tar" },
        { "a.txt.gz", "text/plain" }, { "a.c", "text/plain" }, { "a.h", "text/plain" },
        { "a.md", "text/markdown" }, { "a.sh", "application/x-sh" },
        { "a.wasm", "application/wasm" }, { "a.mp4", "video/mp4" },
        { "a.bin", "application/octet-stream" }, { "a.gz", "application/octet-stream" },
        { "a", "application/octet-stream" }, { "a.", "application/octet-stream" },
        { "", "application/octet-stream" }, { ".txt", "application/octet-stream" },
        { "..txt", "application/octet-stream" }, { "/d/.txt", "application/octet-stream" },
        { "/x.txt/a", "application/octet-stream" }, { "/x.txt/", "application/octet-stream" },
        { "...", "application/octet-stream" }, { ".a.txt", "text/plain" },
        { "a.txt ", "application/octet-stream" }, { "a.tx", "application/octet-stream" },
        { "a.txtx", "application/octet-stream" }, { "a.text/plain", "application/octet-stream" },
        { "a.b.c", "text/plain" }, { "a.gz.gz", "application/octet-stream" }
    };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        sbxi_span t = sbxi_multipart_type(rows[i].file);
        test_row = rows[i].file;
        CHECK_MEM(t.ptr, t.len, rows[i].type, strlen(rows[i].type));
    }
}

TEST(multipart_out_of_room)
{
    size_t max;
    for (max = 0; max < 85; max++) {
        sbxi_buf b;
        sbxi_buf_init(&b, &heap_alloc, max);
        CHECK_INT(sbxi_multipart_part(&b, "B", true, "file", "a.txt"), SBX_E_TOO_LARGE);
        CHECK_INT(sbxi_multipart_end(&b, "B"), SBX_E_TOO_LARGE);
        CHECK(b.len <= max);
        sbxi_buf_free(&b);
    }
}
