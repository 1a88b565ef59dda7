/* loop_test - waiting: what sbx_waits() lists, that only operations run which have
   something to do, that nothing spins or blocks, and that any operation may be
   ended at any moment. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"
#include "op_kinds.h"

/* ---- only what is ready runs ------------------------------------------------------ */

enum { BY_POLL, BY_LOOP, BY_BLOCKING, BY_SILENT_LOOP, BY_SILENT_WAIT, LOOPS };

/* Calls of recv() and send() for 100 pieces of one stream beside 200 idle ones. */
static unsigned long calls_beside_idle(int way)
{
    enum { IDLE = 200, PIECES = 100 };
    turn turns[] = { { T_START, 0, .always = true }, { T_READ, 200, 0, .slice = 10, .slice_ms = 5 } };
    static const char *const none[] = { "" };
    ptext stream = { 0 }, raw = { 0 };
    rig r;
    sbx_op *ops[IDLE], *one;
    sbx_call call;
    picky k = { 0 };
    char *data = pattern(PIECES * 10);
    unsigned long before, calls;
    size_t i, running;
    stream_of(&stream, none, 0);
    pt_format(&raw, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    pt_format(&raw, "%x\r\n", 5u + stream.p[4]);
    pt_add(&raw, stream.p, 5u + (unsigned char)stream.p[4]); /* the start, then silence */
    pt_put(&raw, "\r\n");
    turns[0].raw = raw.p;
    turns[1].body = data;
    turns[1].body_len = PIECES * 10;
    rig_start(&r);
    peer_script(r.p, turns, 2);
    if (way == BY_SILENT_WAIT) r.g.net.flags &= ~SBX_NET_READY;
    rig_open(&r);
    for (i = 0; i < IDLE; i++) {
        call = polled(&r, &ops[i]);
        call.timeout_ms = SBX_NEVER;
        CHECK_INT(sbx_command_run(r.s, "x", NULL, NULL, &call), SBX_PENDING);
    }
    for (i = 0; i < 10; i++) sbx_poll(r.c, 1, &running);
    CHECK_INT(running, IDLE);
    CHECK_INT(r.p->requests, IDLE);
    before = r.p->calls[P_RECV] + r.p->calls[P_SEND];
    call = polled(&r, &one);
    if (way == BY_BLOCKING) {
        CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), NULL), SBX_OK);
    } else {
        CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), &call), SBX_PENDING);
        r.p->no_wait = way == BY_LOOP || way == BY_SILENT_LOOP;
        for (i = 0; i < 1000 && sbx_op_status(one) == SBX_PENDING; i++)
            if (r.p->no_wait) own_turn(&r, way == BY_LOOP, &running);
            else CHECK_INT(sbx_poll(r.c, 60000, &running), SBX_OK);
        CHECK_INT(sbx_op_status(one), SBX_OK);
        sbx_op_release(one);
    }
    calls = r.p->calls[P_RECV] + r.p->calls[P_SEND] - before;
    CHECK_MEM(k.got.p, k.got.len, data, PIECES * 10);
    for (i = 0; i < IDLE; i++) {
        CHECK_INT(sbx_op_status(ops[i]), SBX_PENDING);
        sbx_op_release(ops[i]);
    }
    pt_free(&k.got);
    pt_free(&raw);
    pt_free(&stream);
    free(data);
    rig_end(&r);
    return calls;
}

TEST(calls_follow_activity)
{
    /* each piece: the wake that brings it, and the one that says there is no more */
    CHECK(calls_beside_idle(BY_POLL) <= 2 * 100 + 20);
    CHECK(calls_beside_idle(BY_LOOP) <= 2 * 100 + 20);
    CHECK(calls_beside_idle(BY_BLOCKING) <= 2 * 100 + 20);
    /* who does not tell what is ready makes all be tried, with the same result */
    CHECK(calls_beside_idle(BY_SILENT_LOOP) > 200 * 100);
    CHECK(calls_beside_idle(BY_SILENT_WAIT) > 200 * 100);
}

/* A list that is partial, in another order, or of connections long gone: everything
   comes to its end all the same, as what is not in the list runs. */
TEST(odd_lists)
{
    int way;
    for (way = 0; way < 5; way++) {
        enum { OPS = 6 };
        turn turns[] = { { T_READ, 200, 0, "0123456789", .slice = 1, .slice_ms = 3,
            .always = true } };
        rig r;
        sbx_op *ops[OPS];
        picky k[OPS] = { 0 };
        sbx_wait w[P_CONNS], swap;
        size_t i, n, running = OPS, rounds = 0;
        uint32_t next;
        BEGIN(&r, turns);
        CHECK_INT(sbx_ready(NULL, w, 0), SBX_E_ARG);
        CHECK_INT(sbx_ready(r.c, NULL, 1), SBX_E_ARG);
        CHECK_INT(sbx_ready(r.c, NULL, 0), SBX_OK);
        r.p->no_wait = true;
        for (i = 0; i < OPS; i++) {
            sbx_call call = polled(&r, &ops[i]);
            CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k[i]), &call), SBX_PENDING);
        }
        while (running && rounds++ < 500) {
            CHECK_INT(sbx_waits(r.c, w, P_CONNS, &n, &next), SBX_OK);
            if (n || next) (void)peer_sleep(r.p, w, n, next);
            if (way == 0 && n > 1) n = 1;               /* a part */
            for (i = 0; way == 1 && i < n / 2; i++) {   /* the other way round */
                swap = w[i];
                w[i] = w[n - 1 - i];
                w[n - 1 - i] = swap;
            }
            for (i = 0; way == 2 && i < n; i++) w[i].conn = &r; /* none of ours */
            if (way == 3) CHECK_INT(sbx_ready(r.c, w, n), SBX_OK); /* twice: the last counts */
            if (way == 3) n = n / 2;
            if (way == 4) for (i = 0; i < n; i++) w[i].ready = 1;
            CHECK_INT(sbx_ready(r.c, w, n), SBX_OK);
            CHECK_INT(sbx_poll(r.c, 0, &running), SBX_OK);
        }
        CHECK_INT(running, 0);
        for (i = 0; i < OPS; i++) {
            CHECK_INT(sbx_op_status(ops[i]), SBX_OK);
            CHECK_MEM(k[i].got.p, k[i].got.len, "0123456789", 10);
            sbx_op_release(ops[i]);
            pt_free(&k[i].got);
        }
        rig_end(&r);
    }
}

