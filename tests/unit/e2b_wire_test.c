/* e2b_wire_test - what goes to an E2B host and what its answers mean, row by row: the
   meaning of errors, answers that are a no, what a daemon of one version knows, base
   URLs, the environment, clocks on the wire, the forms of create and of its network. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

#define T_STAT "POST /filesystem.Filesystem/Stat "
#define T_CONNECT "POST /process.Process/Connect "
#define T_HEALTH "GET /health "
#define GONE "{\"sandboxId\":\"box1\",\"message\":\"The sandbox was not found\",\"code\":502}"
#define CLOSED "{\"sandboxId\":\"box1\",\"message\":\"The sandbox is running but port is not open\"," \
    "\"port\":49983,\"code\":502}"
#define INFO "{\"sandboxID\":\"box1\"}"
#define PID "{\"event\":{\"start\":{\"pid\":77}}}"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static bool has(const rig *r, size_t i, const char *text)
{
    return strstr(r->p->request[i].head, text) != NULL;
}

static int no_file(void *ctx, const sbx_file_info *info)
{
    (void)ctx;
    (void)info;
    return SBX_OK;
}

/* ---- what errors mean ---------------------------------------------------------------- */

enum { ON_CONTROL, ON_RPC, ON_REST, CALLS };

static int one_call(rig *r, int which)
{
    sbx_sandbox_info *info = NULL;
    sbx_file_info *file = NULL;
    sbx_sink none = { 0 };
    int rc;
    if (which == ON_REST) return sbx_files_read(r->s, "/f", NULL, none, NULL);
    rc = which == ON_CONTROL ? sbx_sandbox_get_info(r->s, &info, NULL)
        : sbx_files_stat(r->s, "/f", NULL, &file, NULL);
    sbx_free(info);
    sbx_free(file);
    return rc;
}

/* Bodies of the three kinds of service, and of somebody on the way. */
TEST(meaning_of_a_status)
{
    static const struct { int http, want[CALLS]; } rows[] = {
        { 400, { SBX_E_REFUSED, SBX_E_REFUSED, SBX_E_REFUSED } },
        { 401, { SBX_E_AUTH, SBX_E_AUTH, SBX_E_AUTH } },
        { 403, { SBX_E_DENIED, SBX_E_DENIED, SBX_E_DENIED } },
        { 404, { SBX_E_NOT_FOUND, SBX_E_NOT_FOUND, SBX_E_NOT_FOUND } },
        { 406, { SBX_E_PROTOCOL, SBX_E_PROTOCOL, SBX_E_PROTOCOL } },
        { 409, { SBX_E_CONFLICT, SBX_E_CONFLICT, SBX_E_CONFLICT } },
        { 413, { SBX_E_TOO_LARGE, SBX_E_TOO_LARGE, SBX_E_TOO_LARGE } },
        { 418, { SBX_E_PROTOCOL, SBX_E_PROTOCOL, SBX_E_PROTOCOL } },
        { 422, { SBX_E_REFUSED, SBX_E_REFUSED, SBX_E_REFUSED } },
        { 429, { SBX_E_RATE_LIMITED, SBX_E_RATE_LIMITED, SBX_E_RATE_LIMITED } },
        { 499, { SBX_E_CANCELLED, SBX_E_CANCELLED, SBX_E_CANCELLED } },
        { 500, { SBX_E_SERVER, SBX_E_SERVER, SBX_E_SERVER } },
        { 501, { SBX_E_UNSUPPORTED_HOST, SBX_E_UNSUPPORTED_HOST, SBX_E_UNSUPPORTED_HOST } },
        { 502, { SBX_E_BUSY, SBX_E_UNREACHABLE, SBX_E_UNREACHABLE } },
        { 503, { SBX_E_BUSY, SBX_E_BUSY, SBX_E_BUSY } },
        { 504, { SBX_E_BUSY, SBX_E_TIMEOUT, SBX_E_TIMEOUT } },
        { 505, { SBX_E_UNSUPPORTED_HOST, SBX_E_UNSUPPORTED_HOST, SBX_E_UNSUPPORTED_HOST } },
        { 507, { SBX_E_NO_SPACE, SBX_E_NO_SPACE, SBX_E_NO_SPACE } },
        { 599, { SBX_E_SERVER, SBX_E_SERVER, SBX_E_SERVER } },
    };
    static const char *const bodies[] = { "", "no, I will not", "{\"code\":%d,\"message\":\"no, I will not\"}" };
    size_t i, b;
    int which;
    for (i = 0; i < ROWS(rows); i++)
        for (b = 0; b < ROWS(bodies); b++)
            for (which = 0; which < CALLS; which++) {
                turn turns[] = { { NULL, rows[i].http, 0, 0, .lacks = "/health" },
                    { T_HEALTH, 204, 0, .used = rows[i].want[which] != SBX_E_UNREACHABLE } };
                char body[80], row[40];
                const sbx_error *e;
                rig r;
                int want = rows[i].want[which];
                snprintf(body, sizeof body, bodies[b], rows[i].http);
                snprintf(row, sizeof row, "%d, body %u, call %d", rows[i].http, (unsigned)b, which);
                test_row = row;
                turns[0].body = body;
                rig_start(&r);
                r.g.retries = -1;
                peer_script(r.p, turns, 2);
                rig_open(&r);
                CHECK_INT(one_call(&r, which), want);
                e = sbx_client_error(r.c);
                CHECK_INT(e->status, want);
                if (want != SBX_E_UNREACHABLE) {
                    CHECK_INT(e->http_status, rows[i].http);
                    CHECK(!b || strcmp(e->message, "no, I will not") == 0);
                    CHECK(e->message[0] != 0);
                }
                rig_end(&r);
            }
    test_row = NULL;
}

/* The words of Connect, in a reply and at the end of a stream. The word counts, not the
   status beside it. */
TEST(meaning_of_a_word)
{
    static const struct { const char *word; int http, want; } rows[] = {
        { "canceled", 499, SBX_E_CANCELLED }, { "unknown", 500, SBX_E_SERVER },
        { "invalid_argument", 400, SBX_E_REFUSED }, { "deadline_exceeded", 504, SBX_E_TIMEOUT },
        { "not_found", 404, SBX_E_NOT_FOUND }, { "already_exists", 409, SBX_E_CONFLICT },
        { "permission_denied", 403, SBX_E_DENIED }, { "resource_exhausted", 429, SBX_E_RATE_LIMITED },
        { "failed_precondition", 400, SBX_E_CONFLICT }, { "aborted", 409, SBX_E_CONFLICT },
        { "out_of_range", 400, SBX_E_REFUSED }, { "unimplemented", 501, SBX_E_UNSUPPORTED_HOST },
        { "internal", 500, SBX_E_SERVER }, { "unavailable", 503, SBX_E_UNREACHABLE },
        { "data_loss", 500, SBX_E_SERVER }, { "unauthenticated", 401, SBX_E_AUTH },
    };
    size_t i;
    int way;
    for (i = 0; i < ROWS(rows); i++)
        for (way = 0; way < 3; way++) { /* its status, another one, in a stream */
            turn turns[] = { { way < 2 ? T_STAT : T_START, way == 0 ? rows[i].http : way == 1 ? 500 : 200 },
                { T_HEALTH, 204, 0, .always = true, .used = 1 } };
            ptext body = { 0 };
            rig r;
            int want = rows[i].want;
            test_row = rows[i].word;
            if (way == 2) {
                char text[120];
                snprintf(text, sizeof text, "{\"error\":{\"code\":\"%s\",\"message\":\"so\"},"
                    "\"metadata\":{\"a\":[\"b\"]}}", rows[i].word);
                pt_envelope(&body, 2, text);
                if (want == SBX_E_TIMEOUT) want = SBX_E_KILLED;
            } else {
                pt_format(&body, "{\"code\":\"%s\",\"message\":\"so\",\"details\":[]}", rows[i].word);
            }
            turns[0].body = body.p;
            turns[0].body_len = body.len;
            BEGIN(&r, turns);
            if (way == 2) CHECK_INT(sbx_command_run(r.s, "x", NULL, NULL, NULL), want);
            else CHECK_INT(one_call(&r, ON_RPC), want);
            if (want != SBX_E_UNREACHABLE) {
                CHECK_STR(sbx_client_error(r.c)->code, rows[i].word);
                CHECK_STR(sbx_client_error(r.c)->message, "so");
            }
            pt_free(&body);
            rig_end(&r);
        }
    test_row = NULL;
}

