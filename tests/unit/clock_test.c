/* clock_test - the four clocks against a peer that stalls in each phase, clocks that
   wrap or jump, naps between tries. All time is the peer's: nothing sleeps. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

/* ---- a peer that stalls --------------------------------------------------------------- */

enum { INFO, CREATE, RUN, READ, WRITE, STDIN };

#define HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

typedef struct phase {
    const char *name;
    int what;               /* is called */
    turn t;                 /* the only answer */
    uint32_t open_ms;
    size_t window;          /* or DEAF */
    sbx_clock clock;        /* the one that ends it, */
    int64_t at;             /* after so many ms */
} phase;

enum { CONNECT_MS = 1500, FIRST_MS = 900, IDLE_MS = 700, TOTAL_MS = 20000 };

/* Silence in each phase, and one byte each 600 ms, which is before each idle limit. */
#define RAW(text) .raw = text
#define FREELY_ .always = true, .used = 1
#define DRIP .slice = 1, .slice_ms = 600
#define SPACES "                                                            "
#define DEAF ((size_t)-1)
#define UNUSED .status = 200, .body = "{}", .used = 1

static const phase phases[] = {
    { "connect", INFO, { UNUSED }, 100000, 0, SBX_CLOCK_CONNECT, 1500 },
    { "connect of a stream", RUN, { UNUSED }, 100000, 0, SBX_CLOCK_CONNECT, 1500 },
    { "connect of an upload", WRITE, { UNUSED }, 100000, 0, SBX_CLOCK_CONNECT, 1500 },
    { "sending a request", INFO, { UNUSED }, 0, 20, SBX_CLOCK_IDLE, 700 },
    { "sending, after a slow connect", INFO, { UNUSED }, 1000, 20, SBX_CLOCK_IDLE, 1700 },
    { "sending nothing at all", INFO, { UNUSED }, 1000, DEAF, SBX_CLOCK_IDLE, 1700 },
    { "sending a body", WRITE, { 0 }, 0, 3000, SBX_CLOCK_IDLE, 700 },
    { "first byte", INFO, { 0 }, 0, 0, SBX_CLOCK_FIRST_BYTE, 900 },
    { "first byte of a create", CREATE, { 0 }, 0, 0, SBX_CLOCK_FIRST_BYTE, 900 },
    { "first byte of a stream", RUN, { 0 }, 0, 0, SBX_CLOCK_FIRST_BYTE, 900 },
    { "first byte of a download", READ, { 0 }, 0, 0, SBX_CLOCK_FIRST_BYTE, 900 },
    { "first byte of an upload", WRITE, { 0 }, 0, 0, SBX_CLOCK_FIRST_BYTE, 900 },
    { "first byte, late but in time", INFO, { RAW("H"), .delay_ms = 800 }, 0, 0, SBX_CLOCK_IDLE,
        1500 },
    { "status line", INFO, { RAW("HTTP/1.1 2") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "header", READ, { RAW(HEAD "Content-Len") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "behind an interim reply", INFO, { RAW("HTTP/1.1 100 Continue\r\n\r\n") }, 0, 0,
        SBX_CLOCK_IDLE, 700 },
    { "body", INFO, { RAW(HEAD "Content-Length: 9\r\n\r\n{") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "download", READ, { RAW(HEAD "Content-Length: 9\r\n\r\nabc") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "chunk size", READ, { RAW(CHUNKED "3\r\nabc\r\n5") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "chunk", READ, { RAW(CHUNKED "3\r\nab") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "end of the chunks", READ, { RAW(CHUNKED "3\r\nabc\r\n") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "trailer", READ, { RAW(CHUNKED "3\r\nabc\r\n0\r\nX: y") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "close", READ, { RAW(HEAD "\r\nabc") }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "head of a stream", RUN, { RAW(CHUNKED) }, 0, 0, SBX_CLOCK_IDLE, 700 },
    { "length of a frame", RUN, { RAW(CHUNKED "3\r\n\0\0\0\r\n"), .raw_len = sizeof CHUNKED + 7 },
        0, 0, SBX_CLOCK_IDLE, 700 },
    { "frame", RUN, { RAW(CHUNKED "8\r\n\0\0\0\0\x1e{\"e\r\n"), .raw_len = sizeof CHUNKED + 12 },
        0, 0, SBX_CLOCK_IDLE, 700 },
    { "error body", INFO, { RAW("HTTP/1.1 400 No\r\nContent-Length: 9\r\n\r\n{") }, 0, 0,
        SBX_CLOCK_IDLE, 700 },
    { "drip of a head", INFO, { RAW("HTTP/1.1 200 OK                                    "), DRIP },
        0, 0, SBX_CLOCK_TOTAL, 20000 },
    { "drip of a body", INFO, { RAW(HEAD "Content-Length: 90\r\n\r\n" SPACES), DRIP }, 0, 0,
        SBX_CLOCK_TOTAL, 20000 },
    { "drip of a download", READ, { RAW(HEAD "Content-Length: 90\r\n\r\n" SPACES), DRIP }, 0, 0,
        SBX_CLOCK_TOTAL, 20000 },
    { "drip of interim replies", INFO, { RAW("HTTP/1.1 100 Continue\r\n\r\n"
        "HTTP/1.1 102 Processing\r\n\r\n"), DRIP }, 0, 0, SBX_CLOCK_TOTAL, 20000 },
};

static int call_it(rig *r, int what, const sbx_call *call)
{
    static const sbx_sink nowhere;
    static char data[9000];
    sbx_reading from = { data, sizeof data, 0 };
    sbx_sandbox_info *info = NULL;
    sbx_sandbox *made = NULL;
    sbx_command_result res = { 0 };
    int rc;
    switch (what) {
    case INFO: rc = sbx_sandbox_get_info(r->s, &info, call); break;
    case CREATE: rc = sbx_sandbox_create(r->c, NULL, &made, call); break;
    case RUN:
        rc = sbx_command_run(r->s, "x", NULL, &res, call);
        if (rc != SBX_OK) CHECK_INT(res.exit_code, 0);
        break;
    case READ: rc = sbx_files_read(r->s, "/f", NULL, nowhere, call); break;
    case STDIN: rc = sbx_command_send_stdin(r->s, 7, "x", 1, call); break;
    default:
        rc = sbx_files_write(r->s, "/f", sbx_source_memory(&from), NULL, NULL, call);
    }
    CHECK(rc == SBX_OK || (!info && !made));
    sbx_free(info);
    sbx_sandbox_release(made);
    return rc;
}

static uint64_t now_32(void *ctx) { return (uint32_t)((peer *)ctx)->now; }

static void stall(const phase *p, uint64_t start, bool narrow)
{
    turn turns[1];
    rig r;
    sbx_call call = { 0 };
    turns[0] = p->t;
    rig_start(&r);
    SCRIPT(r.p, turns);
    r.g.clocks.connect_ms = CONNECT_MS;
    r.g.clocks.first_byte_ms = FIRST_MS;
    r.g.clocks.idle_ms = IDLE_MS;
    r.p->now = start;
    if (narrow) r.g.net.now_ms = now_32;
    rig_open(&r);
    r.p->open_ms = p->open_ms;
    r.p->window = p->window;
    r.p->conn[0].deaf = p->window == DEAF;
    call.error = &r.e;
    call.timeout_ms = TOTAL_MS;
    CHECK_INT(call_it(&r, p->what, &call), SBX_E_TIMEOUT);
    CHECK_INT(r.e.clock, p->clock);
    CHECK_INT(r.p->now - start, p->at);
    CHECK(strlen(r.e.message) > 0);
    if (p->what == CREATE) CHECK_INT(r.e.may_exist, SBX_YES);
    rig_end(&r);
}

TEST(each_phase_has_its_clock)
{
    size_t i;
    for (i = 0; i < sizeof phases / sizeof *phases; i++) {
        test_row = phases[i].name;
        stall(&phases[i], 1000000, false);
    }
    test_row = NULL;
}

/* Wherever the clock stands, and if it is a 32-bit counter that wraps on the way. */
TEST(clocks_that_wrap)
{
    static const uint64_t starts[] = { 0, 1, 0x7fffff00, 0xfffffe00, 0xffffffff, 0x100000000,
        0x17fffff00, 0x2fffffff0 };
    size_t i, k;
    char row[80];
    for (i = 0; i < sizeof phases / sizeof *phases; i++)
        for (k = 0; k < sizeof starts / sizeof *starts; k++) {
            snprintf(row, sizeof row, "%s, at %llx", phases[i].name,
                (unsigned long long)starts[k]);
            test_row = row;
            stall(&phases[i], starts[k], true);
            stall(&phases[i], starts[k], false);
        }
    test_row = NULL;
}

/* ---- a clock that jumps ------------------------------------------------------------------ */

static struct { uint64_t at; int64_t by; } jump;

static uint64_t now_jumping(void *ctx)
{
    uint64_t now = ((peer *)ctx)->now;
    return now < jump.at ? now : now + (uint64_t)jump.by;
}

/* Back by an hour, a day, a little: what was lost is no more than one sleep, so that a
   call ends after twice its time at most; it never hangs for an hour. */
TEST(clocks_that_jump_back)
{
    static const int64_t back[] = { -1, -100, -5000, -3600000, -86400000, -900000000 };
    size_t i, k;
    unsigned at;
    char row[80];
    for (i = 0; i < sizeof phases / sizeof *phases; i++)
        for (k = 0; k < sizeof back / sizeof *back; k++)
            for (at = 0; at < 1600; at += 390) {
                turn turns[1];
                rig r;
                sbx_call call = { 0 };
                const phase *p = &phases[i];
                uint64_t start;
                snprintf(row, sizeof row, "%s, by %lld at %u", p->name, (long long)back[k], at);
                test_row = row;
                turns[0] = p->t;
                rig_start(&r);
                SCRIPT(r.p, turns);
                r.g.clocks.connect_ms = CONNECT_MS;
                r.g.clocks.first_byte_ms = FIRST_MS;
                r.g.clocks.idle_ms = IDLE_MS;
                r.g.net.now_ms = now_jumping;
                start = r.p->now = 2000000000;
                jump.at = start + at;
                jump.by = back[k];
                rig_open(&r);
                r.p->open_ms = p->open_ms;
                r.p->window = p->window;
                r.p->conn[0].deaf = p->window == DEAF;
                call.error = &r.e;
                call.timeout_ms = TOTAL_MS;
                CHECK_INT(call_it(&r, p->what, &call), SBX_E_TIMEOUT);
                CHECK_INT(r.e.clock, p->clock);
                CHECK((int64_t)(r.p->now - start) >= p->at);
                CHECK((int64_t)(r.p->now - start) <= 2 * p->at);
                rig_end(&r);
            }
    test_row = NULL;
}

static struct { unsigned long calls, at; } glitch;
static uint64_t now_glitching(void *ctx)
{
    return ((peer *)ctx)->now + (++glitch.calls == glitch.at ? 3600000 : 0);
}

/* One look at the clock, whichever, sees an hour too much: the pause between two tries
   of a call without a deadline does not last that long. */
TEST(one_look_too_far_ahead)
{
    for (glitch.at = 1; glitch.at < 40; glitch.at++) {
        turn turns[] = { { NULL, 200, 0, "{\"sandboxID\":\"box1\"}", FREELY_ } };
        rig r;
        sbx_call call = { 0 };
        sbx_sandbox_info *info = NULL;
        uint64_t began;
        int rc;
        char row[30];
        snprintf(row, sizeof row, "look %lu", glitch.at);
        test_row = row;
        rig_start(&r);
        SCRIPT(r.p, turns);
        r.g.net.now_ms = now_glitching;
        glitch.calls = 0;
        rig_open(&r);
        r.p->fail_at[P_OPEN] = r.p->calls[P_OPEN] + 1;
        call.timeout_ms = SBX_NEVER;
        began = r.p->now;
        rc = sbx_sandbox_get_info(r.s, &info, &call);
        CHECK(rc == SBX_OK || rc == SBX_E_TIMEOUT); /* of connecting */
        CHECK(r.p->now - began < 5000);
        sbx_free(info);
        rig_end(&r);
    }
    test_row = NULL;
}

/* Forward: what is due is due; nothing worse. */
TEST(clocks_that_jump_forward)
{
    static const int64_t by[] = { 100, 5000, 3600000, 86400000 };
    size_t i, k;
    for (i = 0; i < sizeof phases / sizeof *phases; i++)
        for (k = 0; k < sizeof by / sizeof *by; k++) {
            turn turns[1];
            rig r;
            sbx_call call = { 0 };
            uint64_t start;
            test_row = phases[i].name;
            turns[0] = phases[i].t;
            rig_start(&r);
            SCRIPT(r.p, turns);
            r.g.clocks.first_byte_ms = FIRST_MS;
            r.g.clocks.idle_ms = IDLE_MS;
            r.g.net.now_ms = now_jumping;
            start = r.p->now;
            jump.at = start + 300;
            jump.by = by[k];
            rig_open(&r);
            r.p->open_ms = phases[i].open_ms;
            r.p->window = phases[i].window;
            r.p->conn[0].deaf = phases[i].window == DEAF;
            call.error = &r.e;
            call.timeout_ms = TOTAL_MS;
            CHECK_INT(call_it(&r, phases[i].what, &call), SBX_E_TIMEOUT);
            CHECK(r.e.clock != SBX_CLOCK_NONE);
            CHECK((int64_t)(r.p->now - start) <= TOTAL_MS);
            rig_end(&r);
        }
    test_row = NULL;
}

/* ---- no limit ----------------------------------------------------------------------------- */

/* One clock at a time is SBX_NEVER: its phase may take days, the others still count. */
TEST(never_is_each_clocks_own)
{
    enum { LONG = 200000000 };
    static const struct { const char *name; int which; uint32_t open_ms, delay_ms, slice_ms; }
        rows[] = { { "connect", 0, LONG / 100, 0, 0 }, { "first byte", 1, 0, LONG, 0 },
            { "idle", 2, 0, 0, LONG } };
    size_t i;
    int never;
    for (i = 0; i < 3; i++)
        for (never = 0; never < 2; never++) {
            turn turns[] = { { NULL, 0, RAW(HEAD "Content-Length: 0\r\n\r\n"), .slice = 10 } };
            rig r;
            sbx_clocks *c = &r.g.clocks;
            int32_t *clock[3];
            sbx_call call = { 0 };
            static const int at[] = { CONNECT_MS, FIRST_MS, IDLE_MS };
            test_row = rows[i].name;
            rig_start(&r);
            SCRIPT(r.p, turns);
            clock[0] = &c->connect_ms;
            clock[1] = &c->first_byte_ms;
            clock[2] = &c->idle_ms;
            c->connect_ms = CONNECT_MS;
            c->first_byte_ms = FIRST_MS;
            c->idle_ms = IDLE_MS;
            if (never) *clock[rows[i].which] = SBX_NEVER;
            turns[0].delay_ms = rows[i].delay_ms;
            turns[0].slice_ms = rows[i].slice_ms;
            if (i == 0 && !never) turns[0].used = 1;
            rig_open(&r);
            r.p->open_ms = rows[i].open_ms;
            call.error = &r.e;
            CHECK_INT(call_it(&r, READ, &call), never ? SBX_OK : SBX_E_TIMEOUT);
            if (!never) CHECK_INT(r.e.clock, SBX_CLOCK_CONNECT + rows[i].which);
            if (!never) CHECK_INT(r.p->slept, at[rows[i].which]);
            rig_end(&r);
        }
    test_row = NULL;
}

/* Which calls have a total clock without being told: unary ones 60 s, a command its
   life and some grace, transfers none. */
TEST(total_clock_by_kind)
{
    static const struct { int what; int32_t call_ms; int64_t at; } rows[] = {
        { INFO, 0, 60000 }, { CREATE, 0, 60000 }, { RUN, 0, 65000 }, { READ, 0, -1 },
        { WRITE, 0, -1 }, { INFO, 5, 5 }, { RUN, 70, 70 }, { READ, 3000, 3000 },
        { WRITE, 4000, 4000 }, { INFO, SBX_NEVER, -1 }, { RUN, SBX_NEVER, -1 } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { NULL, 0, .delay_ms = 1000000000 } };
        rig r;
        sbx_call call = { 0 };
        uint64_t start;
        char row[24];
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        rig_start(&r);
        SCRIPT(r.p, turns);
        r.g.clocks.first_byte_ms = 500000000; /* stands for: for ever */
        rig_open(&r);
        call.error = &r.e;
        call.timeout_ms = rows[i].call_ms;
        start = r.p->now;
        CHECK_INT(call_it(&r, rows[i].what, &call), SBX_E_TIMEOUT);
        CHECK_INT(r.e.clock, rows[i].at < 0 ? SBX_CLOCK_FIRST_BYTE : SBX_CLOCK_TOTAL);
        CHECK_INT(r.p->now - start, rows[i].at < 0 ? 500000000 : rows[i].at);
        rig_end(&r);
    }
    test_row = NULL;
}

/* ---- the end of a command is its end --------------------------------------------------------- */

/* Its exit code has come; the peer then neither ends the reply nor closes. */
TEST(command_that_ended_before_the_stall)
{
    static const char *const outs[] = { "hello" };
    int total;
    for (total = 0; total < 2; total++) {
        turn turns[] = { { T_START, 0 } };
        ptext stream = { 0 }, raw = { 0 };
        rig r;
        sbx_call call = { 0 };
        sbx_command_options o = { 0 };
        sbx_command_result res;
        uint64_t start;
        stream_of(&stream, outs, 1);
        pt_format(&raw, CHUNKED "%x\r\n", (unsigned)stream.len - 7);
        pt_add(&raw, stream.p, stream.len - 7); /* without the last, empty message */
        pt_put(&raw, "\r\n");
        turns[0].raw = raw.p;
        turns[0].raw_len = raw.len;
        BEGIN(&r, turns);
        call.error = &r.e;
        o.capture_limit = 10;
        if (total) call.timeout_ms = 5000;
        start = r.p->now;
        CHECK_INT(sbx_command_run(r.s, "x", &o, &res, &call), SBX_OK);
        CHECK_INT(r.p->now - start, total ? 5000 : 65000);
        CHECK_INT(res.exit_code, 3);
        CHECK_STR(res.out, "hello");
        sbx_free(res.out);
        sbx_free(res.err);
        pt_free(&stream);
        pt_free(&raw);
        rig_end(&r);
    }
}

/* ---- the TLS handshake ------------------------------------------------------------------------- */

/* A server that says nothing, or drips a record that never ends: the connect clock
   counts from the beginning, bytes do not reset it. */
TEST(handshake_belongs_to_the_connect_clock)
{
    int drip, slow;
#ifdef SBX_NO_TLS
    SKIP("built without TLS");
#endif
    for (drip = 0; drip < 2; drip++)
        for (slow = 0; slow < 2; slow++) {
            turn turns[] = { { NULL, 200, 0, "{}", .used = 1 } };
            static const char hello[] = "\x16\x03\x03\x02\x00\x02\x00\x01\xfc\x03\x03";
            rig r;
            sbx_op *op;
            sbx_call call;
            sbx_sandbox_info *info;
            uint64_t start;
            size_t running = 1;
            unsigned i;
            rig_start(&r);
            SCRIPT(r.p, turns);
            r.g.api_url = "https://api.test";
            r.g.net.flags &= ~SBX_NET_TLS_INSIDE;
            r.g.tls.pins = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            r.g.tls.pin_only = SBX_YES;
            r.g.clocks.connect_ms = CONNECT_MS;
            r.g.clocks.idle_ms = 100;
            rig_open(&r);
            r.p->open_ms = slow ? 1000 : 0;
            start = r.p->now;
            call = polled(&r, &op);
            CHECK_INT(sbx_sandbox_get_info(r.s, &info, &call), SBX_PENDING);
            for (i = 0; i < 1000 && sbx_op_status(op) == SBX_PENDING; i++) {
                pconn *c = &r.p->conn[0];
                own_turn(&r, true, &running);
                if (!drip || !c->opened || c->out.len) continue;
                pt_add(&c->out, hello, sizeof hello - 1);
                while (c->out.len < 500) pt_add(&c->out, "\x03", 1);
                c->out_from = r.p->now;
                c->slice = 1;
                c->slice_ms = 90;
            }
            CHECK_INT(sbx_op_status(op), SBX_E_TIMEOUT);
            CHECK_INT(r.e.clock, SBX_CLOCK_CONNECT);
            CHECK_INT(r.p->now - start, CONNECT_MS);
            CHECK(r.p->conn[0].in.len > 100); /* its own hello went out */
            if (drip) CHECK(r.p->conn[0].taken > 5);
            sbx_op_release(op);
            rig_end(&r);
        }
}

/* ---- naps between tries -------------------------------------------------------------------------- */

/* How long the client slept before its second request; -1: there was none. */
static int64_t nap_of(rig *r)
{
    return r->p->requests < 2 ? -1
         : (int64_t)(r->p->request[1].at_ms - r->p->request[0].at_ms);
}

enum { BACKOFF = -2 };

TEST(retry_after_in_all_forms)
{
    /* nap: ms, BACKOFF: 50 to 100, -1: not tried again; told: error.retry_after_ms */
    static const struct { const char *value; int64_t nap; int32_t told; bool no_clock; } rows[] = {
        { "2", 2000, 2000, false },
        { "0", 0, 0, false },
        { "007", 7000, 7000, false },
        { "59", 59000, 59000, false },
        { "60", -1, 60000, false },                 /* as long as the deadline */
        { "2147483", -1, 2147483000, false },
        { "2147484", -1, INT32_MAX, false },
        { "99999999999999999999999", BACKOFF, -1, false }, /* not a number of ours */
        { "1.5", BACKOFF, -1, false },
        { "-3", BACKOFF, -1, false },
        { "+3", BACKOFF, -1, false },
        { "3 s", BACKOFF, -1, false },
        { "0x10", BACKOFF, -1, false },
        { "", BACKOFF, -1, false },
        { "tomorrow", BACKOFF, -1, false },
        { "Wed, 01 Jan 2025 00:16:50 GMT", 10000, 10000, false },
        { "Wed, 01 Jan 2025 00:16:40 GMT", 0, 0, false },
        { "Mon, 01 Jan 2024 00:00:00 GMT", 0, 0, false },
        { "Fri, 31 Dec 9999 23:59:59 GMT", -1, INT32_MAX, false },
        { "Wed, 32 Jan 2025 00:16:50 GMT", BACKOFF, -1, false },
        { "Wed, 01 Jan 2025 00:16:50", BACKOFF, -1, false },
        { "Wed, 01 Jan 2025 00:16:50 GMT", BACKOFF, -1, true }, /* compared with what? */
        { "4", 4000, 4000, true },
    };
    size_t i;
    int retry;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (retry = 0; retry < 2; retry++) {
            turn turns[] = { { NULL, 503, 0, "{}" },
                { NULL, 200, 0, "{\"sandboxID\":\"box1\"}", .used = 1 } };
            char header[80];
            rig r;
            sbx_call call = { 0 };
            int64_t nap;
            snprintf(header, sizeof header, "Retry-After: %s\r\n", rows[i].value);
            test_row = header;
            turns[0].headers = header;
            turns[1].always = retry;
            rig_start(&r);
            SCRIPT(r.p, turns);
            if (rows[i].no_clock) r.g.net.unix_ms = NULL;
            if (!retry) r.g.retries = SBX_NEVER;
            rig_open(&r);
            call.error = &r.e;
            CHECK_INT(call_it(&r, INFO, &call), retry && rows[i].nap != -1 ? SBX_OK : SBX_E_BUSY);
            if (!retry) CHECK_INT(r.e.retry_after_ms, rows[i].told);
            nap = nap_of(&r);
            if (!retry) CHECK_INT(nap, -1);
            else if (rows[i].nap != BACKOFF) CHECK_INT(nap, rows[i].nap);
            else CHECK(nap >= 50 && nap <= 100);
            rig_end(&r);
        }
    test_row = NULL;
}

static int64_t never_set(void *ctx)
{
    (void)ctx;
    return 0;
}

static int64_t before_1970(void *ctx)
{
    (void)ctx;
    return -1;
}

/* A clock at or before 1970 was never set: neither a date of the service nor the end of
   a signed URL can be reckoned from it. */
TEST(clock_that_was_never_set)
{
    int which;
    for (which = 0; which < 2; which++) {
        turn turns[] = { { NULL, 503, "Retry-After: Wed, 01 Jan 2025 00:16:50 GMT\r\n", "{}" } };
        sbx_url_options o = { 0 };
        sbx_call call = { 0 };
        char url[300] = "left";
        rig r;
        rig_start(&r);
        SCRIPT(r.p, turns);
        r.g.net.unix_ms = which ? before_1970 : never_set;
        r.g.retries = SBX_NEVER;
        rig_open(&r);
        call.error = &r.e;
        CHECK_INT(call_it(&r, INFO, &call), SBX_E_BUSY);
        CHECK_INT(r.e.retry_after_ms, -1);
        o.expires_s = 300;
        CHECK_INT(sbx_files_url(r.s, "/a", &o, url, sizeof url, &call), SBX_E_ARG);
        CHECK_STR(url, "");
        rig_end(&r);
    }
}

/* A nap that would reach the deadline is not begun: the answer stands, at once. Without
   a deadline a minute is the most. */
TEST(no_nap_past_the_deadline)
{
    static const struct { const char *after; int32_t call_ms; int64_t nap; } rows[] = {
        { "5", 5000, -1 }, { "5", 5001, 5000 }, { "5", 4999, -1 }, { "59", SBX_NEVER, 59000 },
        { "60", SBX_NEVER, -1 }, { "86400", SBX_NEVER, -1 }, { "120", 120001, 120000 },
        { "no", 40, -1 }, { "no", 101, BACKOFF } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { NULL, 429, 0, "{}" },
            { NULL, 200, 0, "{\"sandboxID\":\"box1\"}", .used = 1, .always = true } };
        char header[80];
        rig r;
        sbx_call call = { 0 };
        uint64_t start;
        int64_t nap;
        snprintf(header, sizeof header, "Retry-After: %s\r\n", rows[i].after);
        test_row = header;
        turns[0].headers = header;
        BEGIN(&r, turns);
        call.error = &r.e;
        call.timeout_ms = rows[i].call_ms;
        start = r.p->now;
        CHECK_INT(call_it(&r, INFO, &call), rows[i].nap == -1 ? SBX_E_RATE_LIMITED : SBX_OK);
        nap = nap_of(&r);
        if (rows[i].nap == BACKOFF) CHECK(nap >= 50 && nap <= 100);
        else CHECK_INT(nap, rows[i].nap);
        if (nap < 0) CHECK_INT(r.p->now, start);
        rig_end(&r);
    }
    test_row = NULL;
}

/* The total clock is of the call, not of a try: it ends one that begins late. */
TEST(tries_share_the_total_clock)
{
    turn turns[] = { { NULL, 503, "Retry-After: 3\r\n", "{}" }, { NULL, 0 } };
    rig r;
    sbx_call call = { 0 };
    uint64_t start;
    BEGIN(&r, turns);
    call.error = &r.e;
    call.timeout_ms = 4000;
    start = r.p->now;
    CHECK_INT(call_it(&r, INFO, &call), SBX_E_TIMEOUT);
    CHECK_INT(r.e.clock, SBX_CLOCK_TOTAL);
    CHECK_INT(r.p->now - start, 4000);
    rig_end(&r);
}

/* The n-th nap lies between 50 and 100 % of 0.1 s x 2^n, 10 s at most, and is spread
   over that; also when there is no randomness, or it fails. */
TEST(backoff_and_its_jitter)
{
    enum { SEEDS = 60, TRIES = 10 };
    int64_t least[TRIES], most[TRIES], full = 100;
    int entropy, seed, i;
    for (entropy = 0; entropy < 3; entropy++) {
        for (i = 0; i < TRIES; i++) least[i] = INT64_MAX, most[i] = 0;
        for (seed = 0; seed < SEEDS; seed++) {
            turn turns[] = { { NULL, 503, 0, "{}", .always = true } };
            rig r;
            sbx_call call = { 0 };
            rig_start(&r);
            SCRIPT(r.p, turns);
            r.p->random = (uint32_t)seed * 7919u + 1;
            r.p->now += (unsigned)seed * 77u;
            r.p->no_entropy = entropy == 1;
            if (entropy == 2) r.g.net.entropy = NULL;
            r.g.retries = TRIES;
            rig_open(&r);
            call.error = &r.e;
            CHECK_INT(call_it(&r, INFO, &call), SBX_E_BUSY);
            CHECK_INT(r.p->requests, TRIES + 1);
            for (i = 0; i < TRIES; i++) {
                int64_t nap = (int64_t)(r.p->request[i + 1].at_ms - r.p->request[i].at_ms);
                if (nap < least[i]) least[i] = nap;
                if (nap > most[i]) most[i] = nap;
            }
            rig_end(&r);
        }
        for (i = 0, full = 100; i < TRIES; i++, full = full * 2 > 10000 ? 10000 : full * 2) {
            CHECK(least[i] >= full / 2);
            CHECK(most[i] <= full);
            CHECK(most[i] - least[i] > full * 3 / 10);
        }
    }
}

/* Should-Retry has the last word, whatever the status; a deadline still counts. */
TEST(should_retry)
{
    static const struct { int status; const char *headers; bool again; } rows[] = {
        { 400, "Should-Retry: true\r\n", true }, { 500, "Should-Retry: true\r\n", true },
        { 418, "should-retry: True\r\n", true }, { 503, "Should-Retry: false\r\n", false },
        { 503, "Should-Retry: maybe\r\n", false }, { 429, "Should-Retry: \r\n", false },
        { 400, "Should-Retry: true\r\nRetry-After: 7\r\n", true },
        { 400, "Should-Retry: true\r\nRetry-After: 70\r\n", false } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { NULL }, { NULL, 200, 0, "{\"sandboxID\":\"box1\"}", FREELY_ } };
        rig r;
        test_row = rows[i].headers;
        turns[0].status = rows[i].status;
        turns[0].headers = rows[i].headers;
        turns[0].body = "{}";
        BEGIN(&r, turns);
        CHECK_INT(call_it(&r, INFO, NULL) == SBX_OK, rows[i].again);
        CHECK_INT(r.p->requests, rows[i].again ? 2 : 1);
        rig_end(&r);
    }
    test_row = NULL;
}

/* ---- a kept connection that died -------------------------------------------------------------------- */

/* Once more, at once, on a new connection, whatever the class and the limit of retries;
   but not twice, and not when a byte came back. Two kept ones died, not one: the second
   is not tried. */
TEST(stale_connections)
{
    static const struct { const char *name; int what; int32_t retries; bool dies_again, answers;
        size_t requests; int status; } rows[] = {
        { "safe", INFO, SBX_NEVER, false, false, 2, SBX_OK },
        { "safe, twice", INFO, SBX_NEVER, true, false, 2, SBX_E_NETWORK },
        { "safe, with retries", INFO, 2, true, false, 3, SBX_E_NETWORK },
        { "never, once", RUN, SBX_NEVER, false, false, 2, SBX_E_NO_END },
        { "never, twice", RUN, 5, true, false, 2, SBX_E_UNREACHABLE },
        { "never, a byte came", RUN, 5, false, true, 1, SBX_E_UNREACHABLE },
        { "input of a process may have been read", STDIN, 5, false, false, 1,
            SBX_E_UNREACHABLE },
        { "upload", WRITE, SBX_NEVER, false, false, 2, SBX_OK },
        { "upload, twice", WRITE, 5, true, false, 2, SBX_E_UNREACHABLE } };
    size_t i, k;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { "GET /health ", 204, 0, FREELY_ },
            { NULL, 0, .shut = true, .lacks = "GET /health" },
            { NULL, 0, .shut = true, FREELY_ },
            { NULL, 200, 0, "{\"sandboxID\":\"box1\"}", FREELY_ } };
        rig r;
        sbx_op *op[2];
        sbx_call call = { 0 };
        bool yes;
        uint64_t start;
        size_t before, conns;
        test_row = rows[i].name;
        if (rows[i].answers) turns[1].raw = "H";
        if (!rows[i].dies_again) turns[2].always = false;
        if (rows[i].what == WRITE) turns[3].body = WRITTEN;
        if (rows[i].what == RUN) turns[3].body = "";
        rig_start(&r);
        SCRIPT(r.p, turns);
        r.g.retries = rows[i].retries;
        r.g.api_url = r.g.sandbox_url; /* one pool for all */
        rig_open(&r);
        for (k = 0; k < 2; k++) { /* two kept connections */
            call = polled(&r, &op[k]);
            CHECK_INT(sbx_sandbox_is_running(r.s, &yes, &call), SBX_PENDING);
        }
        CHECK_INT(drive(&r, 100), 0);
        sbx_op_release(op[0]);
        sbx_op_release(op[1]);
        CHECK_INT(r.c->link.idle_count, 2);
        before = r.p->requests;
        conns = r.p->conns;
        start = r.p->now;
        memset(&call, 0, sizeof call);
        call.error = &r.e;
        CHECK_INT(call_it(&r, rows[i].what, &call), rows[i].status);
        for (k = before; k < r.p->requests; k++)
            if (strncmp(r.p->request[k].head, "GET /health", 11) == 0) break;
        CHECK_INT(k - before, rows[i].requests);
        if (rows[i].requests >= 2) {
            CHECK_INT(r.p->request[before + 1].conn, conns); /* a new one, */
            CHECK_INT(r.p->request[before + 1].at_ms, start); /* at once */
        }
        rig_end(&r);
    }
    test_row = NULL;
}
