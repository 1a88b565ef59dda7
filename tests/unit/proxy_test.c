/* Proxies, redirects and which connections may be used again: what a proxy is told,
   what is made of its answers, and where requests go, against a scripted peer. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include <strings.h>

#define INFO "{\"sandboxID\":\"box1\"}"
#define CREATED "{\"sandboxID\":\"new1\",\"envdVersion\":\"0.6.4\",\"envdAccessToken\":\"t\"}"
#define WRITTEN "[{\"name\":\"f\",\"type\":\"file\",\"path\":\"/f\"}]"
#define AUTH "Proxy-Authorization: Basic "
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A client on a peer whose transport leaves TLS to the library. */
typedef struct rig {
    peer *p;
    sbx_client *c;
    sbx_sandbox *s;
    sbx_config g;
    sbx_call call;
    sbx_error e;
} rig;

static void rig_start(rig *r, turn *turns, size_t n)
{
    memset(r, 0, sizeof *r);
    r->p = peer_new();
    r->g = peer_config(r->p);
    r->g.net.flags = 0;
    r->g.retries = SBX_NEVER;
    r->g.error = &r->e;
    r->call.error = &r->e;
    peer_script(r->p, turns, n);
}

static void rig_open(rig *r, const char *data_url)
{
    sbx_sandbox_access a;
    memset(&a, 0, sizeof a);
    a.access_token = "tok";
    a.daemon_version = "0.6.4";
    a.data_url = data_url;
    CHECK_INT(sbx_open(&r->c, &r->g), SBX_OK);
    CHECK_INT(sbx_sandbox_attach(r->c, "box1", &a, &r->s), SBX_OK);
}

static void rig_shut(rig *r)
{
    sbx_sandbox_release(r->s);
    CHECK_INT(sbx_close(r->c), SBX_OK);
    r->s = NULL;
    r->c = NULL;
    CHECK_INT(r->p->heap.blocks, 0);
    CHECK_INT(r->p->live, 0);
}

static void rig_end(rig *r)
{
    size_t i;
    rig_shut(r);
    CHECK_STR(r->p->complaint, "");
    for (i = 0; i < r->p->turn_count; i++) CHECK(r->p->turns[i].used > 0);
    peer_free(r->p);
}

/* One request to the control plane. */
static int ask(rig *r)
{
    sbx_sandbox_info *info = NULL;
    int rc = sbx_sandbox_get_info(r->s, &info, &r->call);
    CHECK((rc == SBX_OK) == (info != NULL));
    sbx_free(info);
    return rc;
}

static bool said(const rig *r, const char *text)
{
    if (strstr(r->e.message, text)) return true;
    printf("the message is: %s\n", r->e.message);
    return false;
}

/* ---- texts ------------------------------------------------------------------- */

TEST(proxy_urls)
{
    static const struct { const char *url, *host, *user; int port; } rows[] = {
        { "http://p:3128", "p", "", 3128 }, { "http://p", "p", "", 80 }, { "p:1", "p", "", 1 },
        { "http://p:3128/", "p", "", 3128 }, { "10.0.0.1:8080", "10.0.0.1", "", 8080 },
        { "http://[::1]:8080", "::1", "", 8080 }, { "http://[fe80::1]", "fe80::1", "", 80 },
        { "http://u:w@p:1", "p", "u:w", 1 }, { "http://u@p:1", "p", "u:", 1 },
        { "u@p", "p", "u:", 80 }, { "u:w@[::1]:9", "::1", "u:w", 9 },
        { "http://u:@p", "p", "u:", 80 }, { "http://:w@p", "p", ":w", 80 },
        { "http://a%40b:c%3Ad%2F%25@p", "p", "a@b:c:d/%", 80 },
        { "http://u:w:x@p", "p", "u:w:x", 80 }, { "http://u:w@x@p", "p", "u:w@x", 80 },
        { "http://%c3%a9:w@p", "p", "\303\251:w", 80 },
        { "https://p", NULL, NULL, 0 }, { "socks5://p:1080", NULL, NULL, 0 },
        { "socks5h://u:w@p", NULL, NULL, 0 }, { "http://", NULL, NULL, 0 }, { "", NULL, NULL, 0 },
        { "http://p:0", NULL, NULL, 0 }, { "http://p:65536", NULL, NULL, 0 },
        { "http://p:x", NULL, NULL, 0 }, { "http://p/path", NULL, NULL, 0 },
        { "http://p?x", NULL, NULL, 0 }, { "http://p#x", NULL, NULL, 0 }, { "http://p q", NULL, NULL, 0 },
        { "http://u:%0d%0aX@p", NULL, NULL, 0 }, { "http://u:%00@p", NULL, NULL, 0 },
        { "http://u%3ax:w@p", NULL, NULL, 0 }, { "http://u:%4@p", NULL, NULL, 0 },
        { "http://u:%@p", NULL, NULL, 0 }, { "http://u:%zz@p", NULL, NULL, 0 },
        { "http://u:w/x@p", NULL, NULL, 0 }, { "http://p\r\nX: y", NULL, NULL, 0 },
        { "http://@", NULL, NULL, 0 }, { "http://u:w@", NULL, NULL, 0 }
    };
    size_t i;
    for (i = 0; i < LEN(rows); i++) {
        char *copy = strdup(rows[i].url);
        sbxi_proxy p = { copy, NULL, 0, 0 };
        test_row = rows[i].url;
        if (CHECK(sbxi_proxy_set(&p) == (rows[i].host != NULL)) && rows[i].host) {
            CHECK_STR(p.host, rows[i].host);
            CHECK_INT(p.port, rows[i].port);
            CHECK_MEM(p.url, p.user_len, rows[i].user, strlen(rows[i].user));
        }
        free(copy);
    }
    test_row = NULL;
}

