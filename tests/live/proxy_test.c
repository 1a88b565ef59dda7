/* The main job through a proxy that drops, cuts, stalls, delays and slices the bytes
   between client and host, and single calls through one that is slow or says headers
   twice. Every call ends in time with success or an error that
   makes sense, nothing leaks, and no sandbox is left of which the client was not
   told. SBX_TEST_SEED picks the places. Not over TLS: the place would say less. */
#include "live.h"
#include <signal.h>
#include <sys/wait.h>
#define main proxy_main
#include "../peer/proxy.c"
#undef main

#define SAMPLES 40

static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

typedef struct run {
    pid_t pid;              /* of the proxy */
    char url[64], mark[32];
    const char *options[4]; /* of the proxy */
    sbx_client *client;
    sbx_sandbox *sandbox;
    bool stalls;            /* a call may also run out of time */
    int failed, unknown;    /* calls; creates that may have made a sandbox */
    double took;            /* the longest call */
} run;

static bool run_proxy(run *r)
{
    const char *to = getenv("E2B_API_URL"), *argv[10] = { "proxy", "--listen", "0", "--to" };
    char line[16] = "";
    int out[2], i, n = 5;
    if (!to || strncmp(to, "http://", 7) || pipe(out) != 0) return false;
    argv[4] = to + 7;
    for (i = 0; i < 4 && r->options[i]; i++) argv[n++] = r->options[i];
    r->pid = fork();
    if (r->pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        _exit(proxy_main(n, (char **)argv));
    }
    close(out[1]);
    for (i = 0; i < 15 && read(out[0], line + i, 1) == 1 && line[i] != '\n'; i++) {}
    close(out[0]);
    snprintf(r->url, sizeof r->url, "http://127.0.0.1:%d", atoi(line));
    return atoi(line) > 0;
}

/* A call is over: was its end a sane one? */
static bool sane(run *r, const char *what, int rc, double since)
{
    const sbx_error *e = sbx_client_error(r->client);
    double took = live_now() - since;
    bool cut = rc == SBX_E_NETWORK || rc == SBX_E_UNREACHABLE || rc == SBX_E_CONNECT;
    if (took > r->took) r->took = took;
    if (rc == SBX_OK) return true;
    r->failed++;
    if (r->stalls && rc == SBX_E_TIMEOUT) cut = CHECK(e->clock != SBX_CLOCK_NONE);
    if (!CHECK(cut)) printf("  %s: %s: %s\n", what, sbx_status_name(rc), e->message);
    CHECK(e->status == rc && e->message[0]);
    return false;
}

/* The job; each step is tried whatever became of the one before. */
static void run_job(run *r)
{
    sbx_pair pair = { "proxy-test", r->mark };
    sbx_sandbox_options o;
    sbx_command_options c;
    sbx_command_result result;
    sbx_memory m;
    char data[3000], back[4000];
    double t = live_now();
    int rc, i;
    memset(&o, 0, sizeof o);
    memset(&c, 0, sizeof c);
    o.metadata.items = &pair;
    o.metadata.count = 1;
    for (i = 0; i < (int)sizeof data; i++) data[i] = (char)(i * 7);
    for (i = 0; i < 3 && !r->sandbox; i++) {
        rc = sbx_sandbox_create(r->client, &o, &r->sandbox, NULL);
        if (!sane(r, "create", rc, t)) r->unknown += sbx_client_error(r->client)->may_exist == SBX_YES;
        t = live_now();
    }
    REQUIRE(r->sandbox);
    c.capture_limit = 100;
    rc = sbx_command_run(r->sandbox, "echo hello; exit 3", &c, &result, NULL);
    if (sane(r, "run", rc, t)) {
        CHECK_INT(result.exit_code, 3);
        CHECK_STR(result.out, "hello\n");
    }
    sbx_free(result.out);
    sbx_free(result.err);
    for (i = 0; i < 2; i++) { /* until it stands there */
        t = live_now();
        if (sane(r, "write", sbx_files_write_bytes(r->sandbox, "f", data, sizeof data, NULL, NULL,
                                                   NULL), t)) break;
    }
    memset(&m, 0, sizeof m);
    m.data = back;
    m.cap = sizeof back;
    t = live_now();
    rc = sbx_files_read(r->sandbox, "f", NULL, sbx_sink_memory(&m), NULL);
    if (sane(r, "read", rc, t)) CHECK_MEM(back, m.len, data, sizeof data);
    CHECK(m.len <= sizeof data && memcmp(back, data, m.len) == 0); /* no byte is wrong */
    for (i = 0; i < 2; i++) {
        t = live_now();
        if (sane(r, "kill", sbx_sandbox_kill(r->sandbox, NULL, NULL), t)) break;
    }
}