/* What is due, woken or cancelled runs although its connection is quiet. */
TEST(quiet_but_due)
{
    turn turns[] = { { T_READ, 0, .raw = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        .always = true } };
    rig r;
    sbx_op *late, *gone, *sleepy;
    picky k[3] = { 0 };
    sbx_call call;
    size_t running;
    BEGIN(&r, turns);
    r.p->no_wait = true;
    call = polled(&r, &late);
    call.timeout_ms = 5000;
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k[0]), &call), SBX_PENDING);
    call = polled(&r, &gone);
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k[1]), &call), SBX_PENDING);
    call = polled(&r, &sleepy);
    k[2].refuse = 1;
    CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k[2]), &call), SBX_PENDING);
    while (k[2].calls == 0) own_turn(&r, true, &running);
    sbx_op_cancel(gone);
    sbx_op_wake(sleepy);
    own_turn(&r, true, &running);
    CHECK_INT(sbx_op_status(gone), SBX_E_CANCELLED);
    CHECK_MEM(k[2].got.p, k[2].got.len, "abc", 3);
    CHECK_INT(running, 2);
    own_turn(&r, true, &running); /* sleeps to the end of the first */
    CHECK_INT(sbx_op_status(late), SBX_E_TIMEOUT);
    CHECK_INT(running, 1);
    own_turn(&r, true, &running); /* and to that of the idle clock of the other */
    CHECK_INT(sbx_op_status(sleepy), SBX_E_TIMEOUT);
    CHECK_INT(r.e.clock, SBX_CLOCK_IDLE);
    sbx_op_release(late);
    sbx_op_release(gone);
    sbx_op_release(sleepy);
    pt_free(&k[0].got);
    pt_free(&k[1].got);
    pt_free(&k[2].got);
    rig_end(&r);
}

/* ---- what sbx_waits() says --------------------------------------------------------- */

static void waits_are(rig *r, int line, size_t want_n, int want, uint32_t min, uint32_t max)
{
    sbx_wait w[4] = { { NULL, 0, 1 } };
    size_t n = 99;
    uint32_t next = 99;
    char row[24];
    snprintf(row, sizeof row, "line %d", line);
    test_row = row;
    CHECK_INT(sbx_waits(r->c, w, 4, &n, &next), SBX_OK);
    CHECK_INT(n, want_n);
    if (n) CHECK(w[0].conn == &r->p->conn[r->p->conns - 1]);
    if (n) CHECK_INT(w[0].want, want);
    if (n) CHECK_INT(w[0].ready, 0);
    CHECK(next >= min);
    CHECK(next <= max);
    CHECK_INT(sbx_waits(r->c, NULL, 0, &n, &next), SBX_OK); /* how many there would be */
    CHECK_INT(n, want_n);
    test_row = NULL;
}

#define WAITS(n, want, ms) waits_are(&r, __LINE__, n, want, ms, ms)
#define READ_ SBX_WANT_READ
#define WRITE_ SBX_WANT_WRITE
#define EVER UINT32_MAX

TEST(waits_in_every_phase)
{
    turn turns[] = {
        { "GET /sandboxes/box1 ", 503, 0, "{}", .delay_ms = 1000 },
        { "GET /sandboxes/box1 ", 200, 0, "{\"sandboxID\":\"box1\"}", .delay_ms = 1000 } };
    rig r;
    sbx_op *op;
    sbx_call call;
    sbx_sandbox_info *info;
    size_t n;
    uint32_t next;
    rig_start(&r);
    peer_script(r.p, turns, 2);
    r.g.clocks.connect_ms = 15000;
    r.g.clocks.first_byte_ms = 7000;
    r.g.clocks.idle_ms = 5000;
    rig_open(&r);
    r.p->open_ms = 3000;
    r.p->window = 20;
    CHECK_INT(sbx_waits(NULL, NULL, 0, &n, &next), SBX_E_ARG);
    CHECK_INT(sbx_waits(r.c, NULL, 1, &n, &next), SBX_E_ARG);
    CHECK_INT(sbx_waits(r.c, NULL, 0, NULL, &next), SBX_E_ARG);
    CHECK_INT(sbx_waits(r.c, NULL, 0, &n, NULL), SBX_E_ARG);
    WAITS(0, 0, EVER);                      /* nothing runs */
    call = polled(&r, &op);
    CHECK_INT(sbx_sandbox_get_info(r.s, &info, &call), SBX_PENDING);
    WAITS(0, 0, 0);                         /* started: wants to run at once */
    sbx_poll(r.c, 0, NULL);
    WAITS(1, WRITE_, 1000);                 /* connecting: asked again each second */
    r.p->now += 3000;
    sbx_poll(r.c, 0, NULL);
    WAITS(1, READ_ | WRITE_, 5000);         /* the peer's window is full */
    r.p->window = 0;
    sbx_poll(r.c, 0, NULL);
    WAITS(1, READ_, 7000);                  /* all sent */
    r.p->now += 400;
    WAITS(1, READ_, 6600);
    r.p->now += 600;
    sbx_poll(r.c, 0, NULL);
    waits_are(&r, __LINE__, 0, 0, 50, 100); /* a nap before the next try */
    r.p->open_ms = 0;
    r.p->now += 100;
    WAITS(0, 0, 0);
    sbx_poll(r.c, 0, NULL);
    WAITS(1, READ_, 7000);
    r.p->now += 1000;
    sbx_poll(r.c, 0, NULL);
    WAITS(0, 0, EVER);                      /* ended, not released */
    CHECK_INT(sbx_op_status(op), SBX_OK);
    sbx_free(info);
    sbx_op_release(op);
    rig_end(&r);
}