TEST(hosts_without_a_proxy)
{
    static const struct { const char *list, *url; bool without; } rows[] = {
        { NULL, "http://a.test", false }, { "", "http://a.test", false },
        { " , ,", "http://a.test", false }, { "*", "http://a.test", true },
        { "b.test,*", "http://a.test", true }, { "a.test", "http://a.test", true },
        { "a.test", "https://a.test", true }, { "A.Test", "http://a.tEST", true },
        { "a.test", "http://x.a.test", true }, { ".a.test", "http://x.a.test", true },
        { ".a.test", "http://a.test", true }, { "a.test", "http://ba.test", false },
        { ".a.test", "http://ba.test", false }, { "x.a.test", "http://a.test", false },
        { "b.test, a.test", "http://a.test", true }, { "b.test a.test", "http://a.test", true },
        { "b.test\ta.test,", "http://a.test", true }, { "test", "http://a.test", true },
        { "a.test:80", "http://a.test", true }, { "a.test:81", "http://a.test", false },
        { "a.test:80", "http://a.test:81", false }, { "a.test:443", "https://a.test", true },
        { "a.test:80", "https://a.test", false }, { ".a.test:81", "http://b.a.test:81", true },
        { "127.0.0.1", "http://127.0.0.1:3000", true }, { "127.0.0.1", "http://127.0.0.2", false },
        { "127.0.0.1:3000", "http://127.0.0.1:3000", true },
        { "127.0.0.0/8", "http://127.0.0.1", false }, { "::1", "http://[::1]", true },
        { "[::1]", "http://[::1]:99", true }, { "[::1]:99", "http://[::1]:99", true },
        { "[::1]:99", "http://[::1]", false }, { "::1", "http://[::2]", false },
        { "::1", "http://a.test", false }, { ".", "http://a.test", false },
        { ":80", "http://a.test", false }, { "**", "http://a.test", false }
    };
    size_t i;
    for (i = 0; i < LEN(rows); i++) {
        sbxi_proxies all = { { { "p", "p", 0, 1 }, { "q", "q", 0, 1 } }, NULL };
        sbxi_url url;
        char row[80];
        snprintf(row, sizeof row, "%s for %s", rows[i].list ? rows[i].list : "none", rows[i].url);
        test_row = row;
        all.none = rows[i].list;
        REQUIRE(sbxi_url_split(sbxi_span_of(rows[i].url), &url));
        CHECK(sbxi_proxy_for(&all, &url) == (rows[i].without ? NULL : &all.of[url.tls]));
    }
    test_row = NULL;
}

TEST(endings_of_names)
{
    CHECK(sbxi_ends_nocase(sbxi_span_of("a.Test"), sbxi_span_of("TEST")));
    CHECK(sbxi_ends_nocase(sbxi_span_of("x"), sbxi_span_of("")));
    CHECK(!sbxi_ends_nocase(sbxi_span_of("est"), sbxi_span_of("test")));
    CHECK(!sbxi_ends_nocase(sbxi_span_of(""), sbxi_span_of("t")));
}

/* ---- configuration ----------------------------------------------------------- */

static const char *const variables[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY",
    "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY" };

static void clear_environment(void)
{
    size_t i;
    for (i = 0; i < LEN(variables); i++) unsetenv(variables[i]);
}

/* Which proxy a client would take: its host, "" for none, or the failed open. */
static const char *way(rig *r, const char *url)
{
    static char host[64];
    const sbxi_proxy *p;
    sbxi_url u;
    if (sbx_open(&r->c, &r->g) != SBX_OK) return "failed";
    host[0] = 0;
    if (!sbxi_url_split(sbxi_span_of(url), &u)) abort();
    p = sbxi_link_proxy(&r->c->link, &u);
    if (p) snprintf(host, sizeof host, "%s:%d", p->host, p->port);
    sbx_close(r->c);
    r->c = NULL;
    CHECK_INT(r->p->heap.blocks, 0);
    return host;
}

