/* The life of sandboxes on a real host, beyond one run: pause, resume, copies,
   measurements, logs, the network. */
#include "live.h"

static void nap(unsigned ms)
{
    struct timespec t;
    t.tv_sec = ms / 1000;
    t.tv_nsec = (long)(ms % 1000) * 1000000;
    nanosleep(&t, NULL);
}

static int said(sbx_sandbox *s, const char *cmd, char *out, size_t cap)
{
    sbx_command_result r;
    int rc = live_sh(s, cmd, &r);
    out[0] = 0;
    if (rc != SBX_OK) return rc;
    snprintf(out, cap, "%s", r.out);
    sbx_free(r.out);
    sbx_free(r.err);
    return SBX_OK;
}

static sbx_sandbox_state state_of(sbx_sandbox *s)
{
    sbx_sandbox_info *info = NULL;
    sbx_sandbox_state state = SBX_SANDBOX_UNKNOWN;
    if (sbx_sandbox_get_info(s, &info, NULL) == SBX_OK) state = info->state;
    sbx_free(info);
    return state;
}

static void end(sbx_sandbox *s)
{
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    sbx_sandbox_release(s);
}

static int count_out(void *ctx, const void *data, size_t len)
{
    (void)data;
    *(size_t *)ctx += len;
    return SBX_OK;
}

/* A stream that is open across a pause goes on where it was. */
TEST(pause_freezes_resume_thaws)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    size_t seen = 0, then;
    sbx_proc *p = NULL;
    bool flag = false;
    char text[64];
    REQUIRE(s != NULL);
    memset(&o, 0, sizeof o);
    o.out.put = count_out;
    o.out.ctx = &seen;
    REQUIRE(sbx_command_start(s, "for i in $(seq 30); do echo -n x; sleep 0.05; done", &o, &p,
        NULL) == SBX_OK);
    while (seen < 3) REQUIRE(sbx_poll(c, 100, NULL) == SBX_OK);
    REQUIRE(sbx_sandbox_pause(s, NULL, &flag, NULL) == SBX_OK);
    CHECK(flag);
    CHECK_INT(state_of(s), SBX_SANDBOX_PAUSED);
    CHECK_INT(sbx_sandbox_pause(s, NULL, &flag, NULL), SBX_OK);
    CHECK(!flag);
    CHECK_INT(sbx_sandbox_is_running(s, &flag, NULL), SBX_OK);
    CHECK(!flag);
    while (sbx_poll(c, 50, NULL) == SBX_OK && seen == 0) {}
    then = seen;
    nap(400);
    sbx_poll(c, 50, NULL);
    CHECK(seen <= then + 2);
    CHECK(seen < 30);
    CHECK_INT(sbx_sandbox_connect(s, 100, &flag, NULL), SBX_OK);
    CHECK(flag);
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, 0);
    CHECK_INT(seen, 30);
    sbx_proc_release(p);
    CHECK_INT(sbx_sandbox_connect(s, 100, &flag, NULL), SBX_OK);
    CHECK(!flag);
    CHECK_INT(said(s, "echo awake", text, sizeof text), SBX_OK);
    CHECK_STR(text, "awake\n");
    end(s);
    live_close(c);
}

TEST(pause_of_files_only)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_pause_options o;
    sbx_resume_options again;
    bool flag = false;
    char text[64];
    REQUIRE(s != NULL);
    memset(&o, 0, sizeof o);
    memset(&again, 0, sizeof again);
    CHECK_INT(said(s, "echo kept > f; sleep 1000 >/dev/null 2>&1 & echo $!", text, sizeof text),
        SBX_OK);
    o.memory = SBX_NO;
    CHECK_INT(sbx_sandbox_pause(s, &o, &flag, NULL), SBX_OK);
    CHECK(flag);
    again.timeout_s = 100;
    CHECK_INT(sbx_sandbox_resume(s, &again, &flag, NULL), SBX_OK);
    CHECK(flag);
    CHECK_INT(said(s, "cat f; pgrep -x sleep | wc -l", text, sizeof text), SBX_OK);
    CHECK_INT(strncmp(text, "kept\n", 5), 0);
    CHECK_INT(sbx_sandbox_refresh(s, 200, NULL), SBX_OK);
    end(s);
    live_close(c);
}

