/* The host or the sandbox dies in the middle: every call ends with the right
   error, within its clock, and leaks nothing. Starts hosts of its own
   (SANDBOXD, else build/sandboxd). */
#include "host.h"

typedef struct killer { host *host; sbx_sandbox *victim; int sig; } killer;

static int kill_host(void *ctx, const void *data, size_t len)
{
    killer *k = (killer *)ctx;
    (void)data;
    (void)len;
    host_end(k->host, k->sig);
    return SBX_OK;
}

TEST(host_dies_during_a_command)
{
    host h;
    killer k;
    sbx_client *c;
    sbx_sandbox *s;
    sbx_command_options o;
    double t;
    memset(&o, 0, sizeof o);
    REQUIRE(host_start(&h, NULL));
    c = host_client(&h);
    s = live_sandbox(c);
    REQUIRE(s);
    k.host = &h;
    k.sig = SIGKILL;
    o.out.put = kill_host;
    o.out.ctx = &k;
    t = live_now();
    CHECK_INT(sbx_command_run(s, "echo now; sleep 60", &o, NULL, NULL), SBX_E_UNREACHABLE);
    CHECK(live_now() - t < 10);
    CHECK(sbx_client_error(c)->pid != 0);
    t = live_now();
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_E_CONNECT);
    CHECK(live_now() - t < 10);
    sbx_sandbox_release(s);
    live_close(c);
}

static int kill_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    killer *k = (killer *)ctx;
    memset(buf, 0, cap);
    *got = cap;
    if (k->sig++ == 40) host_end(k->host, SIGKILL);
    return SBX_OK;
}

TEST(host_dies_during_transfers)
{
    host h;
    killer k;
    sbx_client *c;
    sbx_sandbox *s;
    sbx_source from;
    sbx_sink to;
    int rc;
    memset(&from, 0, sizeof from);
    REQUIRE(host_start(&h, NULL));
    c = host_client(&h);
    s = live_sandbox(c);
    REQUIRE(s);
    k.host = &h;
    k.sig = 0;
    from.get = kill_get;
    from.ctx = &k;
    from.size = 100000000;
    rc = sbx_files_write(s, "big", from, NULL, NULL, NULL);
    CHECK(rc == SBX_E_UNREACHABLE || rc == SBX_E_NETWORK);
    sbx_sandbox_release(s);
    live_close(c);
    REQUIRE(host_start(&h, NULL));
    c = host_client(&h);
    s = live_sandbox(c);
    REQUIRE(s);
    CHECK_INT(sbx_command_run(s, "head -c 50000000 /dev/zero > big", NULL, NULL, NULL), SBX_OK);
    k.host = &h;
    k.sig = SIGKILL;
    to.put = kill_host;
    to.ctx = &k;
    rc = sbx_files_read(s, "big", NULL, to, NULL);
    CHECK(rc == SBX_E_UNREACHABLE || rc == SBX_E_NETWORK);
    sbx_sandbox_release(s);
    live_close(c);
}

static int kill_sandbox(void *ctx, const void *data, size_t len)
{
    killer *k = (killer *)ctx;
    sbx_client *other = host_client(k->host);
    sbx_sandbox *same;
    bool existed = false;
    (void)data;
    (void)len;
    if (k->sig++) return sbx_close(other);
    CHECK_INT(sbx_sandbox_attach(other, sbx_sandbox_id(k->victim), NULL, &same), SBX_OK);
    CHECK_INT(sbx_sandbox_kill(same, &existed, NULL), SBX_OK);
    CHECK(existed);
    sbx_sandbox_release(same);
    return sbx_close(other);
}

TEST(sandbox_dies_during_a_command)
{
    host h;
    killer k;
    sbx_client *c;
    sbx_sandbox *s;
    sbx_command_options o;
    double t;
    memset(&o, 0, sizeof o);
    REQUIRE(host_start(&h, NULL));
    c = host_client(&h);
    s = live_sandbox(c);
    REQUIRE(s);
    k.host = &h;
    k.victim = s;
    k.sig = 0;
    o.out.put = kill_sandbox;
    o.out.ctx = &k;
    t = live_now();
    CHECK_INT(sbx_command_run(s, "echo now; sleep 60", &o, NULL, NULL), SBX_E_SANDBOX_GONE);
    CHECK(live_now() - t < 10);
    CHECK_INT(sbx_client_error(c)->sandbox_alive, SBX_NO);
    CHECK_INT(sbx_client_error(c)->process_alive, SBX_NO);
    CHECK_INT(sbx_command_run(s, "true", NULL, NULL, NULL), SBX_E_SANDBOX_GONE);
    sbx_sandbox_release(s);
    live_close(c);
    host_end(&h, SIGTERM);
}

/* A kept connection whose host was restarted is replaced without a word. */
TEST(nobody_listens)
{
    sbx_client *c;
    sbx_sandbox *s;
    host h;
    double t;
    REQUIRE(host_start(&h, NULL));
    c = host_client(&h);
    s = live_sandbox(c);
    REQUIRE(s);
    host_end(&h, SIGTERM);
    t = live_now();
    CHECK_INT(sbx_command_run(s, "true", NULL, NULL, NULL), SBX_E_CONNECT);
    CHECK_INT(sbx_sandbox_get_info(s, &(sbx_sandbox_info *){ NULL }, NULL), SBX_E_CONNECT);
    CHECK(live_now() - t < 10);
    sbx_sandbox_release(s);
    live_close(c);
}
