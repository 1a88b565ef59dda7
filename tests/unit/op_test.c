/* op_test - operations against a scripted peer: waking, cancelling, retries,
   clocks, early replies, the pool, copies of arguments, results, configuration. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

/* ---- sinks that are not ready -------------------------------------------------- */

static void again_read(size_t body, size_t chunk, size_t recv_max, bool to_close, size_t slice,
                       bool would_block)
{
    turn turns[] = { { T_READ, 200, 0 } };
    rig r;
    sbx_op *op;
    sbx_call call;
    char *data = pattern(body);
    picky k = { .refuse = 1 };
    unsigned rounds = 0;
    unsigned long before;
    turns[0].body = data;
    turns[0].body_len = body;
    turns[0].chunk = chunk;
    turns[0].to_close = to_close;
    turns[0].slice = slice;
    turns[0].slice_ms = slice ? 10 : 0;
    BEGIN(&r, turns);
    r.p->recv_max = recv_max;
    r.p->would_block = would_block;
    call = polled(&r, &op);
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), &call), SBX_PENDING);
    while (sbx_op_status(op) == SBX_PENDING && rounds++ < 20000) {
        unsigned calls;
        sbx_poll(r.c, 1000, NULL);
        if (!op->asleep) continue;
        /* asleep: neither the sink nor the transport hears of it */
        calls = k.calls;
        before = r.p->calls[P_RECV] + r.p->calls[P_SEND];
        sbx_poll(r.c, 0, NULL);
        sbx_poll(r.c, 100, NULL);
        CHECK_INT(k.calls, calls);
        CHECK_INT(r.p->calls[P_RECV] + r.p->calls[P_SEND], before);
        sbx_op_wake(op);
    }
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_MEM(k.got.p, k.got.len, data, body);
    CHECK(k.agains > 0);
    sbx_op_release(op);
    pt_free(&k.got);
    free(data);
    rig_end(&r);
}

TEST(read_sink_again_at_every_piece)
{
    static const struct { size_t body, chunk, recv_max, slice; bool to_close, would; } rows[] = {
        { 1, 0, 0, 0, false, false }, { 100, 0, 1, 0, false, false },
        { 100, 0, 0, 0, true, false }, { 100, 7, 0, 0, false, false },
        { 100, 7, 1, 0, false, true }, { 30000, 0, 0, 1000, false, false },
        { 30000, 5000, 0, 700, false, false }, { 30000, 0, 0, 0, true, true },
        { 8192, 0, 0, 0, false, false }, { 100, 1, 0, 3, false, false },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        again_read(rows[i].body, rows[i].chunk, rows[i].recv_max, rows[i].to_close,
            rows[i].slice, rows[i].would);
}

static void again_command(size_t chunk, size_t recv_max, size_t slice, unsigned refuse,
                          bool wake_inside, bool to_close)
{
    static const char *const outs[] = { "hello", "err", "x", "", "a longer piece of output\n" };
    turn turns[] = { { T_START, 200, 0 } };
    ptext stream = { 0 };
    rig r;
    sbx_op *op;
    sbx_call call;
    sbx_command_options o = { 0 };
    sbx_command_result res;
    picky out = { .refuse = refuse }, err = { .refuse = refuse };
    unsigned rounds = 0;
    stream_of(&stream, outs, 5);
    turns[0].headers = "Content-Type: application/connect+json\r\n";
    turns[0].body = stream.p;
    turns[0].body_len = stream.len;
    turns[0].chunk = chunk;
    turns[0].to_close = to_close;
    turns[0].slice = slice;
    turns[0].slice_ms = slice ? 1 : 0;
    BEGIN(&r, turns);
    r.p->recv_max = recv_max;
    o.timeout_ms = SBX_NEVER;
    o.out = picky_sink(&out);
    o.err = picky_sink(&err);
    out.op = err.op = &op;
    out.wake = err.wake = wake_inside;
    call = polled(&r, &op);
    CHECK_INT(sbx_command_run(r.s, "x", &o, &res, &call), SBX_PENDING);
    while (sbx_op_status(op) == SBX_PENDING && rounds++ < 20000) {
        unsigned calls;
        sbx_poll(r.c, 1000, NULL);
        if (!op->asleep || wake_inside) continue;
        calls = out.calls + err.calls;
        sbx_poll(r.c, 10, NULL);
        CHECK_INT(out.calls + err.calls, calls);
        sbx_op_wake(op);
    }
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_MEM(out.got.p, out.got.len, "helloxa longer piece of output\n", 31);
    CHECK_MEM(err.got.p, err.got.len, "err", 3);
    CHECK_INT(res.exit_code, 3);
    CHECK_INT(res.pid, 77);
    CHECK_STR(res.reason, "exit status 3");
    sbx_op_release(op);
    pt_free(&out.got);
    pt_free(&err.got);
    pt_free(&stream);
    rig_end(&r);
}

TEST(command_sink_again_at_every_piece)
{
    static const size_t chunks[] = { 0, 1, 5, 64, 100000 };
    size_t i, recv;
    for (i = 0; i < 5; i++)
        for (recv = 0; recv < 3; recv++) {
            again_command(chunks[i], recv, 0, 1, false, false);
            again_command(chunks[i], recv, 0, 3, false, false);
            again_command(chunks[i], recv, 0, 2, true, false);
            again_command(chunks[i], recv, 40, 1, false, false);
        }
    again_command(0, 0, 0, 1, false, true);
    again_command(0, 1, 0, 1, false, true);
}

/* The pause falls on the last byte of an envelope whose JSON is broken there. */
TEST(broken_envelope_behind_a_pause)
{
    turn turns[] = { { T_START, 200, 0 } };
    ptext stream = { 0 };
    rig r;
    sbx_op *op;
    sbx_call call;
    sbx_command_options o = { 0 };
    picky out = { .refuse = 1 };
    pt_envelope(&stream, 0, "{\"event\":{\"start\":{\"pid\":77}}}");
    pt_envelope(&stream, 0, "{\"event\":{\"data\":{\"stdout\":\"aGVsbG8=\"");
    turns[0].body = stream.p;
    turns[0].body_len = stream.len;
    BEGIN(&r, turns);
    o.out = picky_sink(&out);
    call = polled(&r, &op);
    CHECK_INT(sbx_command_run(r.s, "x", &o, NULL, &call), SBX_PENDING);
    sbx_poll(r.c, 1, NULL);
    sbx_poll(r.c, 1, NULL);
    CHECK(op->asleep);
    sbx_op_wake(op);
    until_end(&r, op);
    CHECK_INT(sbx_op_status(op), SBX_E_PROTOCOL);
    sbx_op_release(op);
    pt_free(&out.got);
    pt_free(&stream);
    rig_end(&r);
}

/* The deadline also ends a sleeping operation, and nothing else does. */
TEST(asleep_until_the_deadline)
{
    turn turns[] = { { T_READ, 200, 0, "hello" } };
    rig r;
    sbx_op *op;
    sbx_call call;
    picky k = { .refuse = 100000 };
    uint64_t start;
    uint32_t next;
    size_t n;
    BEGIN(&r, turns);
    call = polled(&r, &op);
    call.timeout_ms = 1000000;
    start = r.p->now;
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), &call), SBX_PENDING);
    drive(&r, 3);
    CHECK(op->asleep);
    CHECK_INT(sbx_waits(r.c, NULL, 0, &n, &next), SBX_OK);
    CHECK_INT(n, 0);
    CHECK_INT(next, 1000000 - (r.p->now - start));
    until_end(&r, op);
    CHECK_INT(sbx_op_status(op), SBX_E_TIMEOUT);
    CHECK_INT(r.e.clock, SBX_CLOCK_TOTAL);
    CHECK_INT(r.p->now - start, 1000000);
    CHECK_INT(k.calls, 1);
    sbx_op_release(op);
    pt_free(&k.got);
    rig_end(&r);
}

/* A sink's own status ends the call with it: no retry, no probe. */
TEST(sink_fails)
{
    static const int codes[] = { SBX_E_SINK, SBX_E_NETWORK, SBX_E_CONNECT, SBX_E_NO_SPACE, 7 };
    size_t i;
    for (i = 0; i < 5; i++) {
        turn turns[] = { { T_READ, 200, 0, "hello" }, { T_START, 200, 0 } };
        static const char *const outs[] = { "x" };
        ptext stream = { 0 };
        rig r;
        sbx_command_options o = { 0 };
        picky k = { .end = codes[i] };
        sbx_call call = { 0 };
        stream_of(&stream, outs, 1);
        turns[1].body = stream.p;
        turns[1].body_len = stream.len;
        BEGIN(&r, turns);
        call.error = &r.e;
        o.out = picky_sink(&k);
        CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), &call),
            codes[i] > 0 ? SBX_E_SINK : codes[i]);
        CHECK_INT(sbx_command_run(r.s, "x", &o, NULL, &call),
            codes[i] > 0 ? SBX_E_SINK : codes[i]);
        CHECK_INT(r.p->requests, 2);
        CHECK_INT(k.calls, 2);
        CHECK_INT(r.e.sandbox_alive, SBX_DEFAULT);
        pt_free(&stream);
        rig_end(&r);
    }
}

/* ---- sources ------------------------------------------------------------------- */

static void write_once(size_t len, size_t piece, int64_t size, unsigned refuse, size_t send_max,
                       bool would_block, bool multipart)
{
    turn turns[] = { { T_FILES, 200, 0, WRITTEN } };
    rig r;
    sbx_op *op;
    sbx_call call;
    char *data = pattern(len), value[32];
    well w = { data, len, 0, piece, refuse, 0, 0, 0, 0, 0, 0, NULL };
    sbx_files_options o = { 0 };
    sbx_file_info *info;
    unsigned rounds = 0;
    BEGIN(&r, turns);
    r.p->send_max = send_max;
    r.p->would_block = would_block;
    o.octet_stream = multipart ? SBX_NO : SBX_DEFAULT;
    call = polled(&r, &op);
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, size, true), &o, &info, &call),
        SBX_PENDING);
    while (sbx_op_status(op) == SBX_PENDING && rounds++ < 200000) {
        unsigned calls;
        sbx_poll(r.c, 1000, NULL);
        if (!op->asleep) continue;
        calls = w.calls;
        sbx_poll(r.c, 10, NULL);
        CHECK_INT(w.calls, calls);
        sbx_op_wake(op);
    }
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_INT(r.p->requests, 1);
    CHECK(r.p->request[0].whole && !r.p->request[0].bad);
    CHECK_INT(r.p->request[0].chunked, size < 0);
    if (multipart) {
        const char *at = strstr(r.p->request[0].body.p, "\r\n\r\n");
        CHECK(at && r.p->request[0].body.len > len + 4);
        if (at) CHECK_MEM(at + 4, len, data, len);
    } else {
        CHECK_MEM(r.p->request[0].body.p, r.p->request[0].body.len, data, len);
    }
    if (size >= 0) {
        CHECK(head_value(r.p->request[0].head, "Content-Length", value, sizeof value) != NULL);
        if (!multipart) CHECK_INT(strtoll(value, NULL, 10), size);
    }
    if (CHECK(info != NULL)) CHECK_STR(info->path, "/f");
    sbx_free(info);
    sbx_op_release(op);
    free(data);
    rig_end(&r);
}