/* What the gateway in front of the sandboxes says, and what is asked when it says less. */
TEST(meaning_of_502)
{
    static const struct { int http; const char *body; int health; const char *says;
        int want; int alive; } rows[] = {
        { 502, GONE, 0, 0, SBX_E_SANDBOX_GONE, SBX_NO },
        { 502, "The sandbox was not found", 0, 0, SBX_E_SANDBOX_GONE, SBX_NO },
        { 502, CLOSED, 0, 0, SBX_E_UNREACHABLE, SBX_YES },
        { 503, "{\"code\":\"unavailable\",\"message\":\"sandbox was not found\"}", 0, 0,
            SBX_E_SANDBOX_GONE, SBX_NO },
        { 503, "{\"code\":\"unavailable\",\"message\":\"port is not open\"}", 0, 0,
            SBX_E_UNREACHABLE, SBX_YES },
        { 502, "bad gateway", 204, "", SBX_E_UNREACHABLE, SBX_YES },
        { 502, "bad gateway", 502, GONE, SBX_E_SANDBOX_GONE, SBX_NO },
        { 502, "bad gateway", 502, "bad gateway", SBX_E_SANDBOX_GONE, SBX_NO },
        { 502, "bad gateway", 500, "{}", SBX_E_UNREACHABLE, 0 },
        { 503, "{\"code\":\"unavailable\",\"message\":\"hm\"}", 204, "", SBX_E_UNREACHABLE, SBX_YES },
        { 404, GONE, 0, 0, SBX_E_SANDBOX_GONE, SBX_NO }, /* the number inside counts */
        { 409, "{\"sandboxId\":\"box1\",\"message\":\"The sandbox is still transitioning. Try again "
            "in a moment.\",\"code\":409}", 0, 0, SBX_E_CONFLICT, 0 },
        { 403, "{\"sandboxId\":\"box1\",\"message\":\"no resume\",\"code\":403}", 0, 0, SBX_E_DENIED, 0 },
        { 400, "missing header", 0, 0, SBX_E_REFUSED, 0 },
        { 429, "{\"sandboxId\":\"box1\",\"message\":\"many\",\"code\":429,\"connectionLimit\":9}", 0, 0,
            SBX_E_RATE_LIMITED, 0 },
    };
    size_t i;
    int which;
    for (i = 0; i < ROWS(rows); i++)
        for (which = ON_RPC; which <= ON_REST; which++) {
            turn turns[] = { { NULL, rows[i].http, 0, rows[i].body, .lacks = "/health" },
                { T_HEALTH, rows[i].health, 0, rows[i].says, .used = !rows[i].health } };
            rig r;
            test_row = rows[i].body;
            BEGIN(&r, turns);
            CHECK_INT(one_call(&r, which), rows[i].want);
            CHECK_INT(sbx_client_error(r.c)->sandbox_alive, rows[i].alive);
            rig_end(&r);
        }
    test_row = NULL;
}

/* Members of an error come in any order; its finer word is kept. */
TEST(finer_words)
{
    static const char *const bodies[] = {
        "{\"code\":409,\"error_code\":\"sandbox_snapshot_guest_agent_unresponsive\",\"message\":\"m\"}",
        "{\"message\":\"m\",\"error_code\":\"sandbox_snapshot_guest_agent_unresponsive\",\"code\":409}",
        "{ \"error_code\" : \"sandbox_snapshot_guest_agent_unresponsive\", \"x\": {\"code\": 1},\n"
            "\"code\": 409, \"message\": \"m\" }" };
    size_t i;
    for (i = 0; i < ROWS(bodies); i++) {
        turn turns[] = { { "POST /sandboxes/box1/snapshots ", 409, 0, bodies[i] } };
        sbx_snapshot_info *out;
        rig r;
        BEGIN(&r, turns);
        CHECK_INT(sbx_snapshot_create(r.s, NULL, &out, NULL), SBX_E_CONFLICT);
        CHECK_STR(sbx_client_error(r.c)->code, "sandbox_snapshot_guest_agent_unresponsive");
        CHECK_STR(sbx_client_error(r.c)->message, "m");
        rig_end(&r);
    }
}

/* ---- a no is an answer ----------------------------------------------------------------- */

enum { KILL, PAUSE, UNSNAP, PROC_KILL, PROC_TERM, EXISTS, MAKE_DIR, RUNNING };

static int yes_no(rig *r, int which, bool *answer)
{
    switch (which) {
    case KILL: return sbx_sandbox_kill(r->s, answer, NULL);
    case PAUSE: return sbx_sandbox_pause(r->s, NULL, answer, NULL);
    case UNSNAP: return sbx_snapshot_delete(r->c, "team/snap:v1", answer, NULL);
    case PROC_KILL: return sbx_command_kill(r->s, 7, answer, NULL);
    case PROC_TERM: return sbx_command_signal(r->s, 7, SBX_SIGNAL_TERM, answer, NULL);
    case EXISTS: return sbx_files_exists(r->s, "/f", NULL, answer, NULL);
    case MAKE_DIR: return sbx_files_make_dir(r->s, "/f", NULL, answer, NULL);
    default: return sbx_sandbox_is_running(r->s, answer, NULL);
    }
}

TEST(a_no_is_an_answer)
{
    enum { YES = 1, NO = 2 }; /* else a status */
    static const struct { int which, http; const char *body; int want; } rows[] = {
        { KILL, 204, "", YES }, { KILL, 404, "{\"code\":404,\"message\":\"m\"}", NO },
        { KILL, 404, "", NO }, { KILL, 409, "{\"code\":409,\"message\":\"m\"}", SBX_E_CONFLICT },
        { PAUSE, 204, "", YES }, { PAUSE, 409, "{\"code\":409,\"message\":\"m\"}", NO },
        { PAUSE, 404, "{\"code\":404,\"message\":\"m\"}", SBX_E_NOT_FOUND },
        { UNSNAP, 204, "", YES }, { UNSNAP, 404, "{\"code\":404,\"message\":\"m\"}", NO },
        { UNSNAP, 400, "{\"code\":400,\"message\":\"m\"}", SBX_E_REFUSED },
        { PROC_KILL, 200, "{}", YES }, { PROC_KILL, 404, "{\"code\":\"not_found\",\"message\":\"m\"}", NO },
        { PROC_KILL, 404, "404 page not found", NO },
        { PROC_KILL, 501, "{\"code\":\"unimplemented\"}", SBX_E_UNSUPPORTED_HOST },
        { PROC_TERM, 200, "{}", YES }, { PROC_TERM, 404, "{\"code\":\"not_found\"}", NO },
        { PROC_TERM, 404, "", NO }, { PROC_TERM, 401, "{\"code\":401,\"message\":\"m\"}", SBX_E_AUTH },
        { EXISTS, 200, "{\"entry\":{}}", YES }, { EXISTS, 404, "{\"code\":\"not_found\"}", NO },
        { EXISTS, 404, "{\"message\":\"m\",\"path\":\"/p\",\"code\":404}", NO },
        { EXISTS, 400, "{\"code\":\"invalid_argument\",\"message\":\"m\"}", SBX_E_REFUSED },
        { EXISTS, 502, GONE, SBX_E_SANDBOX_GONE },
        { MAKE_DIR, 200, "{\"entry\":{}}", YES },
        { MAKE_DIR, 409, "{\"code\":\"already_exists\",\"message\":\"directory already exists: /f\"}", NO },
        { MAKE_DIR, 409, "{\"sandboxId\":\"box1\",\"message\":\"still transitioning\",\"code\":409}",
            SBX_E_CONFLICT },
        { MAKE_DIR, 400, "{\"code\":\"invalid_argument\",\"message\":\"path already exists but it is "
            "not a directory: /f\"}", SBX_E_NOT_A_FILE },
        { RUNNING, 204, "", YES }, { RUNNING, 200, "x", YES }, { RUNNING, 502, "", NO },
        { RUNNING, 502, GONE, NO }, { RUNNING, 502, "whatever", NO },
        { RUNNING, 500, "{}", SBX_E_SERVER }, { RUNNING, 401, "{}", SBX_E_AUTH },
        { RUNNING, 404, "", SBX_E_NOT_FOUND },
    };
    size_t i;
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { NULL, rows[i].http, 0, rows[i].body } };
        char row[40];
        bool answer = rows[i].want != YES;
        rig r;
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        BEGIN(&r, turns);
        CHECK_INT(yes_no(&r, rows[i].which, &answer), rows[i].want > 0 ? SBX_OK : rows[i].want);
        CHECK_INT(answer, rows[i].want == YES);
        rig_end(&r);
    }
    test_row = NULL;
}

