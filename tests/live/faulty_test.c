/* sandboxd --fault: a service that is busy, that loses sandboxes, streams and
   answers. The client repeats what its rules allow, says what happened, works on,
   and the host has the sandboxes the client was told of, not one more. */
#include "host.h"

enum { CREATE, IDEMPOTENT, INFO, LIST, KILL, RUN, READ, WRITE, STAT, RUNNING };

typedef struct bad_day {
    const char *fault;
    int what, status, http;
    int32_t retries;        /* of the config */
    int left;               /* sandboxes on the host, ours killed */
    sbx_choice alive;       /* what the error says of the sandbox */
    int32_t retry_after_ms;
    double least;           /* seconds it has to take */
    const char *out;        /* of the command */
} bad_day;

typedef struct day {
    host h;
    sbx_client *client;
    sbx_sandbox *sandbox;
    sbx_error error;
    char got[64];
    sbx_memory sink;
    bool yes;               /* existed, runs */
    double took;
} day;

static int count_sandbox(void *ctx, const sbx_sandbox_info *info)
{
    (void)info;
    ++*(int *)ctx;
    return SBX_OK;
}

static int day_call(day *d, int what)
{
    sbx_call call;
    sbx_sandbox_options o;
    sbx_command_options c;
    sbx_sandbox_info *info = NULL;
    sbx_file_info *file = NULL;
    sbx_sandbox *made = NULL;
    double t = live_now();
    int rc = SBX_E_ARG, n = 0;
    memset(&call, 0, sizeof call);
    memset(&o, 0, sizeof o);
    memset(&c, 0, sizeof c);
    memset(&d->error, 0, sizeof d->error);
    memset(&d->sink, 0, sizeof d->sink);
    d->sink.data = d->got;
    d->sink.cap = sizeof d->got;
    d->yes = false;
    call.error = &d->error;
    o.idempotent = what == IDEMPOTENT ? SBX_YES : SBX_DEFAULT;
    c.out = sbx_sink_memory(&d->sink);
    switch (what) {
    case CREATE: case IDEMPOTENT:
        rc = sbx_sandbox_create(d->client, &o, &made, &call);
        if (made && CHECK_INT(sbx_sandbox_kill(made, &d->yes, NULL), SBX_OK)) CHECK(d->yes);
        sbx_sandbox_release(made);
        break;
    case INFO:
        rc = sbx_sandbox_get_info(d->sandbox, &info, &call);
        sbx_free(info);
        break;
    case LIST: rc = sbx_sandbox_list(d->client, NULL, NULL, count_sandbox, &n, &call); break;
    case KILL: rc = sbx_sandbox_kill(d->sandbox, &d->yes, &call); break;
    case RUN: rc = sbx_command_run(d->sandbox, "echo hello", &c, NULL, &call); break;
    case READ: rc = sbx_files_read(d->sandbox, "/etc/passwd", NULL, sbx_sink_memory(&d->sink), &call);
        break;
    case WRITE: rc = sbx_files_write_bytes(d->sandbox, "f", "x", 1, NULL, NULL, &call); break;
    case STAT: rc = sbx_files_stat(d->sandbox, "/etc", NULL, &file, &call); break;
    case RUNNING: rc = sbx_sandbox_is_running(d->sandbox, &d->yes, &call); break;
    }
    sbx_free(file);
    d->took = live_now() - t;
    return rc;
}

static bool day_begin(day *d, const bad_day *b)
{
    const char *args[3] = { "--fault", b->fault, NULL };
    sbx_config cfg;
    memset(d, 0, sizeof *d);
    if (!CHECK(host_start(&d->h, args))) return false;
    memset(&cfg, 0, sizeof cfg);
    cfg.retries = b->retries;
    d->client = host_client_with(&d->h, &cfg);
    if (b->what > IDEMPOTENT) d->sandbox = live_sandbox(d->client);
    return CHECK(d->client && (b->what <= IDEMPOTENT || d->sandbox));
}

/* The client works on: with its sandbox, or with another one. */
static void day_after(day *d, const bad_day *b)
{
    bool gone = b->what == KILL || strstr(b->fault, "lost");
    if (d->sandbox && !gone) {
        CHECK_INT(day_call(d, RUN), SBX_OK);
        CHECK_MEM(d->got, d->sink.len, "hello\n", 6);
        CHECK_INT(day_call(d, KILL), SBX_OK);
        CHECK(d->yes);
    } else if (d->sandbox) {
        CHECK_INT(day_call(d, RUN), SBX_E_SANDBOX_GONE);
        CHECK_INT(day_call(d, KILL), SBX_OK);
        CHECK(!d->yes);
    }
    if (!strstr(b->fault, "times=0")) CHECK_INT(day_call(d, CREATE), SBX_OK);
}

