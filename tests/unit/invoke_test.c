/* invoke_test - sbx_invoke: where arguments go, what is refused, what comes back. */
#define _GNU_SOURCE
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include <strings.h>

typedef struct rig {
    peer *p;
    sbx_client *c;
    sbx_sandbox *s;
    ptext got;
    sbx_error e;
} rig;

static int put(void *ctx, const void *data, size_t len)
{
    pt_add(ctx, data, len);
    return SBX_OK;
}

static sbx_sink to(rig *r)
{
    sbx_sink s = { put, NULL };
    s.ctx = &r->got;
    return s;
}

static void begin(rig *r, turn *turns, size_t n)
{
    sbx_sandbox_access a = { "access-token", "traffic-token", NULL, NULL, "0.6.4" };
    sbx_config g;
    memset(r, 0, sizeof *r);
    r->p = peer_new();
    peer_script(r->p, turns, n);
    g = peer_config(r->p);
    CHECK_INT(sbx_open(&r->c, &g), SBX_OK);
    CHECK_INT(sbx_sandbox_attach(r->c, "box1", &a, &r->s), SBX_OK);
}

static void end(rig *r)
{
    sbx_sandbox_release(r->s);
    CHECK_INT(sbx_close(r->c), SBX_OK);
    CHECK_STR(r->p->complaint, "");
    CHECK_INT(r->p->heap.blocks, 0);
    CHECK(!r->p->heap.wrong_size);
    pt_free(&r->got);
    peer_free(r->p);
}

/* ---- where arguments go --------------------------------------------------------- */

static const struct {
    const char *route, *args;
    bool in;                /* by the handle */
    const char *line;       /* of the request */
    const char *has;        /* in its head */
    const char *body;
} places[] = {
    { "volumes.list", NULL, false, "GET /volumes HTTP/1.1", "X-API-KEY: e2b_key\r\n", "" },
    { "volumes.list", " {} ", false, "GET /volumes HTTP/1.1", NULL, "" },
    { "volumes.create", "{\"name\":\"da\\u0074a\"}", false, "POST /volumes HTTP/1.1",
      "Content-Type: application/json\r\n", "{\"name\":\"da\\u0074a\"}" },
    { "volumes.create", "{}", false, "POST /volumes HTTP/1.1", "Content-Length: 2\r\n", "{}" },
    { "volumes.create", "{ \"a\" : [1, {\"b\":\"]}\\\"\"}], \"c\":null , \"d\":-1.5e3,\"e\":true}", false,
      "POST /volumes HTTP/1.1", NULL,
      "{\"a\" : [1, {\"b\":\"]}\\\"\"}],\"c\":null,\"d\":-1.5e3,\"e\":true}" },
    { "volumes.get", "{\"volumeID\":\"a/b c\"}", false, "GET /volumes/a%2Fb%20c HTTP/1.1", NULL, "" },
    { "volumes.get", "{\"volumeID\":\"..\"}", false, "GET /volumes/%2E%2E HTTP/1.1", NULL, "" },
    { "volumes.get", "{\"volumeID\":\"\\u002e\\u002E\"}", false, "GET /volumes/%2E%2E HTTP/1.1", NULL, "" },
    { "volumes.get", "{\"volumeID\":12}", false, "GET /volumes/12 HTTP/1.1", NULL, "" },
    { "volumes.get", "{\"volumeID\":\"\\u00e9{x}?#\"}", false,
      "GET /volumes/%C3%A9%7Bx%7D%3F%23 HTTP/1.1", NULL, "" },
    { "secrets.list", "{\"limit\":10,\"nextToken\":\"a+b\"}", false,
      "GET /secrets?limit=10&nextToken=a%2Bb HTTP/1.1", NULL, "" },
    { "secrets.list", "{\"nextToken\":null,\"limit\":1}", false, "GET /secrets?limit=1 HTTP/1.1", NULL, "" },
    { "secrets.update", "{\"value\":\"v\",\"secretID\":\"s\",\"metadata\":{\"secretID\":1}}", false,
      "POST /secrets/s HTTP/1.1", NULL, "{\"value\":\"v\",\"metadata\":{\"secretID\":1}}" },
    { "volumes.files.make_dir", "{\"volumeID\":\"v\",\"path\":\"/a b\",\"force\":true,\"token\":\"vt\"}", false,
      "POST /volumecontent/v/dir?path=%2Fa+b&force=true HTTP/1.1", "Authorization: Bearer vt\r\n", "" },
    { "volumes.files.write", "{\"volumeID\":\"v\",\"token\":\"t\",\"path\":\"/a\",\"content\":\"a\\u0000b\"}",
      false, "PUT /volumecontent/v/file?path=%2Fa HTTP/1.1",
      "Content-Type: application/octet-stream\r\n", "a\0b" },
    { "volumes.files.write", "{\"volumeID\":\"v\",\"token\":\"t\",\"contentBase64\":\"AP8=\"}", false,
      "PUT /volumecontent/v/file HTTP/1.1", "Content-Length: 2\r\n", "\0\xff" },
    { "volumes.files.write", "{\"volumeID\":\"v\",\"token\":\"t\",\"contentBase64\":\"A\\u0050\\/w\"}", false,
      "PUT /volumecontent/v/file HTTP/1.1", "Content-Length: 3\r\n", "\0\xff\xf0" },
    { "volumes.files.write", "{\"volumeID\":\"v\",\"token\":\"t\"}", false,
      "PUT /volumecontent/v/file HTTP/1.1", "Content-Length: 0\r\n", "" },
    { "volumes.files.update", "{\"token\":\"t\",\"mode\":384,\"path\":\"/a\",\"volumeID\":\"v\"}", false,
      "PATCH /volumecontent/v/path?path=%2Fa HTTP/1.1", NULL, "{\"mode\":384}" },
    { "sandbox.envs", NULL, true, "GET /envs HTTP/1.1", "E2b-Sandbox-Id: box1\r\nE2b-Sandbox-Port: "
      "49983\r\nX-Access-Token: access-token\r\n", "" },
    { "contexts.list", "{\"sandboxID\":\"other\"}", true, "GET /contexts HTTP/1.1", "E2b-Sandbox-Id: box1\r\n"
      "E2b-Sandbox-Port: 49999\r\nE2B-Traffic-Access-Token: traffic-token\r\n", "" },
    { "contexts.create", "{\"sandboxID\":\"x\",\"cwd\":\"/\"}", true, "POST /contexts HTTP/1.1",
      "Content-Type: application/json\r\n", "{\"cwd\":\"/\"}" },
    { "contexts.restart", "{\"contextID\":\"c1\"}", true, "POST /contexts/c1/restart HTTP/1.1",
      "Content-Length: 0\r\n", "" },
    { "sandboxes.logs.v1", "{\"start\":60}", true, "GET /sandboxes/box1/logs?start=60 HTTP/1.1",
      "X-API-KEY: e2b_key\r\n", "" },
    { "sandboxes.logs.v1", "{\"limit\":1,\"sandboxID\":\"b2\"}", false,
      "GET /sandboxes/b2/logs?limit=1 HTTP/1.1", NULL, "" }
};

