/* e2b_test - what hosts of one daemon version or another offer, and what becomes of
   their odder answers: parts of files, metadata, streams without an end. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

#define HAS(r, i, text) CHECK(strstr((r).p->request[i].head, text) != NULL)
#define LACKS(r, i, text) CHECK(strstr((r).p->request[i].head, text) == NULL)

/* ---- parts of files ------------------------------------------------------------ */

typedef struct part_row {
    int64_t offset, length;
    const char *range;      /* header sent, "" for none */
    int status;
    const char *headers, *body, *want;
    int rc;
    bool shut;              /* the connection is not kept */
} part_row;

static const part_row parts[] = {
    { 0, 0, "", 200, "", "0123456789", "0123456789", SBX_OK, false },
    { 3, 4, "Range: bytes=3-6\r\n", 206, "Content-Range: bytes 3-6/10\r\n", "3456", "3456",
        SBX_OK, false },
    { 3, 0, "Range: bytes=3-\r\n", 206, "Content-Range: bytes 3-9/10\r\n", "3456789", "3456789",
        SBX_OK, false },
    { 0, 4, "Range: bytes=0-3\r\n", 206, "Content-Range: bytes 0-3/*\r\n", "0123", "0123",
        SBX_OK, false },
    { 8, 100, "Range: bytes=8-107\r\n", 206, "Content-Range: bytes 8-9/10\r\n", "89", "89",
        SBX_OK, false },
    { 9, INT64_MAX, "Range: bytes=9-\r\n", 206, "Content-Range: bytes 9-9/10\r\n", "9", "9",
        SBX_OK, false },
    /* more than was asked for */
    { 3, 4, "Range: bytes=3-6\r\n", 206, "Content-Range: bytes 3-9/10\r\n", "3456789", "3456",
        SBX_OK, true },
    /* the whole file all the same */
    { 3, 4, "Range: bytes=3-6\r\n", 200, "", "0123456789", "3456", SBX_OK, true },
    { 3, 7, "Range: bytes=3-9\r\n", 200, "", "0123456789", "3456789", SBX_OK, true },
    { 3, 0, "Range: bytes=3-\r\n", 200, "", "0123456789", "3456789", SBX_OK, false },
    { 3, 100, "Range: bytes=3-102\r\n", 200, "", "0123456789", "3456789", SBX_OK, false },
    { 10, 1, "Range: bytes=10-10\r\n", 200, "", "0123456789", "", SBX_OK, false },
    { 0, 1, "Range: bytes=0-0\r\n", 200, "", "", "", SBX_OK, false },
    /* nothing is there */
    { 20, 5, "Range: bytes=20-24\r\n", 416, "Content-Range: bytes */10\r\n", "no", "", SBX_OK,
        false },
    { 0, 0, "", 416, "", "no", "", SBX_E_PROTOCOL, false },
    /* another part, or none that says which it is */
    { 3, 4, "Range: bytes=3-6\r\n", 206, "Content-Range: bytes 4-7/10\r\n", "4567", "",
        SBX_E_PROTOCOL, true },
    { 3, 4, "Range: bytes=3-6\r\n", 206, "Content-Range: lines 3-6/10\r\n", "3456", "",
        SBX_E_PROTOCOL, true },
    { 3, 4, "Range: bytes=3-6\r\n", 206, "Content-Range: bytes\r\n", "3456", "",
        SBX_E_PROTOCOL, true },
    { 3, 4, "Range: bytes=3-6\r\n", 206, "Content-Range: bytes =\r\n", "3456", "",
        SBX_E_PROTOCOL, true },
    { 3, 4, "Range: bytes=3-6\r\n", 206, "", "3456", "", SBX_E_PROTOCOL, true },
    { 0, 0, "", 206, "Content-Range: bytes 0-3/10\r\n", "0123", "", SBX_E_PROTOCOL, true },
};