static void day_end(day *d, const bad_day *b)
{
    sbx_client *other;
    int n = 0;
    sbx_sandbox_release(d->sandbox);
    live_close(d->client);
    other = host_client(&d->h);
    CHECK_INT(sbx_sandbox_list(other, NULL, NULL, count_sandbox, &n, NULL), SBX_OK);
    CHECK_INT(n, b->left);
    live_close(other);
    host_end(&d->h, SIGTERM);
}

static void days(const bad_day *list, size_t count)
{
    day d;
    size_t i;
    for (i = 0; i < count; i++) {
        const bad_day *b = &list[i];
        int rc;
        test_row = b->fault;
        if (!day_begin(&d, b)) return;
        rc = day_call(&d, b->what);
        if (rc != b->status)
            printf("  %s: %s: %s\n", b->fault, sbx_status_name(rc), d.error.message);
        CHECK_INT(rc, b->status);
        CHECK(d.took >= b->least && d.took < b->least + 3);
        if (rc != SBX_OK) {
            CHECK_INT(d.error.http_status, b->http);
            CHECK_INT(d.error.retry_after_ms, b->retry_after_ms ? b->retry_after_ms : -1);
            CHECK_INT(d.error.sandbox_alive, b->alive);
            CHECK_INT(d.error.may_exist == SBX_YES, b->left > 0);
            CHECK(d.error.message[0] && d.error.status == rc);
        }
        if (b->out) CHECK_MEM(d.got, d.sink.len, b->out, strlen(b->out));
        day_after(&d, b);
        day_end(&d, b);
    }
    test_row = NULL;
}

#define FINE(f, w, ...) { .fault = f, .what = w, ##__VA_ARGS__ }
#define BAD(f, w, s, h, ...) { .fault = f, .what = w, .status = s, .http = h, ##__VA_ARGS__ }
#define DAYS(list) days(list, sizeof (list) / sizeof *(list))
#define CREATES "POST /v2/sandboxes "

TEST(a_busy_control_plane)
{
    static const bad_day list[] = {
        FINE(CREATES "429 retry-after=1", CREATE, .least = 1),
        FINE(CREATES "429 retry-date=2", CREATE, .least = 0.5), /* the clock shows whole seconds */
        FINE(CREATES "503 times=2", CREATE),
        FINE(CREATES "503 nth=2", CREATE), /* the create of the day after */
        BAD(CREATES "429 retry-after=3600", CREATE, SBX_E_RATE_LIMITED, 429, .retry_after_ms = 3600000),
        BAD(CREATES "429 times=0", CREATE, SBX_E_RATE_LIMITED, 429, .retries = 1),
        BAD(CREATES "503 times=0", CREATE, SBX_E_BUSY, 503, .retries = SBX_NEVER),
        BAD(CREATES "500", CREATE, SBX_E_SERVER, 500),
        BAD(CREATES "502", CREATE, SBX_E_BUSY, 502),
        BAD(CREATES "504", CREATE, SBX_E_BUSY, 504),
        FINE(CREATES "502 times=2", IDEMPOTENT),
        FINE("GET /v2/sandboxes 503", LIST),
        FINE("GET /sandboxes/* 502 times=2", INFO),
        FINE("GET /sandboxes/* 504", INFO),
        BAD("GET /sandboxes/* 500", INFO, SBX_E_SERVER, 500),
        BAD("GET /sandboxes/* 503 times=3", INFO, SBX_E_BUSY, 503, .retries = 2),
        FINE("DELETE /sandboxes/* 429 retry-after=1", KILL, .least = 1),
    };
    DAYS(list);
}

/* More calls at once than the host takes: those it refuses wait as they are told. */
TEST(more_than_the_rate)
{
    static const char *const args[] = { "--rate", "3", NULL };
    bad_day none;
    day d;
    double t;
    int i;
    memset(&d, 0, sizeof d);
    memset(&none, 0, sizeof none);
    if (!CHECK(host_start(&d.h, (const char **)args))) return;
    d.client = host_client(&d.h);
    t = live_now();
    for (i = 0; i < 9; i++) CHECK_INT(day_call(&d, LIST), SBX_OK);
    CHECK(live_now() - t >= 1);
    CHECK_INT(day_call(&d, CREATE), SBX_OK);
    day_end(&d, &none);
}

/* The answer never comes. Who may ask again does, and who must not says so. Calls to
   the sandbox go out on the connection that its creation left, and once more on a
   fresh one when that dies without a byte: both are dropped. */
TEST(lost_answers)
{
    static const bad_day list[] = {
        BAD(CREATES "drop", CREATE, SBX_E_NETWORK, 0, .left = 1),
        FINE(CREATES "drop times=2", IDEMPOTENT),
        FINE("GET /sandboxes/* drop", INFO),
        FINE("DELETE /sandboxes/* drop", KILL),
        BAD("POST /process.Process/Start drop times=2", RUN, SBX_E_UNREACHABLE, 0, .alive = SBX_YES),
        BAD("POST /files drop times=2", WRITE, SBX_E_UNREACHABLE, 0, .alive = SBX_YES),
        BAD("GET /files drop times=2", READ, SBX_E_UNREACHABLE, 0, .alive = SBX_YES, .out = ""),
    };
    DAYS(list);
}