static int count_one(void *ctx, const sbx_sandbox_info *info)
{
    sbx_client *c = ((void **)ctx)[0];
    sbx_sandbox *s = NULL;
    ++*(int *)((void **)ctx)[1];
    CHECK_INT(sbx_sandbox_attach(c, info->id, NULL, &s), SBX_OK);
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    sbx_sandbox_release(s);
    return SBX_OK;
}

/* What the host still has of this run, asked without the proxy, and removed. */
static void run_left(run *r)
{
    sbx_client *asks = live_open(NULL), *kills = live_open(NULL);
    sbx_pair pair = { "proxy-test", r->mark };
    sbx_sandbox_query q;
    int left = 0;
    void *ctx[2] = { kills, &left };
    memset(&q, 0, sizeof q);
    q.metadata.items = &pair;
    q.metadata.count = 1;
    CHECK_INT(sbx_sandbox_list(asks, &q, NULL, count_one, ctx, NULL), SBX_OK);
    CHECK(left <= r->unknown);
    CHECK_INT(sbx_close(kills), SBX_OK);
    live_close(asks);
}

/* What spoils a run does it once: of the calls after it one may fail at most. */
static void run_after(run *r)
{
    sbx_pair pair = { "proxy-test", "of nobody" };
    sbx_sandbox_query q;
    int found = 0, i, rc = SBX_OK, bad = 0;
    void *ctx[2] = { NULL, &found };
    memset(&q, 0, sizeof q);
    q.metadata.items = &pair;
    q.metadata.count = 1;
    for (i = 0; i < 2 || (i < 3 && rc != SBX_OK); i++) {
        double t = live_now();
        rc = sbx_sandbox_list(r->client, &q, NULL, count_one, ctx, NULL);
        (void)sane(r, "list", rc, t);
        bad += rc != SBX_OK;
    }
    CHECK_INT(rc, SBX_OK);
    CHECK(bad <= 1);
    CHECK_INT(found, 0);
}

/* One run of the job through a proxy with these options. */
static void run_once(run *r, const char *a, const char *b, const char *c)
{
    static unsigned count;
    sbx_config cfg;
    char row[96];
    snprintf(row, sizeof row, "%s %s %s", a ? a : "", b ? b : "", c ? c : "");
    test_row = row;
    memset(r, 0, sizeof *r);
    memset(&cfg, 0, sizeof cfg);
    if (a && !strcmp(a, "--stall")) {
        static const sbx_clocks impatient = { 1000, 1000, 1000, 1500 };
        cfg.clocks = impatient;
        r->stalls = true;
    }
    r->options[0] = a;
    r->options[1] = b;
    r->options[2] = c;
    snprintf(r->mark, sizeof r->mark, "%d-%u", (int)getpid(), count++);
    if (CHECK(run_proxy(r))) {
        cfg.api_url = cfg.sandbox_url = r->url;
        r->client = live_open(&cfg);
        if (CHECK(r->client)) run_job(r);
        if (r->client) run_after(r);
        sbx_sandbox_release(r->sandbox);
        live_close(r->client);
        run_left(r);
    }
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    test_row = NULL;
}

static bool plain(void)
{
    const char *url = getenv("E2B_API_URL"), *from = getenv("SBX_TEST_SEED");
    seed = from ? (uint32_t)strtoul(from, NULL, 10) : (uint32_t)time(NULL);
    if (!seed) seed = 1;
    return url && !strncmp(url, "http://", 7);
}

