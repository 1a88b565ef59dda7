/* Processes in the background and terminals on a real host: pulled output, input,
   sizes, signals, handles let go and taken up again, hosts that die. */
#include "host.h"

/* Pulls until `what` has come after what was waited for before; false: the end came
   first, or an error. What p said lies in one place as long as it is the same one. */
static bool pull_until(sbx_proc *p, const char *what)
{
    static char text[16384];
    static size_t len;
    static sbx_proc *of;
    sbx_proc_event e;
    sbx_call call;
    size_t i, n = strlen(what);
    memset(&call, 0, sizeof call);
    call.timeout_ms = 15000;
    if (of != p) len = 0;
    of = p;
    for (;;) {
        for (i = 0; i + n <= len; i++)
            if (memcmp(text + i, what, n) == 0) {
                len -= i + n;
                memmove(text, text + i + n, len);
                return true;
            }
        if (sbx_proc_next(p, &e, &call) != SBX_OK || e.part == SBX_PROC_END) break;
        if (e.len > sizeof text - len) len = 0;
        if (e.len > sizeof text) break;
        memcpy(text + len, e.data, e.len);
        len += e.len;
    }
    printf("'%s' did not come; there was: %.*s\n", what, (int)(len > 500 ? 500 : len), text);
    return false;
}

static int say(sbx_proc *p, const char *line) { return sbx_proc_write(p, line, strlen(line), NULL); }

static size_t processes;
static int count_process(void *ctx, const sbx_process_info *info)
{
    (void)ctx;
    (void)info;
    processes++;
    return SBX_OK;
}

static size_t running(sbx_sandbox *s)
{
    processes = 0;
    CHECK_INT(sbx_command_list(s, count_process, NULL, NULL), SBX_OK);
    return processes;
}

TEST(pull_with_back_pressure)
{
    enum { TOTAL = 20000000 };
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_proc *p = NULL;
    sbx_proc_event e;
    size_t got = 0, errs = 0, wrong = 0, i;
    int rc;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    o.pull = SBX_YES;
    CHECK_INT(sbx_command_start(s, "yes abcdefg | head -c 20000000; echo end >&2; exit 9", &o, &p,
                  NULL), SBX_OK);
    REQUIRE(p);
    CHECK(sbx_proc_pid(p) != 0);
    CHECK_INT(sbx_proc_next(p, &e, NULL), SBX_OK);
    CHECK_INT(e.part, SBX_PROC_OUT);
    for (i = 0; i < e.len; i++) wrong += ((const char *)e.data)[i] != "abcdefg\n"[(got + i) % 8];
    got = e.len;
    /* nobody pulls: the process waits, whatever else this client does */
    CHECK_INT(live_sh(s, "sleep 0.7", &r), SBX_OK);
    sbx_free(r.out);
    sbx_free(r.err);
    CHECK_INT(running(s), 1);
    CHECK_INT(sbx_proc_status(p), SBX_PENDING);
    while ((rc = sbx_proc_next(p, &e, NULL)) == SBX_OK && e.part != SBX_PROC_END) {
        if (e.part == SBX_PROC_ERR) {
            errs += e.len;
            continue;
        }
        for (i = 0; i < e.len; i++) wrong += ((const char *)e.data)[i] != "abcdefg\n"[(got + i) % 8];
        got += e.len;
    }
    CHECK_INT(rc, SBX_OK);
    CHECK_INT(got, TOTAL);
    CHECK_INT(errs, 4);
    CHECK_INT(wrong, 0);
    CHECK_INT(sbx_proc_next(p, &e, NULL), SBX_OK);
    CHECK_INT(e.part, SBX_PROC_END);
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, 9);
    sbx_proc_release(p);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* Counts lines that say 1, 2, 3 ... */
typedef struct counter { unsigned long next, line; size_t digits; bool odd; } counter;

static void count_lines(counter *n, const char *at, size_t len)
{
    for (; len > 0; at++, len--) {
        if (*at >= '0' && *at <= '9' && !n->odd) {
            n->line = n->line * 10 + (unsigned long)(*at - '0');
            n->digits++;
        } else if (*at == '\n') {
            n->next += !n->odd && n->digits > 0 && n->line == n->next;
            n->line = n->digits = 0;
            n->odd = false;
        } else if (*at != '\r') {
            n->odd = true;
        }
    }
}

