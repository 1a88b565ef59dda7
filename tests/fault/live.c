/* live - faults against a running host: calls of the real transport and of the
   allocator fail once and from then on, and connections end at a byte. After each:
   a status of that fault or the usual result, nothing handed out on failure, the
   scenario again on the same client, no leak; and no sandbox is left that the client
   did not tell of. Sleeps of the client are not slept.

     live SEED|all [MANY [ROW]]   host in E2B_API_URL, E2B_SANDBOX_URL, E2B_API_KEY;
                              ROW: only those whose name begins so. SBX_SHARD=i/n: of
                              all every n-th, from i on, on a host of its own */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LEN(a) (sizeof(a) / sizeof *(a))

/* ---- what fails ----------------------------------------------------------------- */

enum { F_ALLOC, F_OPEN, F_SEND, F_RECV, F_WAIT, F_EARLY, F_AHEAD, F_BACK, F_UNIX, F_ENTROPY,
    F_CUT, F_RESET, KINDS };

static const struct { const char *name; int statuses[2]; } kinds[KINDS] = {
    [F_ALLOC] = { "alloc", { SBX_E_NOMEM } },
    [F_OPEN] = { "open", { SBX_E_CONNECT, SBX_E_UNREACHABLE } },
    [F_SEND] = { "send", { SBX_E_NETWORK, SBX_E_UNREACHABLE } },
    [F_RECV] = { "recv", { SBX_E_NETWORK, SBX_E_UNREACHABLE } },
    [F_WAIT] = { "wait", { SBX_E_NETWORK, SBX_E_CANCELLED } },
    [F_EARLY] = { "early wait", { 0 } },
    [F_AHEAD] = { "clock ahead", { SBX_E_TIMEOUT } },
    [F_BACK] = { "clock back", { SBX_E_TIMEOUT } },
    [F_UNIX] = { "unix clock", { 0 } },
    [F_ENTROPY] = { "entropy", { SBX_E_ENTROPY } },
    [F_CUT] = { "cut", { SBX_E_NETWORK, SBX_E_UNREACHABLE } },
    [F_RESET] = { "reset", { SBX_E_NETWORK, SBX_E_UNREACHABLE } }
};

static struct {
    bool armed, on;
    int kind;                   /* KINDS: only counts */
    unsigned long at, calls[KINDS], hits;
    unsigned long bytes;        /* received */
    size_t blocks;
    uint64_t ahead;             /* of the real clock: what was not slept */
} fault;
static sbx_alloc real_alloc = { sbxi_std_resize, NULL }; /* of the transport itself */
static sbxi_posix real_home = { &real_alloc, 15000, NULL };
static sbx_net real;
static char row[160];
static unsigned long injections, failed, complaints;
static unsigned long shard, shards = 1;  /* every so many-th of all */
static const char *only = "";

static void complain(const char *what, const char *more)
{
    if (complaints++ < 60) printf("FAIL %s\n    %s%s\n", row, what, more ? more : "");
}

static bool strikes(int kind)
{
    unsigned long n;
    if (!fault.armed) return false;
    n = ++fault.calls[kind];
    if (fault.kind != kind || (fault.on ? n < fault.at : n != fault.at)) return false;
    fault.hits++;
    return true;
}

static void *resize(void *ctx, void *p, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size == 0) {
        fault.blocks -= p != NULL;
        free(p);
        return NULL;
    }
    if (strikes(F_ALLOC)) return NULL;
    fault.blocks += p == NULL;
    return realloc(p, new_size);
}

static void hang_up(void *conn)
{
    sbx_wait w = { conn, 0, 0 };
    shutdown(sbx_wait_fd(&w), SHUT_RDWR);
}

static int net_open(void *ctx, void **conn, const char *host, uint16_t port, bool tls)
{
    if (!strikes(F_OPEN)) return real.open(ctx, conn, host, port, tls);
    if (*conn) real.close(ctx, *conn);
    *conn = NULL;
    return SBX_E_CONNECT;
}

static int net_send(void *ctx, void *conn, const void *buf, size_t len, size_t *sent)
{
    if (!strikes(F_SEND)) return real.send(ctx, conn, buf, len, sent);
    hang_up(conn);
    return SBX_E_NETWORK;
}