TEST(places_of_arguments)
{
    size_t i;
    int later;
    for (i = 0; i < SBXI_LEN(places) * 2; i++) {
        turn turns[] = { { NULL, 200, "X-Next-Token: more\r\n", "the reply" } };
        size_t n = i / 2, len = strlen(places[n].body);
        sbx_call call = {0};
        sbx_op *op = NULL;
        char *args = places[n].args ? strdup(places[n].args) : NULL, value[16];
        const prequest *q;
        rig r;
        int rc;
        later = i & 1;
        test_row = places[n].line;
        begin(&r, turns, 1);
        call.error = &r.e;
        if (later) call.op = &op;
        rc = places[n].in ? sbx_sandbox_invoke(r.s, places[n].route, args, to(&r), &call)
            : sbx_invoke(r.c, places[n].route, args, to(&r), &call);
        if (args) memset(args, 'x', strlen(args)); /* copied */
        free(args);
        if (later) {
            CHECK_INT(rc, SBX_PENDING);
            while (sbx_op_status(op) == SBX_PENDING && sbx_poll(r.c, 1000, NULL) == SBX_OK) { }
            rc = sbx_op_status(op);
            sbx_op_release(op);
        }
        CHECK_INT(rc, SBX_OK);
        CHECK_STR(r.got.p, "the reply");
        q = &r.p->request[0];
        if (CHECK_INT(r.p->requests, 1)) {
            CHECK(strncmp(q->head, places[n].line, strlen(places[n].line)) == 0);
            CHECK(!places[n].has || strstr(q->head, places[n].has));
            CHECK(!strstr(q->head, "Bearer") || !strstr(q->head, "X-API-KEY"));
            CHECK(strstr(q->head, "X-API-KEY") || strstr(q->head, "E2b-Sandbox-Id")
                || strstr(q->head, "Bearer"));
            CHECK(!strstr(q->head, "Connect-Protocol"));
            if (head_value(q->head, "Content-Length", value, sizeof value))
                len = (size_t)strtoul(value, NULL, 10);
            CHECK_MEM(q->body.p ? q->body.p : "", q->body.len, places[n].body, len);
        }
        end(&r);
    }
    test_row = NULL;
}