TEST(waits_end_with_the_total_clock)
{
    turn turns[] = { { "GET /health ", 0 } };
    rig r;
    sbx_op *op;
    sbx_call call;
    bool yes;
    BEGIN(&r, turns);
    call = polled(&r, &op);
    call.timeout_ms = 2500;
    CHECK_INT(sbx_sandbox_is_running(r.s, &yes, &call), SBX_PENDING);
    sbx_poll(r.c, 0, NULL);
    WAITS(1, READ_, 2500);
    r.p->now += 2499;
    WAITS(1, READ_, 1);
    sbx_poll(r.c, 0, NULL);
    CHECK_INT(sbx_op_status(op), SBX_PENDING);
    r.p->now++;
    WAITS(1, READ_, 0);
    sbx_poll(r.c, 0, NULL);
    CHECK_INT(sbx_op_status(op), SBX_E_TIMEOUT);
    CHECK_INT(r.e.clock, SBX_CLOCK_TOTAL);
    sbx_op_release(op);
    rig_end(&r);
}

/* ---- asleep ------------------------------------------------------------------------- */

static unsigned long transport_calls(const peer *p)
{
    return p->calls[P_OPEN] + p->calls[P_SEND] + p->calls[P_RECV];
}

/* A sink that is not ready: the connection is not even asked for, so that the peer
   is slowed down by its window, whatever it sends meanwhile. */
TEST(sleeping_sink_costs_nothing)
{
    int way;
    for (way = 0; way < 3; way++) { /* 0: poll, 1: own loop, 2: own loop that does not tell */
        turn turns[] = { { T_READ, 200, 0, "0123456789", .slice = 1, .slice_ms = 10 } };
        rig r;
        sbx_op *op;
        picky k = { 0 };
        sbx_call call;
        unsigned long before;
        size_t i, n;
        uint32_t next;
        BEGIN(&r, turns);
        call = polled(&r, &op);
        call.timeout_ms = 100000000;
        k.refuse = 1;
        CHECK_INT(sbx_files_read(r.s, "/f", NULL, picky_sink(&k), &call), SBX_PENDING);
        while (!k.calls && sbx_poll(r.c, 60000, NULL) == SBX_OK) {}
        WAITS(0, 0, 100000000 - (uint32_t)(r.p->now - 1000000));
        before = transport_calls(r.p);
        for (i = 0; i < 1000; i++) {
            CHECK_INT(sbx_waits(r.c, NULL, 0, &n, &next), SBX_OK);
            CHECK_INT(n, 0);
            if (way) r.p->now += 10;
            if (way == 1) CHECK_INT(sbx_ready(r.c, NULL, 0), SBX_OK);
            CHECK_INT(sbx_poll(r.c, way ? 0 : 10, NULL), SBX_OK);
        }
        CHECK_INT(transport_calls(r.p), before);
        CHECK_INT(k.calls, 1);
        for (i = 0; i < 1000 && sbx_op_status(op) == SBX_PENDING; i++) {
            sbx_op_wake(op);
            CHECK_INT(sbx_poll(r.c, 10, NULL), SBX_OK);
        }
        CHECK_INT(sbx_op_status(op), SBX_OK);
        CHECK_MEM(k.got.p, k.got.len, "0123456789", 10);
        sbx_op_release(op);
        pt_free(&k.got);
        rig_end(&r);
    }
}

/* A source that is not ready: its connection is listened to, nothing else, and no
   clock but the total one runs. */
TEST(sleeping_source_costs_nothing)
{
    int tell, size;
    for (tell = 0; tell < 2; tell++)
        for (size = 0; size < 2; size++) {
            turn turns[] = { { T_FILES, 200, 0, WRITTEN } };
            rig r;
            sbx_op *op;
            well w = { "0123456789", 10, 0, 3, 1, 0, 0, 0, 0, 0, 0, NULL };
            sbx_call call;
            unsigned long before;
            unsigned i, asked;
            size_t running;
            BEGIN(&r, turns);
            call = polled(&r, &op);
            CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, size ? 10 : -1, false), NULL,
                NULL, &call), SBX_PENDING);
            for (i = 0; i < 5; i++) CHECK_INT(sbx_poll(r.c, 1, NULL), SBX_OK);
            WAITS(1, READ_, EVER);
            before = transport_calls(r.p);
            asked = w.calls;
            for (i = 0; i < 1000; i++) {
                sbx_wait one = { &r.p->conn[0], READ_, 0 };
                r.p->now += 100000; /* far beyond the idle clock */
                if (tell) CHECK_INT(sbx_ready(r.c, &one, 1), SBX_OK);
                if (tell) CHECK_INT(sbx_poll(r.c, 0, NULL), SBX_OK);
                else CHECK_INT(sbx_poll(r.c, 1000, NULL), SBX_OK);
            }
            CHECK_INT(transport_calls(r.p), before);
            CHECK_INT(sbx_poll(r.c, 0, NULL), SBX_OK); /* looks, as nobody told it not to */
            CHECK_INT(transport_calls(r.p), before + 1);
            CHECK_INT(sbx_op_status(op), SBX_PENDING);
            CHECK_INT(w.calls, asked);
            for (i = 0; i < 100 && sbx_op_status(op) == SBX_PENDING; i++) {
                sbx_op_wake(op);
                own_turn(&r, true, &running);
            }
            CHECK_INT(sbx_op_status(op), SBX_OK);
            CHECK(r.p->request[0].whole);
            sbx_op_release(op);
            rig_end(&r);
        }
}