static void check_part(const part_row *row, size_t chunk, size_t recv_max, unsigned refuse,
                       bool bytes)
{
    turn turns[] = { { T_READ, row->status, row->headers, row->body } };
    rig r;
    sbx_op *op;
    sbx_call call;
    sbx_files_options o = { .offset = row->offset, .length = row->length };
    picky k = { .refuse = refuse, .op = &op, .wake = 1 };
    void *data = NULL;
    size_t len = 77;
    int rc;
    turns[0].chunk = chunk;
    BEGIN(&r, turns);
    r.p->recv_max = recv_max;
    call = polled(&r, &op);
    rc = bytes ? sbx_files_read_bytes(r.s, "/f", &o, &data, &len, &call)
        : sbx_files_read(r.s, "/f", &o, picky_sink(&k), &call);
    CHECK_INT(rc, SBX_PENDING);
    until_end(&r, op);
    CHECK_INT(sbx_op_status(op), row->rc);
    if (row->rc != SBX_OK) {
        CHECK_INT(k.got.len, 0);
        CHECK(data == NULL);
    } else if (bytes) {
        CHECK_MEM(data, len, row->want, strlen(row->want));
        CHECK_INT(((char *)data)[len], 0);
    } else {
        CHECK_MEM(k.got.p ? k.got.p : "", k.got.len, row->want, strlen(row->want));
    }
    if (row->range[0]) HAS(r, 0, row->range);
    else LACKS(r, 0, "Range:");
    if (!chunk) CHECK_INT(r.p->live, row->shut ? 0 : 1);
    sbx_free(data);
    sbx_op_release(op);
    pt_free(&k.got);
    rig_end(&r);
}

TEST(parts_of_files)
{
    size_t i, way;
    char name[40];
    for (i = 0; i < sizeof parts / sizeof *parts; i++)
        for (way = 0; way < 8; way++) {
            snprintf(name, sizeof name, "row %u, way %u", (unsigned)i, (unsigned)way);
            test_row = name;
            check_part(&parts[i], way & 1 ? 3 : 0, way & 2 ? 1 : 0, way & 4 ? 1 : 0, false);
            check_part(&parts[i], way & 1 ? 3 : 0, way & 2 ? 1 : 0, 0, true);
        }
    test_row = NULL;
}

/* A host that goes on for ever is left as soon as the part is there. */
TEST(a_part_of_an_endless_file)
{
    char *data = pattern(100000);
    turn turns[] = { { T_READ, 200, 0 } };
    rig r;
    sbx_files_options o = { .offset = 1000, .length = 500 };
    picky k = { 0 };
    turns[0].body = data;
    turns[0].body_len = 100000;
    turns[0].slice = 2000;
    turns[0].slice_ms = 10000;
    BEGIN(&r, turns);
    CHECK_INT(sbx_files_read(r.s, "/f", &o, picky_sink(&k), NULL), SBX_OK);
    CHECK_MEM(k.got.p, k.got.len, data + 1000, 500);
    CHECK(r.p->slept < 10000);
    CHECK_INT(r.p->live, 0);
    pt_free(&k.got);
    free(data);
    rig_end(&r);
}

TEST(bytes_have_a_limit)
{
    static const struct { size_t max_len; int64_t offset, length; size_t chunk; int rc; } rows[] = {
        { 10, 0, 0, 0, SBX_OK }, { 9, 0, 0, 0, SBX_E_TOO_LARGE }, { 10, 0, 0, 4, SBX_OK },
        { 9, 0, 0, 4, SBX_E_TOO_LARGE }, { SIZE_MAX, 0, 0, 0, SBX_OK }, { 0, 0, 0, 0, SBX_OK },
        { 3, 0, 3, 0, SBX_OK }, { 3, 7, 0, 0, SBX_OK }, { 3, 6, 0, 0, SBX_E_TOO_LARGE },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { T_READ, 200, 0, "0123456789" } };
        rig r;
        sbx_files_options o = { .max_len = rows[i].max_len, .offset = rows[i].offset,
            .length = rows[i].length };
        void *data = &r;
        size_t len = 5;
        turns[0].chunk = rows[i].chunk;
        BEGIN(&r, turns);
        CHECK_INT(sbx_files_read_bytes(r.s, "/f", &o, &data, &len, NULL), rows[i].rc);
        if (rows[i].rc == SBX_OK) {
            CHECK_INT(len, rows[i].length ? rows[i].length : 10 - rows[i].offset);
        } else {
            CHECK(data == NULL);
            CHECK_INT(len, 0);
            CHECK(strstr(sbx_client_error(r.c)->message, "max_len") != NULL);
        }
        sbx_free(data);
        rig_end(&r);
    }
}

TEST(parts_are_checked)
{
    rig r;
    sbx_files_options o = { .offset = -1 };
    void *data = NULL;
    size_t len = 0;
    rig_start(&r);
    rig_open(&r);
    CHECK_INT(sbx_files_read_bytes(r.s, "/f", &o, &data, &len, NULL), SBX_E_ARG);
    o.offset = 0;
    o.length = -1;
    CHECK_INT(sbx_files_read_bytes(r.s, "/f", &o, &data, &len, NULL), SBX_E_ARG);
    CHECK_INT(sbx_files_read_bytes(r.s, "/f", NULL, NULL, &len, NULL), SBX_E_ARG);
    CHECK_INT(sbx_files_read_bytes(r.s, "/f", NULL, &data, NULL, NULL), SBX_E_ARG);
    CHECK_INT(r.p->requests, 0);
    rig_end(&r);
}