/* A route into a sandbox without its handle asks for the credentials first. */
TEST(sandbox_by_argument)
{
    turn turns[] = {
        { "GET /sandboxes/b%2F2 ", 200, NULL, "{\"sandboxID\":\"b/2\",\"envdAccessToken\":\"at\","
          "\"envdVersion\":\"0.6.4\"}" },
        { "GET /metrics ", 200, NULL, "{}", .has = "X-Access-Token: at\r\n" },
        { "GET /sandboxes/gone ", 404, NULL, "{\"code\":404,\"message\":\"no\"}" }
    };
    rig r;
    begin(&r, turns, 3);
    CHECK_INT(sbx_invoke(r.c, "sandbox.metrics", "{\"sandboxID\":\"b/2\"}", to(&r), NULL), SBX_OK);
    CHECK_STR(r.got.p, "{}");
    CHECK_INT(sbx_invoke(r.c, "sandbox.metrics", "{\"sandboxID\":\"gone\"}", to(&r), NULL),
        SBX_E_NOT_FOUND);
    end(&r);
}

/* ---- what is refused -------------------------------------------------------------- */

TEST(refused)
{
    static const struct { const char *route, *args; int status; const char *message; } rows[] = {
        { "volumes.nothing", NULL, SBX_E_UNSUPPORTED, "sbx_invoke_route() lists" },
        { NULL, NULL, SBX_E_UNSUPPORTED, "no such route" },
        { "", NULL, SBX_E_UNSUPPORTED, "no such route" },
        { "volumes.list", "", SBX_E_ARG, "not one JSON object" },
        { "volumes.list", "[]", SBX_E_ARG, "not one JSON object" },
        { "volumes.list", "null", SBX_E_ARG, "not one JSON object" },
        { "volumes.list", "{} {}", SBX_E_ARG, "not one JSON object" },
        { "volumes.list", "{\"a\":1", SBX_E_ARG, "not one JSON object" },
        { "volumes.list", "{\"a\":\"\xff\"}", SBX_E_ARG, "not one JSON object" },
        { "volumes.list", "{\"name\":\"x\"}", SBX_E_ARG, "unknown argument: name" },
        { "volumes.list", "{\"sandboxID\":\"x\"}", SBX_E_ARG, "unknown argument: sandboxID" },
        { "volumes.list", "{\"content\":\"x\"}", SBX_E_ARG, "unknown argument: content" },
        { "volumes.get", NULL, SBX_E_ARG, "argument is missing or empty: volumeID" },
        { "volumes.get", "{\"volumeID\":\"\"}", SBX_E_ARG, "missing or empty: volumeID" },
        { "volumes.get", "{\"volumeID\":null}", SBX_E_ARG, "missing or empty: volumeID" },
        { "volumes.get", "{\"volumeID\":{}}", SBX_E_ARG, "cannot stand there: volumeID" },
        { "volumes.get", "{\"volumeID\":[\"a\"]}", SBX_E_ARG, "cannot stand there: volumeID" },
        { "volumes.get", "{\"volumeID\":\"a\\u0000b\"}", SBX_E_ARG, "cannot stand there: volumeID" },
        { "volumes.get", "{\"volumeI\":\"a\",\"volumeIDs\":\"b\"}", SBX_E_ARG, "missing or empty: volumeID" },
        { "secrets.list", "{\"limit\":[1]}", SBX_E_ARG, "cannot stand there: limit" },
        { "volumes.files.list", "{\"volumeID\":\"v\"}", SBX_E_ARG, "missing or empty: token" },
        { "volumes.files.list", "{\"volumeID\":\"v\",\"token\":\"a\\r\\nb\"}", SBX_E_ARG, "control" },
        { "volumes.files.list", "{\"volumeID\":\"v\",\"token\":\"a\\u0000b\"}", SBX_E_ARG,
          "cannot stand there: token" },
        { "volumes.files.write", "{\"volumeID\":\"v\",\"token\":\"t\",\"contentBase64\":\"?\"}", SBX_E_ARG,
          "cannot stand there: contentBase64" },
        { "volumes.files.write", "{\"volumeID\":\"v\",\"token\":\"t\",\"contentBase64\":\"A\"}", SBX_E_ARG,
          "cannot stand there: contentBase64" },
        { "volumes.files.write", "{\"volumeID\":\"v\",\"token\":\"t\",\"content\":{}}", SBX_E_ARG,
          "cannot stand there: content" },
        { "sandbox.envs", NULL, SBX_E_ARG, "missing or empty: sandboxID" },
        { "sandbox.envs", "{\"sandboxID\":\"\"}", SBX_E_ARG, "missing or empty: sandboxID" },
        { "sandbox.envs", "{\"sandboxID\":\"a\\nb\"}", SBX_E_ARG, NULL }
    };
    size_t i;
    rig r;
    begin(&r, NULL, 0);
    for (i = 0; i < SBXI_LEN(rows); i++) {
        sbx_call call = {0};
        test_row = rows[i].args ? rows[i].args : rows[i].route;
        call.error = &r.e;
        CHECK_INT(sbx_invoke(r.c, rows[i].route, rows[i].args, to(&r), &call), rows[i].status);
        CHECK_INT(r.e.status, rows[i].status);
        if (rows[i].message && !CHECK(strstr(r.e.message, rows[i].message))) puts(r.e.message);
    }
    test_row = NULL;
    CHECK_INT(r.p->requests, 0);
    CHECK_INT(sbx_invoke(NULL, "volumes.list", NULL, to(&r), NULL), SBX_E_ARG);
    CHECK_INT(sbx_sandbox_invoke(NULL, "sandbox.envs", NULL, to(&r), NULL), SBX_E_ARG);
    end(&r);
}