/* The service answers, or goes, while the source sleeps: the call ends at once. */
TEST(early_reply_while_the_source_sleeps)
{
    static const struct { const char *name; turn t; int want; bool rewinds; } rows[] = {
        { "refused", { T_FILES, 413, 0, "{}", .early = true, .early_body = 3 },
            SBX_E_TOO_LARGE, true },
        { "refused and closed", { T_FILES, 507, 0, "{}", .early = true, .early_body = 3,
            .shut = true }, SBX_E_NO_SPACE, true },
        { "refused, byte by byte", { T_FILES, 413, 0, "{\"message\":\"no\"}", .early = true,
            .early_body = 3, .slice = 1, .slice_ms = 7 }, SBX_E_TOO_LARGE, true },
        { "satisfied", { T_FILES, 200, 0, WRITTEN, .early = true, .early_body = 3 }, SBX_OK, true },
        { "gone", { T_FILES, 0, .early = true, .early_body = 3, .shut = true },
            SBX_E_UNREACHABLE, true },
        { "reset", { T_FILES, 0, .early = true, .early_body = 3, .reset = true },
            SBX_E_UNREACHABLE, false },
        { "half an answer", { T_FILES, 0, .raw = "HTTP/1.1 413 No\r\nContent-Length: 9\r\n\r\n{",
            .early = true, .early_body = 3 }, SBX_E_TIMEOUT, false },
    };
    size_t i;
    int loop;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (loop = 0; loop < 2; loop++) {
            turn turns[2] = { { NULL }, { "GET /health ", 204, 0, .always = true, .used = 1 } };
            rig r;
            sbx_op *op;
            well w = { "0123456789", 10, 0, 5, 1, 0, 0, 0, 0, 0, 0, NULL };
            sbx_call call;
            unsigned rounds;
            size_t running = 1;
            test_row = rows[i].name;
            turns[0] = rows[i].t;
            turns[0].delay_ms = 50;
            BEGIN(&r, turns);
            call = polled(&r, &op);
            CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 10, rows[i].rewinds), NULL, NULL,
                &call), SBX_PENDING);
            /* one wake: five of ten bytes are given, then it sleeps for good */
            for (rounds = 0; rounds < 200 && running; rounds++) {
                if (rounds == 1) sbx_op_wake(op);
                if (rounds > 5 && w.pos == 5 && r.p->conn[0].out.len == 0) break;
                if (loop) own_turn(&r, true, &running);
                else sbx_poll(r.c, 60000, &running);
            }
            CHECK_INT(sbx_op_status(op), rows[i].want);
            CHECK_INT(w.pos, 5);
            if (rows[i].want == SBX_E_TIMEOUT) CHECK_INT(r.e.clock, SBX_CLOCK_IDLE);
            sbx_op_release(op);
            rig_end(&r);
        }
    test_row = NULL;
}

/* An interim answer is none: the source is asked again when it is woken. */
TEST(interim_reply_while_the_source_sleeps)
{
    turn turns[] = { { T_FILES, 0, .raw = "HTTP/1.1 100 Continue\r\n\r\n", .early = true,
        .interim = true }, { T_FILES, 200, 0, WRITTEN } };
    rig r;
    sbx_op *op;
    well w = { "0123456789", 10, 0, 5, 1, 0, 0, 0, 0, 0, 0, NULL };
    sbx_call call;
    unsigned i, asked;
    size_t running;
    BEGIN(&r, turns);
    call = polled(&r, &op);
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, 10, true), NULL, NULL, &call),
        SBX_PENDING);
    sbx_poll(r.c, 1, NULL);
    asked = w.calls;
    for (i = 0; i < 20; i++) CHECK_INT(sbx_poll(r.c, 1, NULL), SBX_OK);
    CHECK_INT(w.calls, asked);
    CHECK_INT(r.p->conn[0].out.len - r.p->conn[0].taken, 0); /* it was read */
    WAITS(1, READ_, EVER);
    for (i = 0; i < 50 && sbx_op_status(op) == SBX_PENDING; i++) {
        sbx_op_wake(op);
        own_turn(&r, true, &running);
    }
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_MEM(r.p->request[0].body.p, r.p->request[0].body.len, "0123456789", 10);
    sbx_op_release(op);
    rig_end(&r);
}

/* A source on a kept connection that dies while it sleeps: sent again on a fresh
   one, and asked from its beginning without having been woken. */
TEST(kept_connection_dies_while_the_source_sleeps)
{
    turn turns[] = { { "GET /health ", 204, 0 },
        { T_FILES, 0, .early = true, .shut = true, .delay_ms = 50 }, { T_FILES, 200, 0, WRITTEN } };
    rig r;
    sbx_op *op;
    well w = { "0123456789", 10, 0, 5, 0, 0, 0, 0, 0, 0, 0, NULL };
    sbx_call call;
    bool yes;
    unsigned i;
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_is_running(r.s, &yes, NULL), SBX_OK);
    call = polled(&r, &op);
    CHECK_INT(sbx_files_write(r.s, "/f", well_source(&w, -1, true), NULL, NULL, &call),
        SBX_PENDING);
    w.left = 1;
    for (i = 0; i < 50 && sbx_op_status(op) == SBX_PENDING; i++) sbx_poll(r.c, 1000, NULL);
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_INT(w.rewinds, 1);
    CHECK_INT(r.p->conns, 2);
    CHECK_MEM(r.p->request[2].body.p, r.p->request[2].body.len, "0123456789", 10);
    sbx_op_release(op);
    rig_end(&r);
}

/* ---- nothing blocks ----------------------------------------------------------------- */