/* The credentials are asked for before; their reply is not held to the file's limit. */
TEST(bytes_of_a_file_behind_unknown_credentials)
{
    turn turns[] = { { "GET /sandboxes/box2 ", 200, 0, CREATED }, { T_READ, 200, 0, "abc" } };
    rig r;
    sbx_sandbox *s;
    sbx_files_options o = { .max_len = 3 };
    void *data = NULL;
    size_t len = 0;
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_attach(r.c, "box2", NULL, &s), SBX_OK);
    CHECK_INT(sbx_files_read_bytes(s, "/f", &o, &data, &len, NULL), SBX_OK);
    CHECK_MEM(data, len, "abc", 3);
    sbx_free(data);
    sbx_sandbox_release(s);
    rig_end(&r);
}

/* ---- files as gzip ---------------------------------------------------------------- */

#define GZIP_HELLO "\x1f\x8b\x08\0\0\0\0\0\2\xff\xcb\x48\xcd\xc9\xc9\7\0\x86\xa6\x10\x36\5\0\0\0"
#define GZIP_HELLO_LEN 25

TEST(gzip_is_unpacked)
{
    static const struct { const char *headers, *body; size_t len; int status, rc; const char *want; }
    rows[] = {
        { "Content-Encoding: gzip\r\n", GZIP_HELLO, GZIP_HELLO_LEN, 200, SBX_OK, "hello" },
        { "Content-Encoding: gzip\r\n", GZIP_HELLO GZIP_HELLO, 50, 200, SBX_OK, "hellohello" },
        { "", "hello", 5, 200, SBX_OK, "hello" },
        { "Content-Encoding: gzip\r\n", GZIP_HELLO, 24, 200, SBX_E_PROTOCOL, NULL },
        { "Content-Encoding: gzip\r\n", "hello", 5, 200, SBX_E_PROTOCOL, NULL },
        { "Content-Encoding: gzip\r\n", GZIP_HELLO "x", 26, 200, SBX_E_PROTOCOL, NULL },
        { "Content-Encoding: gzip\r\n", "", 0, 200, SBX_E_PROTOCOL, NULL },
        { "Content-Encoding: gzip\r\n", GZIP_HELLO, GZIP_HELLO_LEN, 404, SBX_E_NOT_FOUND, NULL },
        { "Content-Encoding: br\r\n", "hello", 5, 200, SBX_E_PROTOCOL, NULL },
    };
    size_t i, way;
    char name[40];
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (way = 0; way < 16; way++) {
            turn turns[] = { { T_READ, rows[i].status, rows[i].headers, rows[i].body, rows[i].len } };
            rig r;
            sbx_op *op;
            sbx_call call;
            sbx_files_options o = { .gzip = SBX_YES };
            picky k = { .refuse = way & 4 ? 1 : 0, .op = &op, .wake = 1 };
            void *data = NULL;
            size_t len = 0;
            snprintf(name, sizeof name, "row %u, way %u", (unsigned)i, (unsigned)way);
            test_row = name;
            turns[0].chunk = way & 1 ? 7 : 0;
            BEGIN(&r, turns);
            r.p->recv_max = way & 2 ? 1 : 0;
            call = polled(&r, &op);
            CHECK_INT(way & 8 ? sbx_files_read_bytes(r.s, "/f", &o, &data, &len, &call)
                : sbx_files_read(r.s, "/f", &o, picky_sink(&k), &call), SBX_PENDING);
            until_end(&r, op);
            CHECK_INT(sbx_op_status(op), rows[i].rc);
            if (rows[i].want && way & 8) CHECK_MEM(data, len, rows[i].want, strlen(rows[i].want));
            if (rows[i].want && !(way & 8)) CHECK_MEM(k.got.p, k.got.len, rows[i].want, strlen(rows[i].want));
            if (rows[i].status == 404) CHECK(strstr(r.e.message, "hello") != NULL);
            HAS(r, 0, "Accept-Encoding: gzip\r\n");
            sbx_free(data);
            sbx_op_release(op);
            pt_free(&k.got);
            rig_end(&r);
        }
    test_row = NULL;
}