TEST(proxies_of_the_environment)
{
    static const struct { const char *set[6], *proxy, *none, *http, *https; bool off; } rows[] = {
        { { 0 }, NULL, NULL, "", "", false },
        { { "http_proxy", "http://a:1" }, NULL, NULL, "a:1", "", false },
        { { "HTTP_PROXY", "http://a:1" }, NULL, NULL, "", "", false },
        { { "https_proxy", "http://a:1" }, NULL, NULL, "", "a:1", false },
        { { "HTTPS_PROXY", "a:1" }, NULL, NULL, "", "a:1", false },
        { { "https_proxy", "a:1", "HTTPS_PROXY", "b:2" }, NULL, NULL, "", "a:1", false },
        { { "ALL_PROXY", "a:1" }, NULL, NULL, "a:1", "a:1", false },
        { { "all_proxy", "a:1", "http_proxy", "b:2" }, NULL, NULL, "b:2", "a:1", false },
        { { "http_proxy", "", "ALL_PROXY", "b:2" }, NULL, NULL, "b:2", "b:2", false },
        { { "ALL_PROXY", "a:1", "NO_PROXY", "h.test" }, NULL, NULL, "", "", false },
        { { "ALL_PROXY", "a:1", "no_proxy", "h.test:80" }, NULL, NULL, "", "a:1", false },
        { { "ALL_PROXY", "a:1", "no_proxy", "x", "NO_PROXY", "*" }, NULL, NULL, "a:1", "a:1", false },
        { { "ALL_PROXY", "a:1", "NO_PROXY", "*" }, NULL, "", "a:1", "a:1", false },
        { { "ALL_PROXY", "a:1" }, "", NULL, "", "", false },
        { { "ALL_PROXY", "a:1" }, "b:2", NULL, "b:2", "b:2", false },
        { { "NO_PROXY", "h.test" }, "b:2", NULL, "", "", false },
        { { 0 }, "b:2", "h.test:443", "b:2", "", false },
        { { "ALL_PROXY", "a:1" }, NULL, NULL, "", "", true },
        { { "NO_PROXY", "*" }, "b:2", NULL, "b:2", "b:2", true },
        { { "ALL_PROXY", "socks5://a:1" }, NULL, NULL, "failed", "failed", false },
        { { "https_proxy", "https://a:1" }, NULL, NULL, "failed", "failed", false },
        { { "https_proxy", "https://a:1" }, "", NULL, "", "", false },
        { { 0 }, "ftp://b", NULL, "failed", "failed", false }
    };
    size_t i, k;
    rig r;
    rig_start(&r, NULL, 0);
    for (i = 0; i < LEN(rows); i++) {
        char row[16];
        snprintf(row, sizeof row, "row %d", (int)i);
        test_row = row;
        clear_environment();
        for (k = 0; k < 6 && rows[i].set[k]; k += 2) setenv(rows[i].set[k], rows[i].set[k + 1], 1);
        r.g.environment = rows[i].off ? SBX_NO : SBX_DEFAULT;
        r.g.proxy = rows[i].proxy;
        r.g.no_proxy = rows[i].none;
        CHECK_STR(way(&r, "http://h.test"), rows[i].http);
        CHECK_STR(way(&r, "https://h.test"), rows[i].https);
        if (strcmp(rows[i].http, "failed") == 0) {
            CHECK_INT(r.e.status, SBX_E_ARG);
            CHECK(said(&r, "socks"));
        }
    }
    test_row = NULL;
    clear_environment();
    peer_free(r.p);
}

TEST(no_proxy_where_the_transport_does_tls)
{
    rig r;
    rig_start(&r, NULL, 0);
    r.g.net.flags = SBX_NET_TLS_INSIDE;
    r.g.proxy = "http://p:1";
    CHECK_INT(sbx_open(&r.c, &r.g), SBX_E_ARG);
    CHECK(said(&r, "does TLS itself"));
    r.g.proxy = "";
    CHECK_STR(way(&r, "https://h.test"), "");
    peer_free(r.p);
}

/* Nothing of what the caller gave is looked at after sbx_open(). */
TEST(proxy_texts_are_copied)
{
    turn turns[] = { { "GET http://api.test:3000/sandboxes/box1 ", 200, 0, INFO } };
    char proxy[] = "http://u:w@p:3128", none[] = "other.test";
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.proxy = proxy;
    r.g.no_proxy = none;
    rig_open(&r, NULL);
    CHECK_STR(proxy, "http://u:w@p:3128");
    memset(proxy, 'x', sizeof proxy - 1);
    memset(none, '*', 1);
    none[1] = 0;
    CHECK_INT(ask(&r), SBX_OK);
    CHECK_STR(r.p->conn[0].host, "p");
    rig_end(&r);
}

/* ---- http: the whole URL goes to the proxy ------------------------------------- */

TEST(absolute_form)
{
    turn turns[] = { { "GET http://api.test:3000/sandboxes/box1 HTTP/1.1\r\nHost: api.test:3000\r\n",
            200, 0, INFO, .has = AUTH "dXNlcjpwOnc=\r\n" },
        { "POST http://box.test:4000/files?username=root&path=%2Ff HTTP/1.1", 200, 0, WRITTEN, .has = AUTH },
        { "GET http://api.test:3000/sandboxes/box1 HTTP/1.1", 200, 0, INFO } };
    rig r;
    char value[64];
    sbx_files_options o = { 0 };
    o.user = "root";
    rig_start(&r, turns, LEN(turns));
    r.g.proxy = "http://user:p%3Aw@proxy.test:3128";
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_OK);
    CHECK_INT(sbx_files_write_bytes(r.s, "/f", "abc", 3, &o, NULL, &r.call), SBX_OK);
    CHECK_STR(head_value(r.p->request[1].head, "Host", value, sizeof value), "box.test:4000");
    CHECK_INT(ask(&r), SBX_OK); /* on the connection of the first */
    CHECK_INT(r.p->conns, 2);
    CHECK_INT(r.p->request[2].conn, 0);
    CHECK_STR(r.p->conn[0].host, "proxy.test");
    CHECK_INT(r.p->conn[0].port, 3128);
    CHECK_STR(r.p->conn[1].host, "proxy.test");
    rig_end(&r);
}

static void keep_text(void *ctx, uint32_t exchange, sbx_trace_part part, const char *text, size_t len)
{
    (void)exchange;
    (void)part;
    pt_add(ctx, text, len);
}

TEST(proxy_credentials_are_not_traced)
{
    turn turns[] = { { "GET http://", 200, 0, INFO, .has = AUTH "dXNlcjpwOnc=" } };
    ptext told = { 0 };
    sbx_trace trace = { keep_text, NULL, 0 };
    rig r;
    trace.ctx = &told;
    rig_start(&r, turns, LEN(turns));
    r.g.proxy = "http://user:p%3Aw@p";
    r.g.trace = &trace;
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_OK);
    CHECK(told.p && strstr(told.p, "Proxy-Authorization: ***") && !strstr(told.p, "dXNl"));
    rig_end(&r);
    pt_free(&told);
}

