/* Commands on a real host: output, codes, environment, time, several at once. */
#include "live.h"

typedef struct collect { char text[4096]; size_t len; uint32_t pid; } collect;

static int collect_put(void *ctx, const void *data, size_t len)
{
    collect *c = (collect *)ctx;
    if (len > sizeof c->text - 1 - c->len) return SBX_E_TOO_LARGE;
    memcpy(c->text + c->len, data, len);
    c->len += len;
    c->text[c->len] = 0;
    return SBX_OK;
}

static void started(void *ctx, uint32_t pid) { ((collect *)ctx)->pid = pid; }

static sbx_sink sink_of(collect *c)
{
    sbx_sink s;
    s.put = collect_put;
    s.ctx = c;
    return s;
}

TEST(output_and_codes)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    collect out, err;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&out, 0, sizeof out);
    memset(&err, 0, sizeof err);
    o.out = sink_of(&out);
    o.err = sink_of(&err);
    o.started = started;
    o.started_ctx = &out;
    CHECK_INT(sbx_command_run(s, "printf 'a\\0b\\377\\n'; echo bad >&2; exit 3", &o, &r, NULL),
        SBX_OK);
    CHECK_INT(r.exit_code, 3);
    CHECK_MEM(out.text, out.len, "a\0b\377\n", 5);
    CHECK_STR(err.text, "bad\n");
    CHECK(out.pid != 0);
    CHECK_INT(r.pid, out.pid);
    CHECK(r.out == NULL);
    /* killed by a signal */
    CHECK_INT(sbx_command_run(s, "kill -9 $$", &o, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, -1);
    CHECK(strstr(r.reason, "killed"));
    /* a sink that fails ends the call with its own status */
    out.len = sizeof out.text - 2;
    CHECK_INT(sbx_command_run(s, "echo much too much", &o, &r, NULL), SBX_E_TOO_LARGE);
    CHECK_INT(live_sh(s, "echo still fine", &r), SBX_OK);
    CHECK_STR(r.out, "still fine\n");
    CHECK_INT(r.out_cut, 0);
    sbx_free(r.out);
    sbx_free(r.err);
    memset(&o, 0, sizeof o);
    o.capture_limit = 10;
    CHECK_INT(sbx_command_run(s, "seq 1 100", &o, &r, NULL), SBX_OK);
    CHECK_STR(r.out, "1\n2\n3\n4\n5\n");
    CHECK_INT(r.out_cut, 292 - 10);
    sbx_free(r.out);
    sbx_free(r.err);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(options)
{
    static const sbx_pair envs[] = { { "A", "1 2" }, { "B", "$A 'x' \"y\"" } };
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    o.envs.items = envs;
    o.envs.count = 2;
    o.cwd = "/tmp";
    o.user = "root";
    o.capture_limit = 1000;
    CHECK_INT(sbx_command_run(s, "id -u; basename $(pwd); printf '%s|%s\\n' \"$A\" \"$B\"; cat | wc -c", &o,
        &r, NULL),
              SBX_OK);
    CHECK_STR(r.out, "0\ntmp\n1 2|$A 'x' \"y\"\n0\n");
    sbx_free(r.out);
    sbx_free(r.err);
    o.user = NULL;
    CHECK_INT(sbx_command_run(s, "id -u", &o, &r, NULL), SBX_OK);
    CHECK_STR(r.out, "1000\n");
    sbx_free(r.out);
    sbx_free(r.err);
    o.user = "nobody-here";
    CHECK_INT(sbx_command_run(s, "true", &o, &r, NULL), SBX_E_AUTH);
    o.user = NULL;
    o.cwd = "/no/such/place";
    CHECK_INT(sbx_command_run(s, "true", &o, &r, NULL), SBX_E_REFUSED);
    CHECK(strstr(sbx_client_error(c)->message, "/no/such/place"));
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(time_limits)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_call call;
    double t;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&call, 0, sizeof call);
    o.timeout_ms = 500;
    t = live_now();
    CHECK_INT(sbx_command_run(s, "sleep 30", &o, &r, NULL), SBX_E_KILLED);
    CHECK(live_now() - t < 5);
    CHECK(sbx_client_error(c)->pid != 0);
    /* the call's own time, with a process that goes on */
    o.timeout_ms = SBX_NEVER;
    call.timeout_ms = 300;
    t = live_now();
    CHECK_INT(sbx_command_run(s, "sleep 31", &o, &r, &call), SBX_E_TIMEOUT);
    CHECK(live_now() - t < 5);
    CHECK_INT(sbx_client_error(c)->clock, SBX_CLOCK_TOTAL);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

typedef struct procs { uint32_t want; int found; char tag[16]; } procs;

static int find(void *ctx, const sbx_process_info *info)
{
    procs *p = (procs *)ctx;
    if (info->pid != p->want) return SBX_OK;
    p->found++;
    if (info->tag) sbxi_put_text(p->tag, sizeof p->tag, info->tag, strlen(info->tag));
    return strcmp(info->args.items[info->args.count - 1], "sleep 60") ? SBX_E_ARG : SBX_OK;
}

/* One command runs polled while others list and kill it. */
TEST(list_and_kill)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_call call;
    sbx_op *op;
    collect out;
    procs p;
    bool existed;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&out, 0, sizeof out);
    memset(&call, 0, sizeof call);
    memset(&p, 0, sizeof p);
    o.started = started;
    o.started_ctx = &out;
    o.tag = "nap";
    call.op = &op;
    REQUIRE(sbx_command_run(s, "sleep 60", &o, &r, &call) == SBX_PENDING);
    while (!out.pid && sbx_op_status(op) == SBX_PENDING) sbx_poll(c, 100, NULL);
    p.want = out.pid;
    CHECK_INT(sbx_command_list(s, find, &p, NULL), SBX_OK);
    CHECK_INT(p.found, 1);
    CHECK_STR(p.tag, "nap");
    CHECK_INT(sbx_command_kill(s, out.pid, &existed, NULL), SBX_OK);
    CHECK(existed);
    while (sbx_op_status(op) == SBX_PENDING) sbx_poll(c, 1000, NULL);
    CHECK_INT(sbx_op_status(op), SBX_OK);
    CHECK_INT(r.exit_code, -1);
    sbx_op_release(op);
    CHECK_INT(sbx_command_kill(s, 4000000, &existed, NULL), SBX_OK);
    CHECK(!existed);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