/* The last bytes are refused once all of the reply has come: they are not lost. */
TEST(gzip_refused_at_the_end)
{
    turn turns[] = { { T_READ, 200, "Content-Encoding: gzip\r\n", GZIP_HELLO, GZIP_HELLO_LEN } };
    rig r;
    sbx_op *op;
    sbx_call call;
    sbx_files_options o = { .gzip = SBX_YES };
    picky k = { .refuse = 1 };
    unsigned wakes = 0;
    BEGIN(&r, turns);
    call = polled(&r, &op);
    CHECK_INT(sbx_files_read(r.s, "/f", &o, picky_sink(&k), &call), SBX_PENDING);
    while (sbx_op_status(op) == SBX_PENDING && wakes < 100) {
        sbx_poll(r.c, 1000, NULL);
        if (!op->asleep) continue;
        sbx_op_wake(op);
        wakes++;
    }
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_MEM(k.got.p, k.got.len, "hello", 5);
    CHECK(wakes > 0);
    sbx_op_release(op);
    pt_free(&k.got);
    rig_end(&r);
}

TEST(gzip_only_when_asked)
{
    turn turns[] = { { T_READ, 200, "Content-Encoding: gzip\r\n", GZIP_HELLO, GZIP_HELLO_LEN },
        { T_READ, 206, "Content-Range: bytes 1-2/5\r\n", "el" }, { T_FILES, 200, 0, WRITTEN } };
    rig r;
    sbx_files_options o = { .offset = 1, .length = 2, .gzip = SBX_YES };
    picky k = { 0 };
    BEGIN(&r, turns);
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), NULL), SBX_E_PROTOCOL);
    CHECK_INT(k.got.len, 0);
    LACKS(r, 0, "gzip");
    CHECK_INT(sbx_files_read(r.s, "/f", &o, picky_sink(&k), NULL), SBX_OK); /* a part is as it is */
    LACKS(r, 1, "gzip");
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, NULL, NULL, NULL), SBX_OK);
    LACKS(r, 2, "gzip");
    pt_free(&k.got);
    rig_end(&r);
}

static int unpacked(void *ctx, const void *data, size_t len)
{
    pt_add(ctx, data, len);
    return SBX_OK;
}

static void check_packed(const prequest *q, const char *want, size_t len)
{
    static sbxi_inflate z;
    ptext plain = { 0 };
    size_t used;
    sbxi_inflate_init(&z, unpacked, &plain);
    CHECK_INT(sbxi_inflate_feed(&z, q->body.p, q->body.len, &used), SBX_OK);
    CHECK(sbxi_inflate_whole(&z));
    CHECK_MEM(plain.p ? plain.p : "", plain.len, want, len);
    CHECK(strstr(q->head, "Content-Encoding: gzip\r\n") != NULL);
    CHECK(strstr(q->head, "Content-Type: application/octet-stream\r\n") != NULL);
    pt_free(&plain);
}

TEST(gzip_is_packed)
{
    char *data = pattern(150000);
    turn turns[] = { { T_FILES, 503, 0, "{}" }, { T_FILES, 200, 0, WRITTEN, .always = true } };
    rig r;
    sbx_files_options o = { .gzip = SBX_YES };
    well w = { .data = data, .len = 150000, .piece = 9000 };
    sbx_file_write many[2] = { { "/a" }, { "/b" } };
    sbx_reading reading[2] = { { data, 10 }, { data + 5, 20 } };
    size_t i;
    BEGIN(&r, turns);
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", data, 3, &o, NULL, NULL), SBX_E_BUSY);
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", data, 150000, &o, NULL, NULL), SBX_OK);
    HAS(r, 1, "Content-Length: 150033\r\n"); /* 10, three blocks of 5, 8 */
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, -1, true), &o, NULL, NULL), SBX_OK);
    HAS(r, 2, "Transfer-Encoding: chunked\r\n");
    w.pos = 0;
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 150000, false), &o, NULL, NULL), SBX_OK);
    for (i = 1; i < 4; i++) check_packed(&r.p->request[i], data, 150000);
    for (i = 0; i < 2; i++) many[i].from = sbx_source_memory(&reading[i]);
    CHECK_INT(sbx_files_write_many(r.s, many, 2, &o, NULL, NULL, NULL), SBX_OK);
    check_packed(&r.p->request[4], data, 10);
    check_packed(&r.p->request[5], data + 5, 20);
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "", 0, &o, NULL, NULL), SBX_OK);
    check_packed(&r.p->request[6], "", 0);
    w.pos = 0;
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 149999, false), &o, NULL, NULL), SBX_E_SOURCE);
    w.pos = 0;
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 150001, false), &o, NULL, NULL), SBX_E_SOURCE);
    rig_version(&r, "0.5.6"); /* knows no raw bodies */
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, &o, NULL, NULL), SBX_OK);
    LACKS(r, r.p->requests - 1, "gzip");
    HAS(r, r.p->requests - 1, "multipart/form-data");
    free(data);
    rig_end(&r);
}

