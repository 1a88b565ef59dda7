/* trace_test - config.trace: what it tells, and that no secret is in it however the
   bytes are cut. */
#define _GNU_SOURCE
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include <strings.h>

#define KEY "e2b_0123456789abcdef0123456789abcdef01234567"
#define TOKEN "5ecre7c0ffee5ecre7c0ffee5ecre7c0ffee"
#define TRAFFIC "trafficcanary/0123456789+canary=="

typedef struct told {
    ptext all, part[2];
    uint32_t last;          /* exchange */
    size_t largest;
} told;

static void tell(void *ctx, uint32_t exchange, sbx_trace_part part, const char *text, size_t len)
{
    told *t = ctx;
    CHECK(exchange >= 1 && exchange >= t->last);
    CHECK(len > 0);
    t->last = exchange;
    if (len > t->largest) t->largest = len;
    pt_add(&t->all, text, len);
    pt_add(&t->part[part], text, len);
}

static void told_free(told *t)
{
    pt_free(&t->all);
    pt_free(&t->part[0]);
    pt_free(&t->part[1]);
}

/* ---- the filters ---------------------------------------------------------------- */

/* An operation whose client knows three secrets. */
typedef struct bench { sbx_client c; sbx_sandbox s; sbx_op op; sbx_trace trace; told t; } bench;

static bench *bench_new(void)
{
    bench *b = calloc(1, sizeof *b);
    if (!b) abort();
    b->trace.put = tell;
    b->trace.ctx = &b->t;
    b->trace.limit = SBX_NEVER;
    b->c.config.trace = &b->trace;
    b->c.config.api_key = KEY;
    b->s.access.access_token = TOKEN;
    b->s.access.traffic_token = TRAFFIC;
    b->op.client = &b->c;
    b->op.sandbox = &b->s;
    sbxi_trace_begin(&b->op);
    return b;
}

static void bench_free(bench *b)
{
    told_free(&b->t);
    free(b);
}

/* What is told of text that comes as two pieces and then an end. */
static void filter(ptext *out, const char *text, size_t len, size_t cut)
{
    bench *b = bench_new();
    sbxi_trace(&b->op, SBX_TRACE_REPLY, text, cut);
    sbxi_trace(&b->op, SBX_TRACE_REPLY, text + cut, len - cut);
    sbxi_trace_end(&b->op);
    out->len = 0;
    pt_add(out, b->t.all.p, b->t.all.len);
    if (out->len && out->p[out->len - 1] == '\n') out->p[--out->len] = 0;
    bench_free(b);
}

static const struct { const char *text, *told; } rows[] = {
    /* by name: headers */
    { "X-API-KEY: abc\r\nA: b\r\n", "X-API-KEY: ***\r\nA: b\r\n" },
    { "Authorization: Basic dXNlcjo=\r\nA: b\r\n", "Authorization: ***\r\nA: b\r\n" },
    { "proxy-authorization:Basic a, b\"c\r\nA: b", "proxy-authorization:***\r\nA: b" },
    { "E2b-Traffic-Access-Token: ta\r\n\r\n{}", "E2b-Traffic-Access-Token: ***\r\n\r\n{}" },
    { "Set-Cookie: a=b; Path=/\r\nx: y", "Set-Cookie: ***\r\nx: y" },
    { "X-Token: \"q\" rest\r\nx: y", "X-Token: ***\r\nx: y" },
    { "X-Token:\r\nx: y", "X-Token:\r\nx: y" },
    { "Idempotency-Key: k-1\r\n", "Idempotency-Key: k-1\r\n" },
    { "Content-Type: text/plain\r\n", "Content-Type: text/plain\r\n" },
    /* by name: JSON */
    { "{\"envdAccessToken\":\"a b\",\"x\":\"y\"}", "{\"envdAccessToken\":\"***\",\"x\":\"y\"}" },
    { "{\"token\" : \"a\\\"b\\\\\", \"x\":1}", "{\"token\" : \"***\", \"x\":1}" },
    { "{\"token\":null,\"x\":\"y\"}", "{\"token\":***\"x\":\"y\"}" },
    { "{\"token\":\"\",\"x\":1}", "{\"token\":\"***\",\"x\":1}" },
    { "{\"tokens\":{\"t\":{\"audience\":\"a\"}}}", "{\"tokens\":{\"t\":{\"audience\":\"a\"}}}" },
    { "{\"tokens\":[\"a\"]}", "{\"tokens\":[\"a\"]}" },
    { "{\"a\":\"token\",\"b\":\"c\"}", "{\"a\":\"token\",\"b\":\"c\"}" },
    { "{\"name\":\"gh\",\"value\":\"v\"}", "{\"name\":\"gh\",\"value\":\"***\"}" },
    { "{\"OPENAI_API_KEY\":\"sk\",\"AWS_SECRET_ACCESS_KEY\":\"k\"}",
      "{\"OPENAI_API_KEY\":\"***\",\"AWS_SECRET_ACCESS_KEY\":\"***\"}" },
    { "{\"apiKey\":\"a\",\"accessKeyId\":\"b\",\"password\":\"c\",\"credentials\":\"d\"}",
      "{\"apiKey\":\"***\",\"accessKeyId\":\"***\",\"password\":\"***\",\"credentials\":\"***\"}" },
    { "{\"args\":[\"TOKEN=abc run\"]}", "{\"args\":[\"TOKEN=*** run\"]}" },
    { "{\"j\":\"{\\\"private_key\\\":\\\"k\\\"}\",\"x\":1}",
      "{\"j\":\"{\\\"private_key\\\":\\\"***\",\"x\":1}" },
    /* by name: URLs */
    { "GET /f?path=%2Ftoken.txt&signature=v1_a%2B&signature_expiration=9 HTTP/1.1\r\n",
      "GET /f?path=%2Ftoken.txt&signature=***&signature_expiration=*** HTTP/1.1\r\n" },
    { "GET /tokens?limit=1 HTTP/1.1\r\n", "GET /tokens?limit=1 HTTP/1.1\r\n" },
    { "GET /tokens HTTP/1.1\r\nHost: a:1\r\n", "GET /tokens HTTP/1.1\r\nHost: a:1\r\n" },
    /* by value */
    { "no such key: " KEY, "no such key: ***" },
    { "x" KEY "y", "x***" },
    { KEY " and " TOKEN ", " TRAFFIC "; end", "*** and *** *** end" },
    { "e2be2b_012" KEY, "e2be2b_012***" },
    { "e2b_ e2b_01 e2b_012\n", "e2b_ e2b_01 e2b_012\n" },
    { "e2b_0123 rest", "*** rest" },         /* half of it is enough */
    { "eee2b_e2b_0123456789", "eee2b_***" },
    { "5ecre7c05ecre7c0ffee", "***" }
};