#define MANY 20

/* Many commands over one client, their arguments gone as soon as they started. */
TEST(many_at_once)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_op *ops[MANY];
    sbx_command_result r[MANY];
    size_t running = 1, i;
    REQUIRE(s);
    for (i = 0; i < MANY; i++) {
        char cmd[64] = "sleep 0.2; echo number ";
        sbx_command_options o;
        sbx_call call;
        memset(&o, 0, sizeof o);
        memset(&call, 0, sizeof call);
        o.capture_limit = 100;
        call.op = &ops[i];
        cmd[23 + sbxi_print_u64(cmd + 23, i)] = 0;
        REQUIRE(sbx_command_run(s, cmd, &o, &r[i], &call) == SBX_PENDING);
        memset(cmd, 'x', sizeof cmd - 1);
    }
    while (running) CHECK_INT(sbx_poll(c, 1000, &running), SBX_OK);
    for (i = 0; i < MANY; i++) {
        char want[32] = "number ";
        size_t n = 7 + sbxi_print_u64(want + 7, i);
        memcpy(want + n, "\n", 2);
        CHECK_INT(sbx_op_status(ops[i]), SBX_OK);
        CHECK_STR(r[i].out, want);
        sbx_free(r[i].out);
        sbx_free(r[i].err);
        sbx_op_release(ops[i]);
    }
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* A sink that asks for a pause, now and then: nothing is lost, nothing spins. */
typedef struct pauser { collect got; int calls; sbx_op *op; } pauser;

static int pause_put(void *ctx, const void *data, size_t len)
{
    pauser *p = (pauser *)ctx;
    if (p->calls++ % 2 == 0) return SBX_E_AGAIN;
    return collect_put(&p->got, data, len);
}

TEST(back_pressure)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_call call;
    static pauser p;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&call, 0, sizeof call);
    memset(&p, 0, sizeof p);
    o.out.put = pause_put;
    o.out.ctx = &p;
    call.op = &p.op;
    REQUIRE(sbx_command_run(s, "for i in $(seq 1 300); do echo line $i; done", &o, &r,
        &call) == SBX_PENDING);
    while (sbx_op_status(p.op) == SBX_PENDING) {
        CHECK_INT(sbx_poll(c, 20, NULL), SBX_OK);
        sbx_op_wake(p.op);
    }
    CHECK_INT(sbx_op_status(p.op), SBX_OK);
    CHECK_INT(p.got.len, 300 * 5 + 9 + 90 * 2 + 201 * 3 + 300);
    CHECK(strstr(p.got.text, "line 299\nline 300\n"));
    sbx_op_release(p.op);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

static int reenter_put(void *ctx, const void *data, size_t len)
{
    sbx_sandbox *s = (sbx_sandbox *)ctx;
    (void)data;
    (void)len;
    CHECK_INT(sbx_command_run(s, "true", NULL, NULL, NULL), SBX_E_REENTRANT);
    CHECK_INT(sbx_close(s->client), SBX_E_REENTRANT);
    CHECK_INT(sbx_poll(s->client, 0, NULL), SBX_E_REENTRANT);
    return SBX_OK;
}

static int release_put(void *ctx, const void *data, size_t len)
{
    sbx_op **op = (sbx_op **)ctx;
    (void)data;
    (void)len;
    sbx_op_release(*op);
    *op = NULL;
    return SBX_OK;
}

TEST(inside_callbacks)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_call call;
    sbx_op *op;
    size_t running = 1;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&call, 0, sizeof call);
    o.out.put = reenter_put;
    o.out.ctx = s;
    CHECK_INT(sbx_command_run(s, "echo x", &o, NULL, NULL), SBX_OK);
    o.out.put = release_put;
    o.out.ctx = &op;
    call.op = &op;
    REQUIRE(sbx_command_run(s, "echo x; sleep 60", &o, NULL, &call) == SBX_PENDING);
    while (running) sbx_poll(c, 1000, &running);
    CHECK(op == NULL);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}