static void check_slot(slot *s, const char *alone)
{
    ptext t = { 0 };
    int status = sbx_op_status(s->op);
    slot_tell(s, status, &t);
    CHECK_STR(t.p, alone);
    CHECK_INT(s->done, 1);
    CHECK_INT(s->status, status);
    pt_free(&t);
}

/* Every kind of call by sbx_poll(0) alone: on a transport that cannot wait, and on one
   that complains when it is made to. */
TEST(polled_paths_never_block)
{
    int kind, way, strange;
    for (kind = 0; kind < K_COUNT; kind++)
        for (way = 0; way < 4; way++)
            for (strange = 0; strange < 2; strange++) {
                turn busy = { NULL, 503, "Retry-After: 1\r\n", "{}", .lacks = "GET /health" };
                const char *alone = kind_alone(kind);
                kinds k;
                slot s;
                size_t running;
                unsigned i;
                bool nap = way & 2 && kind != K_RUNNING && (strange || kind < K_COMMAND);
                test_row = kind_names[kind];
                kinds_begin(&k, &busy, nap ? 1 : 0);
                if (way & 1) k.r.g.net.wait = NULL;
                kinds_open(&k);
                k.r.p->no_wait = true;
                k.r.p->open_ms = 20;
                k.r.p->would_block = way & 2;
                slot_init(&s, &k, kind, strange);
                s.refuse = way & 2 ? 1 : 0;
                CHECK_INT(slot_start(&s, false), SBX_PENDING);
                for (i = 0; i < 3000 && sbx_op_status(s.op) == SBX_PENDING; i++) {
                    slot_wake(&s);
                    own_turn(&k.r, way & 1, &running);
                }
                check_slot(&s, alone);
                slot_free(&s);
                kinds_end(&k);
            }
    test_row = NULL;
}

/* ---- callbacks ----------------------------------------------------------------------- */

enum { ACT_NOTHING, ACT_CALLS, ACT_CANCEL, ACT_RELEASE, ACT_CANCEL_OTHER, ACT_RELEASE_OTHER,
    ACT_WAKE, ACT_START, ACTS };

/* Everything that blocks, and the end of the client, is refused inside a callback. */
static void act_calls(slot *s)
{
    sbx_client *c = s->r->c;
    bool yes;
    CHECK_INT(sbx_close(c), SBX_E_REENTRANT);
    CHECK_INT(sbx_poll(c, 0, NULL), SBX_E_REENTRANT);
    CHECK_INT(sbx_poll(c, 10, NULL), SBX_E_REENTRANT);
    CHECK_INT(sbx_sandbox_is_running(s->r->s, &yes, NULL), SBX_E_REENTRANT);
    CHECK_INT(sbx_client_error(c)->status, SBX_E_REENTRANT);
    CHECK_INT(sbx_files_remove(s->r->s, "/x", NULL, NULL), SBX_E_REENTRANT);
}

static void act(slot *s)
{
    size_t n;
    uint32_t next;
    slot *o = s->other;
    CHECK_INT(sbx_waits(s->r->c, NULL, 0, &n, &next), SBX_OK); /* harmless anywhere */
    if (s->callbacks < s->at) return;
    if (s->action == ACT_CALLS) act_calls(s);
    if (s->callbacks > s->at) return;
    switch (s->action) {
    case ACT_CANCEL: sbx_op_cancel(s->op); break;
    case ACT_RELEASE: sbx_op_release(s->op); s->op = NULL; break;
    case ACT_CANCEL_OTHER: sbx_op_cancel(o->op); break;
    case ACT_RELEASE_OTHER: sbx_op_release(o->op); o->op = NULL; break;
    case ACT_WAKE: sbx_op_wake(s->op); break;
    case ACT_START: if (!o->op) CHECK_INT(slot_start(o, false), SBX_PENDING); break;
    default: break;
    }
}

/* The at-th callback of a call does something; false: there is no such callback. */
static bool act_at(int kind, int action, unsigned at, bool other_first)
{
    turn never = { "GET /health ", 0, .always = true, .used = 1 };
    const char *alone = kind_alone(kind), *other_alone = kind_alone(K_STAT);
    bool ends_other = action == ACT_CANCEL_OTHER || action == ACT_RELEASE_OTHER, called;
    kinds k;
    slot s, o;
    size_t running = 1;
    unsigned i, after = 0;
    kinds_begin(&k, &never, ends_other && kind != K_RUNNING);
    kinds_open(&k);
    k.r.p->recv_max = 20;
    slot_init(&s, &k, kind, false);
    slot_init(&o, &k, ends_other ? K_RUNNING : K_STAT, false);
    s.hook = act;
    s.action = action;
    s.at = at;
    s.other = &o;
    if (action != ACT_START && other_first) CHECK_INT(slot_start(&o, false), SBX_PENDING);
    CHECK_INT(slot_start(&s, false), SBX_PENDING);
    if (action != ACT_START && !other_first) CHECK_INT(slot_start(&o, false), SBX_PENDING);
    for (i = 0; i < 2000 && running; i++) {
        CHECK_INT(sbx_poll(k.r.c, 60000, &running), SBX_OK);
        if (action == ACT_RELEASE && s.callbacks >= at && !after) after = s.callbacks;
    }
    CHECK_INT(running, 0);
    called = s.callbacks >= at;
    if (action == ACT_RELEASE && called) {
        CHECK(!s.op);
        CHECK_INT(s.callbacks, at);     /* not one more, done() neither */
        if (!s.done) CHECK(slot_is_empty(&s));
    } else if (action == ACT_CANCEL && called && s.status != SBX_OK) {
        CHECK_INT(sbx_op_status(s.op), SBX_E_CANCELLED);
        CHECK_INT(s.done, 1);
        CHECK_INT(s.callbacks, at + 1); /* only done() after it */
        CHECK(slot_is_empty(&s));
    } else {
        check_slot(&s, alone);
    }
    if (o.op && action != ACT_START && !ends_other) check_slot(&o, other_alone);
    if (o.op && action == ACT_START) CHECK_INT(o.done, 1);
    if (ends_other && called) CHECK_INT(o.done, action == ACT_CANCEL_OTHER);
    slot_free(&s);
    slot_free(&o);
    kinds_end(&k);
    return called;
}