/* ---- what a daemon of one version knows -------------------------------------------------- */

enum { G_RECURSIVE, G_ENTRIES, G_MOUNTS, G_CLOSE, G_METRICS, G_NO_STDIN, G_STREAMED, G_COUNT };

static int no_change(void *ctx, const sbx_watch_event *event)
{
    (void)ctx;
    (void)event;
    return SBX_OK;
}

static int no_metrics(void *ctx, const sbx_metrics *m)
{
    (void)ctx;
    (void)m;
    return SBX_OK;
}

static int gated(rig *r, int which)
{
    sbx_watch_options w = { .mode = SBX_WATCH_ASK, .interval_ms = SBX_NEVER };
    sbx_command_options o = { .keep_stdin = SBX_NO };
    well from = { .data = "abc", .len = 3 };
    sbx_watch *watch;
    int rc;
    w.recursive = which == G_RECURSIVE ? SBX_YES : SBX_DEFAULT;
    w.entries = which == G_ENTRIES ? SBX_YES : SBX_DEFAULT;
    w.network_mounts = which == G_MOUNTS ? SBX_YES : SBX_DEFAULT;
    switch (which) {
    case G_CLOSE: return sbx_command_close_stdin(r->s, 7, NULL);
    case G_METRICS: return sbx_sandbox_metrics(r->s, 0, 0, no_metrics, NULL, NULL);
    case G_NO_STDIN: return sbx_command_run(r->s, "x", &o, NULL, NULL);
    case G_STREAMED: return sbx_files_write(r->s, "/f", well_source(&from, -1, false), NULL, NULL, NULL);
    default:
        rc = sbx_files_watch(r->s, "/d", &w, no_change, NULL, &watch, NULL);
        sbx_watch_release(watch);
        return rc;
    }
}

/* Below its version a call is refused and nothing is sent; from it on it is sent. */
TEST(features_of_a_daemon)
{
    static const struct { int which; const char *below, *from; } rows[] = {
        { G_RECURSIVE, "0.1.3", "0.1.4" }, { G_ENTRIES, "0.6.2", "0.6.3" },
        { G_MOUNTS, "0.6.3", "0.6.4" }, { G_CLOSE, "0.5.1", "0.5.2" },
        { G_METRICS, "0.1.4", "0.1.5" }, { G_NO_STDIN, "0.2.9", "0.3.0" },
        { G_STREAMED, "0.5.6", "0.5.7" },
    };
    static const char *const answers[G_COUNT] = { "{\"watcherId\":\"w1\"}", "{\"watcherId\":\"w1\"}",
        "{\"watcherId\":\"w1\"}", "{}", "[]", NULL, WRITTEN };
    ptext stream = { 0 };
    size_t i;
    int way;
    stream_of(&stream, NULL, 0);
    for (i = 0; i < ROWS(rows); i++)
        for (way = 0; way < 3; way++) {
            turn turns[] = { { NULL, 200, 0, answers[rows[i].which], .always = true, .used = 1 } };
            rig r;
            test_row = rows[i].from;
            if (!turns[0].body) {
                turns[0].body = stream.p;
                turns[0].body_len = stream.len;
            }
            BEGIN(&r, turns);
            rig_version(&r, way == 0 ? rows[i].below : way == 1 ? rows[i].from : NULL);
            CHECK_INT(gated(&r, rows[i].which), way ? SBX_OK : SBX_E_UNSUPPORTED_HOST);
            CHECK(way ? r.p->requests >= 1 : r.p->requests == 0);
            if (!way) CHECK(sbx_client_error(r.c)->message[0] != 0);
            rig_end(&r);
        }
    pt_free(&stream);
    test_row = NULL;
}

/* Standard input closed is what the SDK sends anyway: only who insists is refused. */
TEST(old_daemons_still_run_commands)
{
    ptext stream = { 0 };
    turn turns[] = { { T_START, 200, 0 }, { T_CONNECT, 200, 0 } };
    sbx_command_options o = { .keep_stdin = SBX_NO };
    sbx_proc *p;
    rig r;
    stream_of(&stream, NULL, 0);
    turns[0].body = turns[1].body = stream.p;
    turns[0].body_len = turns[1].body_len = stream.len;
    BEGIN(&r, turns);
    rig_version(&r, "0.2.9");
    CHECK_INT(sbx_command_run(r.s, "x", NULL, NULL, NULL), SBX_OK);
    CHECK_INT(sbx_command_connect(r.s, 77, &o, &p, NULL), SBX_OK); /* which it does not concern */
    sbx_proc_release(p);
    pt_free(&stream);
    rig_end(&r);
}

/* Who a call is for, if it does not say: a daemon before 0.4.0 must be told. */
TEST(user_by_version)
{
    static const struct { const char *version, *user; bool named; } rows[] = {
        { "0.3.9", NULL, true }, { "0.4.0", NULL, false }, { "0.6.4", NULL, false }, { NULL, NULL, false },
        { "0.3.9", "user", true }, { "0.6.4", "user", true } };
    ptext stream = { 0 };
    size_t i, k;
    stream_of(&stream, NULL, 0);
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { T_START, 200, 0 }, { T_STAT, 200, 0, "{\"entry\":{\"name\":\"x\"}}" },
            { T_READ, 200, 0, "x" }, { T_FILES, 200, 0, WRITTEN },
            { "POST /process.Process/List ", 200, 0, "{}" } };
        sbx_command_options o = { .user = rows[i].user };
        sbx_files_options f = { .user = rows[i].user };
        sbx_url_options u = { .user = rows[i].user };
        sbx_file_info *info = NULL;
        sbx_sink none = { 0 };
        char url[400];
        rig r;
        turns[0].body = stream.p;
        turns[0].body_len = stream.len;
        BEGIN(&r, turns);
        rig_version(&r, rows[i].version);
        CHECK_INT(sbx_command_run(r.s, "x", &o, NULL, NULL), SBX_OK);
        CHECK_INT(sbx_files_stat(r.s, "/f", &f, &info, NULL), SBX_OK);
        sbx_free(info);
        CHECK_INT(sbx_files_read(r.s, "/f", &f, none, NULL), SBX_OK);
        CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, &f, NULL, NULL), SBX_OK);
        CHECK_INT(sbx_command_list(r.s, (sbx_process_each)(void (*)(void))no_file, NULL, NULL), SBX_OK);
        CHECK_INT(sbx_files_url(r.s, "/f", &u, url, sizeof url, NULL), SBX_OK);
        for (k = 0; k < 2; k++) CHECK_INT(has(&r, k, "Authorization: Basic dXNlcjo=\r\n"), rows[i].named);
        for (k = 2; k < 4; k++) CHECK_INT(has(&r, k, "username=user"), rows[i].named);
        CHECK(!has(&r, 4, "Authorization"));
        CHECK_INT(strstr(url, "&username=user&") != NULL, rows[i].named);
        rig_end(&r);
    }
    pt_free(&stream);
}