/* After `at` bytes nothing comes; with `on` on no connection. */
static bool cuts(size_t *cap)
{
    if (!fault.armed || (fault.kind != F_CUT && fault.kind != F_RESET)) return false;
    if (fault.hits && !fault.on) return false;
    if (fault.bytes >= fault.at) {
        fault.hits++;
        return true;
    }
    if (*cap > fault.at - fault.bytes) *cap = fault.at - fault.bytes;
    return false;
}

static int net_recv(void *ctx, void *conn, void *buf, size_t cap, size_t *got)
{
    int rc;
    *got = 0;
    if (strikes(F_RECV)) {
        hang_up(conn);
        return SBX_E_NETWORK;
    }
    if (cap > 1 && cuts(&cap)) { /* one byte: a look at a kept connection */
        hang_up(conn);
        return fault.kind == F_CUT ? SBX_OK : SBX_E_NETWORK;
    }
    rc = real.recv(ctx, conn, buf, cap, got);
    if (fault.armed) fault.bytes += *got;
    return rc;
}

static int net_wait(void *ctx, sbx_wait *waits, size_t n, uint32_t ms)
{
    size_t i;
    unsigned turn;
    int rc = SBX_OK;
    if (strikes(F_WAIT)) return SBX_E_NETWORK;
    if (strikes(F_EARLY)) return SBX_OK;
    for (turn = 0; n && turn < 4 && rc == SBX_OK; turn++) { /* too short to leave it to recv() */
        rc = real.wait(ctx, waits, n, ms / 4 < 750 ? ms / 4 : 750);
        for (i = 0; i < n; i++)
            if (waits[i].ready) return rc;
    }
    if (n == 0) fault.ahead += ms;
    else if (ms > 3000) fault.ahead += ms - 3000;
    return rc;
}

static uint64_t net_now(void *ctx)
{
    uint64_t hour = 0;
    if (strikes(F_AHEAD)) hour = 3600000;
    if (strikes(F_BACK)) hour = (uint64_t)-3600000;
    if (fault.on && fault.hits == 1) fault.ahead += hour; /* for good */
    return real.now_ms(ctx) + fault.ahead + (fault.on ? 0 : hour);
}

static int64_t net_unix(void *ctx) { return strikes(F_UNIX) ? 0 : real.unix_ms(ctx); }

static int net_entropy(void *ctx, void *buf, size_t len)
{
    return strikes(F_ENTROPY) ? SBX_E_ENTROPY : real.entropy(ctx, buf, len);
}

/* ---- scenarios ------------------------------------------------------------------ */

typedef struct fx {
    sbx_client *client;
    sbx_sandbox *box;
    bool polled;
    sbx_call call;
    sbx_error error;
    sbx_op *op;
    uint32_t sum, n;
    char id[80];
} fx;

static sbx_client *admin;
static char box_id[80];
static sbx_sandbox *box;        /* the admin's handle of it */

static const sbx_call *call(fx *f)
{
    memset(&f->call, 0, sizeof f->call);
    memset(&f->error, 0, sizeof f->error);
    f->op = NULL;
    f->call.error = &f->error;
    if (f->polled) f->call.op = &f->op;
    return &f->call;
}

/* The status of a call, run to its end. */
static int finish(fx *f, int rc)
{
    unsigned polls = 0;
    if (rc == SBX_PENDING && !f->op) complain("pending without an operation", NULL);
    if (rc != SBX_PENDING && f->op) complain("an operation without pending", NULL);
    while (f->op && sbx_op_status(f->op) == SBX_PENDING)
        if (sbx_poll(f->client, 1000, NULL) != SBX_OK && ++polls > 40) sbx_op_cancel(f->op);
    if (f->op) rc = sbx_op_status(f->op);
    sbx_op_release(f->op);
    f->op = NULL;
    if (rc < 0 && (f->error.status != rc || !f->error.message[0]))
        complain("error is not filled: ", sbx_status_name(rc));
    if (rc > 0) complain("no status: ", sbx_status_name(rc));
    return rc;
}

static int expect(bool fine, const char *what)
{
    if (!fine) complain(what, NULL);
    return fine ? SBX_OK : SBX_E_PROTOCOL;
}

/* at: of some struct's pointer */
static int nothing(int rc, const void *at)
{
    const void *out;
    memcpy(&out, at, sizeof out);
    if (rc != SBX_OK && out) complain("failed, but an out-pointer is set: ", sbx_status_name(rc));
    return rc;
}