/* Drops everywhere; heads, bodies and frames of all five calls are within reach. */
TEST(dropped)
{
    run r;
    uint32_t used;
    int i, failed = 0;
    if (!plain()) SKIP("only on the plain host");
    used = seed;
    for (i = 0; i < SAMPLES; i++) {
        char n[16];
        bool up = i % 2;
        snprintf(n, sizeof n, "%u", random_below(up ? 4800 : 5000));
        if (i % 4 == 2) run_once(&r, "--truncate", n, NULL);
        else run_once(&r, "--drop-after", n, up ? "up" : "down");
        CHECK(r.took < 8);
        failed += r.failed > 0;
    }
    CHECK(failed > SAMPLES / 4); /* or the proxy does not do its work */
    printf("SBX_TEST_SEED=%u\n", used);
}

TEST(sliced_and_delayed)
{
    run r;
    if (!plain()) SKIP("only on the plain host");
    run_once(&r, "--chunk", "1", NULL);
    CHECK_INT(r.failed, 0);
    run_once(&r, "--chunk", "7", NULL);
    CHECK_INT(r.failed, 0);
    run_once(&r, "--delay", "20", NULL);
    CHECK_INT(r.failed, 0);
    CHECK(r.took > 0.04);
}

/* The connection stays open and nothing comes: the clocks are all that is left. */
TEST(stalled)
{
    run r;
    uint32_t used;
    int i, failed = 0;
    if (!plain()) SKIP("only on the plain host");
    used = seed;
    for (i = 0; i < SAMPLES / 2; i++) {
        char n[16];
        bool up = i % 2;
        snprintf(n, sizeof n, "%u", random_below(up ? 4800 : 5000));
        run_once(&r, "--stall", n, up ? "up" : "down");
        CHECK(r.took < 4);
        failed += r.failed > 0;
    }
    CHECK(failed > SAMPLES / 8);
    printf("SBX_TEST_SEED=%u\n", used);
}

/* ---- the same sandbox, seen through a proxy that is bad all the time ------------- */

enum { LIST, CREATE, RUN, READ, WRITE, CALLS };

typedef struct view {
    run r;
    sbx_client *direct;
    sbx_sandbox *own, *seen;
    sbx_error error;
    double took;
} view;

static bool view_begin(view *v, const char *a, const char *b)
{
    sbx_sandbox_access access;
    sbx_config cfg;
    memset(v, 0, sizeof *v);
    memset(&cfg, 0, sizeof cfg);
    memset(&access, 0, sizeof access);
    v->r.options[0] = a;
    v->r.options[1] = b;
    v->direct = live_open(NULL);
    v->own = live_sandbox(v->direct);
    if (!CHECK(v->own) || !CHECK(run_proxy(&v->r))) return false;
    cfg.api_url = cfg.sandbox_url = v->r.url;
    cfg.retries = SBX_NEVER;
    v->r.client = live_open(&cfg);
    return CHECK(v->r.client) && CHECK_INT(sbx_sandbox_get_access(v->own, &access), SBX_OK)
        && CHECK_INT(sbx_sandbox_attach(v->r.client, sbx_sandbox_id(v->own), &access, &v->seen), SBX_OK)
        && CHECK_INT(sbx_files_write_bytes(v->own, "f", "hello", 5, NULL, NULL, NULL), SBX_OK);
}