/* ---- time on the wire --------------------------------------------------------------------- */

/* A stream that is only followed can be cut by its time: the process lives. */
TEST(a_connection_that_ran_out_of_time)
{
    turn turns[] = { { T_CONNECT, 200, 0 } };
    ptext stream = { 0 };
    sbx_command_options o = { .timeout_ms = 1000 };
    sbx_command_result res;
    sbx_error e;
    sbx_call call = { .error = &e };
    sbx_proc *p;
    rig r;
    pt_envelope(&stream, 0, PID);
    pt_envelope(&stream, 2, "{\"error\":{\"code\":\"deadline_exceeded\",\"message\":\"context deadline exceeded\"}}");
    turns[0].body = stream.p;
    turns[0].body_len = stream.len;
    turns[0].chunk = 20;
    BEGIN(&r, turns);
    CHECK_INT(sbx_command_connect(r.s, 77, &o, &p, NULL), SBX_OK);
    CHECK_INT(sbx_proc_wait(p, &res, &call), SBX_E_TIMEOUT);
    CHECK(e.process_alive != SBX_NO);
    CHECK_INT(e.pid, 77);
    sbx_proc_release(p);
    pt_free(&stream);
    rig_end(&r);
}

enum { D_STAT, D_RUN, D_START, D_CONNECT, D_WATCH, D_READ };

static void timed(rig *r, int which, int32_t own_ms, int32_t call_ms)
{
    sbx_command_options o = { .timeout_ms = own_ms };
    sbx_watch_options w = { .timeout_ms = own_ms, .mode = SBX_WATCH_STREAM };
    sbx_call call = { .timeout_ms = call_ms };
    sbx_file_info *info = NULL;
    sbx_sink none = { 0 };
    sbx_proc *p = NULL;
    sbx_watch *watch = NULL;
    int rc;
    switch (which) {
    case D_STAT: rc = sbx_files_stat(r->s, "/f", NULL, &info, &call); break;
    case D_RUN: rc = sbx_command_run(r->s, "x", &o, NULL, &call); break;
    case D_START: rc = sbx_command_start(r->s, "x", &o, &p, &call); break;
    case D_CONNECT: rc = sbx_command_connect(r->s, 77, &o, &p, &call); break;
    case D_WATCH: rc = sbx_files_watch(r->s, "/d", &w, no_change, NULL, &watch, &call); break;
    default: rc = sbx_files_read(r->s, "/f", NULL, none, &call);
    }
    CHECK_INT(rc, SBX_OK);
    sbx_free(info);
    sbx_proc_release(p);
    sbx_watch_release(watch);
}

/* The life of a command and the time of a call are apart; pings are asked of streams. */
TEST(deadlines_on_the_wire)
{
    static const struct { int which; int32_t own_ms, call_ms; const char *want; bool pings; } rows[] = {
        { D_STAT, 0, 0, "60000", false }, { D_STAT, 0, 2500, "2500", false }, { D_STAT, 0, 1, "1", false },
        { D_STAT, 0, SBX_NEVER, NULL, false }, { D_READ, 0, 0, NULL, false }, { D_READ, 0, 5000, NULL, false },
        { D_RUN, 0, 0, "60000", true }, { D_RUN, 1500, 0, "1500", true },
        { D_RUN, SBX_NEVER, 0, NULL, true }, { D_RUN, 1500, 9000, "1500", true },
        { D_START, 0, 0, NULL, true }, { D_START, 0, 7000, NULL, true },
        { D_START, 90000, 7000, "90000", true }, { D_START, INT32_MAX, 0, "2147483647", true },
        { D_CONNECT, 0, 0, NULL, true }, { D_CONNECT, 4000, 0, "4000", true },
        { D_WATCH, 0, 0, NULL, true }, { D_WATCH, SBX_NEVER, 0, NULL, true }, { D_WATCH, 4000, 0, "4000", true },
    };
    ptext stream = { 0 }, watched = { 0 };
    size_t i;
    stream_of(&stream, NULL, 0);
    pt_envelope(&watched, 0, "{\"start\":{}}");
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { NULL, 200, 0, "{\"entry\":{\"name\":\"x\"}}" } };
        char row[40], value[40];
        const char *got;
        rig r;
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        if (rows[i].which >= D_RUN && rows[i].which <= D_CONNECT) {
            turns[0].body = stream.p;
            turns[0].body_len = stream.len;
        } else if (rows[i].which == D_WATCH) {
            turns[0].body = watched.p;
            turns[0].body_len = watched.len;
        }
        BEGIN(&r, turns);
        timed(&r, rows[i].which, rows[i].own_ms, rows[i].call_ms);
        got = head_value(r.p->request[0].head, "Connect-Timeout-Ms", value, sizeof value);
        CHECK(rows[i].want ? got && strcmp(got, rows[i].want) == 0 : !got);
        CHECK_INT(has(&r, 0, "Keepalive-Ping-Interval: 50\r\n"), rows[i].pings);
        CHECK_INT(has(&r, 0, "Connect-Protocol-Version: 1\r\n"), rows[i].which != D_READ);
        rig_end(&r);
    }
    pt_free(&stream);
    pt_free(&watched);
    test_row = NULL;
}

/* A ping says that all is well, wherever it comes but in front of the start. */
TEST(pings)
{
    static const char ping[] = "{\"event\":{\"keepalive\":{}}}",
        end[] = "{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status 0\"}}}";
    int first;
    for (first = 0; first < 2; first++) {
        turn turns[] = { { T_START, 200, 0 } };
        ptext stream = { 0 };
        sbx_command_result res;
        rig r;
        if (first) pt_envelope(&stream, 0, ping);
        pt_envelope(&stream, 0, PID);
        pt_envelope(&stream, 0, ping);
        pt_envelope(&stream, 0, end);
        pt_envelope(&stream, 0, ping);
        pt_envelope(&stream, 2, "{}");
        turns[0].body = stream.p;
        turns[0].body_len = stream.len;
        BEGIN(&r, turns);
        CHECK_INT(sbx_command_run(r.s, "x", NULL, &res, NULL), first ? SBX_E_PROTOCOL : SBX_OK);
        CHECK_INT(res.exit_code, 0);
        pt_free(&stream);
        rig_end(&r);
    }
}

/* ---- where requests go ---------------------------------------------------------------------- */

