/* proc_test - processes in the background: who holds a handle and who lets go of it,
   pieces that wait, captured output, streams that end in every way; and what is like
   them: the MCP gateway of a create, forks, signed URLs. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

/* ---- streams ---------------------------------------------------------------------- */

#define PID "{\"event\":{\"start\":{\"pid\":77}}}"
#define OUT(b64) "{\"event\":{\"data\":{\"stdout\":\"" b64 "\"}}}"
#define ERR(b64) "{\"event\":{\"data\":{\"stderr\":\"" b64 "\"}}}"
#define END "{\"event\":{\"end\":{\"exitCode\":3,\"exited\":true,\"status\":\"exit status 3\"}}}"
#define ONE "b25l"              /* one */
#define TWO "dHdv"              /* two */
#define T_CONNECT "POST /process.Process/Connect "
/* What lives is asked when a stream has no end. */
#define NO_PROCESS { "POST /process.Process/List ", 200, 0, "{\"processes\":[]}", \
    .always = true, .used = 1 }

/* A reply of messages, which '|' separates; one that begins with '!' is the last of
   the stream. Without an end the connection stays open behind them. */
static char *stream_raw(ptext *raw, const char *messages, bool end)
{
    raw->len = 0;
    pt_put(raw, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (*messages) {
        size_t n = strcspn(messages, "|");
        ptext one = { 0 }, frame = { 0 };
        pt_add(&one, messages, n);
        pt_envelope(&frame, *one.p == '!' ? 2 : 0, *one.p == '!' ? one.p + 1 : one.p);
        pt_format(raw, "%x\r\n", (unsigned)frame.len);
        pt_add(raw, frame.p, frame.len);
        pt_put(raw, "\r\n");
        pt_free(&one);
        pt_free(&frame);
        messages += n + (messages[n] == '|');
    }
    if (end) pt_put(raw, "0\r\n\r\n");
    return raw->p;
}

static void stream_turn(turn *t, ptext *raw, const char *messages, bool end)
{
    t->status = 0;
    t->raw = stream_raw(raw, messages, end);
    t->raw_len = raw->len;
}

/* Ends what the test began, and the memory of its stream. */
static void rig_done(rig *r, ptext *raw)
{
    rig_end(r);
    pt_free(raw);
}

/* How a stream can end, and what becomes of the calls that follow it. */
typedef struct ending {
    const char *name, *messages;
    bool end;               /* of the reply */
    int start, wait;
    const char *out;        /* captured */
} ending;

TEST(every_end_of_a_stream)
{
    static const ending rows[] = {
        { "well", PID "|" OUT(ONE) "|" END "|!{}", true, SBX_OK, SBX_OK, "one" },
        { "at once", PID "|" END "|!{}", true, SBX_OK, SBX_OK, "" },
        { "no last message", PID "|" OUT(ONE) "|" END, true, SBX_OK, SBX_OK, "one" },
        { "no end", PID "|" OUT(ONE) "|!{}", true, SBX_OK, SBX_E_NO_END, "one" },
        { "two ends", PID "|" OUT(ONE) "|" END "|" END, true, SBX_OK, SBX_E_PROTOCOL, "one" },
        { "output behind the end", PID "|" END "|" OUT(ONE), true, SBX_OK, SBX_E_PROTOCOL, "" },
        { "two starts", PID "|" OUT(ONE) "|" PID, true, SBX_OK, SBX_E_PROTOCOL, "one" },
        { "killed", PID "|" OUT(ONE) "|!{\"error\":{\"code\":\"deadline_exceeded\"}}", true, SBX_OK,
            SBX_E_KILLED, "one" },
        { "no start", END "|!{}", true, SBX_E_PROTOCOL, 0, "" },
        { "nothing", "", true, SBX_E_NO_END, 0, "" },
        { "unknown user", "!{\"error\":{\"code\":\"unauthenticated\"}}", true, SBX_E_AUTH, 0, "" },
        { "silence", PID "|" OUT(ONE), false, SBX_OK, SBX_E_TIMEOUT, "" },
    };
    size_t i;
    int polled_too;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (polled_too = 0; polled_too < 2; polled_too++) {
            turn turns[] = { { T_START }, NO_PROCESS };
            ptext raw = { 0 };
            rig r;
            sbx_proc *proc = (sbx_proc *)&r;
            sbx_command_options o = { 0 };
            sbx_command_result res, second;
            sbx_op *op = NULL;
            sbx_call call;
            int rc;
            test_row = rows[i].name;
            stream_turn(&turns[0], &raw, rows[i].messages, rows[i].end);
            BEGIN(&r, turns);
            o.capture_limit = 100;
            call = polled(&r, &op);
            if (!polled_too) call.op = NULL;
            rc = sbx_command_start(r.s, "x", &o, &proc, &call);
            if (polled_too) {
                CHECK_INT(rc, SBX_PENDING);
                until_end(&r, op);
                rc = sbx_op_status(op);
                sbx_op_release(op);
            }
            CHECK_INT(rc, rows[i].start);
            CHECK(!proc == (rc != SBX_OK));
            if (proc) {
                CHECK_INT(sbx_proc_pid(proc), 77);
                call.op = NULL;
                call.timeout_ms = 5000;
                rc = sbx_proc_wait(proc, &res, &call);
                CHECK_INT(rc, rows[i].wait);
                if (rows[i].end) {
                    CHECK_INT(sbx_proc_status(proc), rows[i].wait);
                    CHECK_INT(res.pid, 77);
                    CHECK_STR(res.out, rows[i].out);
                    CHECK_INT(res.exit_code, strstr(rows[i].messages, "exitCode") ? 3 : 0);
                    CHECK_INT(sbx_proc_wait(proc, &second, &call), rows[i].wait);
                    CHECK(!second.out && !second.err && !second.out_len);
                    CHECK_INT(second.exit_code, res.exit_code);
                } else {
                    CHECK_INT(sbx_proc_status(proc), SBX_PENDING);
                    CHECK(!res.out && !res.pid);
                    CHECK_INT(r.e.clock, SBX_CLOCK_TOTAL);
                }
                sbx_free(res.out);
                sbx_free(res.err);
            }
            sbx_proc_release(proc);
            rig_done(&r, &raw);
        }
    test_row = NULL;
}

/* Memory that fails anywhere: the captured output is freed once. */
TEST(captured_output_without_memory)
{
    unsigned long n, failed = 1;
    char row[32];
    for (n = 1; failed; n++) {
        turn turns[] = { { T_START, .always = true, .used = 1 } };
        ptext raw = { 0 };
        rig r;
        sbx_proc *proc;
        sbx_command_options o = { 0 };
        sbx_command_result res = { 0 };
        unsigned long before;
        snprintf(row, sizeof row, "call %lu", n);
        test_row = row;
        stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" ERR(TWO) "|" END "|!{}", true);
        BEGIN(&r, turns);
        o.capture_limit = 100;
        before = r.p->heap.calls;
        r.p->heap.fail_at = before + n;
        if (sbx_command_start(r.s, "x", &o, &proc, NULL) == SBX_OK
            && sbx_proc_wait(proc, &res, NULL) == SBX_OK)
            CHECK(res.out && res.err);
        sbx_free(res.out);
        sbx_free(res.err);
        sbx_proc_release(proc);
        failed = r.p->heap.failed;
        r.p->heap.fail_at = 0;
        rig_done(&r, &raw);
    }
    CHECK(n > 8);
    test_row = NULL;
}

/* ---- pieces that wait -------------------------------------------------------------- */

static sbx_proc *start_pull(rig *r, int32_t timeout_ms)
{
    sbx_command_options o = { 0 };
    sbx_proc *proc;
    o.pull = SBX_YES;
    o.timeout_ms = timeout_ms;
    CHECK_INT(sbx_command_start(r->s, "x", &o, &proc, NULL), SBX_OK);
    return proc;
}

/* Polled, released before it came: the piece is there for the next one. */
TEST(next_is_released_before_its_piece)
{
    turn turns[] = { { T_START, .delay_ms = 5, .slice = 90, .slice_ms = 10 } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_proc_event e, late;
    sbx_op *op;
    sbx_call call;
    stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" ERR(TWO) "|" END "|!{}", true);
    BEGIN(&r, turns);
    proc = start_pull(&r, 0);
    call = polled(&r, &op);
    CHECK_INT(sbx_proc_next(proc, &late, &call), SBX_PENDING);
    sbx_op_release(op);
    memset(&late, 0x55, sizeof late);
    drive(&r, 2000);
    CHECK_INT(late.part, 0x55555555);
    CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_OK);
    CHECK_INT(e.part, SBX_PROC_OUT);
    CHECK_MEM(e.data, e.len, "one", 3);
    CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_OK);
    CHECK_INT(e.part, SBX_PROC_ERR);
    CHECK_MEM(e.data, e.len, "two", 3);
    CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_OK);
    CHECK_INT(e.part, SBX_PROC_END);
    CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_OK); /* and again */
    CHECK_INT(e.part, SBX_PROC_END);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* No piece comes twice: a second next is refused while one waits. */
