/* Sandboxes on a real host: life, listing, refusals. */
#include "live.h"

TEST(create_info_kill)
{
    static const sbx_pair meta[] = { { "suite", "live" }, { "odd key", "a&b=c/d \xc3\xa9" } };
    static const sbx_pair envs[] = { { "GREETING", "hello  world" } };
    sbx_sandbox_options o;
    sbx_sandbox_info *info;
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s, *same;
    sbx_command_result r;
    bool flag;
    memset(&o, 0, sizeof o);
    o.metadata.items = meta;
    o.metadata.count = 2;
    o.envs.items = envs;
    o.envs.count = 1;
    o.timeout_s = 120;
    REQUIRE(sbx_sandbox_create(c, &o, &s, NULL) == SBX_OK);
    REQUIRE(sbx_sandbox_get_info(s, &info, NULL) == SBX_OK);
    CHECK_STR(info->id, sbx_sandbox_id(s));
    CHECK_INT(info->state, SBX_SANDBOX_RUNNING);
    CHECK_INT(info->metadata.count, 2);
    CHECK(info->end_unix_ms - info->started_unix_ms > 100000);
    CHECK(info->end_unix_ms - info->started_unix_ms < 140000);
    sbx_free(info);
    CHECK_INT(live_sh(s, "printf %s \"$GREETING\"", &r), SBX_OK);
    CHECK_STR(r.out, "hello  world");
    sbx_free(r.out);
    sbx_free(r.err);
    CHECK_INT(sbx_sandbox_is_running(s, &flag, NULL), SBX_OK);
    CHECK(flag);
    /* a handle by id alone fetches what it needs */
    REQUIRE(sbx_sandbox_attach(c, sbx_sandbox_id(s), NULL, &same) == SBX_OK);
    CHECK_INT(live_sh(same, "echo by id", &r), SBX_OK);
    CHECK_STR(r.out, "by id\n");
    sbx_free(r.out);
    sbx_free(r.err);
    CHECK_INT(sbx_sandbox_kill(same, &flag, NULL), SBX_OK);
    CHECK(flag);
    CHECK_INT(sbx_sandbox_kill(s, &flag, NULL), SBX_OK);
    CHECK(!flag);
    CHECK_INT(sbx_sandbox_is_running(s, &flag, NULL), SBX_OK);
    CHECK(!flag);
    CHECK_INT(live_sh(s, "true", NULL), SBX_E_SANDBOX_GONE);
    CHECK_INT(sbx_client_error(c)->sandbox_alive, SBX_NO);
    CHECK_INT(sbx_sandbox_get_info(s, &info, NULL), SBX_E_NOT_FOUND);
    CHECK(info == NULL);
    sbx_sandbox_release(s);
    sbx_sandbox_release(same);
    live_close(c);
}

TEST(timeout_and_connect)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_sandbox_info *a, *b;
    bool resumed = true;
    REQUIRE(s);
    CHECK_INT(sbx_sandbox_set_timeout(s, 1000, NULL), SBX_OK);
    REQUIRE(sbx_sandbox_get_info(s, &a, NULL) == SBX_OK);
    CHECK_INT(sbx_sandbox_connect(s, 0, &resumed, NULL), SBX_OK);
    CHECK(!resumed);
    REQUIRE(sbx_sandbox_get_info(s, &b, NULL) == SBX_OK);
    CHECK(b->end_unix_ms >= a->end_unix_ms); /* connecting does not shorten */
    sbx_free(a);
    sbx_free(b);
    CHECK_INT(sbx_sandbox_set_timeout(s, 1, NULL), SBX_OK);
    sleep(3);
    CHECK_INT(live_sh(s, "true", NULL), SBX_E_SANDBOX_GONE);
    sbx_sandbox_release(s);
    live_close(c);
}

typedef struct seen { const char *a, *b; int a_count, b_count, all; } seen;