/* A kept connection that died is replaced: the same container goes out from its start. */
TEST(gzip_starts_over)
{
    turn turns[] = { { T_FILES, 200, 0, WRITTEN }, { T_FILES, .reset = true }, { T_FILES, 200, 0, WRITTEN } };
    rig r;
    sbx_files_options o = { .gzip = SBX_YES };
    BEGIN(&r, turns);
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "first", 5, &o, NULL, NULL), SBX_OK);
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "second", 6, &o, NULL, NULL), SBX_OK);
    check_packed(&r.p->request[0], "first", 5);
    check_packed(&r.p->request[2], "second", 6);
    rig_end(&r);
}

TEST(no_memory_for_the_window)
{
    turn turns[] = { { T_READ, 200, "Content-Encoding: gzip\r\n", GZIP_HELLO, GZIP_HELLO_LEN, .always = true } };
    rig r;
    sbx_files_options o = { .gzip = SBX_YES };
    unsigned long at;
    unsigned failed = 0;
    int rc = SBX_OK;
    BEGIN(&r, turns);
    for (at = 1; at < 50 && (at == 1 || r.p->heap.calls >= at - 1); at++) {
        picky k = { 0 };
        r.p->heap.calls = 0;
        r.p->heap.fail_at = at;
        rc = sbx_files_read(r.s, "/f", &o, picky_sink(&k), NULL);
        CHECK(rc == SBX_OK || rc == SBX_E_NOMEM);
        failed += rc == SBX_E_NOMEM;
        pt_free(&k.got);
    }
    CHECK_INT(rc, SBX_OK);
    CHECK(failed >= 3);
    r.p->heap.fail_at = 0;
    rig_end(&r);
}

/* ---- metadata of files ----------------------------------------------------------- */

TEST(metadata_is_sent_as_headers)
{
    static const sbx_pair pairs[] = { { "Owner-Id", "42" }, { "note", "a b, c" } };
    turn turns[] = { { T_FILES, 200, 0, WRITTEN }, { T_FILES, 200, 0, WRITTEN },
        { "POST /files ", 200, 0, WRITTEN } };
    rig r;
    sbx_op *op;
    sbx_call call;
    sbx_pair copies[2];
    sbx_file_write many[2] = { { "/a" }, { "/b" } };
    sbx_reading reading[2] = { { "x", 1 }, { "y", 1 } };
    sbx_files_options o = { .metadata = { pairs, 2 } };
    size_t i;
    BEGIN(&r, turns);
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, &o, NULL, NULL), SBX_OK);
    memcpy(copies, pairs, sizeof copies); /* they are copied at the start */
    o.metadata.items = copies;
    o.octet_stream = SBX_YES;
    call = polled(&r, &op);
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, &o, NULL, &call), SBX_PENDING);
    memset(copies, 0xee, sizeof copies);
    until_end(&r, op);
    CHECK_INT(sbx_op_status(op), SBX_OK);
    sbx_op_release(op);
    o.metadata.items = pairs;
    o.octet_stream = SBX_NO;
    for (i = 0; i < 2; i++) many[i].from = sbx_source_memory(&reading[i]);
    CHECK_INT(sbx_files_write_many(r.s, many, 2, &o, NULL, NULL, NULL), SBX_OK);
    for (i = 0; i < 3; i++) HAS(r, i, "X-Metadata-Owner-Id: 42\r\nX-Metadata-note: a b, c\r\n");
    rig_end(&r);
}