TEST(rows_at_every_split)
{
    size_t i, cut;
    ptext out = {0};
    for (i = 0; i < SBXI_LEN(rows); i++) {
        size_t len = strlen(rows[i].text);
        test_row = rows[i].text;
        for (cut = 0; cut <= len; cut++) {
            filter(&out, rows[i].text, len, cut);
            if (!CHECK_STR(out.p, rows[i].told)) break;
        }
    }
    test_row = NULL;
    pt_free(&out);
}

TEST(binary_passes)
{
    char all[512];
    ptext out = {0};
    size_t i;
    for (i = 0; i < sizeof all; i++) all[i] = (char)(i * 7);
    all[sizeof all - 1] = 0;
    for (i = 0; i <= sizeof all; i += 13) {
        filter(&out, all, sizeof all, i);
        CHECK_MEM(out.p, out.len, all, sizeof all);
    }
    pt_free(&out);
}

/* A secret is cut off: at most its first seven bytes are seen. */
TEST(cut_secret)
{
    ptext out = {0};
    size_t n;
    for (n = 1; n <= strlen(KEY); n++) {
        filter(&out, KEY, n, 0);
        CHECK_INT(out.len, n < 8 ? n : 3);
        CHECK_MEM(out.p, out.len, n < 8 ? KEY : "***", n < 8 ? n : 3);
    }
    pt_free(&out);
}

TEST(short_and_empty_secrets)
{
    bench *b = bench_new();
    b->c.config.api_key = "ta";
    b->s.access.access_token = "";
    b->s.access.traffic_token = NULL;
    sbxi_trace(&b->op, SBX_TRACE_REPLY, "data ta\0 ta\0abcdef\ntoken=ta ", 28);
    sbxi_trace_end(&b->op);
    CHECK_MEM(b->t.all.p, b->t.all.len, "data ta\0 ta\0abcdef\ntoken=*** \n", 30);
    bench_free(b);
}

TEST(limit)
{
    bench *b = bench_new();
    char big[5000];
    memset(big, 'x', sizeof big);
    b->trace.limit = 10;
    sbxi_trace(&b->op, SBX_TRACE_REQUEST, big, 7);
    sbxi_trace(&b->op, SBX_TRACE_REQUEST, big, 7);
    sbxi_trace(&b->op, SBX_TRACE_REPLY, big, 9);
    CHECK_INT(b->t.part[0].len, 10);
    CHECK_INT(b->t.part[1].len, 9);
    b->trace.limit = 0;
    sbxi_trace(&b->op, SBX_TRACE_REQUEST, big, sizeof big);
    CHECK_INT(b->t.part[0].len, 4096);
    b->trace.limit = SBX_NEVER;
    sbxi_trace(&b->op, SBX_TRACE_REQUEST, big, sizeof big);
    CHECK_INT(b->t.part[0].len, 9096);
    CHECK(b->t.largest <= 96);
    bench_free(b);
}