/* Some domains have one host for all sandboxes, which tells them by headers. */
TEST(hosts_of_a_domain)
{
    static const struct { const char *domain; bool shared; } rows[] = {
        { "e2b.app", true }, { "e2b.dev", true }, { "e2b.pro", true }, { "e2b-staging.dev", true },
        { "e2b-tango.dev", true }, { "e2b-juliett.dev", true }, { "foxtrot-2.e2b.dev", true },
        { "E2B.app", false }, { "x.e2b.app", false }, { "e2b.ap", false }, { "2b.app", false },
        { "dev", false }, { "e2b", false }, { "example.com", false }, { "e2b.app.evil.test", false },
    };
    size_t i;
    int way;
    char host[100], want[100], value[40];
    for (i = 0; i < ROWS(rows); i++)
        for (way = 0; way < 3; way++) { /* by config, by the reply's domain, the older dialect */
            turn turns[] = { { T_HEALTH, 204, 0 } };
            sbx_sandbox_access a = { .access_token = "t", .daemon_version = "0.6.4" };
            sbx_sandbox *s;
            char url[400], text[120];
            bool yes;
            rig r;
            test_row = rows[i].domain;
            rig_start(&r);
            peer_script(r.p, turns, 1);
            r.g.sandbox_url = NULL;
            r.g.domain = way == 1 ? "other.test" : rows[i].domain;
            r.g.dialect = way == 2 ? "2.6" : NULL;
            a.domain = way == 1 ? rows[i].domain : NULL;
            rig_open(&r);
            CHECK_INT(sbx_sandbox_attach(r.c, "i1abc", &a, &s), SBX_OK);
            CHECK_INT(sbx_sandbox_is_running(s, &yes, NULL), SBX_OK);
            snprintf(want, sizeof want, "%s.%s", rows[i].shared && way < 2 ? "sandbox" : "49983-i1abc",
                rows[i].domain);
            CHECK_STR(r.p->conn[0].host, want);
            CHECK(r.p->conn[0].tls);
            CHECK_STR(head_value(r.p->request[0].head, "E2b-Sandbox-Id", value, sizeof value), "i1abc");
            CHECK_STR(head_value(r.p->request[0].head, "E2b-Sandbox-Port", value, sizeof value), "49983");
            CHECK_INT(sbx_sandbox_host(s, 8080, host, sizeof host), SBX_OK);
            snprintf(want, sizeof want, "8080-i1abc.%s", rows[i].domain);
            CHECK_STR(host, want);
            CHECK_INT(sbx_sandbox_mcp_url(s, host, sizeof host), SBX_OK);
            snprintf(want, sizeof want, "https://50005-i1abc.%s/mcp", rows[i].domain);
            CHECK_STR(host, want);
            /* a URL to hand out carries no headers */
            CHECK_INT(sbx_files_url(s, "/f", NULL, url, sizeof url, NULL), SBX_OK);
            snprintf(text, sizeof text, "https://49983-i1abc.%s/files?path=", rows[i].domain);
            CHECK(strncmp(url, text, strlen(text)) == 0);
            sbx_sandbox_release(s);
            rig_end(&r);
        }
    test_row = NULL;
}

static void set_all(const char *key, const char *domain, const char *api, const char *box, const char *debug)
{
    setenv("E2B_API_KEY", key, 1);
    setenv("E2B_DOMAIN", domain, 1);
    setenv("E2B_API_URL", api, 1);
    setenv("E2B_SANDBOX_URL", box, 1);
    setenv("E2B_DEBUG", debug, 1);
}

/* The configuration, else the environment, else the default; empty is not set. */
TEST(who_decides)
{
    static const struct { const char *env[5]; sbx_config own; const char *key, *api, *box; } rows[] = {
        { { "", "", "", "", "" }, { .api_key = "own" }, "own", "api.e2b.app", "sandbox.e2b.app" },
        { { "env", "", "", "", "" }, { 0 }, "env", "api.e2b.app", "sandbox.e2b.app" },
        { { "env", "d.test", "", "", "" }, { 0 }, "env", "api.d.test", "49983-box1.d.test" },
        { { "env", "d.test", "", "", "" }, { .api_key = "own", .domain = "e.test" }, "own", "api.e.test",
            "49983-box1.e.test" },
        { { "env", "d.test", "http://a.test", "http://b.test", "" }, { 0 }, "env", "a.test", "b.test" },
        { { "env", "d.test", "http://a.test", "http://b.test", "" }, { .api_url = "http://c.test",
            .sandbox_url = "http://{id}.f.test" }, "env", "c.test", "box1.f.test" },
        { { "env", "d.test", "http://a.test", "http://b.test", "true" }, { 0 }, "env", "a.test", "b.test" },
        { { "env", "d.test", "", "", "true" }, { 0 }, "env", "localhost", "localhost" },
        { { "env", "d.test", "", "", "TRUE" }, { 0 }, "env", "localhost", "localhost" },
        { { "env", "d.test", "", "", "True" }, { .debug = SBX_NO }, "env", "api.d.test", "49983-box1.d.test" },
        { { "env", "d.test", "", "", "1" }, { 0 }, "env", "api.d.test", "49983-box1.d.test" },
        { { "env", "d.test", "", "", "yes" }, { 0 }, "env", "api.d.test", "49983-box1.d.test" },
        { { "env", "d.test", "", "", "" }, { .debug = SBX_YES }, "env", "localhost", "localhost" },
        { { "env", "d.test", "http://a.test", "http://b.test", "true" }, { .api_key = "own",
            .environment = SBX_NO }, "own", "api.e2b.app", "sandbox.e2b.app" },
    };
    size_t i;
    char value[40], row[20];
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { "GET /sandboxes/box1 ", 200, 0, INFO }, { T_HEALTH, 204, 0 } };
        bool yes;
        rig r;
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        set_all(rows[i].env[0], rows[i].env[1], rows[i].env[2], rows[i].env[3], rows[i].env[4]);
        rig_start(&r);
        peer_script(r.p, turns, 2);
        r.g.proxy = "";
        r.g.api_key = rows[i].own.api_key;
        r.g.domain = rows[i].own.domain;
        r.g.api_url = rows[i].own.api_url;
        r.g.sandbox_url = rows[i].own.sandbox_url;
        r.g.debug = rows[i].own.debug;
        r.g.environment = rows[i].own.environment;
        rig_open(&r);
        CHECK_INT(one_call(&r, ON_CONTROL), SBX_OK);
        CHECK_INT(sbx_sandbox_is_running(r.s, &yes, NULL), SBX_OK);
        CHECK_STR(head_value(r.p->request[0].head, "X-API-KEY", value, sizeof value), rows[i].key);
        CHECK_STR(r.p->conn[0].host, rows[i].api);
        CHECK_STR(r.p->conn[1].host, rows[i].box);
        rig_end(&r);
    }
    test_row = NULL;
    unsetenv("E2B_API_KEY");
    unsetenv("E2B_DOMAIN");
    unsetenv("E2B_API_URL");
    unsetenv("E2B_SANDBOX_URL");
    unsetenv("E2B_DEBUG");
}

/* ---- create ----------------------------------------------------------------------------------- */

static char key_255[256], key_256[257];

/* What the service would only find out later is refused here, before anything is sent. */
TEST(create_is_checked)
{
    const sbx_sandbox_options bad[] = {
        { .auto_resume = SBX_YES }, { .auto_resume = SBX_YES, .on_timeout = SBX_ON_TIMEOUT_KILL },
        { .on_timeout = SBX_ON_TIMEOUT_PAUSE, .pause_memory = SBX_NO, .auto_resume = SBX_YES },
        { .pause_memory = SBX_NO }, { .pause_memory = SBX_YES, .on_timeout = SBX_ON_TIMEOUT_KILL },
        { .timeout_s = -1 }, { .idempotency_key = "" }, { .idempotency_key = "A" },
        { .idempotency_key = "a_b" }, { .idempotency_key = "a b" }, { .idempotency_key = key_256 },
        { .mcp_json = "{" }, { .identity_json = "nope" }, { .network = { .rules_json = "{]" } },
        { .network = { .proxy_username = "u" } }, { .network = { .proxy_password = "p" } },
        { .network = { .proxy_tls = SBX_YES } },
        { .network = { .proxy_address = "h:1", .proxy_server_name = "h" } },
        { .network = { .proxy_address = "h:1", .proxy_ca_pem = "pem" } },
        { .network = { .proxy_address = "h:1", .proxy_tls = SBX_NO, .proxy_server_name = "h" } },
    };
    size_t i;
    memset(key_255, 'k', 255);
    memset(key_256, 'k', 256);
    for (i = 0; i < ROWS(bad); i++) {
        turn turns[] = { { NULL, 500, 0, .used = 1 } };
        char row[20];
        sbx_sandbox *s;
        rig r;
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_create(r.c, &bad[i], &s, NULL), SBX_E_ARG);
        CHECK(sbx_client_error(r.c)->message[0] != 0);
        CHECK_INT(r.p->requests, 0);
        rig_end(&r);
    }
    test_row = NULL;
}