static int add_up(void *ctx, const void *data, size_t len)
{
    fx *f = ctx;
    const unsigned char *p = data;
    f->n += (uint32_t)len;
    while (len--) f->sum = f->sum * 31 + *p++;
    return SBX_OK;
}

static sbx_sink summing(fx *f)
{
    sbx_sink s;
    s.put = add_up;
    s.ctx = f;
    f->sum = f->n = 0;
    return s;
}

enum { BIG = 8400 }; /* more than any buffer, and yet each byte of it can be the last */

static int fill(void *ctx, void *buf, size_t cap, size_t *got)
{
    fx *f = ctx;
    unsigned char *p = buf;
    for (*got = 0; *got < cap && f->n < BIG; f->n++) p[(*got)++] = (unsigned char)(f->n % 251);
    return SBX_OK;
}

static int refill(void *ctx)
{
    ((fx *)ctx)->n = 0;
    return SBX_OK;
}

static sbx_source filling(fx *f, int64_t size)
{
    sbx_source s;
    s.get = fill;
    s.rewind = refill;
    s.ctx = f;
    s.size = size;
    f->n = 0;
    return s;
}

static int count_box(void *ctx, const sbx_sandbox_info *info)
{
    ((fx *)ctx)->n += !strcmp(info->id, box_id); /* others may come late: see clear_host() */
    return SBX_OK;
}

static int count_file(void *ctx, const sbx_file_info *info)
{
    ((fx *)ctx)->n += info->name != NULL;
    return SBX_OK;
}

static int count_process(void *ctx, const sbx_process_info *info)
{
    ((fx *)ctx)->n += info->pid != 0;
    return SBX_OK;
}

enum { CREATES = 65536 };
static unsigned creates;                /* each has its number in its metadata */
static bool denied[CREATES];            /* the client said that it made nothing */

static int s_create(fx *f)
{
    char number[16];
    const sbx_pair mark = { "create", number };
    sbx_sandbox_options o;
    sbx_sandbox *made = (sbx_sandbox *)f;
    int rc;
    memset(&o, 0, sizeof o);
    snprintf(number, sizeof number, "%u", ++creates);
    o.metadata.items = &mark;
    o.metadata.count = 1;
    rc = nothing(finish(f, sbx_sandbox_create(f->client, &o, &made, call(f))), &made);
    if (rc == SBX_OK) sbxi_put_text(f->id, sizeof f->id, made->id, strlen(made->id));
    if (rc == SBX_OK) sbx_sandbox_release(made);
    denied[creates % CREATES] = rc != SBX_OK && f->error.may_exist != SBX_YES;
    return rc;
}

static int s_run(fx *f)
{
    sbx_command_options o;
    sbx_command_result r;
    int rc;
    memset(&o, 0, sizeof o);
    o.capture_limit = 1000;
    rc = finish(f, sbx_command_run(f->box, "echo out; echo err >&2; exit 3", &o, &r, call(f)));
    if (rc == SBX_OK)
        rc = expect(r.exit_code == 3 && r.pid && !strcmp(r.out, "out\n") && !strcmp(r.err, "err\n"),
            "run: wrong result");
    else if (r.out || r.err || r.pid || r.exit_code) complain("run failed, but has a result", NULL);
    sbx_free(r.out);
    sbx_free(r.err);
    return rc;
}

static int s_stream(fx *f)
{
    sbx_command_options o;
    int rc;
    memset(&o, 0, sizeof o);
    o.out = summing(f);
    rc = finish(f, sbx_command_run(f->box, "i=0; while [ $i -lt 12 ]; do echo $i; i=$((i+1)); done; "
        "printf %01500d 0", &o, NULL, call(f)));
    if (rc == SBX_OK) rc = expect(f->n == 1526, "stream: wrong length");
    return rc;
}

static int s_background(fx *f)
{
    sbx_command_options o;
    sbx_command_result r;
    sbx_proc *proc = (sbx_proc *)f;
    int rc;
    memset(&o, 0, sizeof o);
    memset(&r, 0, sizeof r);
    o.capture_limit = 1000;
    o.keep_stdin = SBX_YES;
    rc = nothing(finish(f, sbx_command_start(f->box, "cat", &o, &proc, call(f))), &proc);
    if (rc == SBX_OK) rc = finish(f, sbx_proc_write(proc, "typed\n", 6, call(f)));
    if (rc == SBX_OK) rc = finish(f, sbx_proc_close_stdin(proc, call(f)));
    if (rc == SBX_OK) {
        rc = finish(f, sbx_proc_wait(proc, &r, call(f)));
        if (rc == SBX_OK)
            rc = expect(r.exit_code == 0 && r.out && !strcmp(r.out, "typed\n"), "wait: wrong result");
        sbx_free(r.out);
        sbx_free(r.err);
    }
    sbx_proc_release(proc);
    return rc;
}