TEST(without_credentials_and_past_the_proxy)
{
    turn turns[] = { { "GET http://api.test:3000/sandboxes/box1 ", 200, 0, INFO,
            .lacks = "Proxy-" },
        { "GET /health ", 204, .lacks = "Proxy-" } };
    rig r;
    bool running;
    rig_start(&r, turns, LEN(turns));
    r.g.proxy = "proxy.test:3128";
    r.g.no_proxy = "box.test";
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_OK);
    CHECK_INT(sbx_sandbox_is_running(r.s, &running, &r.call), SBX_OK);
    CHECK_STR(r.p->conn[0].host, "proxy.test");
    CHECK_STR(r.p->conn[1].host, "box.test");
    CHECK_INT(r.p->conn[1].port, 4000);
    rig_end(&r);
}

/* Whatever the proxy's page says, the error says what to do. */
TEST(proxy_credentials_refused)
{
    static const char *const bodies[] = { "<html>no</html>", "{\"message\":\"no\"}", "" };
    size_t i;
    for (i = 0; i < LEN(bodies); i++) {
        turn turns[] = { { "GET http://", 407, "Proxy-Authenticate: Basic\r\n", bodies[i] } };
        rig r;
        rig_start(&r, turns, LEN(turns));
        r.g.retries = 3;
        r.g.proxy = "http://u:w@p:3128";
        rig_open(&r, NULL);
        CHECK_INT(ask(&r), SBX_E_AUTH);
        CHECK_INT(r.e.http_status, 407);
        CHECK(said(&r, "proxy wants other credentials"));
        CHECK(!strstr(r.e.message, ":w"));
        CHECK_INT(r.p->requests, 1);
        rig_end(&r);
    }
}

TEST(proxy_that_cannot_be_reached)
{
    static const int rows[] = { SBX_E_DNS, SBX_E_CONNECT };
    size_t i;
    for (i = 0; i < LEN(rows); i++) {
        int opens[2];
        rig r;
        rig_start(&r, NULL, 0);
        opens[0] = rows[i];
        opens[1] = 1;
        r.g.proxy = "p:1";
        r.p->opens = opens;
        rig_open(&r, NULL);
        CHECK_INT(ask(&r), rows[i]);
        CHECK(said(&r, "the proxy"));
        rig_end(&r);
    }
}

/* ---- https: a tunnel ---------------------------------------------------------- */

#define TUNNEL "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n"

/* This build has no TLS: asking for it is how far a good answer gets. */
TEST(tunnels)
{
    static const struct { const char *what, *answer; int status, http; const char *says; } rows[] = {
        { "good", "HTTP/1.1 200 Connection established\r\n\r\n", SBX_E_UNSUPPORTED, 0, "TLS is" },
        { "1.0", "HTTP/1.0 200 OK\r\nVia: x\r\n\r\n", SBX_E_UNSUPPORTED, 0, "TLS is" },
        { "201", "HTTP/1.1 201 Made\r\n\r\n", SBX_E_UNSUPPORTED, 0, "TLS is" },
        { "empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", SBX_E_UNSUPPORTED, 0, "TLS is" },
        { "interim", "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", SBX_E_UNSUPPORTED, 0, "TLS is" },
        { "surplus", "HTTP/1.1 200 OK\r\n\r\n\x15", SBX_E_PROTOCOL, 0, "more than a head" },
        { "a body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", SBX_E_PROTOCOL, 0, "more" },
        { "407", "HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nhi", SBX_E_AUTH, 407, "credentials" },
        { "403", "HTTP/1.1 403 No\r\n\r\n<html>", SBX_E_DENIED, 403, "refuses" },
        { "502", "HTTP/1.1 502 Bad\r\n\r\n", SBX_E_CONNECT, 502, "cannot connect to the host" },
        { "504", "HTTP/1.0 504 Late\r\n\r\n", SBX_E_CONNECT, 504, "cannot connect to the host" },
        { "302", "HTTP/1.1 302 Login\r\nLocation: http://x/\r\n\r\n", SBX_E_DENIED, 302, "refuses" },
        { "101", "HTTP/1.1 101 Switch\r\n\r\n", SBX_E_PROTOCOL, 0, "not HTTP" },
        { "bare LF", "HTTP/1.1 200 OK\n\n", SBX_E_PROTOCOL, 0, "not HTTP" },
        { "two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
          SBX_E_PROTOCOL, 0, "not HTTP" },
        { "TLS", "\x15\x03\x01\x00\x02\x02\x46", SBX_E_PROTOCOL, 0, "not HTTP" },
        { "SSH", "SSH-2.0-OpenSSH_9.2\r\n", SBX_E_PROTOCOL, 0, "not HTTP" },
        { "close", "", SBX_E_NETWORK, 0, "closed the connection" },
        { "half", "HTTP/1.1 200 OK\r\nVia:", SBX_E_NETWORK, 0, "closed the connection" }
    };
    size_t i, k;
    for (i = 0; i < LEN(rows); i++) {
        for (k = 0; k < 4; k++) { /* whole, byte by byte, would-block, both */
            turn turns[] = { { TUNNEL "User-Agent: sandbox.h/", .raw = rows[i].answer,
                .has = AUTH "dTp3\r\n\r\n", .lacks = "X-API", .shut = true } };
            rig r;
            turns[0].raw_len = strlen(rows[i].answer);
            test_row = rows[i].what;
            rig_start(&r, turns, LEN(turns));
            r.p->recv_max = r.p->send_max = k & 1;
            r.p->would_block = k >= 2;
            r.g.api_url = "https://api.test";
            r.g.proxy = "http://u:w@p:3128";
            rig_open(&r, NULL);
            /* byte by byte the head is over before anything else comes */
            if ((k & 1) && strstr(rows[i].says, "more")) CHECK_INT(ask(&r), SBX_E_UNSUPPORTED);
            else if (CHECK_INT(ask(&r), rows[i].status)) CHECK(said(&r, rows[i].says));
            CHECK_INT(r.e.http_status, rows[i].http);
            CHECK_INT(r.c->link.idle_count, 0);
            CHECK_INT(r.p->requests, 1);
            CHECK_STR(r.p->conn[0].host, "p");
            CHECK(!r.p->conn[0].tls);
            rig_end(&r);
        }
    }
    test_row = NULL;
}