TEST(sources_of_all_kinds)
{
    static const size_t lens[] = { 0, 1, 100, 6000, 6133, 6134, 6135, 6144, 50000 };
    size_t i;
    unsigned kind;
    for (i = 0; i < sizeof lens / sizeof *lens; i++)
        for (kind = 0; kind < 16; kind++) {
            int64_t size = kind & 1 ? -1 : (int64_t)lens[i];
            write_once(lens[i], kind & 2 ? 997 : 0, size, kind & 4 ? 1 : 0, 0, (kind & 8) != 0,
                false);
            if (!(kind & 1))
                write_once(lens[i], kind & 2 ? 997 : 0, size, kind & 4 ? 1 : 0, 0,
                    (kind & 8) != 0, true);
        }
    write_once(3000, 1, -1, 0, 0, false, false);
    write_once(3000, 1, -1, 0, 1, true, false);
    write_once(3000, 0, 3000, 0, 1, false, true);
    write_once(3000, 0, 3000, 0, 1, true, false);
}

/* A large source has a buffer of its own while it is sent, if there is memory. */
TEST(large_source)
{
    enum { LEN = 300000 };
    unsigned long at, sends = 0;
    bool done = false;
    for (at = 0; !done; at++) {
        turn turns[] = { { T_FILES, 200, 0, WRITTEN } };
        rig r;
        char *data = pattern(LEN);
        well w = { data, LEN, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL };
        int rc;
        BEGIN(&r, turns);
        r.p->heap.calls = 0;
        r.p->heap.fail_at = at;
        rc = sbx_files_write(r.s, "/f", well_source(&w, LEN, true), NULL, NULL, NULL);
        if (rc == SBX_OK) {
            CHECK_MEM(r.p->request[0].body.p, r.p->request[0].body.len, data, LEN);
            if (!at) {
                sends = r.p->calls[P_SEND];
                CHECK(sends <= LEN / SBX_UPLOAD_BYTES + 3);
            } else if (r.p->calls[P_SEND] > sends) {
                CHECK(r.p->calls[P_SEND] > LEN / SBX_IO_BYTES);
                done = true;
            } else if (!CHECK(r.p->heap.failed)) {
                done = true; /* all were tried, and none was its */
            }
        } else {
            CHECK_INT(rc, SBX_E_NOMEM);
            turns[0].used = 1;
        }
        r.p->heap.fail_at = 0;
        free(data);
        rig_end(&r);
    }
}

TEST(sources_that_lie)
{
    static const struct { size_t len; int64_t size; int end, want; } rows[] = {
        { 10, 11, 0, SBX_E_SOURCE }, { 10, 9, 0, SBX_E_SOURCE }, { 0, 1, 0, SBX_E_SOURCE },
        { 1, 0, 0, SBX_E_SOURCE }, { 50000, 49999, 0, SBX_E_SOURCE },
        { 50000, 50001, 0, SBX_E_SOURCE },
        { 10, 20, SBX_E_SOURCE, SBX_E_SOURCE }, { 10, -1, SBX_E_DENIED, SBX_E_DENIED },
        { 10, -1, SBX_E_NETWORK, SBX_E_NETWORK }, { 10, 20, SBX_E_CONNECT, SBX_E_CONNECT },
        { 10, -1, 1, SBX_E_SOURCE }, { 10, 20, 5, SBX_E_SOURCE }, { 10, 10, 1, SBX_E_SOURCE },
    };
    size_t i;
    int multipart;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (multipart = 0; multipart < 2; multipart++) {
            turn turns[] = { { T_FILES, 200, 0, WRITTEN, .always = true } };
            rig r;
            char *data = pattern(rows[i].len);
            well w = { data, rows[i].len, 0, 0, 0, 0, 0, 0, 0, rows[i].end, 0, NULL };
            sbx_files_options o = { 0 };
            sbx_call call = { 0 };
            if (multipart && rows[i].size < 0) {
                free(data);
                continue;
            }
            BEGIN(&r, turns);
            call.error = &r.e;
            o.octet_stream = multipart ? SBX_NO : SBX_YES;
            CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, rows[i].size, true), &o, NULL,
                &call), rows[i].want);
            CHECK_INT(r.e.status, rows[i].want);
            CHECK(r.p->requests <= 1);
            if (!r.p->requests) turns[0].used = 1;
            free(data);
            rig_end(&r);
        }
}

TEST(unknown_size_in_multipart)
{
    turn turns[] = { { "none", 200, 0, .used = 1 } };
    rig r;
    well w = { "abc", 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL };
    sbx_files_options o = { 0 };
    sbx_file_write f[2];
    BEGIN(&r, turns);
    o.octet_stream = SBX_NO;
    f[0].path = f[1].path = "/x";
    f[0].from = f[1].from = well_source(&w, -1, true);
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, -1, true), &o, NULL, NULL), SBX_E_ARG);
    CHECK_INT(sbx_files_write_many(r.s, f, 2, NULL, NULL, NULL, NULL), SBX_E_ARG);
    CHECK_INT(r.p->requests, 0);
    rig_end(&r);
}

/* ---- callbacks that act -------------------------------------------------------- */

/* Inside get(), as in every callback, a blocking call and sbx_close() are refused. */
TEST(reentrance_in_a_source)
{
    turn turns[] = { { T_FILES, 200, 0, WRITTEN } };
    rig r;
    picky acts = { 0 };
    well w = { "abc", 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, &acts };
    BEGIN(&r, turns);
    acts.r = &r;
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 3, true), NULL, NULL, NULL), SBX_OK);
    CHECK_INT(acts.close_status, SBX_E_REENTRANT);
    CHECK_INT(acts.block_status, SBX_E_REENTRANT);
    rig_end(&r);
}

TEST(reentrance_in_a_sink)
{
    turn turns[] = { { T_READ, 200, 0, "hello" } };
    rig r;
    picky k = { 0 };
    BEGIN(&r, turns);
    k.r = &r;
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), NULL), SBX_OK);
    CHECK_INT(k.close_status, SBX_E_REENTRANT);
    CHECK_INT(k.block_status, SBX_E_REENTRANT);
    pt_free(&k.got);
    rig_end(&r);
}

static unsigned done_calls;
static int done_status;

static void count_done(void *user, sbx_op *op, int status)
{
    (void)user;
    CHECK_INT(sbx_op_status(op), status);
    done_calls++;
    done_status = status;
}

static void release_in_done(void *user, sbx_op *op, int status)
{
    done_calls++;
    done_status = status;
    sbx_op_release(op);
    *(sbx_op **)user = NULL;
}

/* Cancel (or release) inside the own get(): it is the last call of it. */
TEST(cancel_in_a_source)
{
    int release, bytes;
    for (release = 0; release < 2; release++)
        for (bytes = 0; bytes < 2; bytes++) {
            turn turns[] = { { T_FILES, 200, 0, WRITTEN, .always = true, .used = 1 } };
            rig r;
            sbx_op *op;
            picky acts = { 0 };
            char *data = pattern(50000);
            well w = { data, 50000, 0, 100, 0, 0, 0, 0, 0, 0, 0, &acts };
            sbx_call call;
            BEGIN(&r, turns);
            call = polled(&r, &op);
            call.done = count_done;
            done_calls = 0;
            acts.op = &op;
            acts.cancel = !release;
            acts.release = release;
            CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, bytes ? 50000 : -1, true), NULL,
                NULL, &call), SBX_PENDING);
            CHECK_INT(drive(&r, 1000), 0);
            CHECK_INT(w.calls, 1);
            CHECK_INT(done_calls, !release);
            if (!release) CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
            sbx_op_release(op);
            free(data);
            rig_end(&r);
        }
}

TEST(cancel_in_a_sink)
{
    int release, again;
    for (release = 0; release < 2; release++)
        for (again = 0; again < 2; again++) {
            turn turns[] = { { T_READ, 200, 0, "hello", .chunk = 1 } };
            rig r;
            sbx_op *op;
            picky k = { 0 };
            sbx_call call;
            BEGIN(&r, turns);
            call = polled(&r, &op);
            call.done = count_done;
            done_calls = 0;
            k.op = &op;
            k.cancel = !release;
            k.release = release;
            k.refuse = again ? 1 : 0;
            CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), &call), SBX_PENDING);
            CHECK_INT(drive(&r, 1000), 0);
            CHECK_INT(k.calls, 1);
            CHECK_INT(done_calls, !release);
            sbx_op_release(op);
            pt_free(&k.got);
            rig_end(&r);
        }
}

/* One operation's sink ends another, before and behind it in the list. */
TEST(cancel_another_in_a_sink)
{
    int first, release;
    for (first = 0; first < 2; first++)
        for (release = 0; release < 2; release++) {
            turn turns[] = { { T_READ, 200, 0, "hello", .has = "path=%2Fa" },
                { T_READ, 0, .has = "path=%2Fb", .always = true, .used = 1 } };
            rig r;
            sbx_op *a, *b;
            picky ka = { 0 }, kb = { 0 };
            sbx_call ca, cb;
            BEGIN(&r, turns);
            ca = polled(&r, &a);
            cb = polled(&r, &b);
            ka.other = &b;
            ka.cancel = !release;
            ka.release = release;
            if (first) sbx_files_read(r.s, "/a", NULL, picky_sink(&ka), &ca);
            sbx_files_read(r.s, "/b", NULL, picky_sink(&kb), &cb);
            if (!first) sbx_files_read(r.s, "/a", NULL, picky_sink(&ka), &ca);
            CHECK_INT(drive(&r, 1000), 0);
            CHECK_INT(sbx_op_status(a), SBX_OK);
            if (!release) CHECK_INT(sbx_op_status(b), SBX_E_CANCELLED);
            sbx_op_release(a);
            sbx_op_release(b);
            pt_free(&ka.got);
            rig_end(&r);
        }
}

static int each_ends(void *ctx, const sbx_sandbox_info *info)
{
    int *left = ctx;
    (void)info;
    return --*left ? SBX_OK : left[1];
}

TEST(each_ends_the_call)
{
    static const int codes[] = { SBX_E_CANCELLED, SBX_E_NETWORK, SBX_E_CONNECT, SBX_E_NOT_FOUND };
    size_t i;
    for (i = 0; i < 4; i++) {
        turn turns[] = { { "GET /v2/sandboxes", 200, 0,
            "[{\"sandboxID\":\"a\"},{\"sandboxID\":\"b\"},{\"sandboxID\":\"c\"}]" } };
        rig r;
        int left[2] = { 2, codes[i] };
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_list(r.c, NULL, NULL, each_ends, left, NULL), codes[i]);
        CHECK_INT(left[0], 0);
        rig_end(&r);
    }
}

/* AGAIN means nothing to a list: the call ends, it does not hang. */
TEST(each_answers_again)
{
    turn turns[] = { { "GET /v2/sandboxes", 200, 0, "[{\"sandboxID\":\"a\"}]" } };
    rig r;
    int left[2] = { 1, SBX_E_AGAIN };
    BEGIN(&r, turns);
    CHECK(sbx_sandbox_list(r.c, NULL, NULL, each_ends, left, NULL) < 0);
    rig_end(&r);
}

typedef struct chain { rig *r; sbx_op *op; bool answer; int left, status; } chain;

static void chain_done(void *user, sbx_op *op, int status)
{
    chain *k = user;
    sbx_call call = { 0 };
    k->status = status;
    sbx_op_release(op);
    k->op = NULL;
    if (--k->left <= 0) return;
    call.op = &k->op;
    call.done = chain_done;
    call.user = k;
    CHECK_INT(sbx_sandbox_is_running(k->r->s, &k->answer, &call), SBX_PENDING);
}