static int s_write(fx *f)
{
    sbx_file_info *info = (sbx_file_info *)f;
    int rc = nothing(finish(f, sbx_files_write(f->box, "fault/big", filling(f, BIG), NULL, &info,
        call(f))), &info);
    if (rc == SBX_OK) rc = expect(!strcmp(info->name, "big"), "write: wrong entry");
    if (rc == SBX_OK) sbx_free(info);
    return rc;
}

static int s_write_bytes(fx *f)
{
    return finish(f, sbx_files_write_bytes(f->box, "fault/small", "some bytes", 10, NULL, NULL,
        call(f)));
}

static int s_read(fx *f)
{
    fx same;
    int rc = finish(f, sbx_files_read(f->box, "fault/read", NULL, summing(f), call(f)));
    size_t got;
    unsigned char buf[1000];
    filling(&same, -1);
    if (rc != SBX_OK) return rc;
    for (same.sum = 0; fill(&same, buf, sizeof buf, &got) == SBX_OK && got; ) {
        uint32_t n = same.n;
        add_up(&same, buf, got);
        same.n = n;
    }
    return expect(f->n == BIG && f->sum == same.sum, "read: wrong content");
}

static int s_list(fx *f)
{
    int rc;
    f->n = 0;
    rc = finish(f, sbx_files_list(f->box, "fault/dir", NULL, count_file, f, call(f)));
    return rc == SBX_OK ? expect(f->n == 3, "list: wrong number") : rc;
}

static int s_stat(fx *f)
{
    sbx_file_info *info = (sbx_file_info *)f;
    int rc = nothing(finish(f, sbx_files_stat(f->box, "fault/read", NULL, &info, call(f))), &info);
    if (rc == SBX_OK) rc = expect(info->size == BIG, "stat: wrong size");
    if (rc == SBX_OK) sbx_free(info);
    return rc;
}

static int s_exists(fx *f)
{
    bool answer = true;
    int rc = finish(f, sbx_files_exists(f->box, "fault/read", NULL, &answer, call(f)));
    return expect(answer == (rc == SBX_OK), "exists: wrong answer") == SBX_OK ? rc : SBX_E_PROTOCOL;
}

static int s_remove(fx *f)
{
    return finish(f, sbx_files_remove(f->box, "fault/small", NULL, call(f)));
}

static int s_make_dir(fx *f)
{
    return finish(f, sbx_files_make_dir(f->box, "fault/new/deep", NULL, NULL, call(f)));
}

static int s_processes(fx *f)
{
    f->n = 0;
    return finish(f, sbx_command_list(f->box, count_process, f, call(f)));
}

static int s_info(fx *f)
{
    sbx_sandbox_info *info = (sbx_sandbox_info *)f;
    int rc = nothing(finish(f, sbx_sandbox_get_info(f->box, &info, call(f))), &info);
    if (rc == SBX_OK) rc = expect(!strcmp(info->id, box_id), "get_info: wrong id");
    if (rc == SBX_OK) sbx_free(info);
    return rc;
}

static int s_sandboxes(fx *f)
{
    int rc;
    f->n = 0;
    rc = finish(f, sbx_sandbox_list(f->client, NULL, NULL, count_box, f, call(f)));
    return rc == SBX_OK ? expect(f->n == 1, "list: wrong number of sandboxes") : rc;
}

static int s_connect(fx *f) { return finish(f, sbx_sandbox_connect(f->box, 600, NULL, call(f))); }

static int s_set_timeout(fx *f)
{
    return finish(f, sbx_sandbox_set_timeout(f->box, 600, call(f)));
}

static int s_is_running(fx *f)
{
    bool running = true;
    int rc = finish(f, sbx_sandbox_is_running(f->box, &running, call(f)));
    return expect(running == (rc == SBX_OK), "is_running: wrong answer") == SBX_OK ? rc
        : SBX_E_PROTOCOL;
}

