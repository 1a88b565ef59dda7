/* The main job through a proxy that drops, cuts, delays and slices the bytes
   between client and host. Every call ends in time with success or an error that
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
    r->options[0] = a;
    r->options[1] = b;
    r->options[2] = c;
    snprintf(r->mark, sizeof r->mark, "%d-%u", (int)getpid(), count++);
    if (CHECK(run_proxy(r))) {
        cfg.api_url = cfg.sandbox_url = r->url;
        r->client = live_open(&cfg);
        if (CHECK(r->client)) run_job(r);
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

/* Repeated lengths are refused: the answer to the first call is a protocol error. */
TEST(headers_said_twice)
{
    run r;
    sbx_config cfg;
    sbx_sandbox_query q;
    int none = 0;
    void *ctx[2] = { NULL, &none };
    if (!plain()) SKIP("only on the plain host");
    memset(&r, 0, sizeof r);
    memset(&cfg, 0, sizeof cfg);
    memset(&q, 0, sizeof q);
    r.options[0] = "--duplicate-headers";
    REQUIRE(run_proxy(&r));
    cfg.api_url = cfg.sandbox_url = r.url;
    r.client = live_open(&cfg);
    CHECK_INT(sbx_sandbox_list(r.client, &q, NULL, count_one, ctx, NULL), SBX_E_PROTOCOL);
    CHECK_INT(none, 0);
    live_close(r.client);
    kill(r.pid, SIGKILL);
    waitpid(r.pid, NULL, 0);
}

/* A byte each 30 ms: the total clock ends it. */
TEST(slow_answers)
{
    run r;
    sbx_config cfg;
    sbx_call call;
    double t;
    void *ctx[2] = { NULL, NULL };
    if (!plain()) SKIP("only on the plain host");
    memset(&r, 0, sizeof r);
    memset(&cfg, 0, sizeof cfg);
    memset(&call, 0, sizeof call);
    r.options[0] = "--loris";
    r.options[1] = "30";
    REQUIRE(run_proxy(&r));
    cfg.api_url = cfg.sandbox_url = r.url;
    r.client = live_open(&cfg);
    call.timeout_ms = 400;
    t = live_now();
    CHECK_INT(sbx_sandbox_list(r.client, NULL, NULL, count_one, ctx, &call), SBX_E_TIMEOUT);
    CHECK(live_now() - t > 0.38 && live_now() - t < 0.7);
    CHECK_INT(sbx_client_error(r.client)->clock, SBX_CLOCK_TOTAL);
    live_close(r.client);
    kill(r.pid, SIGKILL);
    waitpid(r.pid, NULL, 0);
}