/* Bodies, member by member, as the SDK composes them. */
TEST(create_says)
{
    static const uint16_t ports[] = { 443, 8443 };
    static const char *const out[] = { "1.1.1.1", "*.example.com" }, *const deny[] = { "0.0.0.0/0" };
    const struct { sbx_sandbox_options o; const char *want; } rows[] = {
        { { 0 }, "{\"templateID\":\"base\",\"metadata\":{},\"envVars\":{}}" },
        { { .template_id = "team/a:v1", .timeout_s = 1, .on_timeout = SBX_ON_TIMEOUT_PAUSE,
            .pause_memory = SBX_NO, .auto_resume = SBX_NO, .internet = SBX_NO },
          "{\"templateID\":\"team/a:v1\",\"timeout\":1,\"autoPause\":true,\"autoPauseMemory\":false,"
          "\"autoResume\":{\"enabled\":false},\"allow_internet_access\":false,\"metadata\":{},\"envVars\":{}}" },
        { { .on_timeout = SBX_ON_TIMEOUT_KILL, .internet = SBX_YES },
          "{\"templateID\":\"base\",\"autoPause\":false,\"allow_internet_access\":true,\"metadata\":{},"
          "\"envVars\":{}}" },
        { { .network = { .public_traffic = SBX_NO, .allow_out = { out, 2 }, .deny_out = { deny, 1 },
            .dns_servers = { NULL, 0 }, .proxy_address = "h:1", .proxy_username = "u", .proxy_password = "p",
            .proxy_tls = SBX_YES, .proxy_server_name = "n", .proxy_ca_pem = "c", .mask_host = "m:${PORT}",
            .https_ports = { ports, 2 }, .rules_json = "{\"h\":[]}" } },
          "{\"templateID\":\"base\",\"network\":{\"allowPublicTraffic\":false,\"allowOut\":[\"1.1.1.1\","
          "\"*.example.com\"],\"denyOut\":[\"0.0.0.0/0\"],\"egressProxy\":{\"address\":\"h:1\",\"username\":"
          "\"u\",\"password\":\"p\",\"tls\":{\"enabled\":true,\"serverName\":\"n\",\"caCert\":\"c\"}},"
          "\"maskRequestHost\":\"m:${PORT}\",\"httpsPorts\":[443,8443],\"rules\":{\"h\":[]}},\"metadata\":{},"
          "\"envVars\":{}}" },
        { { .network = { .proxy_address = "h:1", .proxy_tls = SBX_NO } },
          "{\"templateID\":\"base\",\"network\":{\"egressProxy\":{\"address\":\"h:1\"}},\"metadata\":{},"
          "\"envVars\":{}}" },
    };
    size_t i;
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { "POST /v2/sandboxes ", 201, 0, CREATED } };
        char row[20];
        sbx_sandbox *s = NULL;
        rig r;
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_create(r.c, &rows[i].o, &s, NULL), SBX_OK);
        CHECK_STR(r.p->request[0].body.p, rows[i].want);
        CHECK(!has(&r, 0, "Idempotency-Key"));
        sbx_sandbox_release(s);
        rig_end(&r);
    }
    test_row = NULL;
}

/* The form that changes the rules has fewer members, and is held to the same. */
TEST(set_network_says)
{
    static const char *const out[] = { "1.1.1.1" };
    turn turns[] = { { "PUT /sandboxes/box1/network ", 204, 0, .always = true } };
    sbx_network n = { .allow_out = { out, 1 }, .deny_out = { out, 0 }, .proxy_address = "h:1",
        .proxy_tls = SBX_NO, .rules_json = "{}" };
    rig r;
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_set_network(r.s, &n, SBX_NO, NULL), SBX_OK);
    CHECK_STR(r.p->request[0].body.p, "{\"allowOut\":[\"1.1.1.1\"],\"denyOut\":[],\"egressProxy\":"
        "{\"address\":\"h:1\"},\"rules\":{},\"allow_internet_access\":false}");
    CHECK_INT(sbx_sandbox_set_network(r.s, NULL, SBX_DEFAULT, NULL), SBX_OK);
    CHECK_STR(r.p->request[1].body.p, "{}");
    n.proxy_address = NULL;
    n.proxy_password = "p";
    CHECK_INT(sbx_sandbox_set_network(r.s, &n, SBX_NO, NULL), SBX_E_ARG);
    CHECK_INT(r.p->requests, 2);
    rig_end(&r);
}

/* The reply is dropped: with a key, the caller's or one that is made, the same goes out
   again; without, nobody can know. */
TEST(a_reply_that_is_dropped)
{
    int way;
    for (way = 0; way < 4; way++) {
        turn turns[] = { { "POST /v2/sandboxes ", 201, 0, CREATED, .cut = 1 },
            { "POST /v2/sandboxes ", 201, 0, CREATED } };
        sbx_sandbox_options o = { 0 };
        sbx_sandbox *s = NULL;
        char first[300] = "", second[300] = "";
        rig r;
        memset(key_255, 'k', 255);
        if (way == 1) o.idempotency_key = "my-key-1";
        if (way == 2) o.idempotent = SBX_YES;
        if (way == 3) o.idempotency_key = key_255;
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_create(r.c, &o, &s, NULL), way ? SBX_OK : SBX_E_NETWORK);
        if (way) {
            head_value(r.p->request[0].head, "Idempotency-Key", first, sizeof first);
            head_value(r.p->request[1].head, "Idempotency-Key", second, sizeof second);
            CHECK_STR(first, second);
            CHECK(sbxi_e2b_is_key(first));
            CHECK(way != 1 || strcmp(first, "my-key-1") == 0);
            CHECK(way != 2 || strlen(first) == 36);
            CHECK(way != 3 || strlen(first) == 255);
            CHECK_STR(r.p->request[0].body.p, r.p->request[1].body.p);
            CHECK_STR(sbx_sandbox_id(s), "new1");
        } else {
            CHECK_INT(sbx_client_error(r.c)->may_exist, SBX_YES);
            CHECK_INT(r.p->requests, 1);
            turns[1].used = 1;
        }
        sbx_sandbox_release(s);
        rig_end(&r);
    }
}

/* ---- sandboxes that are there ------------------------------------------------------------------ */

