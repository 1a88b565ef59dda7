/* The main job through a forward proxy: a tunnel to a TLS host, the whole URL to a
   plain one, with and without credentials, and through proxies that refuse, lie or
   are slow. The proxy's log proves that nothing went past it. */
#include "live.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#define main forward_main
#include "../peer/forward.c"
#undef main

typedef struct rig {
    pid_t pid;
    int log;                /* of the proxy, read end */
    int port;
    char url[96];
    sbx_config g;
    sbx_call call;
    sbx_error e;
    sbx_client *c;
} rig;

static bool over_tls(void)
{
    const char *url = getenv("E2B_API_URL");
    return url && strncmp(url, "https://", 8) == 0;
}

/* Starts a proxy with up to four options and a client behind it; who: "user:password@"
   of the proxy's URL. */
static bool rig_start(rig *r, const char *who, const char *a, const char *b)
{
    char *argv[8] = { "forward", "--listen", "0" }, line[16] = "";
    int out[2], i, n = 3;
    memset(r, 0, sizeof *r);
    if (pipe(out) != 0) return false;
    if (a) argv[n++] = (char *)a;
    if (b) argv[n++] = (char *)b;
    r->pid = fork();
    if (r->pid == 0) {
        setpgid(0, 0);
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        setvbuf(stdout, NULL, _IOLBF, 0);
        _exit(forward_main(n, argv));
    }
    setpgid(r->pid, r->pid);
    close(out[1]);
    for (i = 0; i < 15 && read(out[0], line + i, 1) == 1 && line[i] != '\n'; i++) {}
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    r->log = out[0];
    r->port = atoi(line);
    snprintf(r->url, sizeof r->url, "http://%s127.0.0.1:%d", who ? who : "", r->port);
    r->g.proxy = r->url;
    r->g.retries = SBX_NEVER;
    r->call.error = &r->e;
    return CHECK(r->port > 0);
}

/* How many requests the proxy has had of this kind. */
static int logged(rig *r, const char *kind)
{
    static char text[65536];
    ssize_t n = read(r->log, text, sizeof text - 1);
    int count = 0;
    char *at = text;
    text[n > 0 ? n : 0] = 0;
    while ((at = strstr(at, kind)) != NULL) {
        count++;
        at++;
    }
    return count;
}

static void rig_end(rig *r)
{
    if (r->c) live_close(r->c);
    kill(-r->pid, SIGTERM);
    waitpid(r->pid, NULL, 0);
    close(r->log);
}

static void run_job(rig *r)
{
    static char data[200000], back[200001];
    sbx_command_result result;
    sbx_memory m = { back, sizeof back, 0, 0 };
    sbx_files_options raw;
    sbx_reading reading = { data, sizeof data, 0 };
    sbx_source unknown;
    sbx_sandbox *s;
    size_t i;
    for (i = 0; i < sizeof data; i++) data[i] = (char)(i * 7 + i / 251);
    memset(&raw, 0, sizeof raw);
    memset(&result, 0, sizeof result);
    r->c = live_open(&r->g);
    REQUIRE(r->c != NULL);
    s = live_sandbox(r->c);
    REQUIRE(s != NULL);
    CHECK_INT(live_sh(s, "echo out; echo err >&2; exit 3", &result), SBX_OK);
    CHECK_STR(result.out, "out\n");
    CHECK_STR(result.err, "err\n");
    CHECK_INT(result.exit_code, 3);
    sbx_free(result.out);
    sbx_free(result.err);
    CHECK_INT(sbx_files_write_bytes(s, "/tmp/a", data, sizeof data, NULL, NULL, NULL), SBX_OK);
    CHECK_INT(sbx_files_read(s, "/tmp/a", NULL, sbx_sink_memory(&m), NULL), SBX_OK);
    CHECK_MEM(back, m.len, data, sizeof data);
    unknown = sbx_source_memory(&reading); /* in chunks, which the proxy must pass, too */
    unknown.size = -1;
    raw.octet_stream = SBX_YES;
    CHECK_INT(sbx_files_write(s, "/tmp/b", unknown, &raw, NULL, NULL), SBX_OK);
    m.len = 0;
    CHECK_INT(sbx_files_read(s, "/tmp/b", NULL, sbx_sink_memory(&m), NULL), SBX_OK);
    CHECK_MEM(back, m.len, data, sizeof data);
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    sbx_sandbox_release(s);
}

/* Tunnels are made once and kept; URLs are in every request. */
static void check_log(rig *r)
{
    int n = logged(r, over_tls() ? "CONNECT localhost:" : " http://");
    if (over_tls()) CHECK(n >= 1 && n <= 4);
    else CHECK(n >= 7);
}

TEST(through_a_proxy)
{
    rig r;
    REQUIRE(rig_start(&r, NULL, NULL, NULL));
    run_job(&r);
    check_log(&r);
    rig_end(&r);
}