TEST(time_pauses_and_traffic_wakes)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox_options o;
    sbx_sandbox_info *info;
    sbx_sandbox *s = NULL;
    char text[64];
    int tries;
    memset(&o, 0, sizeof o);
    o.on_timeout = SBX_ON_TIMEOUT_PAUSE;
    o.auto_resume = SBX_YES;
    REQUIRE(sbx_sandbox_create(c, &o, &s, NULL) == SBX_OK);
    CHECK_INT(said(s, "echo before > f; echo done", text, sizeof text), SBX_OK);
    REQUIRE(sbx_sandbox_get_info(s, &info, NULL) == SBX_OK);
    CHECK_INT(info->on_timeout, SBX_ON_TIMEOUT_PAUSE);
    CHECK_INT(info->auto_resume, SBX_YES);
    sbx_free(info);
    CHECK_INT(sbx_sandbox_set_timeout(s, 1, NULL), SBX_OK);
    for (tries = 0; tries < 100 && state_of(s) != SBX_SANDBOX_PAUSED; tries++) nap(50);
    CHECK_INT(state_of(s), SBX_SANDBOX_PAUSED);
    CHECK_INT(said(s, "cat f", text, sizeof text), SBX_OK);
    CHECK_STR(text, "before\n");
    end(s);
    live_close(c);
}

typedef struct forks { sbx_sandbox *made[3]; size_t count, failed; } forks;

static int each_fork(void *ctx, sbx_sandbox *fork, const sbx_error *error)
{
    forks *f = ctx;
    if (fork && f->count < 3) f->made[f->count++] = fork;
    else f->failed++;
    (void)error;
    return SBX_OK;
}

TEST(forks_go_their_own_ways)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    forks f;
    size_t i;
    char text[64], cmd[64] = "cat f; echo 0 > f";
    REQUIRE(s != NULL);
    memset(&f, 0, sizeof f);
    CHECK_INT(said(s, "echo shared > f", text, sizeof text), SBX_OK);
    CHECK_INT(sbx_sandbox_fork(s, 3, 100, each_fork, &f, NULL), SBX_OK);
    CHECK_INT(f.count, 3);
    CHECK_INT(f.failed, 0);
    for (i = 0; i < f.count; i++) {
        cmd[12] = (char)('0' + i);
        CHECK_INT(said(f.made[i], cmd, text, sizeof text), SBX_OK);
        CHECK_STR(text, "shared\n");
    }
    for (i = 0; i < f.count; i++) {
        CHECK_INT(said(f.made[i], "cat f", text, sizeof text), SBX_OK);
        CHECK_INT(text[0], '0' + (int)i);
        end(f.made[i]);
    }
    CHECK_INT(said(s, "cat f", text, sizeof text), SBX_OK);
    CHECK_STR(text, "shared\n");
    end(s);
    live_close(c);
}

typedef struct found { char ids[4][64]; size_t count; } found;

static int each_snapshot(void *ctx, const sbx_snapshot_info *info)
{
    found *f = ctx;
    if (f->count < 4) sbxi_put_text(f->ids[f->count++], 64, info->id, strlen(info->id));
    return SBX_OK;
}