/* ---- whole exchanges ------------------------------------------------------------ */

static void check_no_secrets(const told *t)
{
    CHECK(t->all.p && !strstr(t->all.p, KEY));
    CHECK(t->all.p && !strstr(t->all.p, TOKEN));
    CHECK(t->all.p && !strstr(t->all.p, TRAFFIC));
}

#define HEAD(line) line " HTTP/1.1\r\nHost: api.test:3000\r\nUser-Agent: sandbox.h/" SBX_VERSION \
    "\r\nAccept: */*\r\nAccept-Encoding: identity\r\nX-API-KEY: ***\r\n"

static void one_way(size_t recv_max, size_t send_max, size_t chunk)
{
    turn turns[] = {
        { "POST /v2/sandboxes ", 201, "X-Note: " KEY "\r\n",
          "{\"sandboxID\":\"i1\",\"envdAccessToken\":\"" TOKEN "\",\"trafficAccessToken\":\""
          TRAFFIC "\",\"envdVersion\":\"0.6.4\"}" },
        { "POST /files", 200, NULL, "[{\"path\":\"/f\",\"name\":\"f\",\"type\":\"file\"}]" },
        { "GET /files", 404, NULL, "{\"code\":404,\"message\":\"not with " TOKEN "\"}" },
        { "DELETE /sandboxes/i1 ", 204 }
    };
    peer *p = peer_new();
    sbx_config g = peer_config(p);
    sbx_sandbox_options o = {0};
    sbx_files_options raw = {0};
    sbx_pair env = { "MY_PASSWORD", "hunter2" };
    sbx_sink drop = {0};
    sbx_trace trace = {0};
    told t = {0};
    sbx_client *c;
    sbx_sandbox *s;
    raw.octet_stream = SBX_YES;
    trace.put = tell;
    trace.ctx = &t;
    turns[0].chunk = turns[1].chunk = turns[2].chunk = chunk;
    SCRIPT(p, turns);
    p->recv_max = recv_max;
    p->send_max = send_max;
    o.envs.items = &env;
    o.envs.count = 1;
    g.api_key = KEY;
    g.trace = &trace;
    REQUIRE(sbx_open(&c, &g) == SBX_OK);
    REQUIRE(sbx_sandbox_create(c, &o, &s, NULL) == SBX_OK);
    CHECK(strstr(t.part[0].p, HEAD("POST /v2/sandboxes") "Content-Type: application/json\r\n") == t.part[0].p);
    CHECK(strstr(t.part[0].p, "\r\n\r\n{\"templateID\":\"base\",\"metadata\":{},\"envVars\":"
        "{\"MY_PASSWORD\":\"***\"}}\n"));
    CHECK(strstr(t.part[1].p, "HTTP/1.1 201\r\nx-note: ***\r\n") == t.part[1].p);
    CHECK(strstr(t.part[1].p, "\r\n\r\n{\"sandboxID\":\"i1\",\"envdAccessToken\":\"***\","
        "\"trafficAccessToken\":\"***\",\"envdVersion\":\"0.6.4\"}\n"));
    CHECK_INT(t.last, 1);
    CHECK_INT(sbx_files_write_bytes(s, "/f", "see " TOKEN " and\0" KEY, 9 + strlen(TOKEN KEY), &raw,
        NULL, NULL), SBX_OK);
    CHECK(strstr(t.part[0].p, "X-Access-Token: ***\r\nContent-Type: application/octet-stream"));
    CHECK(memmem(t.part[0].p, t.part[0].len, "\r\n\r\nsee *** and\0***\n", 19) != NULL);
    CHECK_INT(t.last, 2);
    CHECK_INT(sbx_files_read(s, "/g", NULL, drop, NULL), SBX_E_NOT_FOUND);
    CHECK(memmem(t.all.p, t.all.len, "\"message\":\"not with ***\"}\n", 26) != NULL);
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    CHECK(memmem(t.all.p, t.all.len, "HTTP/1.1 204\r\n\r\n\n", 17) != NULL);
    CHECK_INT(t.last, 4);
    sbx_sandbox_release(s);
    CHECK_INT(sbx_close(c), SBX_OK);
    check_no_secrets(&t);
    CHECK(!memmem(t.all.p, t.all.len, "hunter2", 7) && !memmem(t.all.p, t.all.len, KEY, 12));
    CHECK_STR(p->complaint, "");
    CHECK_INT(p->heap.blocks, 0);
    told_free(&t);
    peer_free(p);
}