TEST(metadata_that_headers_cannot_say)
{
    static const struct { const char *key, *value, *says; } rows[] = {
        { "", "v", "key" }, { "a b", "v", "a b" }, { "a:b", "v", "a:b" }, { "na\xc3\xafve", "v", "key" },
        { "k\r\nX", "v", "key" }, { "good", "a\r\nX-Evil: 1", "good" }, { "good", "\xc3\xa9", "good" },
        { "good", "a\tb", "good" }, { "good", "\x7f", "good" },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        sbx_pair pair = { rows[i].key, rows[i].value };
        sbx_files_options o = { .metadata = { &pair, 1 } };
        rig r;
        rig_start(&r);
        rig_open(&r);
        CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, &o, NULL, NULL), SBX_E_ARG);
        CHECK(strstr(sbx_client_error(r.c)->message, "metadata: the") != NULL);
        CHECK(strstr(sbx_client_error(r.c)->message, rows[i].says) != NULL);
        CHECK_INT(r.p->requests, 0);
        rig_end(&r);
    }
    {
        sbx_pair pair = { "k", NULL };
        sbx_files_options o = { .metadata = { &pair, 1 } };
        rig r;
        rig_start(&r);
        rig_open(&r);
        CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, &o, NULL, NULL), SBX_E_ARG);
        CHECK_INT(sbx_files_write_many(r.s, NULL, 0, &o, NULL, NULL, NULL), SBX_E_ARG);
        rig_end(&r);
    }
}

TEST(metadata_needs_a_daemon)
{
    static const sbx_pair pair = { "k", "v" };
    turn turns[] = { { T_FILES, 200, 0, WRITTEN } };
    sbx_files_options o = { .metadata = { &pair, 1 } };
    rig r;
    BEGIN(&r, turns);
    rig_version(&r, "0.6.1");
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, &o, NULL, NULL), SBX_E_UNSUPPORTED_HOST);
    CHECK(strstr(sbx_client_error(r.c)->message, "0.6.2") != NULL);
    CHECK_INT(r.p->requests, 0);
    rig_version(&r, "0.6.2");
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, &o, NULL, NULL), SBX_OK);
    rig_end(&r);
}

/* ---- streams without an end ------------------------------------------------------ */

#define T_LIST "POST /process.Process/List "
#define T_CONNECT "POST /process.Process/Connect "

/* A stream of a command that just stops behind its output. */
static void half_stream(ptext *t, bool closed)
{
    pt_envelope(t, 0, "{\"event\":{\"start\":{\"pid\":77}}}");
    pt_envelope(t, 0, "{\"event\":{\"data\":{\"stdout\":\"aGk=\"}}}");
    if (closed) pt_envelope(t, 2, "{}");
}

TEST(no_end_is_looked_into)
{
    static const struct { int status; const char *body; int rc; int sandbox, process; } rows[] = {
        { 200, "{\"processes\":[{\"pid\":5},{\"pid\":77,\"config\":{\"cmd\":\"x\"}}]}", SBX_E_NO_END,
            SBX_YES, SBX_YES },
        { 200, "{\"processes\":[{\"pid\":7}]}", SBX_E_NO_END, SBX_YES, SBX_NO },
        { 200, "{}", SBX_E_NO_END, SBX_YES, SBX_NO },
        { 502, "{\"sandboxId\":\"box1\",\"message\":\"The sandbox was not found\",\"code\":502}",
            SBX_E_SANDBOX_GONE, SBX_NO, SBX_NO },
        { 500, "{\"code\":\"internal\",\"message\":\"boom\"}", SBX_E_NO_END, 0, 0 },
        { 200, "not JSON", SBX_E_NO_END, 0, 0 },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { T_START, 200, 0 }, { T_LIST, rows[i].status, 0, rows[i].body } };
        ptext stream = { 0 };
        rig r;
        sbx_command_options o = { .capture_limit = 10 };
        sbx_command_result res;
        const sbx_error *e;
        half_stream(&stream, i & 1);
        turns[0].body = stream.p;
        turns[0].body_len = stream.len;
        turns[0].chunk = 20;
        BEGIN(&r, turns);
        CHECK_INT(sbx_command_run(r.s, "x", &o, &res, NULL), rows[i].rc);
        e = sbx_client_error(r.c);
        CHECK_INT(e->status, rows[i].rc);
        CHECK_INT(e->sandbox_alive, rows[i].sandbox);
        CHECK_INT(e->process_alive, rows[i].process);
        CHECK_INT(e->pid, 77);
        CHECK(e->message[0] != 0);
        CHECK_STR(r.p->request[1].body.p, "{}");
        LACKS(r, 1, "Keepalive-Ping-Interval");
        pt_free(&stream);
        rig_end(&r);
    }
}

/* Without a pid nobody can be asked about. */
TEST(no_end_and_no_start)
{
    turn turns[] = { { T_START, 200, 0 } };
    ptext stream = { 0 };
    rig r;
    pt_envelope(&stream, 2, "{}");
    turns[0].body = stream.p;
    turns[0].body_len = stream.len;
    BEGIN(&r, turns);
    CHECK_INT(sbx_command_run(r.s, "x", NULL, NULL, NULL), SBX_E_NO_END);
    CHECK_INT(sbx_client_error(r.c)->process_alive, 0);
    pt_free(&stream);
    rig_end(&r);
}