static int see(void *ctx, const sbx_sandbox_info *info)
{
    seen *s = (seen *)ctx;
    s->a_count += strcmp(info->id, s->a) == 0;
    s->b_count += strcmp(info->id, s->b) == 0;
    s->all++;
    return SBX_OK;
}

static int stop(void *ctx, const sbx_sandbox_info *info)
{
    (void)ctx;
    (void)info;
    return SBX_E_CANCELLED;
}

TEST(list_pages)
{
    static const sbx_pair meta[] = { { "page test", "100% & more/\xc3\xa9=1" } };
    sbx_client *c = live_open(NULL);
    sbx_sandbox_options o;
    sbx_sandbox_query q;
    sbx_sandbox *s, *t;
    sbx_page page;
    seen found;
    int rounds = 0;
    memset(&o, 0, sizeof o);
    memset(&q, 0, sizeof q);
    memset(&page, 0, sizeof page);
    memset(&found, 0, sizeof found);
    o.metadata.items = q.metadata.items = meta;
    o.metadata.count = q.metadata.count = 1;
    REQUIRE(sbx_sandbox_create(c, &o, &s, NULL) == SBX_OK);
    REQUIRE(sbx_sandbox_create(c, &o, &t, NULL) == SBX_OK);
    found.a = sbx_sandbox_id(s);
    found.b = sbx_sandbox_id(t);
    CHECK_INT(sbx_sandbox_list(c, &q, NULL, see, &found, NULL), SBX_OK);
    CHECK_INT(found.all, 2);
    CHECK_INT(found.a_count + found.b_count, 2);
    found.all = 0;
    page.limit = 1;
    do {
        CHECK_INT(sbx_sandbox_list(c, &q, &page, see, &found, NULL), SBX_OK);
        rounds++;
    } while (page.has_next && rounds < 10);
    CHECK_INT(found.all, 2);
    CHECK(rounds == 2 || rounds == 3);
    CHECK_INT(sbx_sandbox_list(c, &q, &page, see, &found, NULL), SBX_E_ARG);
    CHECK_INT(sbx_sandbox_list(c, &q, NULL, stop, NULL, NULL), SBX_E_CANCELLED);
    memset(&page, 0, sizeof page);
    memcpy(page.next_token, "not a token", 12);
    CHECK_INT(sbx_sandbox_list(c, &q, &page, see, &found, NULL), SBX_E_REFUSED);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_kill(t, NULL, NULL);
    sbx_sandbox_release(s);
    sbx_sandbox_release(t);
    live_close(c);
}

