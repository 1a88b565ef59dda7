/* loop_test - waiting: what sbx_waits() lists, that only operations run which have
   something to do, that nothing spins or blocks, and that any operation may be
   ended at any moment. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

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