TEST(start_and_release_in_done)
{
    turn turns[] = { { "GET /health ", 204, 0, .always = true } };
    rig r;
    chain k = { 0 };
    sbx_call call = { 0 };
    BEGIN(&r, turns);
    k.r = &r;
    k.left = 5;
    call.op = &k.op;
    call.done = chain_done;
    call.user = &k;
    CHECK_INT(sbx_sandbox_is_running(r.s, &k.answer, &call), SBX_PENDING);
    CHECK_INT(drive(&r, 1000), 0);
    CHECK_INT(k.left, 0);
    CHECK_INT(r.p->requests, 5);
    CHECK_INT(r.p->conns, 1);
    CHECK(k.answer);
    CHECK_INT(k.status, SBX_OK);
    rig_end(&r);
}

TEST(callbacks_run_inside_a_blocking_call)
{
    turn turns[] = { { T_READ, 200, 0, "hello" }, { "GET /health ", 204, 0, .delay_ms = 50 } };
    rig r;
    sbx_op *op;
    picky k = { 0 };
    sbx_call call;
    bool running;
    BEGIN(&r, turns);
    call = polled(&r, &op);
    sbx_files_read(r.s, "/a", NULL, picky_sink(&k), &call);
    CHECK_INT(sbx_sandbox_is_running(r.s, &running, NULL), SBX_OK);
    CHECK(running);
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_MEM(k.got.p, k.got.len, "hello", 5);
    sbx_op_release(op);
    pt_free(&k.got);
    rig_end(&r);
}

/* ---- cancel and release -------------------------------------------------------- */

/* The user lets go inside done(), whatever brought it about. */
TEST(release_in_done_everywhere)
{
    turn turns[] = { { "GET /health ", 204, 0, .always = true, .used = 1 } };
    rig r;
    sbx_op *op;
    bool running;
    sbx_call call;
    BEGIN(&r, turns);
    call = polled(&r, &op);
    call.done = release_in_done;
    call.user = &op;
    done_calls = 0;
    sbx_sandbox_is_running(r.s, &running, &call);
    drive(&r, 100);
    CHECK(!op);
    call.op = &op;
    sbx_sandbox_is_running(r.s, &running, &call);
    sbx_op_cancel(op);
    CHECK(!op);
    CHECK_INT(done_calls, 2);
    CHECK_INT(done_status, SBX_E_CANCELLED);
    rig_end(&r);
}

/* The undoing itself meets a service that asks to wait. */
TEST(detached_create_is_deleted_in_the_end)
{
    turn turns[] = { { "POST /v2/sandboxes ", 201, 0, CREATED, .delay_ms = 500 },
        { "DELETE /sandboxes/new1 ", 503, "Retry-After: 1\r\n", "{}" },
        { "DELETE /sandboxes/new1 ", 204, 0 } };
    rig r;
    sbx_op *op;
    sbx_sandbox *made;
    sbx_call call;
    BEGIN(&r, turns);
    call = polled(&r, &op);
    CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &call), SBX_PENDING);
    sbx_poll(r.c, 1, NULL);
    CHECK_INT(r.p->requests, 1);
    sbx_op_cancel(op);
    CHECK_INT(r.e.may_exist, SBX_YES);
    sbx_op_release(op);
    drive(&r, 1000);
    CHECK(!made);
    rig_end(&r);
}

/* A detached create is not sent again. */
TEST(detached_create_is_not_repeated)
{
    static const int status[] = { 429, 503 };
    size_t i;
    for (i = 0; i < 3; i++) {
        turn turns[] = { { "GET /sandboxes/box1", 200, 0, "{\"sandboxID\":\"box1\"}" },
            { "POST /v2/sandboxes ", 0, .shut = true, .delay_ms = 500 } };
        rig r;
        sbx_op *op;
        sbx_sandbox *made;
        sbx_sandbox_info *info;
        sbx_call call;
        if (i < 2) {
            turns[1].status = status[i];
            turns[1].shut = false;
        }
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_get_info(r.s, &info, NULL), SBX_OK); /* a kept connection */
        sbx_free(info);
        call = polled(&r, &op);
        CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &call), SBX_PENDING);
        sbx_poll(r.c, 1, NULL);
        CHECK_INT(r.p->requests, 2);
        sbx_op_cancel(op);
        drive(&r, 1000);
        CHECK_INT(r.p->requests, 2);
        sbx_op_release(op);
        rig_end(&r);
    }
}

/* A template with a daemon that is too old: cancelled while that is undone. */
TEST(cancel_while_an_old_daemon_is_killed)
{
    unsigned steps;
    for (steps = 0; steps < 400; steps++) {
        turn turns[] = { { "POST /v2/sandboxes ", 201, "Connection: close\r\n",
            "{\"sandboxID\":\"new1\",\"envdVersion\":\"0.0.9\"}", .always = true, .used = 1 },
            { "DELETE /sandboxes/new1 ", 204, 0, .always = true, .used = 1 } };
        rig r;
        sbx_op *op;
        sbx_sandbox *made;
        sbx_call call;
        unsigned i;
        bool over, deleted = false;
        BEGIN(&r, turns);
        r.p->send_max = r.p->recv_max = 20;
        r.p->would_block = true;
        r.p->open_ms = 3;
        call = polled(&r, &op);
        CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &call), SBX_PENDING);
        for (i = 0; i < steps && sbx_op_status(op) == SBX_PENDING; i++) sbx_poll(r.c, 1, NULL);
        over = sbx_op_status(op) != SBX_PENDING;
        if (over) CHECK_INT(sbx_op_status(op), SBX_E_UNSUPPORTED_HOST);
        sbx_op_cancel(op);
        drive(&r, 1000);
        CHECK(!made);
        for (i = 0; i < r.p->requests; i++)
            if (strncmp(r.p->request[i].head, "DELETE ", 7) == 0) deleted = true;
        CHECK_INT(deleted, r.p->requests > 0);
        sbx_op_release(op);
        rig_end(&r);
        if (over || test_failures) break;
    }
}

/* ---- retries ------------------------------------------------------------------- */

static int get_info(rig *r, const sbx_call *call)
{
    sbx_sandbox_info *info = NULL;
    int rc = sbx_sandbox_get_info(r->s, &info, call);
    CHECK((rc == SBX_OK) == (info != NULL));
    sbx_free(info);
    return rc;
}

#define INFO_OK { "GET /sandboxes/box1 ", 200, 0, "{\"sandboxID\":\"box1\"}" }

TEST(retries_are_counted)
{
    static const struct { int32_t retries; size_t requests; } rows[] = {
        { 0, 4 }, { 1, 2 }, { 2, 3 }, { 7, 8 }, { SBX_NEVER, 1 } };
    size_t i;
    for (i = 0; i < 5; i++) {
        turn turns[] = { { "GET /sandboxes/box1 ", 503, 0, "{}", .always = true } };
        rig r;
        rig_start(&r);
        SCRIPT(r.p, turns);
        r.g.retries = rows[i].retries;
        rig_open(&r);
        CHECK_INT(get_info(&r, NULL), SBX_E_BUSY);
        CHECK_INT(r.p->requests, rows[i].requests);
        rig_end(&r);
    }
}

/* What is sent again, by class: create rejected-only, info safe, stat never. */
TEST(retry_by_class)
{
    static const struct { int status; const char *headers; int create, keyed, info, stat; } rows[] = {
        { 429, 0, 1, 1, 1, 0 }, { 503, 0, 1, 1, 1, 0 }, { 502, 0, 0, 1, 1, 0 },
        { 504, 0, 0, 1, 1, 0 }, { 500, 0, 0, 0, 0, 0 }, { 400, 0, 0, 0, 0, 0 },
        { 503, "Should-Retry: false\r\n", 0, 0, 0, 0 },
        { 500, "should-retry: TRUE\r\n", 1, 1, 1, 0 },
        { 429, "Should-Retry: false\r\nRetry-After: 1\r\n", 0, 0, 0, 0 },
    };
    size_t i;
    int what;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (what = 0; what < 4; what++) {
            turn turns[] = { { NULL, 0, .lacks = "GET /health" },
                { NULL, 200, 0, "{\"sandboxID\":\"new1\",\"entry\":{\"name\":\"x\"}}",
                    .lacks = "GET /health", .always = true },
                { "GET /health ", 204, 0, .always = true, .used = 1 } };
            rig r;
            sbx_sandbox_options o = { 0 };
            sbx_sandbox *made = NULL;
            sbx_file_info *file = NULL;
            int again, rc;
            char row[80];
            snprintf(row, sizeof row, "%d %s, call %d", rows[i].status,
                rows[i].headers ? rows[i].headers : "", what);
            test_row = row;
            turns[0].status = rows[i].status;
            turns[0].headers = rows[i].headers;
            turns[0].body = "{}";
            BEGIN(&r, turns);
            o.idempotency_key = what == 1 ? "abc-1" : NULL;
            if (what < 2) rc = sbx_sandbox_create(r.c, &o, &made, NULL);
            else if (what == 2) rc = get_info(&r, NULL);
            else rc = sbx_files_stat(r.s, "/f", NULL, &file, NULL);
            again = what == 0 ? rows[i].create : what == 1 ? rows[i].keyed
                  : what == 2 ? rows[i].info : rows[i].stat;
            CHECK_INT(rc == SBX_OK, again);
            CHECK_INT(turns[1].used, again);
            turns[1].used = 1;
            sbx_sandbox_release(made);
            sbx_free(file);
            rig_end(&r);
        }
    test_row = NULL;
}

TEST(connect_failures_are_retried)
{
    static const int opens[] = { SBX_E_CONNECT, SBX_E_CONNECT, SBX_OK, 1 };
    static const int never[] = { SBX_E_CONNECT, SBX_E_CONNECT, SBX_E_CONNECT, SBX_E_CONNECT, 1 };
    static const int dns[] = { SBX_E_DNS, 1 };
    turn turns[] = { INFO_OK, { "POST /v2/sandboxes ", 201, 0, CREATED },
        { T_FILES, 200, 0, WRITTEN } };
    rig r;
    sbx_sandbox *made;
    sbx_call call = { 0 };
    well w = { "abc", 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL };
    BEGIN(&r, turns);
    call.error = &r.e;
    r.p->opens = opens;
    CHECK_INT(get_info(&r, NULL), SBX_OK);
    sbxi_link_drop_idle(&r.c->link);
    r.p->opens = opens;
    CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, NULL), SBX_OK);
    sbx_sandbox_release(made);
    sbxi_link_drop_idle(&r.c->link);
    r.p->opens = never;
    CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &call), SBX_E_CONNECT);
    CHECK(!made);
    CHECK_INT(r.e.may_exist, SBX_DEFAULT);
    CHECK_INT(*r.p->opens, 1);
    r.p->opens = dns;
    CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &call), SBX_E_DNS);
    /* a source that cannot rewind was not read yet: nothing is lost */
    r.p->opens = opens;
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 3, false), NULL, NULL, &call), SBX_OK);
    CHECK_INT(w.rewinds, 0);
    rig_end(&r);
}