TEST(callbacks_may_do_it)
{
    char row[80];
    int kind, action, first;
    unsigned at;
    for (kind = 0; kind < K_COUNT; kind++)
        for (action = 0; action < ACTS; action++)
            for (first = 0; first < 2; first++)
                for (at = 1; at < 100; at++) {
                    (void)kind_alone(kind);
                    snprintf(row, sizeof row, "%s, action %d at callback %u, %d",
                        kind_names[kind], action, at, first);
                    test_row = row;
                    if (kind == K_RUNNING && action >= ACT_CANCEL_OTHER) continue;
                    if (!act_at(kind, action, at, first) || test_failures > 20) break;
                }
    test_row = NULL;
}

/* ---- an end at every step ------------------------------------------------------------- */

enum { BY_CANCEL, BY_RELEASE, BY_CLOSE, BY_WAYS };
enum { PLAIN, FETCHING, NAPPING, PROBING, ASLEEP, SCENES };

/* Whether the scene makes sense for the kind, and the turn it begins with. */
static bool scene_turn(int scene, int kind, turn *t)
{
    static const turn busy = { NULL, 503, "Retry-After: 1\r\n", "{}", .lacks = "GET /health",
        .used = 0 };
    static const turn cut = { NULL, 0, .raw = "HTTP/1.1 200 OK\r\nContent-Le", .shut = true,
        .lacks = "GET /health" };
    bool data_plane = kind >= K_COMMAND;
    *t = scene == PROBING ? cut : busy;
    switch (scene) {
    case PLAIN: return true;
    case FETCHING: return data_plane;
    case NAPPING: return !data_plane && kind != K_RUNNING;
    case PROBING: return data_plane;
    default: return kind == K_COMMAND || kind == K_READ
        || (kind >= K_WRITE && kind <= K_WRITE_MANY && kind != K_WRITE_BYTES);
    }
}

/* Ends it after so many polls, each of which makes one call of the transport; true: it
   was over before. */
static bool end_after(int scene, int kind, int way, unsigned steps, size_t io)
{
    turn first;
    bool extra = scene_turn(scene, kind, &first) && (scene == NAPPING || scene == PROBING), over;
    kinds k;
    slot s;
    unsigned i, sent, deleted;
    size_t running = 1;
    kinds_begin(&k, &first, extra);
    kinds_open(&k);
    k.turns[0].used = extra ? 0 : 1; /* need not come that far */
    k.r.p->recv_max = k.r.p->send_max = io;
    k.r.p->would_block = true;
    k.r.p->open_ms = 3;
    slot_init(&s, &k, kind, scene == FETCHING);
    s.refuse = scene == ASLEEP ? 1 : 0;
    CHECK_INT(slot_start(&s, false), SBX_PENDING);
    for (i = 0; i < steps && sbx_op_status(s.op) == SBX_PENDING; i++) {
        if (i & 1 && s.op->asleep) sbx_op_wake(s.op);
        sbx_poll(k.r.c, s.op->phase == SBXI_PHASE_NAP ? 400 : 1, NULL);
    }
    over = sbx_op_status(s.op) != SBX_PENDING;
    if (over) {
        CHECK_INT(sbx_op_status(s.op), scene == PROBING ? SBX_E_UNREACHABLE : SBX_OK);
    } else if (way == BY_CANCEL) {
        bool waits = s.op->x.conn && s.op->x.sent;
        sbx_op_cancel(s.op);
        CHECK_INT(sbx_op_status(s.op), SBX_E_CANCELLED);
        CHECK_INT(s.status, SBX_E_CANCELLED);
        CHECK_INT(s.e.status, SBX_E_CANCELLED);
        CHECK_INT(s.done, 1);
        CHECK_INT(s.e.may_exist, waits && kind <= K_CREATE_KEYED ? SBX_YES : SBX_DEFAULT);
        sbx_op_cancel(s.op);
        slot_let_go(&s);
    } else if (way == BY_RELEASE) {
        sbx_op_release(s.op);
        s.op = NULL;
        slot_let_go(&s);
    } else {
        slot_let_go(&s);
        sbx_sandbox_release(k.r.s);
        sbx_sandbox_release(k.strange);
        CHECK_INT(sbx_close(k.r.c), SBX_OK);
        k.r.c = NULL;
        k.r.s = k.strange = NULL;
        s.op = NULL;
    }
    for (i = 0; k.r.c && i < 2000 && running; i++) sbx_poll(k.r.c, 60000, &running);
    if (k.r.c) CHECK_INT(running, 0);
    CHECK_INT(s.done, over || (way == BY_CANCEL) ? 1 : 0);
    if (!over) CHECK(slot_is_empty(&s));
    /* what was made is unmade: each create that came through, but for one refused */
    sent = requests_of(k.r.p, "POST /v2/sandboxes ");
    deleted = requests_of(k.r.p, "DELETE /sandboxes/new1 ");
    if (kind <= K_CREATE_KEYED && !over)
        CHECK_INT(deleted, sent - (scene == NAPPING && sent ? 1 : 0));
    else if (kind != K_KILL)
        CHECK_INT(deleted, 0);
    slot_free(&s);
    k.turns[0].used = 1;
    kinds_end(&k);
    return over;
}