TEST(a_busy_sandbox)
{
    static const bad_day list[] = {
        BAD("POST /process.Process/Start 429 retry-after=2", RUN, SBX_E_RATE_LIMITED, 429,
            .retry_after_ms = 2000, .out = ""),
        BAD("* /process.Process/* 503", RUN, SBX_E_BUSY, 503, .out = ""),
        BAD("POST /files 429", WRITE, SBX_E_RATE_LIMITED, 429),
        BAD("GET /files 503 retry-after=1", READ, SBX_E_BUSY, 503, .retry_after_ms = 1000, .out = ""),
        BAD("POST /filesystem.Filesystem/Stat 500", STAT, SBX_E_SERVER, 500),
    };
    DAYS(list);
}

#define START "POST /process.Process/Start "

TEST(lost_sandboxes)
{
    static const bad_day list[] = {
        BAD("GET /sandboxes/* lost", INFO, SBX_E_NOT_FOUND, 404),
        BAD(START "lost", RUN, SBX_E_SANDBOX_GONE, 502, .alive = SBX_NO, .out = ""),
        BAD(START "lost frames=0", RUN, SBX_E_SANDBOX_GONE, 502, .alive = SBX_NO, .out = ""),
        BAD(START "lost frames=1", RUN, SBX_E_SANDBOX_GONE, 502, .alive = SBX_NO, .out = ""),
        BAD(START "lost frames=2", RUN, SBX_E_SANDBOX_GONE, 502, .alive = SBX_NO, .out = "hello\n"),
        BAD(START "lost bytes=50", RUN, SBX_E_SANDBOX_GONE, 502, .alive = SBX_NO, .out = ""),
        BAD("GET /files lost", READ, SBX_E_SANDBOX_GONE, 502, .alive = SBX_NO, .out = ""),
        BAD("POST /files lost", WRITE, SBX_E_SANDBOX_GONE, 502, .alive = SBX_NO),
        BAD("POST /filesystem.Filesystem/Stat lost", STAT, SBX_E_SANDBOX_GONE, 502, .alive = SBX_NO),
        FINE("GET /health lost", RUNNING),
        BAD(START "closed", RUN, SBX_E_UNREACHABLE, 502, .alive = SBX_YES, .out = ""),
        BAD("GET /files closed", READ, SBX_E_UNREACHABLE, 502, .alive = SBX_YES, .out = ""),
    };
    DAYS(list);
}

TEST(cut_streams)
{
    static const bad_day list[] = {
        BAD(START "cut frames=0", RUN, SBX_E_UNREACHABLE, 0, .alive = SBX_YES, .out = ""),
        BAD(START "cut frames=1", RUN, SBX_E_UNREACHABLE, 0, .alive = SBX_YES, .out = ""),
        BAD(START "cut frames=2", RUN, SBX_E_UNREACHABLE, 0, .alive = SBX_YES, .out = "hello\n"),
        FINE(START "cut frames=3", RUN, .out = "hello\n"), /* its end has come */
        BAD(START "cut bytes=1", RUN, SBX_E_UNREACHABLE, 0, .alive = SBX_YES, .out = ""),
        BAD(START "cut bytes=5", RUN, SBX_E_UNREACHABLE, 0, .alive = SBX_YES, .out = ""),
        BAD(START "cut bytes=37", RUN, SBX_E_UNREACHABLE, 0, .alive = SBX_YES, .out = ""),
        BAD(START "cut bytes=45", RUN, SBX_E_UNREACHABLE, 0, .alive = SBX_YES, .out = ""),
    };
    day d;
    DAYS(list);
    test_row = NULL;
    if (!day_begin(&d, &list[1])) return;
    CHECK_INT(day_call(&d, RUN), SBX_E_UNREACHABLE);
    CHECK(d.error.pid > 0); /* it was told: one can look for it */
    sbx_sandbox_kill(d.sandbox, NULL, NULL);
    day_end(&d, &list[1]);
}

/* A SPEC that is none is said, not guessed. */
TEST(specs_that_are_none)
{
    static const char *const specs[] = { "", "GET", "GET /files", "GET files 429", "GET /files 200",
        "GET /files 429 x", "GET /files 429 nth=0", "GET /files 429 times=", "GET /files 429 times=-1",
        "GET /files cut", "GET /files cut bytes=1 frames=1", "GET /files 429 bytes=1",
        "GET /files lost retry-after=1", "GET /files 503 retry-after=1x" };
    size_t i;
    for (i = 0; i < sizeof specs / sizeof *specs; i++) {
        const char *args[3] = { "--fault", specs[i], NULL };
        host h;
        test_row = specs[i];
        CHECK(!host_start(&h, args));
        host_end(&h, SIGKILL);
    }
    test_row = NULL;
}