/* A kept connection that died. */
TEST(stale_connection)
{
    int what;
    for (what = 0; what < 5; what++) {
        /* 0: stat, 1: write rewinds, 2: write does not, 3: create, 4: one byte came back */
        turn turns[] = { { "GET /health ", 204, 0 }, INFO_OK,
            { NULL, 0, .shut = true, .lacks = "GET /health" },
            { NULL, 200, 0, "{\"entry\":{\"name\":\"x\"}}", .lacks = "GET /health", .always = true },
            { "GET /health ", 204, 0, .always = true, .used = 1 } };
        rig r;
        well w = { "abcdefghij", 10, 0, 3, 0, 0, 0, 0, 0, 0, 0, NULL };
        sbx_file_info *info = NULL;
        sbx_sandbox *made = NULL;
        bool running;
        int rc;
        char row[20];
        snprintf(row, sizeof row, "what %d", what);
        test_row = row;
        if (what == 1) turns[3].body = WRITTEN;
        if (what == 3) turns[3].body = CREATED;
        if (what == 4) {
            turns[2].raw = "H";
            turns[2].raw_len = 1;
        }
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_is_running(r.s, &running, NULL), SBX_OK);
        CHECK_INT(get_info(&r, NULL), SBX_OK);
        CHECK_INT(r.c->link.idle_count, 2);
        if (what == 0 || what == 4) rc = sbx_files_stat(r.s, "/f", NULL, &info, NULL);
        else if (what == 3) rc = sbx_sandbox_create(r.c, NULL, &made, NULL);
        else rc = sbx_files_write(r.s, "/f", well_source(&w, 10, what == 1), NULL, &info, NULL);
        if (what == 2 || what == 4) {
            CHECK_INT(rc, SBX_E_UNREACHABLE);
            CHECK_INT(turns[3].used, 0);
            turns[3].used = 1;
        } else if (what == 3) { /* a create is not sent twice: it may exist */
            CHECK_INT(rc, SBX_E_NETWORK);
            CHECK_INT(sbx_client_error(r.c)->may_exist, SBX_YES);
            CHECK_INT(turns[3].used, 0);
            turns[3].used = 1;
        } else {
            CHECK_INT(rc, SBX_OK);
            CHECK_INT(turns[3].used, 1);
        }
        if (what == 1) {
            CHECK_INT(w.rewinds, 1);
            CHECK_MEM(r.p->request[3].body.p, r.p->request[3].body.len, "abcdefghij", 10);
        }
        sbx_free(info);
        sbx_sandbox_release(made);
        rig_end(&r);
    }
    test_row = NULL;
}

/* A kept connection that was closed or spoke while it was idle is not used. */
TEST(dead_while_idle)
{
    int how;
    for (how = 0; how < 2; how++) {
        turn turns[] = { { "GET /health ", 204, 0 }, { "GET /health ", 204, 0 } };
        rig r;
        bool running;
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_is_running(r.s, &running, NULL), SBX_OK);
        if (how) pt_put(&r.p->conn[0].out, "HTTP/1.1 200 OK\r\n");
        else r.p->conn[0].shut = true;
        CHECK_INT(sbx_sandbox_is_running(r.s, &running, NULL), SBX_OK);
        CHECK_INT(r.p->conns, 2);
        rig_end(&r);
    }
}

/* Each request of a call has its own first byte: items of page one do not forbid
   to repeat page two. */
static int each_count(void *ctx, const sbx_sandbox_info *info)
{
    CHECK(info->id != NULL);
    ++*(size_t *)ctx;
    return SBX_OK;
}

TEST(second_page_is_retried)
{
    turn turns[] = {
        { "GET /v2/sandboxes", 200, "X-Next-Token: two\r\n", "[{\"sandboxID\":\"a\"}]",
            .lacks = "nextToken" },
        { "GET /v2/sandboxes?nextToken=two", 503, 0, "{}" },
        { "GET /v2/sandboxes?nextToken=two", 200, 0, "[{\"sandboxID\":\"b\"}]" } };
    rig r;
    size_t n = 0;
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_list(r.c, NULL, NULL, each_count, &n, NULL), SBX_OK);
    CHECK_INT(n, 2);
    rig_end(&r);
}

TEST(second_raw_file_on_a_stale_connection)
{
    turn turns[] = { { "POST /files?path=a", 200, 0, WRITTEN },
        { "POST /files?path=b", 0, .shut = true }, { "POST /files?path=b", 200, 0, WRITTEN } };
    rig r;
    sbx_files_options o = { 0 };
    sbx_reading ra = { "aaa", 3, 0 }, rb = { "bbb", 3, 0 };
    sbx_file_write f[2];
    BEGIN(&r, turns);
    f[0].path = "a";
    f[1].path = "b";
    f[0].from = sbx_source_memory(&ra);
    f[1].from = sbx_source_memory(&rb);
    o.octet_stream = SBX_YES;
    CHECK_INT(sbx_files_write_many(r.s, f, 2, &o, NULL, NULL, NULL), SBX_OK);
    rig_end(&r);
}

TEST(no_retry_after_the_first_byte)
{
    turn turns[] = { { T_READ, 200, 0, "hello world", .cut = 50 },
        { "GET /health ", 502, 0, "{\"message\":\"The sandbox was not found\"}" } };
    rig r;
    picky k = { 0 };
    sbx_call call = { 0 };
    BEGIN(&r, turns);
    call.error = &r.e;
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), &call), SBX_E_SANDBOX_GONE);
    CHECK_INT(r.e.sandbox_alive, SBX_NO);
    CHECK(k.calls >= 1);
    pt_free(&k.got);
    rig_end(&r);
}

/* ---- clocks -------------------------------------------------------------------- */

TEST(create_that_times_out_may_exist)
{
    static const struct { turn t; uint32_t open_ms; size_t window; int may; } rows[] = {
        { { NULL, 200, 0, "{}", .used = 1 }, 100000, 0, SBX_DEFAULT },
        { { NULL, 200, 0, "{}", .used = 1 }, 0, 10, SBX_YES },
        { { NULL, 0 }, 0, 0, SBX_YES },
        { { NULL, 0, .raw = "HTTP/1.1 2" }, 0, 0, SBX_YES },
        { { NULL, 0, .raw = "HTTP/1.1 201 OK\r\nContent-Length: 9\r\n\r\n{" }, 0, 0, SBX_YES },
        { { NULL, 0, .raw = "HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\n[]" }, 0, 0, SBX_YES },
        { { NULL, 0, .raw = "HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\n{}" }, 0, 0, SBX_YES },
        { { NULL, 0, .raw = "nonsense\r\n" }, 0, 0, SBX_YES },
        { { NULL, 0, .shut = true }, 0, 0, SBX_YES },
        { { NULL, 0, .reset = true }, 0, 0, SBX_YES },
        { { NULL, 400, 0, "{}" }, 0, 0, SBX_DEFAULT },
        { { NULL, 429, "Retry-After: 100\r\n", "{}" }, 0, 0, SBX_DEFAULT },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[1];
        rig r;
        sbx_call call = { 0 };
        sbx_sandbox *made;
        char row[20];
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        turns[0] = rows[i].t;
        BEGIN(&r, turns);
        r.p->open_ms = rows[i].open_ms;
        r.p->window = rows[i].window;
        call.error = &r.e;
        CHECK(sbx_sandbox_create(r.c, NULL, &made, &call) < 0);
        CHECK(!made);
        CHECK_INT(r.e.may_exist, rows[i].may);
        rig_end(&r);
    }
    test_row = NULL;
}

/* The first try may have made one; that the second was refused does not undo it. */
/* Memory runs out before a create is sent, or does not matter to it. */
TEST(create_keeps_memory_for_its_reply)
{
    static const char *const replies[] = { "{\"sandboxID\":\"new1\",\"envdVersion\":\"0.6.4\","
        "\"envdAccessToken\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
        "\"trafficAccessToken\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab\"}",
        "{\"sandboxID\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
        "{\"sandboxID\":\"new1-that-has-an-id-of-more-than-sixty-four-characters-which-is-much\"}" };
    unsigned long n, way, which;
    for (which = 0; which < 3; which++)
        for (way = 0; way < 2; way++)
            for (n = 1;; n++) {
                turn turns[] = { { "POST /v2/sandboxes ", 201, .body = replies[which] } };
                rig r;
                sbx_call call = { 0 };
                sbx_sandbox *made;
                int rc;
                bool hit;
                BEGIN(&r, turns);
                call.error = &r.e;
                r.p->heap.fail_at = r.p->heap.calls + n;
                r.p->heap.fail_on = way == 1;
                rc = sbx_sandbox_create(r.c, NULL, &made, &call);
                hit = r.p->heap.failed != 0;
                r.p->heap.fail_at = 0;
                if (rc == SBX_E_NOMEM) {
                    CHECK(!made);
                    CHECK(r.p->requests == 0 || which == 2);
                    CHECK_INT(r.e.may_exist, r.p->requests ? SBX_YES : SBX_DEFAULT);
                    turns[0].used = true;
                } else {
                    CHECK_INT(rc, SBX_OK);
                    CHECK(made && strncmp(sbx_sandbox_id(made), replies[which] + 14, 4) == 0);
                }
                sbx_sandbox_release(made);
                rig_end(&r);
                if (!hit) break;
            }
}

TEST(may_exist_is_not_forgotten)
{
    static const int opens[] = { SBX_OK, SBX_E_CONNECT, SBX_E_CONNECT, SBX_E_CONNECT, 1 };
    turn turns[] = { { NULL, 0, .shut = true } };
    rig r;
    sbx_call call = { 0 };
    sbx_sandbox_options o = { 0 };
    sbx_sandbox *made;
    BEGIN(&r, turns);
    r.p->opens = opens;
    call.error = &r.e;
    o.idempotency_key = "k";
    CHECK_INT(sbx_sandbox_create(r.c, &o, &made, &call), SBX_E_CONNECT);
    CHECK_INT(r.e.may_exist, SBX_YES);
    rig_end(&r);
}

TEST(never_means_never)
{
    turn turns[] = { { NULL, 200, 0, "{\"sandboxID\":\"a\"}", .delay_ms = 2000000000 } };
    rig r;
    uint64_t start;
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.clocks.connect_ms = r.g.clocks.first_byte_ms = SBX_NEVER;
    r.g.clocks.idle_ms = r.g.clocks.total_ms = SBX_NEVER;
    rig_open(&r);
    r.p->open_ms = 50000000;
    start = r.p->now;
    CHECK_INT(get_info(&r, NULL), SBX_OK);
    CHECK_INT(r.p->now - start, 2050000000);
    rig_end(&r);
}

TEST(call_timeout_overrides)
{
    turn turns[] = { { NULL, 0 }, { NULL, 0 } };
    rig r;
    sbx_call call = { 0 };
    uint64_t start;
    BEGIN(&r, turns);
    call.error = &r.e;
    call.timeout_ms = 5;
    start = r.p->now;
    CHECK_INT(get_info(&r, &call), SBX_E_TIMEOUT);
    CHECK_INT(r.p->now - start, 5);
    CHECK_INT(r.e.clock, SBX_CLOCK_TOTAL);
    call.timeout_ms = SBX_NEVER;
    start = r.p->now;
    CHECK_INT(get_info(&r, &call), SBX_E_TIMEOUT);
    CHECK_INT(r.p->now - start, 60000);
    CHECK_INT(r.e.clock, SBX_CLOCK_FIRST_BYTE);
    rig_end(&r);
}

/* After UNREACHABLE no clock is named: none ended the call. */
TEST(silent_probe)
{
    turn turns[] = { { T_READ, 200, 0, "hello", .cut = 48 }, { "GET /health ", 0 } };
    rig r;
    sbx_call call = { 0 };
    uint64_t start;
    sbx_sink none = { 0 };
    BEGIN(&r, turns);
    call.error = &r.e;
    start = r.p->now;
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, none, &call), SBX_E_UNREACHABLE);
    CHECK_INT(r.e.clock, SBX_CLOCK_NONE);
    CHECK_INT(r.e.sandbox_alive, SBX_DEFAULT);
    CHECK_INT(r.p->now - start, 5000);
    rig_end(&r);
}