TEST(end_at_every_step)
{
    static const char *const scenes[] = { "plain", "fetching", "napping", "probing", "asleep" };
    char row[80];
    int scene, kind, way;
    unsigned steps;
    for (scene = 0; scene < SCENES; scene++)
        for (kind = 0; kind < K_COUNT; kind++)
            for (way = 0; way < BY_WAYS; way++) {
                turn t;
                if (!scene_turn(scene, kind, &t)) continue;
                for (steps = 0; steps < 3000; steps++) {
                    bool fine = kind == K_CREATE || kind == K_COMMAND; /* each byte a step */
                    snprintf(row, sizeof row, "%s %s, way %d, step %u", scenes[scene],
                        kind_names[kind], way, steps);
                    test_row = row;
                    if (end_after(scene, kind, way, steps, fine && !scene ? 1 : 9)) break;
                    if (test_failures > 20) break;
                }
                CHECK(steps > 20 && steps < 3000);
            }
    test_row = NULL;
}

/* ---- a cancelled create is followed up -------------------------------------------------- */

typedef struct follow {
    const char *name;
    turn create, kill;
    int64_t at;             /* when the follow-up is over, ms after the cancel; */
    int64_t close_ms;       /* and how long sbx_close() takes for it */
    unsigned kills;         /* requests */
    bool kill_used;
} follow;

/* Cancelled 10 ms after it was sent, total clock 20 s: the reply is read until then,
   the sandbox killed, nothing said twice. */
TEST(cancelled_create_is_followed_up)
{
    static const char broken[] = "HTTP/1.1 201 OK\r\nContent-Length: 50\r\n\r\n{\"sandboxID\":\"n";
    static const follow rows[] = {
        { "late", { .status = 201, .body = CREATED, .delay_ms = 8010 }, { .status = 204 }, 8000,
            5000, 1, true },
        { "soon", { .status = 201, .body = CREATED, .delay_ms = 20 }, { .status = 204 }, 10, 10, 1,
            true },
        { "later than its deadline", { .status = 201, .body = CREATED, .delay_ms = 30000 },
            { .used = 1 }, 19990, 5000, 0, false },
        { "never", { 0 }, { .used = 1 }, 19990, 5000, 0, false },
        { "cut short", { .raw = broken, .shut = true, .delay_ms = 20 }, { .used = 1 }, 10, 10, 0,
            false },
        { "stalls in its middle", { .raw = broken, .delay_ms = 20 }, { .used = 1 }, 19990, 5000,
            0, false },
        { "refused", { .status = 400, .body = "{}", .delay_ms = 20 }, { .used = 1 }, 10, 10, 0,
            false },
        { "not JSON", { .status = 201, .body = "<html>", .delay_ms = 20 }, { .used = 1 }, 10, 10,
            0, false },
        { "cannot be undone", { .status = 201, .body = CREATED, .delay_ms = 20 },
            { .status = 500, .body = "{}" }, 10, 10, 1, true },
        { "undoing is not answered", { .status = 201, .body = CREATED, .delay_ms = 20 },
            { 0 }, 19990, 5000, 1, true },
    };
    size_t i;
    int close, again;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (close = 0; close < 2; close++)
            for (again = 0; again < 2; again++) {
                turn turns[2];
                rig r;
                sbx_op *op;
                sbx_sandbox *made;
                sbx_call call;
                uint64_t start;
                size_t running = 1, n;
                unsigned deletes;
                test_row = rows[i].name;
                turns[0] = rows[i].create;
                turns[1] = rows[i].kill;
                turns[0].expect = "POST /v2/sandboxes ";
                turns[1].expect = "DELETE /sandboxes/new1 ";
                if (close) turns[1].used = 1; /* perhaps there is not the time for it */
                BEGIN(&r, turns);
                if (close && rows[i].kill_used) turns[1].used = 0;
                call = polled(&r, &op);
                call.timeout_ms = 20000;
                CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &call), SBX_PENDING);
                sbx_poll(r.c, 1, NULL);
                r.p->now += 9;
                sbx_op_cancel(op);
                CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
                CHECK_INT(r.e.status, SBX_E_CANCELLED);
                CHECK_INT(r.e.may_exist, SBX_YES);
                memset(&r.e, 0x77, sizeof r.e); /* not written to any more */
                if (again) sbx_op_cancel(op);
                if (again) sbx_op_release(op);
                start = r.p->now;
                if (close) {
                    if (!again) sbx_op_release(op);
                    sbx_sandbox_release(r.s);
                    r.s = NULL;
                    CHECK_INT(sbx_close(r.c), SBX_OK);
                    r.c = NULL;
                    CHECK_INT(r.p->now - start, rows[i].close_ms);
                } else {
                    for (n = 0; n < 1000 && running; n++) sbx_poll(r.c, 60000, &running);
                    CHECK_INT(running, 0);
                    CHECK_INT(r.p->now - start, rows[i].at);
                    if (!again) CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
                    if (!again) sbx_op_release(op);
                }
                CHECK(!made);
                CHECK_INT(r.e.status, 0x77777777);
                deletes = requests_of(r.p, "DELETE ");
                CHECK_INT(deletes, close && rows[i].at > 5000 && rows[i].kills && i == 0 ? 0
                    : rows[i].kills);
                turns[1].used = 1;
                rig_end(&r);
            }
    test_row = NULL;
}

/* Without wait() nothing can be followed up at the close; it still ends at once. */
TEST(close_without_wait)
{
    turn turns[] = { { "POST /v2/sandboxes ", 201, 0, CREATED, .delay_ms = 500 } };
    rig r;
    sbx_op *op;
    sbx_sandbox *made;
    sbx_call call;
    rig_start(&r);
    peer_script(r.p, turns, 1);
    r.g.net.wait = NULL;
    rig_open(&r);
    call = polled(&r, &op);
    CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &call), SBX_PENDING);
    sbx_poll(r.c, 0, NULL);
    sbx_poll(r.c, 0, NULL);
    CHECK_INT(r.p->requests, 1);
    sbx_sandbox_release(r.s);
    r.s = NULL;
    CHECK_INT(sbx_close(r.c), SBX_OK);
    r.c = NULL;
    CHECK_INT(r.e.may_exist, SBX_YES); /* the caller hears of it */
    rig_end(&r);
}