TEST(many_lines_through_a_terminal)
{
    static const sbx_pair plain = { "TERM", "dumb" };
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_proc *p = NULL;
    sbx_proc_event e;
    counter n;
    int rc;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&n, 0, sizeof n);
    n.next = 1;
    o.envs.items = &plain;
    o.envs.count = 1;
    o.pull = SBX_YES;
    CHECK_INT(sbx_pty_create(s, 0, 0, &o, &p, NULL), SBX_OK);
    REQUIRE(p);
    CHECK_INT(say(p, "PS1=; seq 1 100000; exit 4\n"), SBX_OK);
    while ((rc = sbx_proc_next(p, &e, NULL)) == SBX_OK && e.part != SBX_PROC_END) {
        CHECK_INT(e.part, SBX_PROC_PTY);
        count_lines(&n, (const char *)e.data, e.len);
    }
    CHECK_INT(rc, SBX_OK);
    CHECK_INT(n.next, 100001);
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, 4);
    sbx_proc_release(p);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(terminal)
{
    static const sbx_pair envs[] = { { "MARK", "seen" }, { "TERM", "dumb" } };
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_proc *p = NULL, *other = NULL;
    sbx_reading reading = { "echo typed $((6*7))\n", 20, 0 };
    bool existed = false;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    o.pull = SBX_YES;
    o.cwd = "/tmp";
    o.envs.items = envs;
    o.envs.count = 2;
    o.tag = "my terminal";
    CHECK_INT(sbx_pty_create(s, 101, 31, &o, &p, NULL), SBX_OK);
    REQUIRE(p);
    CHECK_INT(say(p, "stty size; echo $MARK-$TERM-$LANG; basename $PWD; tty && echo y$((1))s\n"), SBX_OK);
    CHECK(pull_until(p, "31 101"));
    CHECK(pull_until(p, "seen-dumb-C.UTF-8"));
    CHECK(pull_until(p, "y1s"));
    CHECK_INT(sbx_proc_resize(p, 77, 22, NULL), SBX_OK);
    CHECK_INT(say(p, "stty size\n"), SBX_OK);
    CHECK(pull_until(p, "22 77"));
    CHECK_INT(sbx_pty_resize(s, sbx_proc_pid(p), 66, 11, NULL), SBX_OK);
    CHECK_INT(say(p, "stty size\n"), SBX_OK);
    CHECK(pull_until(p, "11 66"));
    /* a second one follows it too, by its tag */
    CHECK_INT(sbx_pty_connect(s, 0, &o, &other, NULL), SBX_OK);
    REQUIRE(other);
    CHECK_INT(sbx_proc_pid(other), sbx_proc_pid(p));
    CHECK_INT(sbx_pty_stream_input(s, sbx_proc_pid(p), sbx_source_memory(&reading), NULL), SBX_OK);
    CHECK(pull_until(p, "typed 42"));
    CHECK(pull_until(other, "typed 42"));
    CHECK_INT(sbx_pty_send_input(s, sbx_proc_pid(p), "sleep 100\n", 10, NULL), SBX_OK);
    CHECK_INT(live_sh(s, "sleep 0.3", &r), SBX_OK);
    sbx_free(r.out);
    sbx_free(r.err);
    CHECK_INT(say(p, "\003"), SBX_OK);
    CHECK_INT(say(p, "echo code-$?\n"), SBX_OK);
    CHECK(pull_until(p, "code-130"));
    CHECK_INT(sbx_proc_kill(other, &existed, NULL), SBX_OK);
    CHECK(existed);
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, -1);
    CHECK_STR(r.reason, "signal: killed");
    CHECK_INT(sbx_proc_wait(other, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, -1);
    sbx_proc_release(other);
    sbx_proc_release(p);
    /* no terminal there */
    o.tag = o.cwd = NULL;
    CHECK_INT(sbx_command_start(s, "sleep 100", &o, &p, NULL), SBX_OK);
    CHECK(sbx_proc_resize(p, 1, 1, NULL) < 0);
    CHECK(sbx_pty_send_input(s, sbx_proc_pid(p), "x", 1, NULL) < 0);
    CHECK(sbx_proc_write(p, "x", 1, NULL) < 0);
    CHECK_INT(sbx_pty_resize(s, 99999, 1, 1, NULL), SBX_E_NOT_FOUND);
    sbx_proc_release(p);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* ---- input ---- */
static unsigned char noise(uint64_t at)
{
    uint64_t x = (at + 1) * 0x9E3779B97F4A7C15u;
    return (unsigned char)(x >> 56);
}

typedef struct flow { uint64_t at, total, wrong; } flow;

static int flow_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    flow *f = (flow *)ctx;
    size_t i;
    for (i = 0; i < cap && f->at < f->total; i++) ((unsigned char *)buf)[i] = noise(f->at++);
    *got = i;
    return SBX_OK;
}