/* The raw text of an error body that was cut is not shown as it is. */
TEST(cut_error_body)
{
    turn turns[] = { { NULL, 0, .raw = "HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\n\x01\x1b[2J{",
        .shut = true }, { NULL, 0, .raw = "HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\n\x01\x1b" } };
    rig r;
    sbx_call call = { 0 };
    const char *m;
    int i;
    BEGIN(&r, turns);
    call.error = &r.e;
    for (i = 0; i < 2; i++) {
        CHECK_INT(get_info(&r, &call), i ? SBX_E_TIMEOUT : SBX_E_NETWORK);
        for (m = r.e.message; *m; m++) CHECK((unsigned char)*m >= 0x20);
        CHECK(r.e.message[0] != 0);
    }
    rig_end(&r);
}

/* ---- early replies ------------------------------------------------------------- */

TEST(early_final_reply)
{
    static const struct { int status, want; } rows[] = { { 413, SBX_E_TOO_LARGE },
        { 507, SBX_E_NO_SPACE }, { 200, SBX_OK } };
    size_t i, slice, shut;
    for (i = 0; i < 3; i++)
        for (slice = 0; slice < 2; slice++)
            for (shut = 0; shut < 2; shut++) {
                turn turns[] = { { T_FILES, 200, 0, WRITTEN, .early = true, .deaf = true },
                    { "GET /health ", 204, 0 } };
                rig r;
                char *data = pattern(300000);
                well w = { data, 300000, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL };
                sbx_call call = { 0 };
                bool running;
                BEGIN(&r, turns);
                turns[0].status = rows[i].status;
                turns[0].early_body = 5000;
                turns[0].slice = slice;
                turns[0].slice_ms = slice ? 1 : 0;
                turns[0].shut = shut;
                call.error = &r.e;
                CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 300000, false), NULL, NULL,
                    &call), rows[i].want);
                if (rows[i].want) CHECK_INT(r.e.http_status, rows[i].status);
                CHECK(w.pos < 300000);
                /* its connection is of no further use */
                CHECK_INT(sbx_sandbox_is_running(r.s, &running, NULL), SBX_OK);
                CHECK_INT(r.p->conns, 2);
                free(data);
                rig_end(&r);
            }
}

TEST(interim_replies_while_sending)
{
    turn turns[] = {
        { T_FILES, 0, .raw = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n",
            .early = true, .interim = true },
        { T_FILES, 200, 0, WRITTEN } };
    rig r;
    char *data = pattern(40000);
    well w = { data, 40000, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL };
    BEGIN(&r, turns);
    r.p->would_block = true;
    r.p->send_max = 3000;
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, -1, false), NULL, NULL, NULL), SBX_OK);
    CHECK_INT(r.p->requests, 1);
    CHECK_MEM(r.p->request[0].body.p, r.p->request[0].body.len, data, 40000);
    free(data);
    rig_end(&r);
}

/* The peer goes away in the middle of an upload, with and without a word. */
TEST(peer_closes_during_upload)
{
    turn turns[] = { { T_FILES, 0, .early = true, .early_body = 3000, .shut = true },
        { "GET /health ", 204, 0 },
        { T_FILES, 507, 0, "{\"code\":507,\"message\":\"disk full\"}", .early = true,
            .early_body = 3000, .shut = true } };
    rig r;
    char *data = pattern(40000);
    well w = { data, 40000, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL };
    sbx_call call = { 0 };
    BEGIN(&r, turns);
    r.p->send_max = 1000;
    call.error = &r.e;
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 40000, false), NULL, NULL, &call),
        SBX_E_UNREACHABLE);
    CHECK_INT(r.e.sandbox_alive, SBX_YES);
    w.pos = 0;
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 40000, false), NULL, NULL, &call),
        SBX_E_NO_SPACE);
    CHECK_STR(r.e.message, "disk full");
    free(data);
    rig_end(&r);
}

static int file_count(void *ctx, const sbx_file_info *info)
{
    CHECK(info->path != NULL);
    ++*(size_t *)ctx;
    return SBX_OK;
}

TEST(many_files)
{
    enum { N = 300 };
    turn turns[] = { { "POST /files ", 200, 0 } };
    rig r;
    static sbx_reading rd[N];
    static sbx_file_write f[N];
    static char names[N][24];
    ptext reply = { 0 };
    size_t i, n = 0, found = 0;
    const char *at;
    pt_put(&reply, "[");
    for (i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "/dir/f%u", (unsigned)i);
        rd[i].data = names[i];
        rd[i].len = i % 3 ? strlen(names[i]) : 0;
        rd[i].pos = 0;
        f[i].path = names[i];
        f[i].from = sbx_source_memory(&rd[i]);
        pt_format(&reply, "%s{\"name\":\"f%u\",\"path\":\"%s\",\"type\":\"file\"}", i ? "," : "",
            (unsigned)i, names[i]);
    }
    pt_put(&reply, "]");
    turns[0].body = reply.p;
    BEGIN(&r, turns);
    CHECK_INT(sbx_files_write_many(r.s, f, N, NULL, file_count, &n, NULL), SBX_OK);
    CHECK_INT(n, N);
    CHECK(r.p->request[0].whole && !r.p->request[0].bad);
    for (at = r.p->request[0].body.p; (at = strstr(at, "Content-Disposition")) != NULL; at++)
        found++;
    CHECK_INT(found, N);
    CHECK(!strstr(r.p->request[0].head, "path="));
    CHECK_INT(sbx_files_write_many(r.s, NULL, 0, NULL, NULL, NULL, NULL), SBX_OK);
    CHECK_INT(r.p->requests, 1);
    pt_free(&reply);
    rig_end(&r);
}

/* ---- the pool ------------------------------------------------------------------ */

TEST(pool_keeps_hosts_apart)
{
    turn turns[] = { { "GET /health ", 204, 0, .always = true } };
    static const char *const urls[] = { "http://box.test:4000", "http://box.test:4001",
        "https://box.test:4000", "http://other.test:4000", "http://box.test:4000" };
    rig r;
    size_t i;
    BEGIN(&r, turns);
    for (i = 0; i < 5; i++) {
        sbx_sandbox_access a = { 0 };
        sbx_sandbox *s;
        bool running;
        a.data_url = urls[i];
        CHECK_INT(sbx_sandbox_attach(r.c, "x", &a, &s), SBX_OK);
        CHECK_INT(sbx_sandbox_is_running(s, &running, NULL), SBX_OK);
        sbx_sandbox_release(s);
    }
    CHECK_INT(r.p->conns, 4);
    CHECK_INT(r.p->conn[0].requests, 2);
    CHECK(r.p->conn[2].tls && !r.p->conn[0].tls);
    rig_end(&r);
}

TEST(pool_refuses_spoiled_connections)
{
    static const turn firsts[] = {
        { NULL, 204, "Connection: close\r\n" },
        { NULL, 0, .raw = "HTTP/1.0 204 No\r\n\r\n" },
        { NULL, 200, 0, "abc", .to_close = true },
        { NULL, 0, .raw = "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" },
        { NULL, 0, .raw = "HTTP/1.1 200 No\r\nContent-Length: 1\r\n\r\nab" },
        { NULL, 0, .raw = "HTTP/1.1 200 No\r\nConnection: keep-alive, Close\r\n"
            "Content-Length: 1\r\n\r\na" },
    };
    size_t i;
    for (i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        turn turns[2];
        rig r;
        bool running;
        turns[0] = firsts[i];
        memset(&turns[1], 0, sizeof turns[1]);
        turns[1].status = 204;
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_is_running(r.s, &running, NULL), SBX_OK);
        CHECK_INT(r.c->link.idle_count, 0);
        CHECK_INT(sbx_sandbox_is_running(r.s, &running, NULL), SBX_OK);
        CHECK_INT(r.p->conns, 2);
        rig_end(&r);
    }
}

TEST(pool_is_limited)
{
    turn turns[] = { { "GET /health ", 204, 0, .always = true, .delay_ms = 5 } };
    rig r;
    sbx_op *ops[20];
    bool running[20];
    size_t i;
    BEGIN(&r, turns);
    for (i = 0; i < 20; i++) {
        sbx_call call = { 0 };
        call.op = &ops[i];
        CHECK_INT(sbx_sandbox_is_running(r.s, &running[i], &call), SBX_PENDING);
    }
    CHECK_INT(drive(&r, 1000), 0);
    for (i = 0; i < 20; i++) {
        CHECK_INT(sbx_op_status(ops[i]), SBX_OK);
        CHECK(running[i]);
        sbx_op_release(ops[i]);
    }
    CHECK_INT(r.p->conns, 20);
    CHECK_INT(r.c->link.idle_count, SBX_MAX_CONNS);
    CHECK_INT(r.p->live, SBX_MAX_CONNS);
    rig_end(&r);
}

/* No memory for a connection: kept ones of other hosts make room. */
TEST(no_memory_drops_idle_connections)
{
    unsigned long i, made_room = 0;
    for (i = 1; i < 12; i++) {
        turn turns[] = { { "GET /health ", 204, 0 }, INFO_OK };
        rig r;
        bool running;
        int rc;
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_is_running(r.s, &running, NULL), SBX_OK);
        CHECK_INT(r.c->link.idle_count, 1);
        r.p->heap.fail_at = r.p->heap.calls + i;
        rc = get_info(&r, NULL);
        CHECK(rc == SBX_OK || rc == SBX_E_NOMEM);
        if (rc == SBX_OK && r.c->link.idle_count == 1) made_room++;
        turns[1].used = 1;
        rig_end(&r);
    }
    CHECK_INT(made_room, 2); /* the connection and its buffer */
}

/* ---- arguments are copied ------------------------------------------------------ */

TEST(arguments_are_copied_at_the_start)
{
    turn turns[] = { { "POST /v2/sandboxes ", 201, 0, CREATED },
        { "GET /v2/sandboxes?metadata=k%3Dv", 200, 0, "[]" }, { T_START, 200, 0 },
        { T_FILES, 200, 0, WRITTEN }, { "POST /files ", 200, 0, WRITTEN },
        { "POST /filesystem.Filesystem/Move ", 200, 0, "{\"entry\":{\"name\":\"y\"}}" } };
    static const char *const outs[] = { "x" };
    ptext stream = { 0 };
    rig r;
    struct { char a[16], b[16], c[16], d[16], key[16], domain[16]; } t;
    sbx_pair pairs[2];
    sbx_op *op[6];
    sbx_call call[6];
    sbx_sandbox *made;
    sbx_file_info *i1, *i2;
    size_t i, n = 0;
    sbx_reading rd = { "file data", 9, 0 };
    stream_of(&stream, outs, 1);
    turns[2].body = stream.p;
    turns[2].body_len = stream.len;
    BEGIN(&r, turns);
    for (i = 0; i < 6; i++) call[i] = polled(&r, &op[i]);
#define FILL() (strcpy(t.a, "aa"), strcpy(t.b, "bb"), strcpy(t.c, "cc"), strcpy(t.d, "dd"), \
    strcpy(t.key, "key2"), strcpy(t.domain, "other.test"))