TEST(one_next_at_a_time)
{
    turn turns[] = { { T_START, .slice = 90, .slice_ms = 10 } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_proc_event first, second;
    sbx_op *one, *two = (sbx_op *)&r;
    sbx_call call;
    stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" OUT(TWO) "|" END "|!{}", true);
    BEGIN(&r, turns);
    proc = start_pull(&r, 0);
    call = polled(&r, &one);
    CHECK_INT(sbx_proc_next(proc, &first, &call), SBX_PENDING);
    call.op = &two;
    CHECK_INT(sbx_proc_next(proc, &second, &call), SBX_E_CONFLICT);
    CHECK(!two);
    CHECK_INT(sbx_proc_next(proc, &second, NULL), SBX_E_CONFLICT);
    until_end(&r, one);
    CHECK_MEM(first.data, first.len, "one", 3);
    sbx_op_release(one);
    CHECK_INT(sbx_proc_next(proc, &second, NULL), SBX_OK);
    CHECK_MEM(second.data, second.len, "two", 3);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* The life of the command ends while a piece lies there, taken or not: it stays. */
TEST(piece_outlives_its_stream)
{
    int taken;
    for (taken = 0; taken < 2; taken++) {
        turn turns[] = { { T_START } };
        ptext raw = { 0 };
        rig r;
        sbx_proc *proc;
        sbx_proc_event e;
        stream_turn(&turns[0], &raw, PID "|" OUT(ONE), false);
        BEGIN(&r, turns);
        proc = start_pull(&r, 1000);
        if (taken) CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_OK);
        drive(&r, 20);
        CHECK_INT(sbx_proc_status(proc), SBX_E_TIMEOUT);
        if (!taken) CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_OK);
        CHECK_MEM(e.data, e.len, "one", 3);
        CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_E_TIMEOUT);
        CHECK(!e.data);
        CHECK_INT(sbx_client_error(r.c)->clock, SBX_CLOCK_TOTAL);
        CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_E_TIMEOUT);
        sbx_proc_release(proc);
        rig_done(&r, &raw);
    }
}