TEST(too_large)
{
    size_t n = SBX_MAX_REQUEST + 10;
    char *args = malloc(n + 40);
    rig r;
    begin(&r, NULL, 0);
    strcpy(args, "{\"name\":\"");
    memset(args + 9, 'a', n);
    strcpy(args + 9 + n, "\"}");
    CHECK_INT(sbx_invoke(r.c, "volumes.create", args, to(&r), NULL), SBX_E_TOO_LARGE);
    CHECK(strstr(sbx_client_error(r.c)->message, "SBX_MAX_REQUEST"));
    free(args);
    end(&r);
}

/* ---- what comes back ---------------------------------------------------------------- */

TEST(replies)
{
    turn turns[] = {
        { "DELETE /secrets/s ", 204 },
        { "DELETE /secrets/t ", 404, NULL, "{\"code\":\"not_found\",\"message\":\"nope\"}" },
        { "GET /secrets ", 503, NULL, "{}" }, { "GET /secrets ", 200, NULL, "[1]" },
        { "POST /secrets ", 500, NULL, "broken" }
    };
    rig r;
    begin(&r, turns, SBXI_LEN(turns));
    CHECK_INT(sbx_invoke(r.c, "secrets.delete", "{\"secretID\":\"s\"}", to(&r), NULL), SBX_OK);
    CHECK_INT(r.got.len, 0);
    CHECK_INT(sbx_invoke(r.c, "secrets.delete", "{\"secretID\":\"t\"}", to(&r), NULL), SBX_E_NOT_FOUND);
    CHECK_STR(sbx_client_error(r.c)->message, "nope");
    CHECK_INT(r.got.len, 0);
    CHECK_INT(sbx_invoke(r.c, "secrets.list", NULL, to(&r), NULL), SBX_OK);
    CHECK_STR(r.got.p, "[1]");
    CHECK_INT(sbx_invoke(r.c, "secrets.create", "{}", to(&r), NULL), SBX_E_SERVER);
    CHECK_STR(sbx_client_error(r.c)->message, "broken");
    end(&r);
}

TEST(no_memory_anywhere)
{
    unsigned long at;
    int rc = SBX_E_NOMEM;
    for (at = 1; at < 40 && rc != SBX_OK; at++) {
        turn turns[] = { { "GET /sandboxes/b ", 200, NULL, "{\"sandboxID\":\"b\",\"envdAccessToken\":\"a\"}" },
            { "POST /contexts ", 200, NULL, "{}" } };
        rig r;
        begin(&r, turns, 2);
        r.p->heap.fail_at = r.p->heap.calls + at;
        r.p->heap.fail_on = true;
        rc = sbx_invoke(r.c, "contexts.create", "{\"sandboxID\":\"b\",\"cwd\":\"/\"}", to(&r), NULL);
        CHECK(rc == SBX_E_NOMEM || rc == SBX_OK);
        end(&r);
    }
    CHECK_INT(rc, SBX_OK);
    CHECK(at > 4);
}

/* ---- the list ------------------------------------------------------------------------ */

TEST(routes)
{
    const char *before = "";
    sbx_route route;
    size_t i;
    rig r;
    begin(&r, NULL, 0);
    for (i = 0; sbx_invoke_route(r.c, i, &route) == SBX_OK; i++) {
        const char *p = route.path;
        test_row = route.name;
        CHECK(strcmp(before, route.name) != 0);
        CHECK(route.path[0] == '/' && route.method && strchr(route.name, '.'));
        CHECK(!(route.body && route.content));
        for (; (p = strchr(p, '{')) != NULL; p++) CHECK(strcspn(p, "}") > 1);
        before = route.name;
    }
    test_row = NULL;
    CHECK(i > 20);
    CHECK_INT(sbx_invoke_route(r.c, i, &route), SBX_E_NOT_FOUND);
    CHECK(route.name == NULL);
    CHECK_INT(sbx_invoke_route(NULL, 0, &route), SBX_E_ARG);
    CHECK_INT(sbx_invoke_route(r.c, 0, NULL), SBX_E_ARG);
    CHECK(sbx_supports(r.c, SBX_FEATURE_INVOKE));
    end(&r);
}