TEST(snapshots_are_templates)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c), *copy = NULL;
    sbx_snapshot_options named;
    sbx_snapshot_info *one = NULL, *two = NULL;
    sbx_sandbox_options o;
    sbx_page page;
    found f;
    bool flag = false;
    char text[64], name[64] = "live-", all[80];
    REQUIRE(s != NULL);
    memset(&named, 0, sizeof named);
    memset(&o, 0, sizeof o);
    memset(&f, 0, sizeof f);
    memset(&page, 0, sizeof page);
    sbxi_put_text(name + 5, sizeof name - 5, sbx_sandbox_id(s), strlen(sbx_sandbox_id(s)));
    snprintf(all, sizeof all, "%s:v1", name);
    CHECK_INT(said(s, "echo first > f", text, sizeof text), SBX_OK);
    REQUIRE(sbx_snapshot_create(s, NULL, &one, NULL) == SBX_OK);
    CHECK_INT(one->names.count, 0);
    CHECK_INT(said(s, "echo second > f", text, sizeof text), SBX_OK);
    named.name = all;
    REQUIRE(sbx_snapshot_create(s, &named, &two, NULL) == SBX_OK);
    REQUIRE(two->names.count == 1);
    CHECK_STR(two->names.items[0], all);
    page.limit = 1;
    CHECK_INT(sbx_snapshot_list(c, sbx_sandbox_id(s), NULL, &page, each_snapshot, &f, NULL), SBX_OK);
    CHECK(page.has_next);
    CHECK_INT(sbx_snapshot_list(c, sbx_sandbox_id(s), NULL, &page, each_snapshot, &f, NULL), SBX_OK);
    CHECK(!page.has_next);
    REQUIRE(f.count == 2);
    CHECK_STR(f.ids[0], two->id);
    CHECK_STR(f.ids[1], one->id);
    CHECK_INT(sbx_snapshot_list(c, NULL, name, NULL, each_snapshot, &f, NULL), SBX_OK);
    CHECK_INT(f.count, 3);
    o.template_id = one->id;
    REQUIRE(sbx_sandbox_create(c, &o, &copy, NULL) == SBX_OK);
    CHECK_INT(said(copy, "cat f", text, sizeof text), SBX_OK);
    CHECK_STR(text, "first\n");
    end(copy);
    o.template_id = all;
    REQUIRE(sbx_sandbox_create(c, &o, &copy, NULL) == SBX_OK);
    CHECK_INT(said(copy, "cat f", text, sizeof text), SBX_OK);
    CHECK_STR(text, "second\n");
    end(copy);
    CHECK_INT(sbx_snapshot_delete(c, one->id, &flag, NULL), SBX_OK);
    CHECK(flag);
    CHECK_INT(sbx_snapshot_delete(c, one->id, &flag, NULL), SBX_OK);
    CHECK(!flag);
    CHECK_INT(sbx_snapshot_delete(c, all, &flag, NULL), SBX_OK);
    CHECK(flag);
    o.template_id = one->id;
    CHECK(sbx_sandbox_create(c, &o, &copy, NULL) < 0);
    sbx_free(one);
    sbx_free(two);
    end(s);
    live_close(c);
}

typedef struct measured { size_t count; sbx_metrics last; int64_t before; } measured;

static int each_metric(void *ctx, const sbx_metrics *m)
{
    measured *all = ctx;
    CHECK(m->unix_ms >= all->before);
    all->before = m->unix_ms;
    all->last = *m;
    all->count++;
    return SBX_OK;
}

TEST(metrics_of_the_kernel)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_proc *p = NULL;
    measured m;
    REQUIRE(s != NULL);
    memset(&m, 0, sizeof m);
    CHECK_INT(sbx_sandbox_metrics(s, 0, 0, each_metric, &m, NULL), SBX_OK);
    CHECK_INT(m.count, 1);
    REQUIRE(sbx_command_start(s, "while :; do :; done", NULL, &p, NULL) == SBX_OK);
    nap(1500);
    CHECK_INT(sbx_sandbox_metrics(s, 0, 0, each_metric, &m, NULL), SBX_OK);
    CHECK(m.count >= 3);
    CHECK(m.last.cpu_used_milli > 5000);
    CHECK(m.last.cpu_count > 0);
    CHECK(m.last.memory_used > 0 && m.last.memory_used < m.last.memory_total);
    CHECK(m.last.disk_used < m.last.disk_total);
    m.count = 0;
    m.before = 0;
    CHECK_INT(sbx_sandbox_metrics(s, m.last.unix_ms + 100000, m.last.unix_ms + 200000, each_metric,
        &m, NULL), SBX_OK);
    CHECK_INT(m.count, 0);
    CHECK_INT(sbx_proc_kill(p, NULL, NULL), SBX_OK);
    sbx_proc_release(p);
    end(s);
    live_close(c);
}