#define SPOIL() (memset(&t, 'X', sizeof t), memset(pairs, 0x55, sizeof pairs))
    {
        sbx_sandbox_options o = { 0 };
        FILL();
        pairs[0].key = t.a;
        pairs[0].value = t.b;
        pairs[1].key = t.c;
        pairs[1].value = t.d;
        o.template_id = t.a;
        o.metadata.items = pairs;
        o.metadata.count = 2;
        o.envs.items = pairs + 1;
        o.envs.count = 1;
        o.idempotency_key = t.b;
        call[0].api_key = t.key;
        CHECK_INT(sbx_sandbox_create(r.c, &o, &made, &call[0]), SBX_PENDING);
        memset(&o, 0x55, sizeof o);
        SPOIL();
    }
    {
        sbx_sandbox_query q = { 0 };
        FILL();
        strcpy(t.a, "k");
        strcpy(t.b, "v");
        pairs[0].key = t.a;
        pairs[0].value = t.b;
        q.metadata.items = pairs;
        q.metadata.count = 1;
        q.template_id = t.c;
        CHECK_INT(sbx_sandbox_list(r.c, &q, NULL, each_count, &n, &call[1]), SBX_PENDING);
        memset(&q, 0x55, sizeof q);
        SPOIL();
    }
    {
        sbx_command_options o = { 0 };
        FILL();
        pairs[0].key = t.a;
        pairs[0].value = t.b;
        o.envs.items = pairs;
        o.envs.count = 1;
        o.cwd = t.c;
        o.user = t.d;
        o.tag = t.b;
        CHECK_INT(sbx_command_run(r.s, t.a, &o, NULL, &call[2]), SBX_PENDING);
        memset(&o, 0x55, sizeof o);
        SPOIL();
    }
    {
        sbx_files_options o = { 0 };
        char data[16];
        FILL();
        strcpy(data, "bytes data");
        o.user = t.b;
        CHECK_INT(sbx_files_write_bytes(r.s, t.a, data, 10, &o, &i1, &call[3]), SBX_PENDING);
        memset(data, 'X', sizeof data);
        memset(&o, 0x55, sizeof o);
        SPOIL();
    }
    {
        sbx_file_write f[2];
        static sbx_reading second = { "two", 3, 0 };
        second.pos = 0;
        FILL();
        f[0].path = t.c;
        f[0].from = sbx_source_memory(&rd);
        f[1].path = t.d;
        f[1].from = sbx_source_memory(&second);
        CHECK_INT(sbx_files_write_many(r.s, f, 2, NULL, NULL, NULL, &call[4]), SBX_PENDING);
        memset(f, 0x55, sizeof f);
        SPOIL();
    }
    FILL();
    CHECK_INT(sbx_files_rename(r.s, t.a, t.b, NULL, &i2, &call[5]), SBX_PENDING);
    SPOIL();
    memset(call, 0x55, sizeof call);
    CHECK_INT(drive(&r, 1000), 0);
    for (i = 0; i < 6; i++) {
        CHECK_INT(sbx_op_status(op[i]), SBX_OK);
        sbx_op_release(op[i]);
    }
    for (i = 0; i < r.p->requests; i++) {
        const char *head = r.p->request[i].head, *body = r.p->request[i].body.p;
        char value[80];
        if (!strncmp(head, "POST /v2/sandboxes ", 19)) {
            CHECK_STR(body, "{\"templateID\":\"aa\",\"metadata\":{\"aa\":\"bb\",\"cc\":\"dd\"},"
                "\"envVars\":{\"cc\":\"dd\"}}");
            CHECK_STR(head_value(head, "X-API-KEY", value, sizeof value), "key2");
            CHECK_STR(head_value(head, "Idempotency-Key", value, sizeof value), "bb");
        } else if (!strncmp(head, "GET /v2/sandboxes?", 18)) {
            CHECK(strstr(head, "&template=cc ") != NULL);
        } else if (!strncmp(head, T_START, strlen(T_START))) {
            CHECK(strstr(body + 5, "\"aa\"],\"envs\":{\"aa\":\"bb\"},\"cwd\":\"cc\"},\"tag\":\"bb\"")
                != NULL);
            CHECK_STR(head_value(head, "Authorization", value, sizeof value), "Basic ZGQ6");
        } else if (!strstr(head, "/filesystem.")) {
            CHECK(strstr(head, "username=bb&path=aa ") || strstr(head, "POST /files HTTP"));
            CHECK(strstr(body, "bytes data") || (strstr(body, "file data")
                && strstr(body, "filename=\"cc\"") && strstr(body, "filename=\"dd\"")));
        } else {
            CHECK_STR(body, "{\"source\":\"aa\",\"destination\":\"bb\"}");
        }
    }
    CHECK(made && i1 && i2);
    sbx_sandbox_release(made);
    sbx_free(i1);
    sbx_free(i2);
    pt_free(&stream);
    rig_end(&r);
}

/* ---- results ------------------------------------------------------------------- */

TEST(large_and_odd_results)
{
    turn turns[] = { { "GET /sandboxes/box1 ", 200, 0, .chunk = 3 } };
    static const size_t recvs[] = { 0, 1, 2, 3, 7, 100 };
    size_t i, j;
    for (i = 0; i < sizeof recvs / sizeof *recvs; i++) {
        rig r;
        ptext body = { 0 };
        sbx_sandbox_info *info;
        pt_put(&body, "{\"sandboxID\":\"a\\u00e4\\ud83d\\ude00\\n\\\\z\",\"templateID\":\"t\","
            "\"metadata\":{");
        for (j = 0; j < 400; j++)
            pt_format(&body, "%s\"k\\u0065y%u\":\"v\\t\\\"%u\\ud83d\\ude00\"", j ? "," : "",
                (unsigned)j, (unsigned)j);
        pt_put(&body, "},\"cpuCount\":2,\"unknown\":[{\"x\":[1,2]}],\"state\":\"running\","
            "\"startedAt\":\"2025-01-01T00:00:00Z\"}");
        turns[0].body = body.p;
        turns[0].used = 0;
        BEGIN(&r, turns);
        r.p->recv_max = recvs[i];
        CHECK_INT(sbx_sandbox_get_info(r.s, &info, NULL), SBX_OK);
        if (CHECK(info != NULL)) {
            CHECK_STR(info->id, "a\xc3\xa4\xf0\x9f\x98\x80\n\\z");
            CHECK_INT(info->metadata.count, 400);
            CHECK_INT(info->cpu_count, 2);
            CHECK_INT(info->state, SBX_SANDBOX_RUNNING);
            CHECK_INT(info->started_unix_ms, 1735689600000);
            for (j = 0; j < info->metadata.count; j++) {
                char key[32], value[64];
                snprintf(key, sizeof key, "key%u", (unsigned)j);
                snprintf(value, sizeof value, "v\t\"%u\xf0\x9f\x98\x80", (unsigned)j);
                CHECK_STR(info->metadata.items[j].key, key);
                CHECK_STR(info->metadata.items[j].value, value);
            }
        }
        sbx_free(info);
        pt_free(&body);
        rig_end(&r);
    }
}

TEST(results_beyond_the_limit)
{
    turn turns[] = { { "GET /sandboxes/box1 ", 200, 0 }, { "GET /v2/sandboxes", 200, 0 },
        INFO_OK };
    rig r;
    ptext one = { 0 }, list = { 0 };
    char *big = malloc(SBX_MAX_RESULT + 1);
    sbx_sandbox_info *info;
    sbx_call call = { 0 };
    size_t n = 0;
    memset(big, 'x', SBX_MAX_RESULT);
    big[SBX_MAX_RESULT] = 0;
    pt_put(&one, "{\"sandboxID\":\"a\",\"metadata\":{\"k\":\"");
    pt_put(&one, big);
    pt_put(&one, "\"}}");
    pt_put(&list, "[{\"sandboxID\":\"a\"},");
    pt_add(&list, one.p, one.len);
    pt_put(&list, "]");
    turns[0].body = one.p;
    turns[1].body = list.p;
    BEGIN(&r, turns);
    call.error = &r.e;
    CHECK_INT(sbx_sandbox_get_info(r.s, &info, &call), SBX_E_TOO_LARGE);
    CHECK(!info);
    CHECK(strstr(r.e.message, "SBX_MAX_RESULT") != NULL);
    CHECK_INT(sbx_sandbox_list(r.c, NULL, NULL, each_count, &n, &call), SBX_E_TOO_LARGE);
    CHECK_INT(n, 1);
    CHECK(r.p->heap.peak < 4u * SBX_MAX_RESULT);
    CHECK_INT(get_info(&r, NULL), SBX_OK);
    free(big);
    pt_free(&one);
    pt_free(&list);
    rig_end(&r);
}

static int each_big(void *ctx, const sbx_sandbox_info *info)
{
    size_t *n = ctx;
    CHECK_INT(info->metadata.count, *n % 50);
    if (info->metadata.count) CHECK_STR(info->metadata.items[*n % 50 - 1].value, "w");
    ++*n;
    return SBX_OK;
}

TEST(long_lists_in_little_memory)
{
    turn turns[] = { { "GET /v2/sandboxes", 200, 0 } };
    rig r;
    ptext list = { 0 };
    size_t i, j, n = 0;
    pt_put(&list, "[");
    for (i = 0; i < 3000; i++) {
        pt_format(&list, "%s{\"sandboxID\":\"s%u\",\"metadata\":{", i ? "," : "", (unsigned)i);
        for (j = 0; j < i % 50; j++) pt_format(&list, "%s\"k%u\":\"w\"", j ? "," : "", (unsigned)j);
        pt_put(&list, "}}");
    }
    pt_put(&list, "]");
    turns[0].body = list.p;
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_list(r.c, NULL, NULL, each_big, &n, NULL), SBX_OK);
    CHECK_INT(n, 3000);
    CHECK(r.p->heap.peak < 40000);
    pt_free(&list);
    rig_end(&r);
}

/* Limits of every length, the longest too, reach the query as they are. */
TEST(page_limits)
{
    static const int32_t limits[] = { 1, 99, 12345678, 1234567890, INT32_MAX };
    size_t i;
    for (i = 0; i < sizeof limits / sizeof *limits; i++) {
        turn turns[] = { { NULL, 200, 0, "[]" } };
        char line[64];
        rig r;
        sbx_page page = { 0 };
        size_t n = 0;
        turns[0].expect = line;
        snprintf(line, sizeof line, "GET /v2/sandboxes?limit=%ld HTTP/1.1\r\n", (long)limits[i]);
        BEGIN(&r, turns);
        page.limit = limits[i];
        CHECK_INT(sbx_sandbox_list(r.c, NULL, &page, each_count, &n, NULL), SBX_OK);
        CHECK(!page.has_next);
        rig_end(&r);
    }
}

TEST(paging)
{
    turn turns[] = {
        { "GET /v2/sandboxes?limit=2 ", 200, "x-next-token: t1\r\n", "[{\"sandboxID\":\"a\"}]" },
        { "GET /v2/sandboxes?nextToken=t1&limit=2 ", 200, 0, "[{\"sandboxID\":\"b\"}]" },
        { "GET /v2/sandboxes ", 200, "x-next-token: r\r\n", "[{\"sandboxID\":\"a\"}]" },
        { "GET /v2/sandboxes?nextToken=r ", 200, "x-next-token: r\r\n", "[]" } };
    rig r;
    sbx_page page = { 0 };
    size_t n = 0;
    BEGIN(&r, turns);
    page.limit = 2;
    CHECK_INT(sbx_sandbox_list(r.c, NULL, &page, each_count, &n, NULL), SBX_OK);
    CHECK(page.has_next);
    CHECK_STR(page.next_token, "t1");
    CHECK_INT(sbx_sandbox_list(r.c, NULL, &page, each_count, &n, NULL), SBX_OK);
    CHECK(!page.has_next);
    CHECK_INT(n, 2);
    CHECK_INT(sbx_sandbox_list(r.c, NULL, &page, each_count, &n, NULL), SBX_E_ARG);
    CHECK_INT(sbx_sandbox_list(r.c, NULL, NULL, each_count, &n, NULL), SBX_E_PROTOCOL);
    rig_end(&r);
}