/* The user goes on where the stream broke off. */
TEST(no_end_is_resumed)
{
    static const char *const rest[] = { "more" };
    turn turns[] = { { T_START, 200, 0 }, { T_LIST, 200, 0, "{\"processes\":[{\"pid\":77}]}" },
        { T_CONNECT, 200, 0 } };
    ptext stream = { 0 }, second = { 0 };
    rig r;
    sbx_proc *p;
    sbx_command_options o = { 0 };
    sbx_command_result res;
    sbx_error e;
    sbx_call call = { .error = &e };
    picky k = { 0 };
    half_stream(&stream, true);
    stream_of(&second, rest, 1);
    turns[0].body = stream.p;
    turns[0].body_len = stream.len;
    turns[2].body = second.p;
    turns[2].body_len = second.len;
    BEGIN(&r, turns);
    o.out = picky_sink(&k);
    CHECK_INT(sbx_command_start(r.s, "x", &o, &p, NULL), SBX_OK);
    CHECK_INT(sbx_proc_wait(p, &res, &call), SBX_E_NO_END);
    CHECK_INT(e.process_alive, SBX_YES);
    CHECK(strstr(e.message, "connect") != NULL);
    sbx_proc_release(p);
    CHECK_INT(sbx_command_connect(r.s, e.pid, &o, &p, NULL), SBX_OK);
    CHECK_INT(sbx_proc_wait(p, &res, NULL), SBX_OK);
    CHECK_INT(res.exit_code, 3);
    CHECK_MEM(k.got.p, k.got.len, "himore", 6);
    sbx_proc_release(p);
    pt_free(&k.got);
    pt_free(&stream);
    pt_free(&second);
    rig_end(&r);
}

/* ---- the older dialect ------------------------------------------------------------- */

static void old_rig(rig *r, turn *turns, size_t n)
{
    rig_start(r);
    r->g.dialect = "2.6";
    peer_script(r->p, turns, n);
    rig_open(r);
}
#define OLD(r, turns) old_rig(r, turns, sizeof(turns) / sizeof((turns)[0]))

/* Bodies as the SDK of that version sent them. */
TEST(old_creates)
{
    static const sbx_pair meta = { "a", "b" }, env = { "X", "1" };
    static const char *const bodies[] = {
        "{\"templateID\":\"base\",\"allow_internet_access\":true,\"autoPause\":false,\"envVars\":{},"
            "\"metadata\":{},\"secure\":true,\"timeout\":300}",
        "{\"templateID\":\"base\",\"allow_internet_access\":true,\"autoPause\":true,"
            "\"envVars\":{\"X\":\"1\"},\"metadata\":{\"a\":\"b\"},\"secure\":true,\"timeout\":60}",
        "{\"templateID\":\"base\",\"allow_internet_access\":false,\"autoPause\":false,\"envVars\":{},"
            "\"metadata\":{},\"secure\":true,\"timeout\":300}" };
    turn turns[] = { { "POST /sandboxes ", 201, 0, CREATED }, { "POST /sandboxes ", 201, 0, CREATED },
        { "POST /sandboxes ", 201, 0, CREATED } };
    const sbx_sandbox_options offline = { .internet = SBX_NO, .on_timeout = SBX_ON_TIMEOUT_KILL };
    rig r;
    sbx_sandbox *s;
    sbx_sandbox_options o = { .template_id = "base", .timeout_s = 60,
        .on_timeout = SBX_ON_TIMEOUT_PAUSE, .metadata = { &meta, 1 }, .envs = { &env, 1 } };
    size_t i;
    OLD(&r, turns);
    for (i = 0; i < 3; i++) {
        CHECK_INT(sbx_sandbox_create(r.c, i == 2 ? &offline : i ? &o : NULL, &s, NULL), SBX_OK);
        CHECK_STR(r.p->request[i].body.p, bodies[i]);
        sbx_sandbox_release(s);
    }
    rig_end(&r);
}