TEST(with_credentials)
{
    rig r;
    REQUIRE(rig_start(&r, "me%40x:pa%3Ass%2Fword@", "--user", "me@x:pa:ss/word"));
    run_job(&r);
    check_log(&r);
    rig_end(&r);
}

TEST(by_the_environment)
{
    const char *name = over_tls() ? "https_proxy" : "http_proxy";
    rig r;
    REQUIRE(rig_start(&r, NULL, NULL, NULL));
    r.g.proxy = NULL;
    setenv(name, r.url, 1);
    run_job(&r);
    unsetenv(name);
    check_log(&r);
    rig_end(&r);
}

TEST(past_the_proxy)
{
    rig r;
    REQUIRE(rig_start(&r, NULL, NULL, NULL));
    r.g.no_proxy = "other.test, 127.0.0.1 localhost";
    run_job(&r);
    CHECK_INT(logged(&r, "\n"), 0);
    rig_end(&r);
}

/* One call, polled, that must fail. */
static int fail(rig *r)
{
    sbx_sandbox *s = NULL;
    sbx_op *op = NULL;
    int rc;
    r->c = live_open(&r->g);
    if (!r->c) return SBX_OK;
    r->call.op = &op;
    rc = sbx_sandbox_create(r->c, NULL, &s, &r->call);
    while (rc == SBX_PENDING && sbx_poll(r->c, 100, NULL) == SBX_OK) rc = sbx_op_status(op);
    sbx_op_release(op);
    CHECK(s == NULL);
    CHECK_INT(r->e.may_exist, SBX_DEFAULT);
    return rc;
}

TEST(wrong_credentials)
{
    static const char *const who[] = { "", "me:wrong@", "you:right@", "me@" };
    size_t i;
    for (i = 0; i < 4; i++) {
        rig r;
        REQUIRE(rig_start(&r, who[i], "--user", "me:right"));
        CHECK_INT(fail(&r), SBX_E_AUTH);
        CHECK_INT(r.e.http_status, 407);
        CHECK(strstr(r.e.message, "proxy") != NULL);
        CHECK_INT(logged(&r, "HTTP/1.1"), 1);
        rig_end(&r);
    }
}

TEST(nobody_there)
{
    rig r;
    REQUIRE(rig_start(&r, NULL, NULL, NULL));
    kill(-r.pid, SIGKILL);
    waitpid(r.pid, NULL, 0);
    CHECK_INT(fail(&r), SBX_E_CONNECT);
    CHECK(strstr(r.e.message, "proxy") != NULL);
    live_close(r.c);
    close(r.log);
}

TEST(host_that_the_proxy_cannot_reach)
{
    rig r;
    REQUIRE(rig_start(&r, NULL, NULL, NULL));
    r.g.api_url = over_tls() ? "https://no-such-host.invalid" : "http://no-such-host.invalid";
    CHECK_INT(fail(&r), over_tls() ? SBX_E_CONNECT : SBX_E_BUSY);
    CHECK_INT(r.e.http_status, 502);
    rig_end(&r);
}

/* What the bad ones say to a tunnel. */
TEST(bad_proxies)
{
    static const struct { const char *option, *value; int status, http; } rows[] = {
        { "--say", "HTTP/1.1 502 Bad Gateway\\r\\n\\r\\n<html>", SBX_E_CONNECT, 502 },
        { "--say", "HTTP/1.1 403 No\\r\\n\\r\\n", SBX_E_DENIED, 403 },
        { "--say", "HTTP/1.1 200 OK\\r\\n\\r\\n<html>", SBX_E_PROTOCOL, 0 },
        { "--say", "HTTP/1.1 200 OK\\r\\nX\\r\\n\\r\\n", SBX_E_PROTOCOL, 0 },
        { "--say", "garbage\\0garbage", SBX_E_PROTOCOL, 0 },
        { "--say", "HTTP/1.1 200 OK\\r\\n", SBX_E_NETWORK, 0 },
        { "--surplus", NULL, SBX_E_PROTOCOL, 0 },
        { "--drip", "50", SBX_E_TIMEOUT, 0 }
    };
    size_t i;
    if (!over_tls()) SKIP("a tunnel needs the host with TLS");
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        double began = live_now();
        rig r;
        test_row = rows[i].value ? rows[i].value : rows[i].option;
        REQUIRE(rig_start(&r, NULL, rows[i].option, rows[i].value));
        r.g.clocks.connect_ms = 700;
        CHECK_INT(fail(&r), rows[i].status);
        CHECK_INT(r.e.http_status, rows[i].http);
        if (rows[i].status == SBX_E_TIMEOUT) CHECK_INT(r.e.clock, SBX_CLOCK_CONNECT);
        CHECK(live_now() - began < 5);
        CHECK_INT(logged(&r, "CONNECT localhost:"), 1);
        rig_end(&r);
    }
    test_row = NULL;
}