/* ---- many at once ------------------------------------------------------------------------ */

/* Whose fate it is to be cancelled or released somewhere on its way. */
enum { FATE_CANCEL, FATE_RELEASE, FATE_LIVE };

typedef struct crowd {
    kinds k;
    slot s[24];
    int fate[24];
    unsigned count, started, random;
    const char *alone[K_COUNT];
} crowd;

static unsigned crowd_random(crowd *c, unsigned n)
{
    c->random = c->random * 1664525u + 1013904223u;
    return (c->random >> 8) % n;
}

static void crowd_turn(crowd *c)
{
    sbx_client *client = c->k.r.c;
    unsigned i = crowd_random(c, c->count);
    size_t running;
    slot *s = &c->s[i];
    switch (crowd_random(c, 6)) {
    case 0: CHECK_INT(sbx_poll(client, 0, NULL), SBX_OK); break;
    case 1: CHECK_INT(sbx_poll(client, 3, NULL), SBX_OK); break;
    case 2: own_turn_for(&c->k.r, true, 20, &running); break;
    case 3: own_turn_for(&c->k.r, false, 20, &running); break;
    case 4:
        if (c->started < c->count) CHECK_INT(slot_start(&c->s[c->started++], false), SBX_PENDING);
        break;
    default:
        if (!s->op) break;
        if (c->fate[i] == FATE_CANCEL) sbx_op_cancel(s->op);
        if (c->fate[i] == FATE_LIVE || s->done) break;
        sbx_op_release(s->op);
        s->op = NULL;
    }
    for (i = 0; i < c->count; i++)
        if (c->s[i].op && crowd_random(c, 3)) slot_wake(&c->s[i]);
}

/* Another call that blocks while all this goes on. */
static void crowd_block(crowd *c)
{
    slot s;
    ptext t = { 0 };
    int kind = (int)crowd_random(c, K_COUNT), status;
    slot_init(&s, &c->k, kind, crowd_random(c, 2));
    status = slot_start(&s, true);
    slot_tell(&s, status, &t);
    CHECK_STR(t.p, c->alone[kind]);
    pt_free(&t);
    slot_free(&s);
}

static void crowd_run(unsigned seed)
{
    static crowd c;
    unsigned i, rounds, live = 0;
    memset(&c, 0, sizeof c);
    c.random = seed * 2654435761u + 12345;
    for (i = 0; i < K_COUNT; i++) c.alone[i] = kind_alone((int)i);
    kinds_begin(&c.k, NULL, 0);
    for (i = 0; i < KIND_TURNS; i++) {
        c.k.turns[i].delay_ms = crowd_random(&c, 20);
        c.k.turns[i].slice = crowd_random(&c, 2) * (1 + crowd_random(&c, 60));
        c.k.turns[i].slice_ms = c.k.turns[i].slice ? 1 + crowd_random(&c, 4) : 0;
    }
    if (seed & 4) c.k.r.g.net.flags &= ~SBX_NET_READY;
    kinds_open(&c.k);
    c.k.r.p->ragged = seed;
    c.k.r.p->open_ms = crowd_random(&c, 10);
    c.k.r.p->window = crowd_random(&c, 2) * 4000;
    c.count = 24;
    for (i = 0; i < c.count; i++) {
        slot_init(&c.s[i], &c.k, (int)crowd_random(&c, K_COUNT), crowd_random(&c, 2));
        c.s[i].refuse = crowd_random(&c, 3);
        c.fate[i] = crowd_random(&c, 3) ? FATE_LIVE : (int)crowd_random(&c, 2);
    }
    for (rounds = 0; rounds < 40000; rounds++) {
        crowd_turn(&c);
        if (rounds % 50 == 49 && crowd_random(&c, 4) == 0) crowd_block(&c);
        for (live = i = 0; i < c.count; i++)
            if (c.s[i].op && sbx_op_status(c.s[i].op) == SBX_PENDING) live++;
        if (c.started == c.count && !live) break;
    }
    CHECK_INT(live, 0);
    for (i = 0; i < c.count; i++) {
        slot *s = &c.s[i];
        CHECK(s->done <= 1);
        if (s->op && s->status == SBX_E_CANCELLED && c.fate[i] == FATE_CANCEL) {
            CHECK_INT(s->done, 1);
            CHECK(slot_is_empty(s));
        } else if (s->done) {
            ptext t = { 0 };
            slot_tell(s, s->status, &t);
            if (s->status != SBX_E_CANCELLED) CHECK_STR(t.p, c.alone[s->kind]);
            pt_free(&t);
        } else {
            CHECK(c.fate[i] == FATE_RELEASE && slot_is_empty(s));
        }
    }
    for (i = 0; i < c.count; i++) slot_free(&c.s[i]);
    kinds_end(&c.k);
}

/* SBX_TEST_SEED repeats one, SBX_TEST_ROUNDS makes more of them. */
TEST(random_interleaving)
{
    const char *given = getenv("SBX_TEST_SEED"), *more = getenv("SBX_TEST_ROUNDS");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 1;
    unsigned n = given ? 1 : more ? (unsigned)strtoul(more, NULL, 10) : 60;
    char row[32];
    for (; n-- && test_failures < 20; seed++) {
        snprintf(row, sizeof row, "SBX_TEST_SEED=%u", seed);
        test_row = row;
        crowd_run(seed);
    }
    test_row = NULL;
}