/* A reply that is thrown away must not move the reader on. */
TEST(token_of_a_failed_reply)
{
    turn turns[] = {
        { "GET /v2/sandboxes ", 200, "x-next-token: t1\r\n", "[{\"sandboxID\":\"a\"}]" },
        { "GET /v2/sandboxes?nextToken=t1 ", 503, "x-next-token: t9\r\n", "{}" },
        { "GET /v2/sandboxes?nextToken=t1 ", 200, 0, "[{\"sandboxID\":\"b\"}]" } };
    rig r;
    size_t n = 0;
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_list(r.c, NULL, NULL, each_count, &n, NULL), SBX_OK);
    CHECK_INT(n, 2);
    rig_end(&r);
}

/* A command whose end came, and then an error: nothing of it stays in the result. */
TEST(failed_command_leaves_an_empty_result)
{
    turn turns[] = { { T_START, 200, 0 } };
    ptext stream = { 0 };
    rig r;
    sbx_command_result res;
    sbx_command_options o = { 0 };
    o.capture_limit = 10;
    pt_envelope(&stream, 0, "{\"event\":{\"start\":{\"pid\":77}}}");
    pt_envelope(&stream, 0, "{\"event\":{\"data\":{\"stdout\":\"aGk=\"}}}");
    pt_envelope(&stream, 0, "{\"event\":{\"end\":{\"exitCode\":3,\"status\":\"exit status 3\"}}}");
    pt_envelope(&stream, 2, "{\"error\":{\"code\":\"internal\",\"message\":\"late\"}}");
    turns[0].body = stream.p;
    turns[0].body_len = stream.len;
    BEGIN(&r, turns);
    memset(&res, 0x55, sizeof res);
    CHECK_INT(sbx_command_run(r.s, "x", &o, &res, NULL), SBX_E_SERVER);
    CHECK(!res.out && !res.err);
    CHECK_INT(res.exit_code, 0);
    CHECK_INT(res.pid, 0);
    CHECK_STR(res.reason, "");
    pt_free(&stream);
    rig_end(&r);
}

TEST(capture)
{
    static const size_t limits[] = { 1, 5, 6, 8, 9, 1000, SIZE_MAX, SIZE_MAX - 10 };
    static const char *const outs[] = { "hello", "err", "abc", "or" };
    size_t i;
    for (i = 0; i < sizeof limits / sizeof *limits; i++) {
        turn turns[] = { { T_START, 200, 0 } };
        ptext stream = { 0 };
        rig r;
        sbx_command_result res;
        sbx_command_options o = { 0 };
        size_t want = limits[i] < 8 ? limits[i] : 8, want_err = limits[i] < 5 ? limits[i] : 5;
        o.capture_limit = limits[i];
        stream_of(&stream, outs, 4);
        turns[0].body = stream.p;
        turns[0].body_len = stream.len;
        BEGIN(&r, turns);
        CHECK_INT(sbx_command_run(r.s, "x", &o, &res, NULL), SBX_OK);
        CHECK_MEM(res.out, res.out_len, "helloabc", want);
        CHECK_MEM(res.err, res.err_len, "error", want_err);
        if (res.out) CHECK_INT(res.out[res.out_len], 0);
        CHECK_INT(res.out_cut, 8 - want);
        CHECK_INT(res.err_cut, 5 - want_err);
        sbx_free(res.out);
        sbx_free(res.err);
        pt_free(&stream);
        rig_end(&r);
    }
}

/* Attached by a base URL of its own: it stays when the credentials are renewed. */
TEST(connect_keeps_the_data_url)
{
    turn turns[] = { { "POST /v2/sandboxes/box2/connect ", 201, 0,
        "{\"sandboxID\":\"box2\",\"envdAccessToken\":\"fresh\"}" },
        { "GET /p/health ", 204, 0 }, { "GET /p/files", 200, 0, "x" } };
    rig r;
    sbx_sandbox_access a = { 0 }, b;
    sbx_sandbox *s;
    sbx_sink none = { 0 };
    char value[64];
    bool yes;
    BEGIN(&r, turns);
    a.data_url = "http://own.test/p/";
    a.access_token = "old";
    CHECK_INT(sbx_sandbox_attach(r.c, "box2", &a, &s), SBX_OK);
    CHECK_INT(sbx_sandbox_connect(s, 0, &yes, NULL), SBX_OK);
    CHECK(yes);
    CHECK_INT(sbx_sandbox_get_access(s, &b), SBX_OK);
    CHECK_STR(b.data_url, "http://own.test/p/");
    CHECK_STR(b.access_token, "fresh");
    CHECK_INT(sbx_sandbox_is_running(s, &yes, NULL), SBX_OK);
    CHECK_INT(sbx_files_read(s, "/f", NULL, none, NULL), SBX_OK);
    CHECK_STR(head_value(r.p->request[2].head, "X-Access-Token", value, sizeof value), "fresh");
    sbx_sandbox_release(s);
    rig_end(&r);
}

/* ---- configuration ------------------------------------------------------------- */

static int try_open(rig *r)
{
    int rc = sbx_open(&r->c, &r->g);
    CHECK((rc == SBX_OK) == (r->c != NULL));
    if (rc != SBX_OK) {
        CHECK_INT(r->e.status, rc);
        CHECK(r->e.message[0] != 0);
    }
    CHECK_INT(sbx_close(r->c), SBX_OK);
    r->c = NULL;
    CHECK_INT(r->p->heap.blocks, 0);
    return rc;
}

TEST(configuration_is_checked)
{
    static const char *const bad_urls[] = { "", "api.test", "ftp://x", "http://", "http://a b",
        "http://x/{name}", "http://{id", "http://u@x", "http://x:99999", "http://x/?q",
        "http://{", "http://x/a\r\nb" };
    static const char *const bad_api[] = { "http://{id}.x", "http://x/{port}x{" };
    static const char *const evil[] = { "a\r\nX: y", "a\nb", "a\rb", "\x01" };
    rig r;
    size_t i;
    sbx_pair pair;
    rig_start(&r);
    r.g.error = &r.e;
    CHECK_INT(try_open(&r), SBX_OK);
    for (i = 0; i < sizeof bad_urls / sizeof *bad_urls; i++) {
        test_row = bad_urls[i];
        r.g.sandbox_url = bad_urls[i];
        CHECK_INT(try_open(&r), SBX_E_ARG);
        r.g.sandbox_url = NULL;
        r.g.api_url = bad_urls[i];
        CHECK_INT(try_open(&r), SBX_E_ARG);
        r.g.api_url = "http://api.test:3000";
    }
    r.g.api_url = bad_api[0];
    CHECK_INT(try_open(&r), SBX_E_ARG);
    r.g.api_url = "http://api.{domain}:3000/base/";
    r.g.sandbox_url = "https://{port}-{id}.{domain}/p/{id}";
    CHECK_INT(try_open(&r), SBX_OK);
    r.g.api_url = "http://api.test:3000";
    r.g.sandbox_url = "http://box.test:4000";
    for (i = 0; i < 4; i++) {
        test_row = evil[i];
        r.g.api_key = evil[i];
        CHECK_INT(try_open(&r), SBX_E_ARG);
        r.g.api_key = "k";
        r.g.user_agent = evil[i];
        CHECK_INT(try_open(&r), SBX_E_ARG);
        r.g.user_agent = NULL;
        r.g.domain = evil[i];
        CHECK_INT(try_open(&r), SBX_E_ARG);
        r.g.domain = NULL;
        pair.key = "X-A";
        pair.value = evil[i];
        r.g.headers.items = &pair;
        r.g.headers.count = 1;
        CHECK_INT(try_open(&r), SBX_E_ARG);
        pair.key = evil[i];
        pair.value = "v";
        CHECK_INT(try_open(&r), SBX_E_ARG);
        r.g.headers.items = NULL;
        r.g.headers.count = 0;
    }
    test_row = NULL;
    r.g.headers.items = &pair;
    r.g.headers.count = 1;
    pair.key = "X-A";
    pair.value = NULL;
    CHECK_INT(try_open(&r), SBX_E_ARG);
    pair.key = NULL;
    pair.value = "v";
    CHECK_INT(try_open(&r), SBX_E_ARG);
    r.g.headers.items = NULL;
    CHECK_INT(try_open(&r), SBX_E_ARG);
    r.g.headers.count = 0;
    r.g.domain = "a/b";
    CHECK_INT(try_open(&r), SBX_E_ARG);
    r.g.domain = NULL;
    r.g.dialect = "1.0";
    CHECK_INT(try_open(&r), SBX_E_ARG);
    r.g.dialect = NULL;
    r.g.net.recv = NULL;
    CHECK_INT(try_open(&r), SBX_E_ARG);
    CHECK_INT(sbx_open(NULL, &r.g), SBX_E_ARG);
    peer_free(r.p);
}

TEST(environment)
{
    rig r;
    sbx_client *c;
    turn turns[] = { { "GET /base/sandboxes/box1 ", 200, 0, "{\"sandboxID\":\"box1\"}" } };
    char value[64];
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.provider = NULL;
    r.g.api_key = r.g.api_url = r.g.sandbox_url = NULL;
    r.g.environment = SBX_DEFAULT;
    unsetenv("E2B_API_KEY");
    unsetenv("E2B_DOMAIN");
    unsetenv("E2B_SANDBOX_URL");
    unsetenv("E2B_DEBUG");
    unsetenv("http_proxy"); /* this transport does TLS, so it takes no proxy */
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    CHECK_INT(sbx_open(&c, &r.g), SBX_E_NO_PROVIDER);
    CHECK(!c);
    setenv("E2B_API_KEY", "", 1);
    CHECK_INT(sbx_open(&c, &r.g), SBX_E_NO_PROVIDER);
    setenv("E2B_API_KEY", "from\r\nenv", 1);
    CHECK_INT(sbx_open(&c, &r.g), SBX_E_ARG);
    setenv("E2B_API_KEY", "from_env", 1);
    setenv("E2B_API_URL", "http://env.test:81/base", 1);
    rig_open(&r);
    setenv("E2B_API_KEY", "changed", 1);
    setenv("E2B_API_URL", "http://changed.test", 1);
    CHECK_INT(get_info(&r, NULL), SBX_OK);
    CHECK_STR(head_value(r.p->request[0].head, "X-API-KEY", value, sizeof value), "from_env");
    CHECK_STR(head_value(r.p->request[0].head, "Host", value, sizeof value), "env.test:81");
    CHECK_STR(sbx_provider_name(r.c), "e2b");
    rig_end(&r);
    rig_start(&r);
    r.g.provider = NULL;
    r.g.api_key = NULL;
    CHECK_INT(sbx_open(&c, &r.g), SBX_E_NO_PROVIDER); /* environment = SBX_NO */
    unsetenv("E2B_API_KEY");
    unsetenv("E2B_API_URL");
    peer_free(r.p);
}