TEST(exchanges)
{
    size_t chunk, bytes;
    for (bytes = 0; bytes < 4; bytes++)
        for (chunk = 0; chunk < 40; chunk++) one_way(bytes, bytes, chunk);
}

/* Two credentials in one call: the client's key is hidden, and the call's. */
TEST(key_of_the_call)
{
    turn turns[] = { { "DELETE ", 500, NULL, "{\"message\":\"" KEY " callskey-callskey\"}" } };
    peer *p = peer_new();
    sbx_config g = peer_config(p);
    sbx_call call = {0};
    sbx_trace trace = {0};
    told t = {0};
    sbx_client *c;
    sbx_sandbox *s;
    trace.put = tell;
    trace.ctx = &t;
    SCRIPT(p, turns);
    g.api_key = KEY;
    g.trace = &trace;
    call.api_key = "callskey-callskey";
    REQUIRE(sbx_open(&c, &g) == SBX_OK && sbx_sandbox_attach(c, "i1", NULL, &s) == SBX_OK);
    CHECK_INT(sbx_sandbox_kill(s, NULL, &call), SBX_E_SERVER);
    CHECK(strstr(t.all.p, "{\"message\":\"*** ***\"}\n"));
    CHECK(!strstr(t.all.p, "callskey"));
    sbx_sandbox_release(s);
    sbx_close(c);
    told_free(&t);
    peer_free(p);
}

/* Each try is an exchange of its own; one without a reply ends, too. */
TEST(retries_are_numbered)
{
    turn turns[] = { { "DELETE ", 503, NULL, "{}" }, { "DELETE ", 0, NULL, NULL, .raw = "", .shut = true },
        { "DELETE ", 204 } };
    peer *p = peer_new();
    sbx_config g = peer_config(p);
    sbx_trace trace = {0};
    told t = {0};
    sbx_client *c;
    sbx_sandbox *s;
    trace.put = tell;
    trace.ctx = &t;
    SCRIPT(p, turns);
    g.trace = &trace;
    REQUIRE(sbx_open(&c, &g) == SBX_OK && sbx_sandbox_attach(c, "i1", NULL, &s) == SBX_OK);
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    CHECK_INT(t.last, 3);
    CHECK(strstr(t.all.p, "\r\n\r\n\nHTTP/1.1 503\r\n"));
    CHECK(strstr(t.all.p, "X-API-KEY: ***\r\n\r\n\nDELETE "));
    sbx_sandbox_release(s);
    sbx_close(c);
    told_free(&t);
    peer_free(p);
}

/* A proxy's credentials, in a request to it. */
TEST(proxy)
{
    turn turns[] = { { "DELETE http://api.test:3000/sandboxes/i1 ", 204 } };
    peer *p = peer_new();
    sbx_config g = peer_config(p);
    sbx_trace trace = {0};
    told t = {0};
    sbx_client *c;
    sbx_sandbox *s;
    trace.put = tell;
    trace.ctx = &t;
    SCRIPT(p, turns);
    g.trace = &trace;
    g.proxy = "http://me:hunter2@proxy.test:3128";
    g.net.flags = 0;
    REQUIRE(sbx_open(&c, &g) == SBX_OK && sbx_sandbox_attach(c, "i1", NULL, &s) == SBX_OK);
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    CHECK(strstr(t.all.p, "\r\nProxy-Authorization: ***\r\n"));
    CHECK(!strstr(t.all.p, "bWU6aHVudGVyMg"));
    sbx_sandbox_release(s);
    sbx_close(c);
    told_free(&t);
    peer_free(p);
}

/* And in the request for a tunnel through it. */
TEST(tunnel)
{
    static char io[SBX_IO_BYTES];
    bench *b = bench_new();
    sbxi_conn *conn = calloc(1, sizeof *conn + 16);
    sbxi_proxy proxy = { "me:hunter2", "proxy.test", 10, 3128 };
    sbxi_link link;
    sbx_error e;
    memset(&link, 0, sizeof link);
    REQUIRE(conn != NULL);
    conn->io = io;
    conn->proxy = &proxy;
    conn->port = 443;
    memcpy(conn->host, "api.test", 9);
    b->op.x.conn = conn;
    b->op.x.link = &link;
    CHECK_INT(sbxi_exchange_ask(&b->op.x, &e), SBX_OK);
    CHECK_STR(b->t.all.p, "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n"
        "User-Agent: sandbox.h/" SBX_VERSION "\r\n"
        "Proxy-Authorization: ***\r\n\r\n");
    CHECK(memmem(io, sizeof io, "bWU6aHVudGVyMg==", 16) != NULL);
    free(conn);
    bench_free(b);
}