/* Nobody's end is moved who did not ask for it; seconds and members as the service has them. */
TEST(times_of_a_sandbox)
{
    turn turns[] = { { "POST /v2/sandboxes/box1/connect ", 200, 0, CREATED },
        { "POST /v2/sandboxes/box1/connect ", 201, 0, CREATED },
        { "POST /v2/sandboxes/box1/connect ", 201, 0, CREATED },
        { "POST /sandboxes/box1/timeout ", 204 }, { "POST /sandboxes/box1/refreshes ", 204 },
        { "GET /sandboxes/box1/metrics?start=1&end=2 ", 200, 0, "[]" },
        { "GET /sandboxes/box1/metrics?end=1 ", 200, 0, "[]" } };
    static const char *const bodies[] = { "{}", "{\"timeout\":9}", "{\"timeout\":9,\"memory\":false}",
        "{\"timeout\":0}", "{\"duration\":3600}" };
    sbx_resume_options o = { .timeout_s = 9, .memory = SBX_NO };
    bool resumed = true;
    size_t i;
    rig r;
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_connect(r.s, 0, &resumed, NULL), SBX_OK);
    CHECK(!resumed);
    CHECK_INT(sbx_sandbox_connect(r.s, 9, &resumed, NULL), SBX_OK);
    CHECK(resumed);
    CHECK_INT(sbx_sandbox_resume(r.s, &o, &resumed, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_set_timeout(r.s, 0, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_refresh(r.s, 3600, NULL), SBX_OK);
    for (i = 0; i < ROWS(bodies); i++) CHECK_STR(r.p->request[i].body.p, bodies[i]);
    CHECK_INT(sbx_sandbox_metrics(r.s, 1999, 2000, no_metrics, NULL, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_metrics(r.s, 999, 1000, no_metrics, NULL, NULL), SBX_OK);
    rig_end(&r);
}

/* ---- signed URLs ------------------------------------------------------------------------------- */

TEST(signed_urls)
{
    static const char begin[] = "http://box.test:4000/files?path=%2Fa&username=a%20b&signature=v1_";
    turn turns[] = { { NULL, 500, 0, .used = 1 } };
    sbx_sandbox_access bare = { .daemon_version = "0.6.4" };
    sbx_url_options o = { .upload = SBX_YES, .user = "a b", .expires_s = 60 };
    sbx_sandbox *s;
    char url[500];
    rig r;
    rig_start(&r);
    peer_script(r.p, turns, 1);
    rig_open(&r);
    CHECK_INT(sbx_sandbox_attach(r.c, "box2", &bare, &s), SBX_OK);
    CHECK_INT(sbx_files_url(s, "/a b/\xc3\xa9+", NULL, url, sizeof url, NULL), SBX_OK);
    CHECK_STR(url, "http://box.test:4000/files?path=%2Fa%20b%2F%C3%A9%2B");
    CHECK_INT(sbx_files_url(s, "/a", &o, url, sizeof url, NULL), SBX_E_ARG); /* no token to sign by */
    CHECK_STR(url, "");
    CHECK_INT(sbx_files_url(r.s, "/a", &o, url, 40, NULL), SBX_E_TOO_LARGE);
    CHECK_INT(sbx_files_url(r.s, "/a", &o, url, sizeof url, NULL), SBX_OK);
    CHECK(strncmp(url, begin, strlen(begin)) == 0);
    CHECK(strstr(url, "&signature_expiration=") != NULL);
    CHECK(strpbrk(url + strlen(begin), "+/ ") == NULL);
    CHECK_INT(r.p->requests, 0);
    sbx_sandbox_release(s);
    rig_end(&r);
}

/* ---- entries of directories ---------------------------------------------------------------------- */

static int put_kind(void *ctx, const sbx_file_info *info)
{
    static const char kinds[] = "?fdl";
    pt_add(ctx, &kinds[info->type], 1);
    return SBX_OK;
}

/* Members in any form that the mapping of the protocol allows. */
TEST(forms_of_an_entry)
{
    turn turns[] = { { "POST /filesystem.Filesystem/ListDir ", 200, 0,
        "{ \"entries\" : [ {\"name\":\"a\",\"type\":\"FILE_TYPE_FILE\",\"size\":\"5\"},\n"
        "{\"name\":\"b\",\"type\":\"FILE_TYPE_DIRECTORY\",\"size\":5,\"new\":[{}]},"
        "{\"name\":\"c\",\"type\":\"FILE_TYPE_SYMLINK\",\"metadata\":null},"
        "{\"name\":\"d\"},{\"name\":\"e\",\"type\":\"FILE_TYPE_FILE\",\"isSymlink\":true},"
        "{\"name\":\"f\",\"type\":null,\"isSymlink\":true},{\"name\":\"g\",\"type\":2} ] }" },
        { "POST /filesystem.Filesystem/ListDir ", 200, 0, "{}" },
        { "POST /filesystem.Filesystem/ListDir ", 200, 0, "{\"entries\":null}" } };
    static const char *const bodies[] = { "{\"path\":\"/d\",\"depth\":1}", "{\"path\":\"/d\",\"depth\":4}",
        "{\"path\":\"/d\"}" };
    sbx_files_options o = { .depth = 4 };
    ptext kinds = { 0 };
    size_t i;
    rig r;
    BEGIN(&r, turns);
    CHECK_INT(sbx_files_list(r.s, "/d", NULL, put_kind, &kinds, NULL), SBX_OK);
    CHECK_STR(kinds.p, "fdl?lld");
    CHECK_INT(sbx_files_list(r.s, "/d", &o, put_kind, &kinds, NULL), SBX_OK);
    o.depth = SBX_NEVER;
    CHECK_INT(sbx_files_list(r.s, "/d", &o, put_kind, &kinds, NULL), SBX_OK);
    CHECK_INT(kinds.len, 7);
    for (i = 0; i < 3; i++) CHECK_STR(r.p->request[i].body.p, bodies[i]);
    pt_free(&kinds);
    rig_end(&r);
}

/* A host that does not say what it wrote has not kept the protocol; nothing to write is
   nothing to send. */
TEST(written_or_not)
{
    static const char *const bodies[] = { "[]", "", "null" };
    size_t i;
    for (i = 0; i < ROWS(bodies); i++) {
        turn turns[] = { { T_FILES, 200, "Content-Type: text/plain\r\n", bodies[i] } };
        rig r;
        BEGIN(&r, turns);
        CHECK_INT(sbx_files_write_bytes(r.s, "/f", "x", 1, NULL, NULL, NULL), SBX_E_PROTOCOL);
        CHECK_INT(sbx_files_write_many(r.s, NULL, 0, NULL, no_file, NULL, NULL), SBX_OK);
        CHECK_INT(r.p->requests, 1);
        rig_end(&r);
    }
}

/* A body with parts or the bytes themselves: by what is written, by the option, and by
   what the daemon knows. */
TEST(form_of_a_written_file)
{
    static const char raw[] = "POST /files?path=%2Fa+b&username=u ",
        parts[] = "POST /files?username=u&path=%2Fa+b ";
    static const struct { const char *version; sbx_choice octet; bool source; const char *want; } rows[] = {
        { "0.6.4", SBX_DEFAULT, false, parts }, { "0.6.4", SBX_YES, false, raw }, { "0.6.4", SBX_NO, false, parts },
        { "0.6.4", SBX_DEFAULT, true, raw }, { "0.6.4", SBX_NO, true, parts }, { "0.6.4", SBX_YES, true, raw },
        { "0.5.7", SBX_YES, false, raw }, { "0.5.7", SBX_DEFAULT, true, raw }, { "0.5.6", SBX_YES, false, parts },
        { "0.5.6", SBX_DEFAULT, true, parts }, { NULL, SBX_YES, false, raw },
    };
    size_t i;
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { rows[i].want, 200, 0, WRITTEN } };
        sbx_files_options o = { .user = "u", .octet_stream = rows[i].octet };
        well from = { .data = "abc", .len = 3 };
        char row[20];
        rig r;
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        BEGIN(&r, turns);
        rig_version(&r, rows[i].version);
        CHECK_INT(rows[i].source ? sbx_files_write(r.s, "/a b", well_source(&from, 3, false), &o, NULL, NULL)
            : sbx_files_write_bytes(r.s, "/a b", "abc", 3, &o, NULL, NULL), SBX_OK);
        CHECK_INT(has(&r, 0, "Content-Type: application/octet-stream\r\n"), rows[i].want == raw);
        CHECK_INT(has(&r, 0, "Content-Type: multipart/form-data; boundary="), rows[i].want == parts);
        if (rows[i].want == raw) CHECK_STR(r.p->request[0].body.p, "abc");
        else CHECK(strstr(r.p->request[0].body.p, "name=\"file\"; filename=\"/a b\"\r\n") != NULL);
        rig_end(&r);
    }
    test_row = NULL;
}

/* ---- lists, logs ----------------------------------------------------------------------------------- */

TEST(states_of_a_list)
{
    static const struct { sbx_choice running, paused, oldest; const char *want; } rows[] = {
        { SBX_DEFAULT, SBX_DEFAULT, SBX_DEFAULT, "GET /v2/sandboxes " },
        { SBX_YES, SBX_DEFAULT, SBX_DEFAULT, "GET /v2/sandboxes?state=running " },
        { SBX_DEFAULT, SBX_NO, SBX_YES, "GET /v2/sandboxes?state=running&order=asc " },
        { SBX_YES, SBX_NO, SBX_NO, "GET /v2/sandboxes?state=running&order=desc " },
        { SBX_DEFAULT, SBX_YES, SBX_DEFAULT, "GET /v2/sandboxes?state=paused " },
        { SBX_NO, SBX_DEFAULT, SBX_DEFAULT, "GET /v2/sandboxes?state=paused " },
        { SBX_NO, SBX_YES, SBX_DEFAULT, "GET /v2/sandboxes?state=paused " },
        { SBX_YES, SBX_YES, SBX_DEFAULT, "GET /v2/sandboxes?state=running%2Cpaused " },
        { SBX_NO, SBX_NO, SBX_DEFAULT, NULL }, /* there is no other state */
    };
    size_t i;
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { rows[i].want, 200, 0, "[]", .used = !rows[i].want } };
        sbx_sandbox_query q = { .running = rows[i].running, .paused = rows[i].paused,
            .oldest_first = rows[i].oldest };
        char row[20];
        rig r;
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_list(r.c, &q, NULL, no_sandbox, NULL, NULL), rows[i].want ? SBX_OK : SBX_E_ARG);
        CHECK_INT(r.p->requests, rows[i].want ? 1 : 0);
        rig_end(&r);
    }
    test_row = NULL;
}