static int flow_put(void *ctx, const void *data, size_t len)
{
    flow *f = (flow *)ctx;
    size_t i;
    for (i = 0; i < len; i++) f->wrong += ((const unsigned char *)data)[i] != noise(f->at++);
    return SBX_OK;
}

TEST(ten_mebibytes_through_cat)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    flow in, out;
    sbx_command_options o;
    sbx_command_result r;
    sbx_source from;
    sbx_proc *p = NULL;
    static unsigned char piece[100000];
    size_t i;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    memset(&from, 0, sizeof from);
    in.total = 10u << 20;
    from.get = flow_get;
    from.ctx = &in;
    from.size = -1;
    o.keep_stdin = SBX_YES;
    o.out.put = flow_put;
    o.out.ctx = &out;
    CHECK_INT(sbx_command_start(s, "cat", &o, &p, NULL), SBX_OK);
    REQUIRE(p);
    CHECK_INT(sbx_command_stream_stdin(s, sbx_proc_pid(p), from, NULL), SBX_OK);
    /* the input is still open, for a piece by hand */
    for (i = 0; i < sizeof piece; i++) piece[i] = noise(in.total + i);
    CHECK_INT(sbx_proc_write(p, piece, sizeof piece, NULL), SBX_OK);
    CHECK_INT(sbx_command_send_stdin(s, sbx_proc_pid(p), piece, 0, NULL), SBX_OK);
    CHECK_INT(sbx_proc_close_stdin(p, NULL), SBX_OK);
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, 0);
    CHECK_INT(out.at, in.total + sizeof piece);
    CHECK_INT(out.wrong, 0);
    CHECK(sbx_command_close_stdin(s, sbx_proc_pid(p), NULL) < 0);
    CHECK(sbx_proc_write(p, "x", 1, NULL) < 0);
    sbx_proc_release(p);
    CHECK_INT(sbx_command_send_stdin(s, 99999, "x", 1, NULL), SBX_E_NOT_FOUND);
    in.at = 0;
    CHECK_INT(sbx_command_stream_stdin(s, 99999, from, NULL), SBX_E_NOT_FOUND);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* ---- signals and handles ---- */
TEST(signals)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_proc *p = NULL;
    bool existed = false;
    double t;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    o.pull = SBX_YES;
    CHECK_INT(sbx_command_start(s, "trap 'echo bye; exit 5' TERM; echo up; sleep 100 & wait", &o, &p,
                  NULL), SBX_OK);
    REQUIRE(p);
    CHECK(pull_until(p, "up\n"));
    CHECK_INT(sbx_command_signal(s, sbx_proc_pid(p), SBX_SIGNAL_TERM, &existed, NULL), SBX_OK);
    CHECK(existed);
    CHECK(pull_until(p, "bye\n"));
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, 5);
    CHECK_INT(sbx_proc_kill(p, &existed, NULL), SBX_OK);
    CHECK(!existed);
    sbx_proc_release(p);
    o.pull = SBX_NO;
    o.timeout_ms = 600;
    CHECK_INT(sbx_command_start(s, "sleep 100", &o, &p, NULL), SBX_OK);
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_E_KILLED);
    sbx_proc_release(p);
    t = live_now(); /* the host's clock of it may be a little behind ours */
    while (running(s) > 0 && live_now() - t < 5) usleep(20000);
    CHECK_INT(running(s), 0);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(let_go_and_connect)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_proc *p = NULL;
    uint32_t pid;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    o.tag = "a job";
    o.capture_limit = 10000;
    CHECK_INT(sbx_command_start(s, "echo early; sleep 1; echo late; exit 6", &o, &p, NULL), SBX_OK);
    REQUIRE(p);
    pid = sbx_proc_pid(p);
    CHECK_INT(live_sh(s, "true", &r), SBX_OK); /* "early" is taken by the first handle */
    sbx_free(r.out);
    sbx_free(r.err);
    sbx_proc_release(p);
    CHECK_INT(running(s), 1);
    CHECK_INT(sbx_command_connect(s, pid, &o, &p, NULL), SBX_OK);
    REQUIRE(p);
    CHECK_INT(sbx_proc_pid(p), pid);
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, 6);
    CHECK_STR(r.out, "late\n");
    sbx_free(r.out);
    sbx_free(r.err);
    sbx_proc_release(p);
    /* its end is remembered, by pid and tag */
    CHECK_INT(sbx_command_connect(s, 0, &o, &p, NULL), SBX_OK);
    REQUIRE(p);
    CHECK_INT(sbx_proc_pid(p), pid);
    CHECK_INT(sbx_proc_wait(p, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, 6);
    sbx_free(r.out);
    sbx_free(r.err);
    sbx_proc_release(p);
    p = NULL;
    CHECK_INT(sbx_command_connect(s, 99999, &o, &p, NULL), SBX_E_NOT_FOUND);
    CHECK(p == NULL);
    o.tag = "none such";
    CHECK_INT(sbx_command_connect(s, 0, &o, &p, NULL), SBX_E_NOT_FOUND);
    CHECK(p == NULL);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* A stream that is only followed ends with its time; the process does not. */
TEST(followed_for_a_while)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result r;
    sbx_error e;
    sbx_call call;
    sbx_proc *p = NULL, *same = NULL;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&call, 0, sizeof call);
    call.error = &e;
    CHECK_INT(sbx_command_start(s, "sleep 1000", NULL, &p, NULL), SBX_OK);
    REQUIRE(p);
    o.timeout_ms = 1000;
    CHECK_INT(sbx_command_connect(s, sbx_proc_pid(p), &o, &same, NULL), SBX_OK);
    REQUIRE(same);
    CHECK_INT(sbx_proc_wait(same, &r, &call), SBX_E_TIMEOUT);
    CHECK(e.process_alive != SBX_NO);
    CHECK_INT(running(s), 1);
    CHECK_INT(sbx_proc_status(p), SBX_PENDING);
    sbx_proc_release(same);
    sbx_proc_release(p);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* ---- death ---- */