/* The admin makes one that the client kills. */
static int s_kill(fx *f)
{
    sbx_sandbox *mine = NULL, *its = NULL;
    bool existed = false, armed = fault.armed;
    int rc;
    fault.armed = false;
    rc = sbx_sandbox_create(admin, NULL, &mine, NULL);
    if (rc == SBX_OK) rc = sbx_sandbox_attach(f->client, mine->id, NULL, &its);
    if (rc != SBX_OK) complain("kill: none could be made: ", sbx_status_name(rc));
    fault.armed = armed;
    if (rc == SBX_OK) {
        sbxi_put_text(f->id, sizeof f->id, mine->id, strlen(mine->id));
        rc = finish(f, sbx_sandbox_kill(its, &existed, call(f)));
        if (rc != SBX_OK && existed) complain("kill failed, but existed", NULL);
    }
    sbx_sandbox_release(its);
    sbx_sandbox_release(mine);
    return rc;
}

typedef struct scenario { const char *name; int (*run)(fx *f); bool known; } scenario;
static const scenario scenarios[] = {
    { "create", s_create, true }, { "run", s_run, true }, { "run, access fetched", s_run, false },
    { "stream", s_stream, true }, { "background", s_background, true }, { "write", s_write, true },
    { "write bytes", s_write_bytes, false }, { "read", s_read, true }, { "list", s_list, true },
    { "stat", s_stat, false }, { "exists", s_exists, true }, { "remove", s_remove, true },
    { "make_dir", s_make_dir, true }, { "processes", s_processes, true }, { "info", s_info, true },
    { "sandboxes", s_sandboxes, true }, { "connect", s_connect, true },
    { "set_timeout", s_set_timeout, true }, { "is_running", s_is_running, false },
    { "kill", s_kill, true }
};

/* ---- the host ------------------------------------------------------------------- */

typedef struct others { char ids[32][80]; unsigned number[32]; size_t n; } others;

static int note_other(void *ctx, const sbx_sandbox_info *info)
{
    others *o = ctx;
    const sbx_pairs *m = &info->metadata;
    size_t i;
    if (!strcmp(info->id, box_id) || o->n == LEN(o->ids)) return SBX_OK;
    sbxi_put_text(o->ids[o->n], sizeof o->ids[0], info->id, strlen(info->id));
    o->number[o->n] = 0;
    for (i = 0; i < m->count; i++)
        if (!strcmp(m->items[i].key, "create"))
            o->number[o->n] = (unsigned)strtoul(m->items[i].value, NULL, 10);
    o->n++;
    return SBX_OK;
}

/* Kills what is there besides the shared sandbox. Gives how many of those are the
   sandbox `id`, or, without one, what the last create made. A create that was given
   up may come true at any time after: those of former ones are only held against the
   client if it denied them. */
static size_t clear_host(const char *id)
{
    others o;
    size_t i, n = 0;
    int rc;
    memset(&o, 0, sizeof o);
    rc = sbx_sandbox_list(admin, NULL, NULL, note_other, &o, NULL);
    if (rc != SBX_OK) complain("the host does not list: ", sbx_status_name(rc));
    for (i = 0; i < o.n; i++) {
        sbx_sandbox *s = NULL;
        rc = sbx_sandbox_attach(admin, o.ids[i], NULL, &s);
        if (rc == SBX_OK) rc = sbx_sandbox_kill(s, NULL, NULL);
        if (rc != SBX_OK) complain("the host does not kill: ", sbx_status_name(rc));
        sbx_sandbox_release(s);
        if (denied[o.number[i] % CREATES]) complain("there is what a create denied: ", o.ids[i]);
        n += id ? !strcmp(id, o.ids[i]) : o.number[i] == creates;
    }
    return n;
}

static bool prepare(void)
{
    static const char *const files[] = { "fault/dir/a", "fault/dir/b", "fault/dir/c" };
    fx f;
    size_t i;
    sbx_config g;
    sbx_error e;
    int rc;
    memset(&g, 0, sizeof g);
    g.error = &e;
    rc = sbx_open(&admin, &g);
    if (rc == SBX_OK) rc = sbx_sandbox_create(admin, NULL, &box, NULL);
    if (rc == SBX_OK) rc = sbx_sandbox_set_timeout(box, 3600, NULL);
    if (rc == SBX_OK) {
        sbxi_put_text(box_id, sizeof box_id, box->id, strlen(box->id));
        rc = sbx_files_write(box, "fault/read", filling(&f, BIG), NULL, NULL, NULL);
    }
    for (i = 0; i < LEN(files) && rc == SBX_OK; i++)
        rc = sbx_files_write_bytes(box, files[i], "x", 1, NULL, NULL, NULL);
    if (rc != SBX_OK) printf("the host is not as it must be: %s\n", sbx_status_name(rc));
    return rc == SBX_OK;
}