static int put_log(void *ctx, const sbx_log *log)
{
    size_t i;
    pt_format(ctx, "%lld %s %s", (long long)log->unix_ms, log->level, log->message);
    for (i = 0; i < log->fields.count; i++)
        pt_format(ctx, " %s=%s", log->fields.items[i].key, log->fields.items[i].value);
    pt_put(ctx, "\n");
    return SBX_OK;
}

TEST(logs_by_query)
{
    const struct { sbx_log_query q; const char *want; } rows[] = {
        { { 0 }, "GET /v2/sandboxes/box1/logs " },
        { { .from_unix_ms = 1735689600123, .limit = 1000, .newest_first = SBX_YES, .level = "warn",
            .search = "a b&c" }, "GET /v2/sandboxes/box1/logs?cursor=1735689600123&limit=1000&"
            "direction=backward&level=warn&search=a+b%26c " },
        { { .newest_first = SBX_NO }, "GET /v2/sandboxes/box1/logs?direction=forward " },
    };
    static const char body[] = "{\"logs\":[{\"timestamp\":\"2025-01-01T00:00:00.5Z\",\"message\":\"m 1\","
        "\"level\":\"info\",\"fields\":{\"a\":\"1\",\"b\":\"x\"}},{\"fields\":{},\"level\":\"warn\",\"message\":\"\","
        "\"timestamp\":\"2025-01-01T00:00:01Z\"}]}";
    size_t i;
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { rows[i].want, 200, 0, body } };
        ptext got = { 0 };
        rig r;
        BEGIN(&r, turns);
        rig_version(&r, "0.1.0"); /* of no concern */
        CHECK_INT(sbx_sandbox_logs(r.s, i ? &rows[i].q : NULL, put_log, &got, NULL), SBX_OK);
        CHECK_STR(got.p, "1735689600500 info m 1 a=1 b=x\n1735689601000 warn \n");
        pt_free(&got);
        rig_end(&r);
    }
}

/* ---- replies that say too little ------------------------------------------------------------------- */

TEST(a_create_that_names_nothing)
{
    static const char *const bodies[] = { "{}", "{\"sandboxID\":\"\"}", "{\"sandboxID\":null}", "",
        "{\"sandboxID\":7}" };
    size_t i;
    for (i = 0; i < ROWS(bodies); i++) {
        turn turns[] = { { "POST /v2/sandboxes ", 201, 0, bodies[i] } };
        sbx_sandbox *s;
        rig r;
        test_row = bodies[i];
        BEGIN(&r, turns);
        CHECK_INT(sbx_sandbox_create(r.c, NULL, &s, NULL), SBX_E_PROTOCOL);
        CHECK(!s);
        CHECK_INT(sbx_client_error(r.c)->may_exist, SBX_YES);
        rig_end(&r);
    }
    test_row = NULL;
}

/* The token that user ports want is handed out, and not sent to the daemon. */
TEST(token_of_the_ports)
{
    turn turns[] = { { "POST /v2/sandboxes ", 201, 0, "{\"sandboxID\":\"new1\",\"envdVersion\":\"0.6.4\","
        "\"envdAccessToken\":\"t1\",\"trafficAccessToken\":\"p1\",\"domain\":null,\"alias\":null}" },
        { T_READ, 200, 0, "x", .lacks = "p1" } };
    sbx_sandbox_options o = { .network = { .public_traffic = SBX_NO } };
    sbx_sandbox_access a;
    sbx_sandbox *s = NULL;
    sbx_sink none = { 0 };
    rig r;
    BEGIN(&r, turns);
    CHECK_INT(sbx_sandbox_create(r.c, &o, &s, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_get_access(s, &a), SBX_OK);
    CHECK_STR(a.traffic_token, "p1");
    CHECK_STR(a.access_token, "t1");
    CHECK(!a.domain);
    CHECK_INT(sbx_files_read(s, "/f", NULL, none, NULL), SBX_OK);
    CHECK(has(&r, 1, "X-Access-Token: t1\r\n"));
    sbx_sandbox_release(s);
    rig_end(&r);
}

/* A watch begins with its start, once; one that is asked has an id. */
TEST(beginnings_of_a_watch)
{
    static const struct { sbx_watch_mode mode; const char *first, *second; int rc, end; } rows[] = {
        { SBX_WATCH_STREAM, "{\"start\":{}}", "{\"keepalive\":{}}", SBX_OK, SBX_E_NO_END },
        { SBX_WATCH_STREAM, "{\"filesystem\":{\"name\":\"a\",\"type\":\"EVENT_TYPE_WRITE\"}}", "{\"start\":{}}",
            SBX_E_PROTOCOL, 0 },
        { SBX_WATCH_STREAM, "{\"keepalive\":{}}", "{\"start\":{}}", SBX_E_PROTOCOL, 0 },
        { SBX_WATCH_STREAM, "{\"start\":{}}", "{\"start\":{}}", SBX_OK, SBX_E_PROTOCOL },
        { SBX_WATCH_ASK, "{}", NULL, SBX_E_PROTOCOL, 0 },
        { SBX_WATCH_ASK, "{\"watcherId\":\"\"}", NULL, SBX_E_PROTOCOL, 0 },
        { SBX_WATCH_ASK, "", NULL, SBX_E_PROTOCOL, 0 },
    };
    size_t i;
    for (i = 0; i < ROWS(rows); i++) {
        turn turns[] = { { "POST /filesystem.Filesystem/", 200, 0, rows[i].first } };
        sbx_watch_options o = { .mode = rows[i].mode, .interval_ms = SBX_NEVER };
        ptext stream = { 0 };
        sbx_watch *w;
        char row[20];
        rig r;
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        if (rows[i].second) {
            pt_envelope(&stream, 0, rows[i].first);
            pt_envelope(&stream, 0, rows[i].second);
            pt_envelope(&stream, 2, "{}");
            turns[0].body = stream.p;
            turns[0].body_len = stream.len;
            turns[0].slice = 5 + strlen(rows[i].first); /* the head comes with the first */
            turns[0].slice_ms = 100;
        }
        BEGIN(&r, turns);
        CHECK_INT(sbx_files_watch(r.s, "/d", &o, no_change, NULL, &w, NULL), rows[i].rc);
        CHECK(!w == (rows[i].rc != SBX_OK));
        if (w) {
            (void)drive(&r, 1000);
            CHECK_INT(sbx_watch_status(w), rows[i].end);
        }
        sbx_watch_release(w);
        pt_free(&stream);
        rig_end(&r);
    }
    test_row = NULL;
}

/* Both signals there are, each by its name. */
TEST(signals_have_names)
{
    turn turns[] = { { "POST /process.Process/SendSignal ", 200, 0, "{}", .always = true } };
    rig r;
    BEGIN(&r, turns);
    CHECK_INT(sbx_command_signal(r.s, 7, SBX_SIGNAL_KILL, NULL, NULL), SBX_OK);
    CHECK_INT(sbx_command_signal(r.s, 7, SBX_SIGNAL_TERM, NULL, NULL), SBX_OK);
    CHECK_STR(r.p->request[0].body.p, "{\"process\":{\"pid\":7},\"signal\":\"SIGNAL_SIGKILL\"}");
    CHECK_STR(r.p->request[1].body.p, "{\"process\":{\"pid\":7},\"signal\":\"SIGNAL_SIGTERM\"}");
    rig_end(&r);
}