static int view_call(view *v, int what, int32_t ms)
{
    sbx_pair pair = { "proxy-test", v->r.mark };
    sbx_sandbox_options o;
    sbx_command_options c;
    sbx_sandbox_query q;
    sbx_sandbox *made = NULL;
    sbx_call call;
    char back[16];
    sbx_memory m;
    double t = live_now();
    int rc, none = 0;
    void *ctx[2] = { NULL, &none };
    memset(&o, 0, sizeof o);
    memset(&c, 0, sizeof c);
    memset(&q, 0, sizeof q);
    memset(&m, 0, sizeof m);
    memset(&call, 0, sizeof call);
    snprintf(v->r.mark, sizeof v->r.mark, "view-%d", (int)getpid());
    o.metadata.items = q.metadata.items = &pair;
    o.metadata.count = q.metadata.count = 1;
    m.data = back;
    m.cap = sizeof back;
    call.timeout_ms = ms;
    call.error = &v->error;
    c.out = sbx_sink_memory(&m);
    if (what == LIST) rc = sbx_sandbox_list(v->r.client, &q, NULL, count_one, ctx, &call);
    else if (what == CREATE) rc = sbx_sandbox_create(v->r.client, &o, &made, &call);
    else if (what == RUN) rc = sbx_command_run(v->seen, "echo hello", &c, NULL, &call);
    else if (what == READ) rc = sbx_files_read(v->seen, "f", NULL, sbx_sink_memory(&m), &call);
    else rc = sbx_files_write_bytes(v->seen, "g", "hello", 5, NULL, NULL, &call);
    v->took = live_now() - t;
    if (what == CREATE && rc != SBX_OK && v->error.may_exist == SBX_YES) v->r.unknown++;
    if (rc == SBX_OK && (what == RUN || what == READ)) CHECK_MEM(back, 5, "hello", 5);
    if (made) CHECK_INT(sbx_sandbox_kill(made, NULL, NULL), SBX_OK);
    sbx_sandbox_release(made);
    return rc;
}

static void view_end(view *v)
{
    sbx_sandbox_release(v->seen);
    if (v->r.client) CHECK_INT(sbx_close(v->r.client), SBX_OK);
    if (v->own) CHECK_INT(sbx_sandbox_kill(v->own, NULL, NULL), SBX_OK);
    sbx_sandbox_release(v->own);
    live_close(v->direct);
    run_left(&v->r);
    kill(v->r.pid, SIGKILL);
    waitpid(v->r.pid, NULL, 0);
}

/* Repeated lengths are refused, and so is a repeated transfer coding. */
TEST(headers_said_twice)
{
    static const char *const names[] = { "list", "create", "run", "read", "write" };
    view v;
    int what;
    if (!plain()) SKIP("only on the plain host");
    for (what = LIST; what < CALLS; what++) { /* the first answer of each connection */
        test_row = names[what];
        if (view_begin(&v, "--duplicate-headers", NULL)) {
            CHECK_INT(view_call(&v, what, 5000), SBX_E_PROTOCOL);
            CHECK(v.took < 2 && v.error.message[0]);
            if (what == CREATE) CHECK_INT(v.error.may_exist, SBX_YES);
        }
        view_end(&v);
    }
    test_row = NULL;
}

/* A byte each 30 ms: the total clock ends it, of each call; those that come after
   have the same fate, and with time enough none has. */
TEST(slow_answers)
{
    view v;
    int what;
    if (!plain()) SKIP("only on the plain host");
    if (view_begin(&v, "--loris", "30"))
        for (what = LIST; what < CALLS; what++) {
            CHECK_INT(view_call(&v, what, 400), SBX_E_TIMEOUT);
            CHECK(v.took > 0.38 && v.took < 0.9);
            CHECK_INT(v.error.clock, SBX_CLOCK_TOTAL);
            if (what == CREATE) CHECK_INT(v.error.may_exist, SBX_YES);
        }
    view_end(&v);
    if (view_begin(&v, "--loris", "1"))
        for (what = LIST; what < CALLS; what++) CHECK_INT(view_call(&v, what, 30000), SBX_OK);
    view_end(&v);
}

/* What comes too late for one call is soon enough for the next. */
TEST(late_answers)
{
    view v;
    int what;
    if (!plain()) SKIP("only on the plain host");
    if (view_begin(&v, "--delay", "250"))
        for (what = LIST; what < CALLS; what++) {
            CHECK_INT(view_call(&v, what, 200), SBX_E_TIMEOUT);
            CHECK(v.took > 0.18 && v.took < 0.7);
            CHECK_INT(v.error.clock, SBX_CLOCK_TOTAL);
            CHECK_INT(view_call(&v, what, 20000), SBX_OK);
        }
    view_end(&v);
}