/* ---- injections ----------------------------------------------------------------- */

static bool open_client(fx *f, const scenario *k, bool polled)
{
    sbx_config g;
    sbx_sandbox_access a;
    int rc;
    memset(f, 0, sizeof *f);
    memset(&fault, 0, sizeof fault);
    memset(&g, 0, sizeof g);
    f->polled = polled;
    g.alloc.resize = resize;
    g.net = real;
    g.net.open = net_open;
    g.net.send = net_send;
    g.net.recv = net_recv;
    g.net.wait = net_wait;
    g.net.now_ms = net_now;
    g.net.unix_ms = net_unix;
    g.net.entropy = net_entropy;
    rc = sbx_open(&f->client, &g);
    sbx_sandbox_get_access(box, &a);
    if (rc == SBX_OK) rc = sbx_sandbox_attach(f->client, box_id, k->known ? &a : NULL, &f->box);
    if (rc != SBX_OK) complain("the client does not open: ", sbx_status_name(rc));
    return rc == SBX_OK;
}

static bool allowed(int rc)
{
    int kind = fault.kind;
    if (rc == SBX_OK || rc == kinds[kind].statuses[0]) return true;
    return kinds[kind].statuses[1] && rc == kinds[kind].statuses[1];
}

/* What a create or kill left on the host is what the client said. */
static void check_host(fx *f, const scenario *k, int rc)
{
    size_t left;
    if (k->run == s_kill && clear_host(f->id) && rc == SBX_OK)
        complain("killed, but it is there", NULL);
    if (k->run != s_create) return;
    left = clear_host(NULL);
    if (left > 1 || (rc == SBX_OK && left != 1)) complain("create: not one sandbox", NULL);
    if (rc != SBX_OK && f->error.may_exist == SBX_YES && !fault.calls[F_SEND])
        complain("create: may_exist, though nothing was sent", NULL);
}

typedef struct alive { uint32_t pids[64]; size_t n; } alive;

static int note_process(void *ctx, const sbx_process_info *info)
{
    alive *a = ctx;
    if (a->n < LEN(a->pids)) a->pids[a->n++] = info->pid;
    return SBX_OK;
}

/* Ends what a command that was given up left running. */
static void clear_processes(void)
{
    alive a;
    size_t i;
    int rc;
    memset(&a, 0, sizeof a);
    rc = sbx_command_list(box, note_process, &a, NULL);
    if (rc != SBX_OK) complain("the host does not list processes: ", sbx_status_name(rc));
    for (i = 0; i < a.n; i++) sbx_command_kill(box, a.pids[i], NULL, NULL);
}

static void settle(fx *f)
{
    size_t running = 1;
    unsigned i;
    fault.armed = false;
    for (i = 0; i < 50 && running && sbx_poll(f->client, 100, &running) == SBX_OK; i++) {}
    if (running) complain("something runs on in the background", NULL);
}

static void close_client(fx *f)
{
    sbx_sandbox_release(f->box);
    if (sbx_close(f->client) != SBX_OK) complain("sbx_close fails", NULL);
    if (fault.blocks) complain("memory was not freed", NULL);
}

/* How often each kind can strike, in *counts. */
static void count(const scenario *k, bool polled, unsigned long counts[KINDS])
{
    fx f;
    int rc;
    snprintf(row, sizeof row, "%s, %s", k->name, polled ? "polled" : "blocking");
    if (!open_client(&f, k, polled)) exit(1);
    fault.kind = KINDS;
    fault.armed = true;
    rc = k->run(&f);
    fault.armed = false;
    if (rc != SBX_OK) complain("fails without a fault: ", f.error.message);
    memcpy(counts, fault.calls, sizeof fault.calls);
    counts[F_CUT] = counts[F_RESET] = fault.bytes;
    close_client(&f);
    check_host(&f, k, rc);
}

static void name_row(const scenario *k, bool polled, int kind, unsigned long at, bool on)
{
    snprintf(row, sizeof row, "%s, %s, %s %lu%s", k->name, polled ? "polled" : "blocking",
        kinds[kind].name, at, on ? " on" : "");
}