typedef struct lines { char text[600]; size_t count; } lines;

static int each_line(void *ctx, const sbx_log *log)
{
    lines *l = ctx;
    size_t n = strlen(l->text);
    CHECK(log->unix_ms > 0);
    if (!l->count++ || n < 400) snprintf(l->text + n, sizeof l->text - n, "%s|", log->message);
    return SBX_OK;
}

TEST(logs_of_its_life)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_log_query q;
    lines l;
    REQUIRE(s != NULL);
    memset(&q, 0, sizeof q);
    memset(&l, 0, sizeof l);
    CHECK_INT(sbx_sandbox_pause(s, NULL, NULL, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_connect(s, 0, NULL, NULL), SBX_OK);
    CHECK_INT(sbx_sandbox_logs(s, NULL, each_line, &l, NULL), SBX_OK);
    CHECK_STR(l.text, "sandbox started|sandbox paused|sandbox resumed|");
    memset(&l, 0, sizeof l);
    q.newest_first = SBX_YES;
    q.limit = 2;
    CHECK_INT(sbx_sandbox_logs(s, &q, each_line, &l, NULL), SBX_OK);
    CHECK_STR(l.text, "sandbox resumed|sandbox paused|");
    memset(&l, 0, sizeof l);
    q.search = "start";
    CHECK_INT(sbx_sandbox_logs(s, &q, each_line, &l, NULL), SBX_OK);
    CHECK_STR(l.text, "sandbox started|");
    memset(&l, 0, sizeof l);
    q.level = "error";
    CHECK_INT(sbx_sandbox_logs(s, &q, each_line, &l, NULL), SBX_OK);
    CHECK_INT(l.count, 0);
    end(s);
    live_close(c);
}

TEST(network_off_and_on)
{
    static const char *const everything[] = { "0.0.0.0/0" };
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_sandbox_info *info = NULL;
    sbx_network n;
    char text[64], cmd[128];
    const char *port = strrchr(getenv("E2B_SANDBOX_URL"), ':') + 1;
    REQUIRE(s != NULL);
    memset(&n, 0, sizeof n);
    snprintf(cmd, sizeof cmd, "(exec 3<>/dev/tcp/127.0.0.1/%s) 2>/dev/null && echo in || echo out", port);
    CHECK_INT(said(s, cmd, text, sizeof text), SBX_OK);
    CHECK_STR(text, "in\n");
    n.deny_out.items = everything;
    n.deny_out.count = 1;
    CHECK_INT(sbx_sandbox_set_network(s, &n, SBX_DEFAULT, NULL), SBX_OK);
    CHECK_INT(said(s, cmd, text, sizeof text), SBX_OK);
    CHECK_STR(text, "out\n");
    REQUIRE(sbx_sandbox_get_info(s, &info, NULL) == SBX_OK);
    CHECK_INT(info->internet, SBX_NO);
    sbx_free(info);
    CHECK_INT(sbx_sandbox_set_network(s, NULL, SBX_YES, NULL), SBX_OK);
    CHECK_INT(said(s, cmd, text, sizeof text), SBX_OK);
    CHECK_STR(text, "in\n");
    end(s);
    live_close(c);
}

TEST(traffic_token_is_handed_out)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox_options o;
    sbx_sandbox_access access;
    sbx_sandbox *s = NULL;
    memset(&o, 0, sizeof o);
    o.network.public_traffic = SBX_NO;
    REQUIRE(sbx_sandbox_create(c, &o, &s, NULL) == SBX_OK);
    CHECK_INT(sbx_sandbox_get_access(s, &access), SBX_OK);
    CHECK(access.traffic_token && strlen(access.traffic_token) == 64);
    end(s);
    live_close(c);
}