TEST(tunnel_to_an_address)
{
    turn turns[] = { { "CONNECT [fe80::1]:8443 HTTP/1.1\r\nHost: [fe80::1]:8443\r\n",
        .raw = "HTTP/1.1 502 x\r\n\r\n", .lacks = "Proxy-" } };
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.api_url = "https://[fe80::1]:8443/base";
    r.g.proxy = "p";
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_E_CONNECT);
    rig_end(&r);
}

/* What the proxy says about the host is tried again as a failed connection is; what
   it says about us is not. A create was never sent. */
TEST(tunnels_are_tried_again)
{
    turn turns[] = { { "CONNECT ", .raw = "HTTP/1.1 503 x\r\n\r\n" },
        { "CONNECT ", .raw = "HTTP/1.1 502 x\r\n\r\n" },
        { "CONNECT ", .raw = "HTTP/1.1 407 x\r\n\r\n" } };
    sbx_sandbox *made;
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.retries = 5;
    r.g.api_url = "https://api.test";
    r.g.proxy = "p";
    rig_open(&r, NULL);
    CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &r.call), SBX_E_AUTH);
    CHECK_INT(r.e.http_status, 407);
    CHECK_INT(r.e.may_exist, SBX_DEFAULT);
    CHECK_INT(r.p->requests, 3);
    rig_end(&r);
}

/* Silence, and a byte now and then: the clock of the connection is not wound up. */
TEST(slow_tunnels)
{
    int drip;
    for (drip = 0; drip < 2; drip++) {
        turn turns[] = { { "CONNECT ", .raw = "HTTP/1.1 200 Established\r\n\r\n" } };
        uint64_t began;
        rig r;
        rig_start(&r, turns, LEN(turns));
        if (drip) {
            turns[0].slice = 1;
            turns[0].slice_ms = 900;
        } else {
            turns[0].raw = NULL;
        }
        r.g.clocks.connect_ms = 5000;
        r.g.api_url = "https://api.test";
        r.g.proxy = "p";
        rig_open(&r, NULL);
        began = r.p->now;
        CHECK_INT(ask(&r), SBX_E_TIMEOUT);
        CHECK_INT(r.e.clock, SBX_CLOCK_CONNECT);
        CHECK_INT(r.p->now - began, 5000);
        rig_end(&r);
    }
}

TEST(endless_tunnel_answers)
{
    static const char *const lines[] = { "X: y\r\n", "HTTP/1.1 100 Go\r\n\r\n", "xxxxxxxxxxxxxxxx" };
    size_t i, k;
    for (i = 0; i < LEN(lines); i++) {
        ptext flood = { 0 };
        turn turns[] = { { "CONNECT ", 0 } };
        rig r;
        if (i != 1) pt_put(&flood, "HTTP/1.1 200 OK\r\n");
        for (k = 0; k < 20000; k++) pt_put(&flood, lines[i]);
        turns[0].raw = flood.p;
        rig_start(&r, turns, LEN(turns));
        r.g.api_url = "https://api.test";
        r.g.proxy = "p";
        rig_open(&r, NULL);
        CHECK_INT(ask(&r), SBX_E_TOO_LARGE);
        CHECK(r.p->heap.peak < 40000);
        rig_end(&r);
        pt_free(&flood);
    }
}

TEST(credentials_longer_than_the_buffer)
{
    static char url[SBX_IO_BYTES + 64];
    rig r;
    memset(url, 'u', sizeof url - 16);
    strcpy(url + sizeof url - 16, "@p:1");
    rig_start(&r, NULL, 0);
    r.g.api_url = "https://api.test";
    r.g.proxy = url;
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_E_TOO_LARGE);
    CHECK(said(&r, "SBX_IO_BYTES"));
    rig_end(&r);
}

/* Every allocation and every call of the transport on the way fails in turn. */
TEST(tunnels_under_faults)
{
    unsigned long at;
    int kind;
    for (kind = -1; kind < P_WAIT; kind++) {
        for (at = 1; at < 60; at++) {
            turn turns[] = { { "CONNECT ", .raw = "HTTP/1.1 200 OK\r\n\r\n", .always = true } };
            unsigned long hit;
            rig r;
            int rc;
            rig_start(&r, turns, LEN(turns));
            r.p->recv_max = r.p->send_max = 7;
            r.g.api_url = "https://api.test";
            r.g.proxy = "http://u:w@p:1";
            if (kind < 0) r.p->heap.fail_at = at;
            else r.p->fail_at[kind] = at;
            if (sbx_open(&r.c, &r.g) == SBX_OK && sbx_sandbox_attach(r.c, "box1", NULL, &r.s) == SBX_OK) {
                rc = ask(&r);
                CHECK(rc == SBX_E_UNSUPPORTED || rc == SBX_E_NOMEM || rc == SBX_E_CONNECT
                    || rc == SBX_E_NETWORK);
            }
            hit = kind < 0 ? r.p->heap.failed : r.p->failed;
            rig_shut(&r);
            CHECK_STR(r.p->complaint, "");
            peer_free(r.p);
            if (!hit) break;
        }
        CHECK(at > 1 && at < 60);
    }
}