/* True: the fault was reached. */
static bool inject(const scenario *k, bool polled, int kind, unsigned long at, bool on)
{
    unsigned long before = complaints;
    char why[400];
    fx f;
    int rc;
    name_row(k, polled, kind, at, on);
    alarm(60);
    if (!open_client(&f, k, polled)) exit(1);
    fault.kind = kind;
    fault.at = at;
    fault.on = on;
    fault.armed = true;
    rc = k->run(&f);
    if (!allowed(rc)) {
        snprintf(why, sizeof why, "%s (%s)", sbx_status_name(rc), f.error.message);
        complain("no status of this fault: ", why);
    }
    if (!fault.hits && rc != SBX_OK) complain("it fails without the fault: ", f.error.message);
    if (on && kind <= F_RECV && f.error.sandbox_alive == SBX_YES && rc != SBX_OK)
        complain("nothing comes through, but sandbox_alive", NULL);
    settle(&f);
    check_host(&f, k, rc);
    if (k->run == s_background && rc != SBX_OK) clear_processes();
    rc = k->run(&f);
    if (rc != SBX_OK) complain("afterwards it fails: ", f.error.message);
    check_host(&f, k, rc);
    close_client(&f);
    injections += fault.hits != 0;
    failed += complaints != before;
    alarm(0);
    return fault.hits != 0;
}

static uint32_t random_state;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

static bool wanted(const scenario *k, bool polled, int kind, unsigned long at, bool on)
{
    if (at % shards != shard) return false;
    name_row(k, polled, kind, at, on);
    return !strncmp(row, only, strlen(only));
}

/* All places, or about as many of them as `share` thousandths of one place. A run
   that is longer than the counted one has more places. */
static void inject_kind(const scenario *k, bool polled, int kind, unsigned long size, bool on,
    uint32_t share)
{
    static time_t shown;
    const unsigned long first = kind == F_CUT || kind == F_RESET ? 0 : 1;
    unsigned long at = first, end = first + size + shards;
    for (; !share && at < end && complaints < 200; at++) {
        if (wanted(k, polled, kind, at, on) && inject(k, polled, kind, at, on))
            end = SBXI_MAX(end, at + 1 + shards);
        if (time(NULL) < shown + 5) continue;
        shown = time(NULL);
        fprintf(stderr, "fault live: %s, %lu injections, %lu failed\n", row, injections, failed);
    }
    if (share && size && random_below(1000) < share)
        inject(k, polled, kind, first + random_below((uint32_t)size), on);
}

static void on_alarm(int sig)
{
    ssize_t n = write(1, "FAIL it hangs: ", 15);
    (void)sig;
    n += write(1, row, strlen(row));
    n += write(1, "\n", 1);
    _exit(n < 0 ? 2 : 1);
}

void __asan_on_error(void);
void __asan_on_error(void) { fprintf(stderr, "FAIL it crashes: %s\n", row); }

int main(int argc, char **argv)
{
    const char *seed = argc > 1 ? argv[1] : "1";
    uint32_t many = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 300;
    uint32_t groups = (uint32_t)LEN(scenarios) * 2 * KINDS * 2, share = many * 1000 / groups;
    const scenario *k;
    int kind, way, on;
    if (argc > 3) only = argv[3];
    if (getenv("SBX_SHARD")) sscanf(getenv("SBX_SHARD"), "%lu/%lu", &shard, &shards);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGALRM, on_alarm);
    random_state = (uint32_t)strtoul(seed, NULL, 10) * 2654435761u + 1;
    if (!strcmp(seed, "all")) share = 0;
    else if (!share) share = 1;
    sbxi_net_posix_init(&real, &real_home);
    if (!prepare()) return 1;
    for (k = scenarios; k < scenarios + LEN(scenarios); k++)
        for (way = 0; way < 2; way++) {
            unsigned long counts[KINDS];
            count(k, way == 1, counts);
            for (kind = 0; kind < KINDS; kind++)
                for (on = 0; on < (kind == F_EARLY ? 1 : 2); on++)
                    inject_kind(k, way == 1, kind, counts[kind], on == 1, share);
        }
    snprintf(row, sizeof row, "the end");
    clear_host(NULL);
    sbx_sandbox_kill(box, NULL, NULL);
    sbx_sandbox_release(box);
    sbx_close(admin);
    if (complaints && !failed) failed = 1;
    printf("fault live: %lu injections, %lu failed\n", injections, failed);
    return failed || !injections;
}