/* The same, and nobody looks any more. */
TEST(piece_of_an_ended_stream_is_freed)
{
    turn turns[] = { { T_START } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    stream_turn(&turns[0], &raw, PID "|" OUT(ONE), false);
    BEGIN(&r, turns);
    proc = start_pull(&r, 1000);
    drive(&r, 20);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* A piece that nobody takes costs no turns and holds the peer back. */
TEST(waiting_piece_costs_nothing)
{
    turn turns[] = { { T_START } };
    ptext raw = { 0 }, messages = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_proc_event e;
    unsigned long calls;
    size_t i, got = 0, peak;
    pt_put(&messages, PID);
    for (i = 0; i < 2000; i++) pt_put(&messages, "|" OUT(ONE ONE ONE ONE ONE ONE ONE ONE));
    pt_put(&messages, "|" END "|!{}");
    stream_turn(&turns[0], &raw, messages.p, true);
    BEGIN(&r, turns);
    proc = start_pull(&r, 0);
    sbx_poll(r.c, 10, NULL);
    calls = r.p->calls[P_RECV];
    peak = r.p->heap.peak;
    for (i = 0; i < 50; i++) CHECK_INT(sbx_poll(r.c, 10, NULL), SBX_OK);
    CHECK_INT(r.p->calls[P_RECV], calls);
    CHECK(r.p->conn[0].taken <= 2 * SBX_IO_BYTES);
    while (sbx_proc_next(proc, &e, NULL) == SBX_OK && e.part == SBX_PROC_OUT) got += e.len;
    CHECK_INT(got, 2000 * 8 * 3);
    CHECK_INT(e.part, SBX_PROC_END);
    CHECK(r.p->heap.peak <= peak + 8192);
    sbx_proc_release(proc);
    pt_free(&messages);
    rig_done(&r, &raw);
}

TEST(next_needs_pull)
{
    turn turns[] = { { T_START } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_proc_event e;
    sbx_op *op = (sbx_op *)&r;
    sbx_call call;
    stream_turn(&turns[0], &raw, PID, false);
    BEGIN(&r, turns);
    CHECK_INT(sbx_command_start(r.s, "x", NULL, &proc, NULL), SBX_OK);
    call = polled(&r, &op);
    op = (sbx_op *)&r;
    CHECK_INT(sbx_proc_next(proc, &e, &call), SBX_E_ARG);
    CHECK(!op);
    CHECK(strstr(r.e.message, "pull") != NULL);
    CHECK_INT(sbx_proc_next(proc, NULL, NULL), SBX_E_ARG);
    CHECK(strstr(sbx_client_error(r.c)->message, "event") != NULL);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* A sink that took nothing is asked again when the handle is woken. */
TEST(sink_of_a_process_is_woken)
{
    turn turns[] = { { T_START } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_command_options o = { 0 };
    sbx_command_result res;
    picky k = { 0 };
    unsigned i, calls;
    stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" OUT(TWO) "|" END "|!{}", true);
    BEGIN(&r, turns);
    k.refuse = 1;
    o.out = picky_sink(&k);
    CHECK_INT(sbx_command_start(r.s, "x", &o, &proc, NULL), SBX_OK);
    for (i = 0; i < 5; i++) sbx_poll(r.c, 10, NULL);
    calls = k.calls;
    CHECK_INT(calls, 1);
    for (i = 0; i < 5; i++) {
        sbx_proc_wake(proc);
        sbx_poll(r.c, 10, NULL);
    }
    CHECK_INT(sbx_proc_wait(proc, &res, NULL), SBX_OK);
    CHECK_MEM(k.got.p, k.got.len, "onetwo", 6);
    sbx_proc_wake(proc);
    sbx_proc_wake(NULL);
    sbx_proc_release(proc);
    pt_free(&k.got);
    rig_done(&r, &raw);
}

/* Waking a process whose output is pulled hands nothing out twice. */
TEST(wake_and_pull)
{
    turn turns[] = { { T_START } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_proc_event e;
    stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" OUT(TWO) "|" END "|!{}", true);
    BEGIN(&r, turns);
    proc = start_pull(&r, 0);
    CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_OK);
    sbx_proc_wake(proc);
    sbx_poll(r.c, 10, NULL);
    CHECK_MEM(e.data, e.len, "one", 3);
    CHECK_INT(sbx_proc_next(proc, &e, NULL), SBX_OK);
    CHECK_MEM(e.data, e.len, "two", 3);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* ---- letting go -------------------------------------------------------------------- */

/* Nothing comes after the release, though a call still waits: it is cancelled. */
TEST(release_while_a_call_waits)
{
    turn turns[] = { { T_START, .slice = 40, .slice_ms = 10 } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_command_options o = { 0 };
    sbx_command_result res;
    picky k = { 0 };
    sbx_op *op;
    sbx_call call;
    unsigned calls;
    stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" OUT(TWO) "|" OUT(ONE) "|" END "|!{}", true);
    BEGIN(&r, turns);
    o.out = picky_sink(&k);
    CHECK_INT(sbx_command_start(r.s, "x", &o, &proc, NULL), SBX_OK);
    call = polled(&r, &op);
    CHECK_INT(sbx_proc_wait(proc, &res, &call), SBX_PENDING);
    while (!k.calls) sbx_poll(r.c, 10, NULL);
    calls = k.calls;
    sbx_proc_release(proc);
    CHECK_INT(drive(&r, 100), 0);
    CHECK_INT(k.calls, calls);
    CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
    CHECK_INT(r.e.status, SBX_E_CANCELLED);
    CHECK_INT(r.e.retry_after_ms, -1);
    sbx_op_release(op);
    pt_free(&k.got);
    rig_done(&r, &raw);
}

typedef struct loose {      /* releases a handle from inside */
    sbx_proc *proc;
    unsigned calls;
} loose;

static int loose_put(void *ctx, const void *data, size_t len)
{
    loose *l = ctx;
    (void)data;
    (void)len;
    l->calls++;
    sbx_proc_release(l->proc);
    l->proc = NULL;
    return SBX_OK;
}

TEST(release_in_its_sink)
{
    int waits;
    for (waits = 0; waits < 2; waits++) {
        turn turns[] = { { T_START } };
        ptext raw = { 0 };
        rig r;
        sbx_command_options o = { 0 };
        loose l = { 0 };
        sbx_op *op = NULL;
        sbx_call call;
        stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" OUT(TWO) "|" END "|!{}", true);
        turns[0].slice = 40;
        turns[0].slice_ms = 5;
        BEGIN(&r, turns);
        o.out.put = loose_put;
        o.out.ctx = &l;
        o.capture_limit = 10;
        CHECK_INT(sbx_command_start(r.s, "x", &o, &l.proc, NULL), SBX_OK);
        call = polled(&r, &op);
        if (waits) CHECK_INT(sbx_proc_wait(l.proc, NULL, &call), SBX_PENDING);
        CHECK_INT(drive(&r, 100), 0);
        CHECK_INT(l.calls, 1);
        if (waits) CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
        sbx_op_release(op);
        rig_done(&r, &raw);
    }
}

static void loose_done(void *user, sbx_op *op, int status)
{
    loose *l = user;
    (void)op;
    (void)status;
    l->calls++;
    sbx_proc_release(l->proc);
    l->proc = NULL;
}

/* In done() of its own start, and of a wait. */
TEST(release_in_done)
{
    int of_wait;
    for (of_wait = 0; of_wait < 2; of_wait++) {
        turn turns[] = { { T_START } };
        ptext raw = { 0 };
        rig r;
        loose l = { 0 };
        sbx_op *op;
        sbx_call call;
        stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" END "|!{}", true);
        BEGIN(&r, turns);
        if (of_wait) CHECK_INT(sbx_command_start(r.s, "x", NULL, &l.proc, NULL), SBX_OK);
        call = polled(&r, &op);
        call.done = loose_done;
        call.user = &l;
        if (of_wait) CHECK_INT(sbx_proc_wait(l.proc, NULL, &call), SBX_PENDING);
        else CHECK_INT(sbx_command_start(r.s, "x", NULL, &l.proc, &call), SBX_PENDING);
        CHECK_INT(drive(&r, 100), 0);
        CHECK_INT(l.calls, 1);
        CHECK_INT(sbx_op_status(op), SBX_OK);
        sbx_op_release(op);
        rig_done(&r, &raw);
    }
}

/* The start is cancelled inside started(), which comes before it is over. */
static void cancel_started(void *ctx, uint32_t pid)
{
    (void)pid;
    sbx_op_cancel(*(sbx_op **)ctx);
}

TEST(start_is_cancelled_in_started)
{
    turn turns[] = { { T_START } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc = (sbx_proc *)&r;
    sbx_command_options o = { 0 };
    sbx_op *op;
    sbx_call call;
    stream_turn(&turns[0], &raw, PID "|" OUT(ONE), false);
    BEGIN(&r, turns);
    o.started = cancel_started;
    o.started_ctx = &op;
    call = polled(&r, &op);
    CHECK_INT(sbx_command_start(r.s, "x", &o, &proc, &call), SBX_PENDING);
    CHECK_INT(drive(&r, 100), 0);
    CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
    CHECK(!proc);
    sbx_op_release(op);
    rig_done(&r, &raw);
}

/* The start runs out of time; the life of the command is another clock. */
TEST(two_clocks_of_a_start)
{
    turn turns[] = { { T_START, .delay_ms = 3000 }, { T_START } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_command_options o = { 0 };
    sbx_call call;
    uint64_t since;
    stream_turn(&turns[0], &raw, PID, false);
    turns[1].raw = raw.p;
    turns[1].raw_len = raw.len;
    BEGIN(&r, turns);
    memset(&call, 0, sizeof call);
    call.timeout_ms = 2000;
    call.error = &r.e;
    o.timeout_ms = 10000;
    since = r.p->now;
    CHECK_INT(sbx_command_start(r.s, "x", &o, &proc, &call), SBX_E_TIMEOUT);
    CHECK_INT(r.p->now - since, 2000);
    CHECK_INT(r.e.clock, SBX_CLOCK_TOTAL);
    CHECK(!proc);
    CHECK_INT(r.p->live, 0); /* nobody follows it */
    since = r.p->now;
    CHECK_INT(sbx_command_start(r.s, "x", &o, &proc, &call), SBX_OK);
    CHECK_INT(sbx_proc_wait(proc, NULL, NULL), SBX_E_TIMEOUT);
    CHECK(r.p->now - since >= 10000 && r.p->now - since <= 15000);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* A wait whose own time is over ends alone, blocking or polled: it has neither exchange
   nor route. The process goes on, its end comes to the next wait. */
TEST(wait_and_next_run_out_of_time)
{
    int pulls, polls;
    for (pulls = 0; pulls < 2; pulls++)
        for (polls = 0; polls < 2; polls++) {
            turn turns[] = { { T_START } };
            ptext raw = { 0 };
            rig r;
            sbx_op *op = NULL;
            sbx_proc_event e;
            sbx_command_options o = { 0 };
            sbx_proc *proc;
            sbx_call call;
            int rc;
            stream_turn(&turns[0], &raw, PID "|" END "|!{}", true);
            turns[0].slice = raw.len / 2; /* the end comes long after the process id */
            turns[0].slice_ms = 5000;
            BEGIN(&r, turns);
            o.pull = pulls ? SBX_YES : SBX_NO;
            CHECK_INT(sbx_command_start(r.s, "x", &o, &proc, NULL), SBX_OK);
            call = polled(&r, &op);
            if (!polls) call.op = NULL;
            call.timeout_ms = 1000;
            rc = pulls ? sbx_proc_next(proc, &e, &call) : sbx_proc_wait(proc, NULL, &call);
            CHECK_INT(rc, polls ? SBX_PENDING : SBX_E_TIMEOUT);
            while (op && sbx_op_status(op) == SBX_PENDING) sbx_poll(r.c, 5000, NULL);
            if (op) CHECK_INT(sbx_op_status(op), SBX_E_TIMEOUT);
            sbx_op_release(op);
            CHECK_INT(r.e.status, SBX_E_TIMEOUT);
            CHECK_INT(r.e.clock, SBX_CLOCK_TOTAL);
            CHECK_INT(sbx_proc_wait(proc, NULL, NULL), SBX_OK);
            sbx_proc_release(proc);
            rig_done(&r, &raw);
        }
}

/* The client may be without a key of its own: what waits sends nothing. */
TEST(waiting_needs_no_key)
{
    turn turns[] = { { T_START } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_call call;
    rig_start(&r);
    stream_turn(&turns[0], &raw, PID "|" END "|!{}", true);
    peer_script(r.p, turns, 1);
    r.g.api_key = NULL;
    rig_open(&r);
    memset(&call, 0, sizeof call);
    call.api_key = "other";
    CHECK_INT(sbx_command_start(r.s, "x", NULL, &proc, &call), SBX_OK);
    CHECK_INT(sbx_proc_wait(proc, NULL, NULL), SBX_OK);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* NULL handles leave nothing behind in what is handed out. */
TEST(null_handles)
{
    bool existed = true;
    sbx_op *op = (sbx_op *)&existed;
    sbx_call call;
    sbx_proc_event e;
    memset(&call, 0, sizeof call);
    call.op = &op;
    CHECK_INT(sbx_proc_kill(NULL, &existed, &call), SBX_E_ARG);
    CHECK(!existed && !op);
    op = (sbx_op *)&existed;
    CHECK_INT(sbx_proc_wait(NULL, NULL, &call), SBX_E_ARG);
    CHECK(!op);
    CHECK_INT(sbx_proc_next(NULL, &e, NULL), SBX_E_ARG);
    CHECK_INT(sbx_proc_write(NULL, "x", 1, NULL), SBX_E_ARG);
    CHECK_INT(sbx_proc_close_stdin(NULL, NULL), SBX_E_ARG);
    CHECK_INT(sbx_proc_resize(NULL, 1, 1, NULL), SBX_E_ARG);
    CHECK_INT(sbx_proc_status(NULL), SBX_E_ARG);
    CHECK_INT(sbx_watch_stop(NULL, NULL), SBX_E_ARG);
    CHECK_INT(sbx_watch_poll(NULL, NULL), SBX_E_ARG);
    CHECK_INT(sbx_watch_status(NULL), SBX_E_ARG);
    sbx_proc_release(NULL);
    sbx_watch_release(NULL);
}

/* Its output goes on while another call blocks. */
TEST(output_flows_while_another_call_blocks)
{
    turn turns[] = { { T_START, .slice = 60, .slice_ms = 100 },
        { "POST /sandboxes/", 204, .delay_ms = 5000 } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_command_options o = { 0 };
    picky k = { 0 };
    stream_turn(&turns[0], &raw, PID "|" OUT(ONE) "|" OUT(TWO) "|" END "|!{}", true);
    BEGIN(&r, turns);
    o.out = picky_sink(&k);
    CHECK_INT(sbx_command_start(r.s, "x", &o, &proc, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_set_timeout(r.s, 5, NULL), SBX_OK);
    CHECK_MEM(k.got.p, k.got.len, "onetwo", 6);
    CHECK_INT(sbx_proc_status(proc), SBX_OK);
    sbx_proc_release(proc);
    pt_free(&k.got);
    rig_done(&r, &raw);
}

/* By tag: the pid is what the host says. The sandbox may be let go of before. */
TEST(connect_by_tag)
{
    turn turns[] = { { T_CONNECT }, { "POST /process.Process/SendSignal ", 200, 0, "{}" } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    sbx_command_options o = { 0 };
    bool existed;
    stream_turn(&turns[0], &raw, PID, false);
    BEGIN(&r, turns);
    CHECK_INT(sbx_command_connect(r.s, 0, &o, &proc, NULL), SBX_E_ARG);
    o.tag = "name";
    CHECK_INT(sbx_command_connect(r.s, 0, &o, &proc, NULL), SBX_OK);
    CHECK(strstr(r.p->request[0].body.p + 5, "{\"process\":{\"tag\":\"name\"}}") != NULL);
    CHECK_INT(sbx_proc_pid(proc), 77);
    sbx_sandbox_release(r.s);
    r.s = NULL;
    CHECK_INT(sbx_proc_kill(proc, &existed, NULL), SBX_OK);
    CHECK(existed && strstr(r.p->request[1].body.p, "\"pid\":77") != NULL);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* A redirect of the start keeps the variables that were added for a terminal. */
TEST(terminal_is_redirected)
{
    turn turns[] = { { T_START, 307, "Location: /elsewhere/and/further/than/that\r\n", "" },
        { "POST /elsewhere/and/further/than/that " } };
    ptext raw = { 0 };
    rig r;
    sbx_proc *proc;
    const peer *p;
    rig_start(&r);
    stream_turn(&turns[1], &raw, PID, false);
    peer_script(r.p, turns, 2);
    r.g.redirects = 2;
    rig_open(&r);
    p = r.p;
    CHECK_INT(sbx_pty_create(r.s, 0, 0, NULL, &proc, NULL), SBX_OK);
    CHECK_MEM(p->request[0].body.p, p->request[0].body.len, p->request[1].body.p,
        p->request[1].body.len);
    CHECK(strstr(p->request[1].body.p + 5, "\"TERM\":\"xterm-256color\"") != NULL);
    sbx_proc_release(proc);
    rig_done(&r, &raw);
}

/* ---- input as a stream ------------------------------------------------------------- */

TEST(input_of_all_kinds)
{
    static const struct { const char *name; size_t len; unsigned refuse; int end, want; } rows[] = {
        { "nothing", 0, 0, 0, SBX_OK }, { "a byte", 1, 0, 0, SBX_OK },
        { "AGAIN before each piece", 5000, 2, 0, SBX_OK },
        { "longer than any buffer", 100000, 0, 0, SBX_OK },
        { "fails", 5000, 0, SBX_E_DENIED, SBX_E_DENIED },
        { "fails in its own way", 5000, 0, 7, SBX_E_SOURCE },
    };
    static const char answer[] = "{}|!{}";
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { "POST /process.Process/StreamInput " } };
        ptext raw = { 0 }, all = { 0 };
        rig r;
        well w = { 0 };
        char *data = pattern(rows[i].len);
        sbx_op *op;
        sbx_call call;
        unsigned n;
        test_row = rows[i].name;
        stream_turn(&turns[0], &raw, answer, true);
        BEGIN(&r, turns);
        w.data = data;
        w.len = rows[i].len;
        w.refuse = rows[i].refuse;
        w.end = rows[i].end;
        call = polled(&r, &op);
        CHECK_INT(sbx_command_stream_stdin(r.s, 77, well_source(&w, -1, false), &call),
            SBX_PENDING);
        for (n = 0; n < 5000 && sbx_op_status(op) == SBX_PENDING; n++) {
            sbx_poll(r.c, 10, NULL);
            sbx_op_wake(op);
        }
        CHECK_INT(sbx_op_status(op), rows[i].want);
        if (rows[i].want == SBX_OK) {
            const char *p = r.p->request[0].body.p, *end = p + r.p->request[0].body.len;
            bool first = true;
            while (p < end) {
                size_t len = (size_t)((unsigned char)p[3] << 8 | (unsigned char)p[4]), got;
                const char *text = p + 5, *b64 = strstr(text, "stdin\":\"");
                sbx_base64 state = { 0 };
                unsigned char out[SBX_IO_BYTES + 8];
                if (first) CHECK_MEM(text, len, "{\"start\":{\"process\":{\"pid\":77}}}", 32);
                else if (CHECK(b64 != NULL)) {
                    b64 += 8;
                    CHECK_INT(sbx_base64_decode(&state, b64, (size_t)(text + len - 4 - b64), out,
                        &got), SBX_OK);
                    pt_add(&all, out, got);
                }
                first = false;
                p = text + len;
            }
            CHECK_MEM(all.p, all.len, data, rows[i].len);
        }
        sbx_op_release(op);
        free(data);
        pt_free(&all);
        rig_done(&r, &raw);
    }
    test_row = NULL;
}

/* A source that has nothing for long: the gateways on the way are told that somebody is
   there, and what comes then is whole. */
TEST(input_that_is_silent)
{
    turn turns[] = { { "POST /process.Process/StreamInput " } };
    ptext raw = { 0 };
    well w = { .data = "abc", .len = 3, .refuse = 1000000 };
    rig r;
    sbx_op *op;
    sbx_call call;
    const char *p, *end;
    unsigned pings = 0, pieces = 0, n;
    uint64_t from;
    stream_turn(&turns[0], &raw, "{}|!{}", true);
    BEGIN(&r, turns);
    call = polled(&r, &op);
    CHECK_INT(sbx_command_stream_stdin(r.s, 77, well_source(&w, -1, false), &call), SBX_PENDING);
    from = r.p->slept;
    for (n = 0; n < 1000 && r.p->slept - from < 170000; n++) sbx_poll(r.c, 5000, NULL);
    CHECK_INT(sbx_op_status(op), SBX_PENDING);
    CHECK(n < 500); /* and nothing spins */
    w.refuse = w.left = 0;
    sbx_op_wake(op);
    until_end(&r, op);
    CHECK_INT(sbx_op_status(op), SBX_OK);
    p = r.p->request[0].body.p;
    for (end = p + r.p->request[0].body.len; p < end; p += 5 + (unsigned char)p[4]) {
        pings += memcmp(p + 5, "{\"keepalive\":{}}", 16) == 0 && p[4] == 16;
        pieces += strncmp(p + 5, "{\"data\":{\"input\":{\"stdin\":\"YWJj\"}}}", 37) == 0;
    }
    CHECK_INT(pings, 3);
    CHECK_INT(pieces, 1);
    sbx_op_release(op);
    rig_done(&r, &raw);
}

/* ---- the MCP gateway of a create ----------------------------------------------------- */

#define T_CREATE "POST /v2/sandboxes "
#define T_KILL "DELETE /sandboxes/new1 "
#define FINE "{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status 0\"}}}"

static sbx_sandbox_options with_gateway(void)
{
    sbx_sandbox_options o;
    memset(&o, 0, sizeof o);
    o.mcp_json = "{\"it's\":{}}";
    return o;
}

TEST(gateway_that_does_not_start)
{
    static const struct { const char *name, *messages; bool end; int want; const char *says; } rows[] =
    {
        { "well", PID "|" FINE "|!{}", true, SBX_OK, "" },
        { "says no", PID "|" ERR(TWO) "|" END "|!{}", true, SBX_E_REFUSED, "start: two" },
        { "killed", PID "|!{\"error\":{\"code\":\"deadline_exceeded\"}}", true, SBX_E_KILLED,
            "gateway" },
        { "no end", PID "|!{}", true, SBX_E_NO_END, "gateway" },
        { "cut", PID, true, SBX_E_NO_END, "gateway" },
        { "silence", PID, false, SBX_E_TIMEOUT, "gateway" },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { T_CREATE, 201, 0, CREATED }, { T_START }, { T_KILL, 204 },
            NO_PROCESS };
        ptext raw = { 0 };
        rig r;
        sbx_sandbox *made;
        sbx_sandbox_options o = with_gateway();
        sbx_call call;
        memset(&call, 0, sizeof call);
        test_row = rows[i].name;
        stream_turn(&turns[1], &raw, rows[i].messages, rows[i].end);
        BEGIN(&r, turns);
        call.error = &r.e;
        CHECK_INT(sbx_sandbox_create(r.c, &o, &made, &call), rows[i].want);
        CHECK(strstr(r.p->request[1].body.p + 5, "--config '{\\\"it'\\\"'\\\"'s\\\":{}}'") != NULL);
        CHECK(!made == (rows[i].want != SBX_OK));
        if (!made) {
            CHECK(strstr(r.e.message, rows[i].says) != NULL);
            CHECK_INT(r.e.may_exist, SBX_DEFAULT); /* it was killed */
        }
        if (made) turns[2].used = 1;
        sbx_sandbox_release(made);
        rig_done(&r, &raw);
    }
    test_row = NULL;
}

/* The connection breaks, and killing fails too: then it may exist. */
TEST(gateway_that_cannot_be_undone)
{
    turn turns[] = { { T_CREATE, 201, 0, CREATED }, { T_START, .reset = true, .raw = "HTTP/1.1 200 O" },
        { "GET /health ", 204 }, { T_KILL, 500, 0, "{}" } };
    rig r;
    sbx_sandbox *made;
    sbx_sandbox_options o = with_gateway();
    sbx_call call;
    memset(&call, 0, sizeof call);
    BEGIN(&r, turns);
    call.error = &r.e;
    CHECK_INT(sbx_sandbox_create(r.c, &o, &made, &call), SBX_E_SERVER);
    CHECK_INT(r.e.may_exist, SBX_YES);
    CHECK(!made);
    rig_end(&r);
}

/* Cancelled while the gateway starts: the sandbox is killed at once, and at a close. */
TEST(gateway_is_cancelled)
{
    int close;
    for (close = 0; close < 2; close++) {
        turn turns[] = { { T_CREATE, 201, 0, CREATED }, { T_START }, { T_KILL, 204 } };
        ptext raw = { 0 };
        rig r;
        sbx_sandbox *made;
        sbx_sandbox_options o = with_gateway();
        sbx_op *op;
        sbx_call call;
        uint64_t since;
        stream_turn(&turns[1], &raw, PID, false);
        BEGIN(&r, turns);
        call = polled(&r, &op);
        CHECK_INT(sbx_sandbox_create(r.c, &o, &made, &call), SBX_PENDING);
        while (r.p->requests < 2) sbx_poll(r.c, 10, NULL);
        sbx_poll(r.c, 10, NULL);
        since = r.p->now;
        if (close) {
            sbx_sandbox_release(r.s);
            r.s = NULL;
            CHECK_INT(sbx_close(r.c), SBX_OK);
            r.c = NULL;
        } else {
            sbx_op_cancel(op);
            CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
            CHECK_INT(drive(&r, 100), 0);
            sbx_op_release(op);
        }
        CHECK(r.p->now - since < 100);
        CHECK(!made);
        CHECK_INT(requests_of(r.p, T_KILL), 1);
        rig_done(&r, &raw);
    }
}

/* ---- forks ----------------------------------------------------------------------------- */

#define FORKED "[{\"sandbox\":{\"sandboxID\":\"f1\",\"envdAccessToken\":\"t\",\"envdVersion\":\"0.6.4\"}}," \
    "{\"error\":{\"code\":404,\"message\":\"no room\"}}," \
    "{\"sandbox\":{\"sandboxID\":\"f2\",\"envdAccessToken\":\"t\",\"envdVersion\":\"0.6.4\"}},{}]"

typedef struct forks {
    ptext told;
    int answer;             /* of the first */
    sbx_op **cancel;
} forks;

static int each_fork(void *ctx, sbx_sandbox *s, const sbx_error *e)
{
    forks *f = ctx;
    int rc = f->answer;
    f->answer = SBX_OK;
    if (s) pt_format(&f->told, "%s;", sbx_sandbox_id(s));
    else pt_format(&f->told, "%s %s;", sbx_status_name(e->status), e->message);
    if (!s) CHECK(e->status < 0);
    sbx_sandbox_release(s);
    if (f->cancel) sbx_op_cancel(*f->cancel);
    return rc;
}

TEST(fork_tells_of_every_copy)
{
    turn turns[] = { { "POST /sandboxes/box1/fork ", 201, 0, FORKED, .always = true } };
    rig r;
    forks f = { 0 };
    sbx_call call;
    memset(&call, 0, sizeof call);
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_fork(r.s, 4, 0, each_fork, &f, NULL), SBX_OK);
    CHECK(strncmp(f.told.p, "f1;SBX_E_NOT_FOUND no room;f2;SBX_E_SERVER ", 43) == 0);
    /* a callback that fails has not seen the last: what exists is told nevertheless */
    f.told.len = 0;
    f.answer = SBX_E_NO_SPACE;
    call.error = &r.e;
    CHECK_INT(sbx_sandbox_fork(r.s, 4, 0, each_fork, &f, &call), SBX_E_NO_SPACE);
    CHECK(strncmp(f.told.p, "f1;SBX_E_NOT_FOUND no room;f2;SBX_E_SERVER ", 43) == 0);
    f.told.len = 0;
    f.answer = 5;
    CHECK_INT(sbx_sandbox_fork(r.s, 4, 0, each_fork, &f, &call), SBX_E_ARG);
    pt_free(&f.told);
    rig_end(&r);
}

/* No memory for a handle: its id is told. */
TEST(fork_without_memory)
{
    unsigned long n, failed = 1;
    for (n = 1; failed; n++) {
        turn turns[] = { { "POST /sandboxes/box1/fork ", 201, 0, FORKED, .used = 1 } };
        rig r;
        forks f = { 0 };
        unsigned long before;
        int rc;
        BEGIN(&r, turns);
        turns[0].used = 0;
        before = r.p->heap.calls;
        r.p->heap.fail_at = before + n;
        rc = sbx_sandbox_fork(r.s, 4, 0, each_fork, &f, NULL);
        failed = r.p->heap.failed;
        r.p->heap.fail_at = 0;
        if (rc == SBX_OK)
            CHECK(strstr(f.told.p, "f1;") && strstr(f.told.p, "f2;"));
        else if (r.p->requests && r.p->heap.failed)
            CHECK_INT(sbx_client_error(r.c)->may_exist, SBX_YES);
        turns[0].used = 1;
        pt_free(&f.told);
        rig_end(&r);
    }
    CHECK(n > 5);
}

/* A reply that is cut or cancelled: there may be copies nobody knows. */
TEST(cut_fork_may_exist)
{
    turn turns[] = { { "POST /sandboxes/box1/fork ", 201, 0, FORKED, .cut = 90 },
        { "POST /sandboxes/box1/fork ", 404, 0, "{}" },
        { "POST /sandboxes/box1/fork ", 201, 0, FORKED } };
    rig r;
    forks f = { 0 };
    sbx_op *op;
    sbx_call call;
    BEGIN(&r, turns);
    call = polled(&r, &op);
    call.op = NULL;
    CHECK_INT(sbx_sandbox_fork(r.s, 2, 0, each_fork, &f, &call), SBX_E_NETWORK);
    CHECK_INT(r.e.may_exist, SBX_YES);
    CHECK_INT(sbx_sandbox_fork(r.s, 2, 0, each_fork, &f, &call), SBX_E_NOT_FOUND);
    CHECK_INT(r.e.may_exist, SBX_DEFAULT);
    call.op = &op;
    f.cancel = &op;
    CHECK_INT(sbx_sandbox_fork(r.s, 2, 0, each_fork, &f, &call), SBX_PENDING);
    CHECK_INT(drive(&r, 100), 0);
    CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
    CHECK_INT(r.e.may_exist, SBX_YES);
    sbx_op_release(op);
    pt_free(&f.told);
    rig_end(&r);
}

static int keep_fork(void *ctx, sbx_sandbox *s, const sbx_error *e)
{
    (void)e;
    if (s && !*(sbx_sandbox **)ctx) *(sbx_sandbox **)ctx = s;
    else sbx_sandbox_release(s);
    return SBX_OK;
}

/* The base URL of one sandbox is not that of its copy, unless it says {id}. */
TEST(fork_has_its_own_host)
{
    static const struct { const char *url, *want; } rows[] = {
        { "http://box1.host:5000", NULL }, { "http://{id}.host:5000", "http://{id}.host:5000" },
        { NULL, NULL } };
    size_t i;
    for (i = 0; i < 3; i++) {
        turn turns[] = { { "POST /sandboxes/box2/fork ", 201, 0, FORKED } };
        rig r;
        sbx_sandbox *s, *fork = NULL;
        sbx_sandbox_access a = { 0 };
        BEGIN(&r, turns);
        a.access_token = "tok";
        a.data_url = rows[i].url;
        CHECK_INT(sbx_sandbox_attach(r.c, "box2", &a, &s), SBX_OK);
        CHECK_INT(sbx_sandbox_fork(s, 2, 0, keep_fork, &fork, NULL), SBX_OK);
        CHECK_INT(sbx_sandbox_get_access(fork, &a), SBX_OK);
        CHECK_STR(a.data_url, rows[i].want);
        CHECK_STR(a.access_token, "t");
        sbx_sandbox_release(fork);
        sbx_sandbox_release(s);
        rig_end(&r);
    }
}

/* ---- signed URLs ------------------------------------------------------------------------- */

#define ACCESS_OF(token) "{\"sandboxID\":\"box2\",\"envdVersion\":\"0.6.4\",\"envdAccessToken\":\"" \
    token "\"}"

/* The token is not known yet: it is fetched, and what was sent is no part of the URL. */
TEST(url_with_an_unknown_token)
{
    turn turns[] = { { "GET /sandboxes/box2 ", 200, 0, ACCESS_OF("tok") } };
    char known[300], url[300];
    sbx_sandbox_access a = { 0 };
    sbx_sandbox *s, *t;
    sbx_op *op;
    sbx_call call;
    sbx_url_options o = { 0 };
    size_t len;
    rig r;
    BEGIN(&r, turns);
    a.access_token = "tok";
    CHECK_INT(sbx_sandbox_attach(r.c, "box2", NULL, &s), SBX_OK);
    CHECK_INT(sbx_sandbox_attach(r.c, "box2", &a, &t), SBX_OK);
    o.expires_s = 60;
    CHECK_INT(sbx_files_url(t, "/a b", &o, known, sizeof known, NULL), SBX_OK);
    CHECK(strncmp(known, "http://box.test:4000/files?path=%2Fa%20b&signature=v1_", 54) == 0);
    CHECK_INT(r.p->requests, 0);
    call = polled(&r, &op);
    CHECK_INT(sbx_files_url(s, "/a b", &o, url, sizeof url, &call), SBX_PENDING);
    until_end(&r, op);
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_STR(url, known);
    sbx_op_release(op);
    /* exactly enough, and one too small */
    len = strlen(known);
    memset(url, 'x', sizeof url);
    CHECK_INT(sbx_files_url(s, "/a b", &o, url, len + 1, NULL), SBX_OK);
    CHECK_STR(url, known);
    CHECK_INT(url[len + 1], 'x');
    CHECK_INT(sbx_files_url(s, "/a b", &o, url, len, NULL), SBX_E_TOO_LARGE);
    CHECK_STR(url, "");
    CHECK_INT(url[len], 0);
    CHECK_INT(sbx_files_url(s, "/a b", &o, NULL, 0, NULL), SBX_E_ARG);
    CHECK_INT(sbx_files_url(s, "/a b", &o, url, 0, NULL), SBX_E_ARG);
    sbx_sandbox_release(s);
    sbx_sandbox_release(t);
    rig_end(&r);
}