/* ---- which connections are used again ------------------------------------------- */

/* Two requests of one client: are they sent on one connection? */
static size_t conns_of(const char *first, const char *second, const char *proxy)
{
    turn turns[] = { { NULL, 204, .always = true } };
    sbx_sandbox_access a;
    sbx_sandbox *other;
    size_t n;
    bool running;
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.net.flags = proxy ? 0 : SBX_NET_TLS_INSIDE; /* so that https needs no more */
    r.g.proxy = proxy;
    rig_open(&r, first);
    memset(&a, 0, sizeof a);
    a.data_url = second;
    CHECK_INT(sbx_sandbox_attach(r.c, "box2", &a, &other), SBX_OK);
    CHECK_INT(sbx_sandbox_is_running(r.s, &running, &r.call), SBX_OK);
    CHECK_INT(sbx_sandbox_is_running(other, &running, &r.call), SBX_OK);
    n = r.p->conns;
    sbx_sandbox_release(other);
    rig_end(&r);
    return n;
}

TEST(pool_same_place)
{
    CHECK_INT(conns_of("http://a.test:1", "http://a.test:1/other", NULL), 1);
    CHECK_INT(conns_of("http://a.test:1", "http://a.test:1", "p:1"), 1);
    CHECK_INT(conns_of("https://a.test", "https://a.test:443", NULL), 1);
}

TEST(pool_other_host)
{
    CHECK_INT(conns_of("http://a.test:1", "http://b.test:1", NULL), 2);
    CHECK_INT(conns_of("http://a.test:1", "http://b.test:1", "p:1"), 2);
    CHECK_INT(conns_of("http://a.test:1", "http://a.tes:1", NULL), 2);
}

TEST(pool_other_port)
{
    CHECK_INT(conns_of("http://a.test:1", "http://a.test:2", NULL), 2);
}

TEST(pool_other_scheme)
{
    CHECK_INT(conns_of("http://a.test:443", "https://a.test:443", NULL), 2);
}

/* Kept connections carry the proxy they go by, and are found only with it. */
TEST(pool_other_proxy)
{
    turn turns[] = { { "GET http://", 200, 0, INFO, .always = true } };
    static const sbxi_proxy twin = { "p:1", "p", 0, 1 };
    const sbxi_proxy *own;
    sbxi_url url;
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.proxy = "p:1";
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_OK);
    REQUIRE(sbxi_url_split(sbxi_span_of("http://api.test:3000"), &url));
    own = sbxi_link_proxy(&r.c->link, &url);
    CHECK_INT(r.c->link.idle_count, 1);
    CHECK(sbxi_link_take(&r.c->link, &url, NULL) == NULL);
    CHECK(sbxi_link_take(&r.c->link, &url, &twin) == NULL);
    CHECK_INT(r.c->link.idle_count, 1);
    CHECK(r.c->link.idle->proxy == own);
    CHECK_INT(ask(&r), SBX_OK);
    CHECK_INT(r.p->conns, 1);
    rig_end(&r);
}

/* All else that a connection depends on belongs to a client, and no pool is shared:
   a second client of the same process, allocator and transport, which differs only
   in this, connects anew. (Sessions of TLS that are saved: tls_test.c.) */
static void check_two_clients(void (*differ)(sbx_config *))
{
    turn turns[] = { { NULL, 200, 0, INFO, .always = true } };
    sbx_client *second = NULL;
    sbx_sandbox *s = NULL;
    sbx_sandbox_info *info = NULL;
    sbx_config g;
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.proxy = "http://u:w@p:1";
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_OK);
    g = r.g;
    differ(&g);
    CHECK_INT(sbx_open(&second, &g), SBX_OK);
    CHECK_INT(sbx_sandbox_attach(second, "box1", NULL, &s), SBX_OK);
    CHECK_INT(sbx_sandbox_get_info(s, &info, &r.call), SBX_OK);
    CHECK_INT(r.p->conns, 2);
    CHECK_INT(r.p->request[1].conn, 1);
    CHECK_INT(r.c->link.idle_count, 1);
    CHECK_INT(ask(&r), SBX_OK);
    CHECK_INT(r.p->request[2].conn, 0);
    sbx_free(info);
    sbx_sandbox_release(s);
    CHECK_INT(sbx_close(second), SBX_OK);
    rig_end(&r);
}

static void differ_credentials(sbx_config *g) { g->proxy = "http://u:x@p:1"; }
static void differ_cert(sbx_config *g) { g->tls.cert_pem = "x"; g->tls.key_pem = "y"; }
static void differ_ca(sbx_config *g) { g->tls.ca_pem = "x"; }
static void differ_pin(sbx_config *g) { g->tls.pins = "x"; }
static void differ_key(sbx_config *g) { g->api_key = "other"; }

TEST(pool_other_proxy_credentials) { check_two_clients(differ_credentials); }
TEST(pool_other_client_certificate) { check_two_clients(differ_cert); }
TEST(pool_other_ca) { check_two_clients(differ_ca); }
TEST(pool_other_pin) { check_two_clients(differ_pin); }
TEST(pool_other_key) { check_two_clients(differ_key); }