TEST(no_key)
{
    rig r;
    sbx_call call = { 0 };
    turn turns[] = { INFO_OK };
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.api_key = NULL;
    rig_open(&r);
    call.error = &r.e;
    CHECK_INT(get_info(&r, &call), SBX_E_AUTH);
    call.api_key = "own";
    CHECK_INT(get_info(&r, &call), SBX_OK);
    rig_end(&r);
}

TEST(debug_mode)
{
    turn turns[] = { INFO_OK, { "GET /health ", 204, 0 } };
    rig r;
    bool yes;
    char value[64];
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.api_key = r.g.api_url = r.g.sandbox_url = NULL;
    r.g.debug = SBX_YES;
    rig_open(&r);
    CHECK_INT(get_info(&r, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_is_running(r.s, &yes, NULL), SBX_OK);
    CHECK_STR(r.p->conn[0].host, "localhost");
    CHECK_INT(r.p->conn[0].port, 3000);
    CHECK_INT(r.p->conn[1].port, 49983);
    CHECK(!r.p->conn[0].tls);
    CHECK_INT(sbx_sandbox_host(r.s, 80, value, sizeof value), SBX_OK);
    CHECK_STR(value, "localhost:80");
    CHECK_INT(sbx_sandbox_host(r.s, 80, value, 12), SBX_E_TOO_LARGE);
    CHECK_STR(value, "");
    rig_end(&r);
}

/* A reply that does not name what was asked for is not a result. */
TEST(info_of_nothing)
{
    turn turns[] = { { "GET /sandboxes/box1 ", 200, 0, "{}" } };
    rig r;
    BEGIN(&r, turns);
    CHECK_INT(get_info(&r, NULL), SBX_E_PROTOCOL);
    rig_end(&r);
}

TEST(url_templates)
{
    turn turns[] = { { "GET /base/sandboxes/box1 ", 200, 0, "{\"sandboxID\":\"box1\"}" },
        { "GET /p/box1/health ", 204, 0 }, { "GET /base/sandboxes/box1 ", 200, 0, "{\"sandboxID\":\"box1\"}" } };
    rig r;
    bool yes;
    char value[64];
    sbx_call call = { 0 };
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.domain = "dom.test";
    r.g.api_url = "https://api.{domain}/base/";
    r.g.sandbox_url = "http://{port}-{id}.{domain}/p/{id}";
    rig_open(&r);
    CHECK_INT(get_info(&r, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_is_running(r.s, &yes, NULL), SBX_OK);
    CHECK_STR(r.p->conn[0].host, "api.dom.test");
    CHECK_INT(r.p->conn[0].port, 443);
    CHECK(r.p->conn[0].tls);
    CHECK_STR(r.p->conn[1].host, "49983-box1.dom.test");
    CHECK_STR(head_value(r.p->request[1].head, "Host", value, sizeof value),
        "49983-box1.dom.test");
    call.domain = "other.test";
    CHECK_INT(get_info(&r, &call), SBX_OK);
    CHECK_STR(r.p->conn[2].host, "api.other.test");
    CHECK_INT(sbx_sandbox_host(r.s, 8080, value, sizeof value), SBX_OK);
    CHECK_STR(value, "8080-box1.dom.test");
    rig_end(&r);
}

/* What goes into a host name must not be able to change it. */
TEST(ids_cannot_change_the_host)
{
    static const char *const ids[] = { "evil.test/x", "evil.test:80/x", "a@b", "a?b", "a#b", "a/b",
        "a b", "..", "a\\b", "[::1]" };
    static const char *const domains[] = { "a/b", "e.test/", "x@y.test", "a b", "a\r\nb", "" };
    turn turns[] = { { "none", 204, 0, .used = 1 } };
    rig r;
    size_t i;
    sbx_call call = { 0 };
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.domain = "dom.test";
    r.g.sandbox_url = NULL;
    r.g.api_url = "http://api.{domain}";
    rig_open(&r);
    call.error = &r.e;
    for (i = 0; i < sizeof ids / sizeof *ids; i++) {
        sbx_sandbox *s;
        bool yes = true;
        test_row = ids[i];
        if (sbx_sandbox_attach(r.c, ids[i], NULL, &s) != SBX_OK) continue;
        CHECK_INT(sbx_sandbox_is_running(s, &yes, &call), SBX_E_ARG);
        sbx_sandbox_release(s);
    }
    for (i = 0; i < sizeof domains / sizeof *domains; i++) {
        test_row = domains[i];
        call.domain = domains[i];
        CHECK_INT(get_info(&r, &call), SBX_E_ARG);
    }
    test_row = NULL;
    CHECK_INT(r.p->conns, 0);
    rig_end(&r);
}

TEST(injection)
{
    static const char *const evil[] = { "a\r\nX-Evil: 1", "a\nb", "a\rb", "\x7f", "\x01x" };
    turn turns[] = { { NULL, 200, 0, "{\"entry\":{\"name\":\"x\"}}", .always = true, .used = 1 } };
    rig r;
    size_t i;
    sbx_call call = { 0 };
    BEGIN(&r, turns);
    call.error = &r.e;
    for (i = 0; i < 5; i++) {
        sbx_files_options fo = { 0 };
        sbx_command_options co = { 0 };
        sbx_sandbox_options so = { 0 };
        sbx_sandbox_access a = { 0 };
        sbx_file_info *info;
        sbx_sandbox *s = NULL, *made;
        sbx_sink none = { 0 };
        sbx_call own = { 0 };
        test_row = evil[i];
        CHECK_INT(sbx_sandbox_attach(r.c, evil[i], NULL, &s), SBX_E_ARG);
        CHECK(!s);
        own.api_key = evil[i];
        CHECK_INT(get_info(&r, &own), SBX_E_ARG);
        own.api_key = NULL;
        own.domain = evil[i];
        so.idempotency_key = evil[i];
        CHECK_INT(sbx_sandbox_create(r.c, &so, &made, &call), SBX_E_ARG);
        a.access_token = evil[i];
        CHECK_INT(sbx_sandbox_attach(r.c, "ok", &a, &s), SBX_OK);
        CHECK_INT(sbx_files_stat(s, "/f", NULL, &info, &call), SBX_E_ARG);
        sbx_sandbox_release(s);
        CHECK_INT(r.p->requests, 0);
        fo.user = evil[i];
        (void)sbx_files_stat(r.s, evil[i], &fo, &info, &call);
        sbx_free(info);
        (void)sbx_files_read(r.s, evil[i], &fo, none, &call);
        co.user = co.tag = co.cwd = evil[i];
        (void)sbx_command_run(r.s, evil[i], &co, NULL, &call);
        while (r.p->requests) {
            size_t q;
            for (q = 0; q < r.p->requests; q++) {
                CHECK(!strstr(r.p->request[q].head, "X-Evil: 1"));
                CHECK(!strstr(r.p->request[q].head, "\x7f"));
                CHECK(!strstr(r.p->request[q].head, "\x01"));
            }
            peer_forget_requests(r.p);
        }
    }
    test_row = NULL;
    rig_end(&r);
}

/* The API key goes to the control plane only, extra headers too. */
TEST(secrets_stay_home)
{
    turn turns[] = { { NULL, 200, 0, "{\"entry\":{\"name\":\"x\"},\"sandboxID\":\"new1\","
        "\"envdAccessToken\":\"t9\"}", .always = true } };
    static const sbx_pair extra = { "X-Extra", "yes" };
    rig r;
    size_t i, control = 0, box = 0;
    sbx_sandbox *made;
    sbx_file_info *info;
    sbx_sink none = { 0 };
    sbx_call call = { 0 };
    bool yes;
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.headers.items = &extra;
    r.g.headers.count = 1;
    rig_open(&r);
    call.api_key = "e2b_other";
    CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, NULL), SBX_OK);
    CHECK_INT(get_info(&r, &call), SBX_OK);
    CHECK_INT(sbx_files_stat(made, "/f", NULL, &info, &call), SBX_OK);
    sbx_free(info);
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, none, &call), SBX_OK);
    CHECK_INT(sbx_sandbox_is_running(r.s, &yes, &call), SBX_OK);
    CHECK_INT(sbx_sandbox_kill(made, &yes, NULL), SBX_OK);
    sbx_sandbox_release(made);
    for (i = 0; i < r.p->requests; i++) {
        const prequest *q = &r.p->request[i];
        char value[64];
        if (strcmp(r.p->conn[q->conn].host, "api.test") == 0) {
            control++;
            CHECK(strstr(q->head, i == 1 ? "e2b_other" : "e2b_key") != NULL);
            CHECK(strstr(q->head, "X-Extra: yes") != NULL);
            CHECK(!head_value(q->head, "X-Access-Token", value, sizeof value));
        } else {
            box++;
            CHECK(!strstr(q->head, "e2b_"));
            CHECK(!strstr(q->head, "X-Extra"));
            CHECK(head_value(q->head, "X-Access-Token", value, sizeof value) != NULL);
        }
    }
    CHECK_INT(control, 3);
    CHECK_INT(box, 3);
    rig_end(&r);
}

/* ---- bad arguments, no way to wait --------------------------------------------- */

TEST(failed_starts_leave_no_operation)
{
    turn turns[] = { { "none", 204, 0, .used = 1 } };
    rig r;
    sbx_op *op = (sbx_op *)&r;
    sbx_sandbox *made = (sbx_sandbox *)&r;
    sbx_sandbox_options o = { 0 };
    sbx_call call = { 0 };
    BEGIN(&r, turns);
    call.op = &op;
    call.error = &r.e;
    o.timeout_s = -1;
    CHECK_INT(sbx_sandbox_create(r.c, &o, &made, &call), SBX_E_ARG);
    CHECK(!op);
    CHECK(!made);
    op = (sbx_op *)&r;
    CHECK_INT(sbx_command_run(r.s, NULL, NULL, NULL, &call), SBX_E_ARG);
    CHECK(!op);
    r.p->heap.fail_at = r.p->heap.calls + 1;
    op = (sbx_op *)&r;
    CHECK_INT(sbx_command_kill(r.s, 5, NULL, &call), SBX_E_NOMEM);
    CHECK(!op);
    rig_end(&r);
}

TEST(polling_only)
{
    turn turns[] = { { "GET /health ", 204, 0 } };
    rig r;
    sbx_op *op;
    sbx_call call;
    bool yes;
    int n = 100;
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.net.wait = NULL;
    rig_open(&r);
    CHECK_INT(sbx_sandbox_is_running(r.s, &yes, NULL), SBX_E_NO_WAIT);
    call = polled(&r, &op);
    CHECK_INT(sbx_sandbox_is_running(r.s, &yes, &call), SBX_PENDING);
    while (sbx_op_status(op) == SBX_PENDING && n--) CHECK_INT(sbx_poll(r.c, 0, NULL), SBX_OK);
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_INT(sbx_poll(r.c, 1, NULL), SBX_E_NO_WAIT);
    sbx_op_release(op);
    rig_end(&r);
}

/* The last byte of a reply may come with the last read of a turn. */
TEST(replies_of_every_length)
{
    size_t len;
    for (len = 0; len < 140; len++) {
        turn turns[] = { { T_READ, 200, 0 } };
        rig r;
        char *data = pattern(len);
        picky k = { 0 };
        uint64_t start;
        turns[0].body = data;
        turns[0].body_len = len;
        BEGIN(&r, turns);
        r.p->recv_max = 1;
        start = r.p->now;
        CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), NULL), SBX_OK);
        CHECK_MEM(k.got.p, k.got.len, data, len);
        CHECK_INT(r.p->now, start);
        pt_free(&k.got);
        free(data);
        rig_end(&r);
    }
}