TEST(old_connect_and_pause)
{
    turn turns[] = { { "POST /sandboxes/box1/connect ", 200, 0, CREATED },
        { "POST /sandboxes/box1/connect ", 201, 0, CREATED }, { "POST /sandboxes/box1/pause ", 204 },
        { "POST /sandboxes/box1/pause ", 409, 0, "{\"code\":409,\"message\":\"paused\"}" } };
    rig r;
    bool yes = true;
    OLD(&r, turns);
    CHECK_INT(sbx_sandbox_connect(r.s, 0, &yes, NULL), SBX_OK);
    CHECK(!yes);
    CHECK_STR(r.p->request[0].body.p, "{\"timeout\":300}");
    CHECK_INT(sbx_sandbox_connect(r.s, 120, &yes, NULL), SBX_OK);
    CHECK(yes);
    CHECK_STR(r.p->request[1].body.p, "{\"timeout\":120}");
    CHECK_INT(sbx_sandbox_pause(r.s, NULL, &yes, NULL), SBX_OK);
    CHECK(yes);
    CHECK_INT(r.p->request[2].body.len, 0);
    HAS(r, 2, "Content-Length: 0\r\n");
    CHECK_INT(sbx_sandbox_pause(r.s, NULL, &yes, NULL), SBX_OK);
    CHECK(!yes);
    rig_end(&r);
}

TEST(old_names_the_user)
{
    static const char *const outs[] = { "hi" };
    turn turns[] = { { T_START, 200, 0 }, { "GET /files?path=%2Fa&username=user ", 200, 0, "x" } };
    ptext stream = { 0 };
    rig r;
    sbx_sink none = { 0 };
    stream_of(&stream, outs, 1);
    turns[0].body = stream.p;
    turns[0].body_len = stream.len;
    OLD(&r, turns);
    CHECK_INT(sbx_command_run(r.s, "x", NULL, NULL, NULL), SBX_OK);
    HAS(r, 0, "Authorization: Basic dXNlcjo=\r\n");
    CHECK_INT(sbx_files_read(r.s, "/a", NULL, none, NULL), SBX_OK);
    pt_free(&stream);
    rig_end(&r);
}

TEST(old_refuses_what_it_cannot_say)
{
    static const sbx_pair volume = { "/data", "v" };
    const sbx_sandbox_options rows[] = { { .idempotency_key = "k" }, { .idempotent = SBX_YES },
        { .on_timeout = SBX_ON_TIMEOUT_PAUSE, .auto_resume = SBX_YES },
        { .on_timeout = SBX_ON_TIMEOUT_PAUSE, .pause_memory = SBX_NO },
        { .network = { .mask_host = "h" } }, { .volumes = { &volume, 1 } },
        { .identity_json = "{}" } };
    sbx_pause_options pause = { .memory = SBX_NO }, healthy = { .healthy = SBX_YES };
    sbx_resume_options resume = { .memory = SBX_NO };
    rig r;
    sbx_sandbox *s;
    size_t i;
    rig_start(&r);
    r.g.dialect = "2.6";
    rig_open(&r);
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(sbx_sandbox_create(r.c, &rows[i], &s, NULL), SBX_E_UNSUPPORTED_HOST);
    CHECK_INT(sbx_sandbox_pause(r.s, &pause, NULL, NULL), SBX_E_UNSUPPORTED_HOST);
    CHECK_INT(sbx_sandbox_pause(r.s, &healthy, NULL, NULL), SBX_E_UNSUPPORTED_HOST);
    CHECK_INT(sbx_sandbox_resume(r.s, &resume, NULL, NULL), SBX_E_UNSUPPORTED_HOST);
    CHECK(strstr(sbx_client_error(r.c)->message, "2.6") != NULL);
    CHECK_INT(r.p->requests, 0);
    rig_end(&r);
}

/* A host that knows no such route is told from one that knows no such template. */
TEST(the_dialect_is_proposed)
{
    static const struct { const char *body; int rc; bool says; } rows[] = {
        { "404 page not found", SBX_E_UNSUPPORTED_HOST, true },
        { "{\"detail\":\"Not Found\"}", SBX_E_UNSUPPORTED_HOST, true },
        { "", SBX_E_UNSUPPORTED_HOST, true },
        { "{\"code\":404,\"message\":\"template 'x' not found\"}", SBX_E_NOT_FOUND, false } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { "POST /v2/sandboxes ", 404, 0, rows[i].body } };
        rig r;
        sbx_sandbox *s;
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_create(r.c, NULL, &s, NULL), rows[i].rc);
        CHECK((strstr(sbx_client_error(r.c)->message, "dialect to \"2.6\"") != NULL) == rows[i].says);
        CHECK_INT(sbx_client_error(r.c)->http_status, 404);
        CHECK_INT(sbx_client_error(r.c)->may_exist, 0);
        rig_end(&r);
    }
}