/* ---- redirects ------------------------------------------------------------------ */

#define HERE "http://api.test:3000"

TEST(redirects_are_off)
{
    turn turns[] = { { "GET /sandboxes/box1 ", 307, "Location: /x\r\n", "{}" } };
    rig r;
    rig_start(&r, turns, LEN(turns));
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_E_PROTOCOL);
    CHECK_INT(r.e.http_status, 307);
    CHECK_INT(r.p->requests, 1);
    rig_end(&r);
}

TEST(redirects_of_a_get)
{
    static const int statuses[] = { 301, 302, 303, 307, 308 };
    static const struct { const char *location, *line; } rows[] = {
        { "Location: /x/y?z=%20&a=1\r\n", "GET /x/y?z=%20&a=1 HTTP/1.1\r\nHost: api.test:3000\r\n" },
        { "Location: /x/\r\n", "GET /x/ HTTP" }, { "location:/\r\n", "GET / HTTP" },
        { "Location: " HERE "/x\r\n", "GET /x HTTP/1.1\r\nHost: api.test:3000\r\n" },
        { "Location: " HERE "\r\n", "GET / HTTP" },
        { "Location: HTTP://API.Test:3000/x\r\n", "GET /x HTTP/1.1\r\nHost: api.test:3000\r\n" }
    };
    size_t i, k;
    for (i = 0; i < LEN(rows); i++) {
        for (k = 0; k < LEN(statuses); k++) {
            turn turns[] = { { "GET /sandboxes/box1 ", 0, rows[i].location, "<html>moved</html>" },
                { rows[i].line, 200, 0, INFO, .has = "X-API-KEY: e2b_key\r\n" } };
            rig r;
            turns[0].status = statuses[k];
            test_row = rows[i].location;
            rig_start(&r, turns, LEN(turns));
            r.g.redirects = 1;
            rig_open(&r, NULL);
            CHECK_INT(ask(&r), SBX_OK);
            CHECK_INT(r.p->conns, 1);
            rig_end(&r);
        }
    }
    test_row = NULL;
}

TEST(redirects_refused)
{
    static const struct { const char *headers, *says; int status; } rows[] = {
        { "", "without one usable Location", 302 },
        { "Location: \r\n", "not followed", 302 },
        { "Location: /a\r\nLocation: /b\r\n", "without one usable Location", 302 },
        { "Location: http://api.test/x\r\n", "not followed", 302 },
        { "Location: https://api.test:3000/x\r\n", "not followed", 302 },
        { "Location: http://other.test:3000/x\r\n", "not followed", 302 },
        { "Location: http://xapi.test:3000/x\r\n", "not followed", 302 },
        { "Location: http://pi.test:3000/x\r\n", "not followed", 302 },
        { "Location: http://api.test:3000.evil.test/x\r\n", "not followed", 302 },
        { "Location: http://api.test:3000@evil.test/x\r\n", "not followed", 302 },
        { "Location: http://u@api.test:3000/x\r\n", "not followed", 302 },
        { "Location: //api.test:3000/x\r\n", "not followed", 302 },
        { "Location: /\\api.test\r\n", "not followed", 302 },
        { "Location: x\r\n", "not followed", 302 },
        { "Location: ?x\r\n", "not followed", 302 },
        { "Location: ../x\r\n", "not followed", 302 },
        { "Location: /x#y\r\n", "not followed", 302 },
        { "Location: /x y\r\n", "not followed", 302 },
        { "Location: /\303\251\r\n", "not followed", 302 },
        { "Location: ftp://api.test:3000/x\r\n", "not followed", 302 },
        { "Location: http:/x\r\n", "not followed", 302 },
        { "Location: /sandboxes/box1\r\n", "circle", 302 }
    };
    size_t i;
    for (i = 0; i < LEN(rows); i++) {
        turn turns[] = { { "GET /sandboxes/box1 ", 0, rows[i].headers, "{\"message\":\"m\"}",
            .always = true } };
        rig r;
        turns[0].status = rows[i].status;
        test_row = rows[i].headers;
        rig_start(&r, turns, LEN(turns));
        r.g.retries = 3;
        r.g.redirects = 4;
        rig_open(&r, NULL);
        CHECK_INT(ask(&r), SBX_E_PROTOCOL);
        CHECK_INT(r.e.http_status, rows[i].status);
        CHECK(said(&r, rows[i].says));
        CHECK_INT(r.p->requests, strcmp(rows[i].says, "circle") ? 1 : 5);
        CHECK_INT(r.p->conns, 1);
        rig_end(&r);
    }
    test_row = NULL;
}

/* 300, 304, 305, 306 name no place to go to. */
TEST(statuses_that_are_no_redirects)
{
    static const int statuses[] = { 300, 304, 305, 306, 309, 400 };
    size_t i;
    for (i = 0; i < LEN(statuses); i++) {
        turn turns[] = { { NULL, 0, "Location: /x\r\n", "" } };
        rig r;
        turns[0].status = statuses[i];
        rig_start(&r, turns, LEN(turns));
        r.g.redirects = 9;
        rig_open(&r, NULL);
        CHECK(ask(&r) != SBX_OK);
        CHECK_INT(r.e.http_status, statuses[i]);
        CHECK_INT(r.p->requests, 1);
        rig_end(&r);
    }
}