static void start_pair(sbx_sandbox *s, sbx_proc **shell, sbx_proc **cat)
{
    sbx_command_options o;
    memset(&o, 0, sizeof o);
    o.pull = SBX_YES;
    CHECK_INT(sbx_pty_create(s, 80, 24, &o, shell, NULL), SBX_OK);
    CHECK(*shell && say(*shell, "echo he$((1+1))llo\n") == SBX_OK && pull_until(*shell, "he2llo"));
    o.pull = SBX_NO;
    o.keep_stdin = SBX_YES;
    CHECK_INT(sbx_command_start(s, "cat", &o, cat, NULL), SBX_OK);
}

TEST(the_sandbox_dies)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_proc *shell = NULL, *cat = NULL;
    sbx_proc_event e;
    int rc;
    REQUIRE(s);
    start_pair(s, &shell, &cat);
    REQUIRE(shell && cat);
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    while ((rc = sbx_proc_next(shell, &e, NULL)) == SBX_OK && e.part != SBX_PROC_END) continue;
    CHECK_INT(rc, SBX_E_SANDBOX_GONE);
    CHECK_INT(sbx_proc_wait(cat, NULL, NULL), SBX_E_SANDBOX_GONE);
    CHECK_INT(sbx_proc_status(cat), SBX_E_SANDBOX_GONE);
    CHECK_INT(sbx_proc_write(cat, "x", 1, NULL), SBX_E_SANDBOX_GONE);
    sbx_proc_release(shell);
    sbx_proc_release(cat);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(the_host_dies)
{
    host h;
    sbx_client *c;
    sbx_sandbox *s;
    sbx_proc *shell = NULL, *cat = NULL;
    sbx_proc_event e;
    double t;
    int rc;
    REQUIRE(host_start(&h, NULL));
    c = host_client(&h);
    s = c ? live_sandbox(c) : NULL;
    REQUIRE(s);
    start_pair(s, &shell, &cat);
    REQUIRE(shell && cat);
    host_end(&h, SIGKILL);
    t = live_now();
    while ((rc = sbx_proc_next(shell, &e, NULL)) == SBX_OK && e.part != SBX_PROC_END) continue;
    CHECK_INT(rc, SBX_E_UNREACHABLE);
    CHECK_INT(sbx_proc_wait(cat, NULL, NULL), SBX_E_UNREACHABLE);
    CHECK(sbx_proc_write(cat, "x", 1, NULL) < 0);
    CHECK(live_now() - t < 20);
    sbx_proc_release(shell);
    sbx_proc_release(cat);
    sbx_sandbox_release(s);
    live_close(c);
}