TEST(refusals)
{
    sbx_config cfg;
    sbx_sandbox_options o;
    sbx_sandbox *s;
    sbx_error e;
    sbx_call call;
    sbx_client *c = live_open(NULL);
    memset(&cfg, 0, sizeof cfg);
    memset(&o, 0, sizeof o);
    memset(&call, 0, sizeof call);
    call.error = &e;
    o.template_id = "no-such-template";
    CHECK_INT(sbx_sandbox_create(c, &o, &s, &call), SBX_E_NOT_FOUND);
    CHECK(s == NULL);
    CHECK_INT(e.http_status, 404);
    CHECK(strstr(e.message, "no-such-template"));
    call.api_key = "e2b_ffffffffffffffffffffffffffffffffffffffff";
    CHECK_INT(sbx_sandbox_create(c, NULL, &s, &call), SBX_E_AUTH);
    CHECK_INT(e.http_status, 401);
    live_close(c);
    cfg.api_key = "nonsense";
    c = live_open(&cfg);
    CHECK_INT(sbx_sandbox_create(c, NULL, &s, NULL), SBX_E_AUTH);
    REQUIRE(sbx_sandbox_attach(c, "inosuchsandbox0000000", NULL, &s) == SBX_OK);
    CHECK_INT(live_sh(s, "true", NULL), SBX_E_AUTH);
    sbx_sandbox_release(s);
    live_close(c);
    c = live_open(NULL);
    REQUIRE(sbx_sandbox_attach(c, "inosuchsandbox0000000", NULL, &s) == SBX_OK);
    CHECK_INT(live_sh(s, "true", NULL), SBX_E_NOT_FOUND);
    CHECK_INT(sbx_sandbox_set_timeout(s, 10, NULL), SBX_E_NOT_FOUND);
    CHECK_INT(sbx_sandbox_connect(s, 10, NULL, NULL), SBX_E_NOT_FOUND);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(idempotent_create)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox_options o;
    sbx_sandbox *a, *b;
    char key[32] = "live-";
    memset(&o, 0, sizeof o);
    key[5 + sbxi_print_u64(key + 5,
        (uint64_t)getpid() * 1000000u + (uint64_t)time(NULL) % 1000000u)] = 0;
    o.idempotency_key = key;
    REQUIRE(sbx_sandbox_create(c, &o, &a, NULL) == SBX_OK);
    REQUIRE(sbx_sandbox_create(c, &o, &b, NULL) == SBX_OK);
    CHECK_STR(sbx_sandbox_id(a), sbx_sandbox_id(b));
    o.idempotency_key = "Not Allowed";
    sbx_sandbox_kill(a, NULL, NULL);
    sbx_sandbox_release(a);
    sbx_sandbox_release(b);
    CHECK_INT(sbx_sandbox_create(c, &o, &a, NULL), SBX_E_ARG);
    o.idempotency_key = NULL;
    o.idempotent = SBX_YES;
    REQUIRE(sbx_sandbox_create(c, &o, &a, NULL) == SBX_OK);
    sbx_sandbox_kill(a, NULL, NULL);
    sbx_sandbox_release(a);
    live_close(c);
}

TEST(host_name)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s;
    char host[128], tiny[4];
    REQUIRE(sbx_sandbox_attach(c, "iabc", NULL, &s) == SBX_OK);
    CHECK_INT(sbx_sandbox_host(s, 3000, host, sizeof host), SBX_OK);
    CHECK_STR(host, "3000-iabc.e2b.app");
    CHECK_INT(sbx_sandbox_host(s, 3000, tiny, sizeof tiny), SBX_E_TOO_LARGE);
    sbx_sandbox_release(s);
    live_close(c);
}

/* A create that is cancelled after it was sent is undone in the background. */
TEST(cancelled_create_leaves_nothing)
{
    static const sbx_pair meta[] = { { "cancel", "me" } };
    sbx_client *c = live_open(NULL);
    sbx_sandbox_options o;
    sbx_sandbox_query q;
    sbx_sandbox *s = NULL;
    sbx_op *op;
    sbx_call call;
    seen found;
    memset(&o, 0, sizeof o);
    memset(&q, 0, sizeof q);
    memset(&call, 0, sizeof call);
    memset(&found, 0, sizeof found);
    found.a = found.b = "";
    o.metadata.items = q.metadata.items = meta;
    o.metadata.count = q.metadata.count = 1;
    call.op = &op;
    REQUIRE(sbx_sandbox_create(c, &o, &s, &call) == SBX_PENDING);
    while (!op->x.sent) sbx_poll(c, 0, NULL);
    sbx_op_cancel(op);
    CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
    sbx_op_release(op);
    CHECK(s == NULL);
    live_close(c);
    c = live_open(NULL);
    CHECK_INT(sbx_sandbox_list(c, &q, NULL, see, &found, NULL), SBX_OK);
    CHECK_INT(found.all, 0);
    live_close(c);
}

/* sandboxd has no code interpreter, and says so. */
TEST(no_code_interpreter)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_error e;
    sbx_call call;
    memset(&call, 0, sizeof call);
    call.error = &e;
    if (s) {
        CHECK_INT(sbx_run_code(s, "1", NULL, NULL, &call), SBX_E_UNSUPPORTED_HOST);
        CHECK_INT(e.http_status, 501);
        CHECK(strstr(e.message, "not implemented") != NULL);
        CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    }
    sbx_sandbox_release(s);
    live_close(c);
}