/* A create keeps its method and body, or is not sent at all. */
TEST(redirects_of_a_post)
{
    static const int statuses[] = { 301, 302, 303, 307, 308 };
    size_t i;
    for (i = 0; i < LEN(statuses); i++) {
        turn turns[] = { { "POST /v2/sandboxes ", 0, "Location: /v3/sandboxes\r\n", "" },
            { "POST /v3/sandboxes ", 201, 0, CREATED, .has = "X-API-KEY: e2b_key\r\n" } };
        bool follows = statuses[i] >= 307;
        sbx_sandbox *made = NULL;
        rig r;
        turns[0].status = statuses[i];
        rig_start(&r, turns, follows ? 2 : 1);
        r.g.redirects = 3;
        rig_open(&r, NULL);
        CHECK_INT(sbx_sandbox_create(r.c, NULL, &made, &r.call), follows ? SBX_OK : SBX_E_PROTOCOL);
        if (follows)
            CHECK_MEM(r.p->request[1].body.p, r.p->request[1].body.len, r.p->request[0].body.p,
                r.p->request[0].body.len);
        else
            CHECK(said(&r, "lose its body"));
        CHECK_INT(r.e.may_exist, SBX_DEFAULT);
        sbx_sandbox_release(made);
        rig_end(&r);
    }
}

static int once_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    return sbx_source_memory(ctx).get(ctx, buf, cap, got);
}

TEST(redirects_of_a_source)
{
    int rewinds;
    for (rewinds = 0; rewinds < 2; rewinds++) {
        turn turns[] = { { "POST /files?path=%2Ff", 307, "Location: /other?path=1\r\n", "" },
            { "POST /other?path=1 HTTP", 200, 0, WRITTEN } };
        sbx_reading reading = { "hello", 5, 0 };
        sbx_source source = sbx_source_memory(&reading);
        sbx_files_options o = { 0 };
        rig r;
        rig_start(&r, turns, rewinds ? 2 : 1);
        r.g.redirects = 3;
        rig_open(&r, NULL);
        o.octet_stream = SBX_YES;
        if (!rewinds) {
            source.rewind = NULL;
            source.get = once_get;
        }
        CHECK_INT(sbx_files_write(r.s, "/f", source, &o, NULL, &r.call),
            rewinds ? SBX_OK : SBX_E_PROTOCOL);
        if (rewinds) CHECK_MEM(r.p->request[1].body.p, r.p->request[1].body.len, "hello", 5);
        else CHECK(said(&r, "lose its body"));
        rig_end(&r);
    }
}

TEST(redirects_one_after_another)
{
    turn turns[] = { { "GET /sandboxes/box1 ", 302, "Location: /a?b\r\n", "" },
        { "GET /a?b ", 307, "Location: " HERE "/c\r\n", "" },
        { "GET /c ", 503, "Retry-After: 1\r\n", "" }, /* tried again where it was */
        { "GET /c ", 308, "Location: /d\r\n", "" }, { "GET /d ", 200, 0, INFO },
        { "GET /sandboxes/box1 ", 200, 0, INFO } }; /* and nothing is remembered */
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.redirects = 3;
    r.g.retries = 3;
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_OK);
    CHECK_INT(ask(&r), SBX_OK);
    CHECK_INT(r.p->conns, 1);
    rig_end(&r);
}

/* Lists keep what they have and go on from page to page. */
static int count_sandbox(void *ctx, const sbx_sandbox_info *info)
{
    (void)info;
    ++*(int *)ctx;
    return SBX_OK;
}

TEST(redirects_of_a_list)
{
    turn turns[] = { { "GET /v2/sandboxes", 302, "Location: /l?page=1\r\n", "" },
        { "GET /l?page=1 ", 200, "x-next-token: two\r\n", "[" INFO "]" },
        { "GET /v2/sandboxes?", 302, "Location: /l?page=2\r\n", "", .has = "nextToken=two" },
        { "GET /l?page=2 ", 200, 0, "[" INFO "," INFO "]" } };
    int n = 0;
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.redirects = 1;
    rig_open(&r, NULL);
    CHECK_INT(sbx_sandbox_list(r.c, NULL, NULL, count_sandbox, &n, &r.call), SBX_OK);
    CHECK_INT(n, 3);
    rig_end(&r);
}

TEST(redirects_through_a_proxy)
{
    turn turns[] = { { "GET " HERE "/sandboxes/box1 ", 302, "Location: /x\r\n", "", .has = AUTH },
        { "GET " HERE "/x ", 200, 0, INFO, .has = AUTH } };
    rig r;
    rig_start(&r, turns, LEN(turns));
    r.g.redirects = 1;
    r.g.proxy = "u@p:1";
    rig_open(&r, NULL);
    CHECK_INT(ask(&r), SBX_OK);
    rig_end(&r);
}

TEST(redirects_under_faults)
{
    unsigned long at;
    for (at = 1; at < 100; at++) {
        turn turns[] = { { "GET /sandboxes/box1 ", 302, "Location: /x?y\r\n", "" },
            { "GET /x?y ", 200, 0, INFO } };
        unsigned long hit;
        rig r;
        rig_start(&r, turns, LEN(turns));
        r.g.redirects = 1;
        r.p->heap.fail_at = at;
        if (sbx_open(&r.c, &r.g) == SBX_OK && sbx_sandbox_attach(r.c, "box1", NULL, &r.s) == SBX_OK) {
            int rc = ask(&r);
            CHECK(rc == SBX_OK || rc == SBX_E_NOMEM);
        }
        hit = r.p->heap.failed;
        rig_shut(&r);
        peer_free(r.p);
        if (!hit) break;
    }
    CHECK(at > 5 && at < 100);
}
