/* fault_test - everything that can fail does: for each scenario and each way of
   running it, the n-th allocation, open, send, recv, wait and entropy call fails,
   once and from then on, for every n until the scenario runs through; and every
   response is cut at every byte. After each: an expected status, out-pointers NULL,
   the same client does the scenario again without faults, and nothing is left.
   SBX_FAULT=all: each place in each way; else it is a seed, and where calls are alike
   only some fail. SBX_SHARD=i/n: of all every n-th, from i on. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "../unit/op_peer.h"
#include "../test.h"
#include <strings.h>

static unsigned long injections, bad_injections;
static bool whole;
static unsigned long seed = 1, shard, shards = 1;

__attribute__((constructor)) static void read_environment(void)
{
    const char *s = getenv("SBX_FAULT");
    whole = s && strcmp(s, "all") == 0;
    if (s && !whole) seed = strtoul(s, NULL, 10);
    s = getenv("SBX_SHARD");
    if (s) sscanf(s, "%lu/%lu", &shard, &shards);
    if (shard >= shards) exit(2);
}

static bool mine(unsigned long n) { return n % shards == shard; }

/* ---- what the peer answers, by path ---------------------------------------------- */

enum { R_CREATE, R_INFO, R_PAGE1, R_PAGE2, R_DELETE, R_HEALTH, R_START, R_READ, R_WRITE, R_STAT,
    R_MKDIR, R_MOVE, R_LIST, R_PROCS, R_SIGNAL, R_COUNT };

#define ENTRY "{\"entry\":{\"name\":\"f\",\"path\":\"/d/f\",\"type\":\"FILE_TYPE_FILE\"," \
    "\"metadata\":{\"a\":\"\\u0041\"}}}"

static const turn all_turns[R_COUNT] = {
    [R_CREATE] = { .expect = "POST /v2/sandboxes ", .status = 201, .body = "{\"sandboxID\":\"new1\","
        "\"envdVersion\":\"0.6.4\",\"envdAccessToken\":\"t\\u0031\"}" },
    [R_INFO] = { .expect = "GET /sandboxes/", .status = 200, .body = "{\"sandboxID\":\"box1\","
        "\"envdVersion\":\"0.6.4\",\"metadata\":{\"k\":\"v\",\"l\":\"w\"}}", .chunk = 20 },
    [R_PAGE1] = { .expect = "GET /v2/sandboxes", .status = 200, .headers = "x-next-token: two\r\n",
        .body = "[{\"sandboxID\":\"a\"},{\"sandboxID\":\"b\",\"metadata\":{\"x\":\"y\"}}]",
        .lacks = "nextToken" },
    [R_PAGE2] = { .expect = "GET /v2/sandboxes", .status = 200, .body = "[{\"sandboxID\":\"c\"}]",
        .has = "nextToken=two" },
    [R_DELETE] = { .expect = "DELETE /sandboxes/", .status = 204 },
    [R_HEALTH] = { .expect = "GET /health ", .status = 204 },
    [R_START] = { .expect = "POST /process.Process/Start ", .status = 200, .chunk = 60 },
    [R_READ] = { .expect = "GET /files?", .status = 200, .body = "content of the file" },
    [R_WRITE] = { .expect = "POST /files", .status = 200,
        .body = "[{\"name\":\"f\",\"path\":\"/d/f\",\"type\":\"file\"}]", .lacks = "/filesystem." },
    [R_STAT] = { .expect = "POST /filesystem.Filesystem/Stat ", .status = 200, .body = ENTRY },
    [R_MKDIR] = { .expect = "POST /filesystem.Filesystem/MakeDir ", .status = 200, .body = ENTRY },
    [R_MOVE] = { .expect = "POST /filesystem.Filesystem/Move ", .status = 200, .body = ENTRY },
    [R_LIST] = { .expect = "POST /filesystem.Filesystem/ListDir ", .status = 200,
        .body = "{\"entries\":[{\"name\":\"f\",\"path\":\"/d/f\"},{\"name\":\"g\",\"path\":\"/d/g\"}]}" },
    [R_PROCS] = { .expect = "POST /process.Process/List ", .status = 200,
        .body = "{\"processes\":[{\"pid\":5,\"config\":{\"cmd\":\"sh\",\"args\":[\"-c\",\"x\"]}}]}" },
    [R_SIGNAL] = { .expect = "POST /process.Process/SendSignal ", .status = 200, .body = "{}" },
};

/* ---- a client with everything that scenarios use --------------------------------- */

typedef struct fx {
    peer *p;
    sbx_client *c;
    sbx_sandbox *s;
    turn turns[R_COUNT];
    ptext stream;
    sbx_error e;
    sbx_op *op;
    /* results */
    sbx_sandbox *made;
    sbx_sandbox_info *info;
    sbx_file_info *file;
    sbx_command_result res;
    char buf[64];
    sbx_memory memory;
    bool answer;
    size_t n;
    size_t pos[2];
} fx;

static int count_info(void *ctx, const sbx_sandbox_info *info)
{
    fx *f = ctx;
    f->n += info->id != NULL;
    return SBX_OK;
}

static int count_file(void *ctx, const sbx_file_info *info)
{
    fx *f = ctx;
    f->n += info->path != NULL;
    return SBX_OK;
}

static int count_process(void *ctx, const sbx_process_info *info)
{
    fx *f = ctx;
    f->n += info->pid == 5 && info->args.count == 2;
    return SBX_OK;
}

static const char file_data[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static int data_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    size_t *pos = ctx, n = sizeof file_data - 1 - *pos;
    if (n > 10) n = 10;
    if (n > cap) n = cap;
    memcpy(buf, file_data + *pos, n);
    *pos += n;
    *got = n;
    return SBX_OK;
}

static int data_rewind(void *ctx)
{
    *(size_t *)ctx = 0;
    return SBX_OK;
}

static sbx_source data_source(fx *f, int i, bool sized)
{
    sbx_source s;
    s.get = data_get;
    s.rewind = data_rewind;
    s.ctx = &f->pos[i];
    s.size = sized ? (int64_t)sizeof file_data - 1 : -1;
    f->pos[i] = 0;
    return s;
}

/* The last write arrived whole. */
static bool wrote(const fx *f, unsigned times)
{
    const prequest *q = &f->p->request[f->p->requests - 1];
    const char *at = q->body.p;
    unsigned n = 0;
    if (!f->p->requests || !q->whole || q->bad) return false;
    while (at && (at = strstr(at, file_data)) != NULL) at++, n++;
    return n == times;
}

/* ---- scenarios ------------------------------------------------------------------- */

static int s_create(fx *f, const sbx_call *call)
{
    static const sbx_pair pairs[] = { { "k", "v" }, { "key two", "value \xc3\xa4" } };
    sbx_sandbox_options o;
    memset(&o, 0, sizeof o);
    o.metadata.items = pairs;
    o.metadata.count = 2;
    return sbx_sandbox_create(f->c, &o, &f->made, call);
}
static bool g_create(fx *f)
{
    sbx_sandbox_access a;
    return f->made && strcmp(sbx_sandbox_id(f->made), "new1") == 0
        && sbx_sandbox_get_access(f->made, &a) == SBX_OK && strcmp(a.access_token, "t1") == 0;
}
static int s_keyed(fx *f, const sbx_call *call)
{
    sbx_sandbox_options o;
    memset(&o, 0, sizeof o);
    o.idempotent = SBX_YES;
    return sbx_sandbox_create(f->c, &o, &f->made, call);
}
static int s_run(fx *f, const sbx_call *call)
{
    sbx_command_options o;
    memset(&o, 0, sizeof o);
    o.capture_limit = 1000;
    return sbx_command_run(f->s, "make all", &o, &f->res, call);
}
static bool g_run(fx *f)
{
    return f->res.exit_code == 3 && f->res.pid == 77 && f->res.out && f->res.err
        && strcmp(f->res.out, "hello again") == 0 && strcmp(f->res.err, "oh") == 0;
}
static int s_list(fx *f, const sbx_call *call)
{
    f->n = 0;
    return sbx_sandbox_list(f->c, NULL, NULL, count_info, f, call);
}
static bool g_list(fx *f) { return f->n == 3; }
static int s_query(fx *f, const sbx_call *call)
{
    static const sbx_pair pairs[] = { { "k", "v/w x" } };
    static sbx_page page;
    sbx_sandbox_query q;
    memset(&q, 0, sizeof q);
    memset(&page, 0, sizeof page);
    q.metadata.items = pairs;
    q.metadata.count = 1;
    q.started_after_unix_ms = 1000;
    f->n = 0;
    return sbx_sandbox_list(f->c, &q, &page, count_info, f, call);
}
static bool g_query(fx *f) { return f->n == 2; }
static int s_info(fx *f, const sbx_call *call)
{
    return sbx_sandbox_get_info(f->s, &f->info, call);
}
static bool g_info(fx *f)
{
    return f->info && strcmp(f->info->id, "box1") == 0 && f->info->metadata.count == 2
        && strcmp(f->info->metadata.items[1].value, "w") == 0;
}
static int s_read(fx *f, const sbx_call *call)
{
    memset(&f->memory, 0, sizeof f->memory);
    f->memory.data = f->buf;
    f->memory.cap = sizeof f->buf;
    return sbx_files_read(f->s, "/d/f", NULL, sbx_sink_memory(&f->memory), call);
}
static bool g_read(fx *f)
{
    return f->memory.len == 19 && memcmp(f->buf, "content of the file", 19) == 0;
}
static int s_multipart(fx *f, const sbx_call *call)
{
    return sbx_files_write_bytes(f->s, "/d/f", file_data, sizeof file_data - 1, NULL, &f->file,
        call);
}
static bool g_write(fx *f) { return f->file && strcmp(f->file->path, "/d/f") == 0 && wrote(f, 1); }
static int s_raw(fx *f, const sbx_call *call)
{
    return sbx_files_write(f->s, "/d/f", data_source(f, 0, true), NULL, &f->file, call);
}
static int s_chunked(fx *f, const sbx_call *call)
{
    return sbx_files_write(f->s, "/d/f", data_source(f, 0, false), NULL, &f->file, call);
}
static int s_many(fx *f, const sbx_call *call)
{
    sbx_file_write w[2];
    w[0].path = "/d/f";
    w[1].path = "/d/g";
    w[0].from = data_source(f, 0, true);
    w[1].from = data_source(f, 1, true);
    f->n = 0;
    return sbx_files_write_many(f->s, w, 2, NULL, count_file, f, call);
}
static bool g_many(fx *f) { return f->n == 1 && wrote(f, 2); }
static int s_stat(fx *f, const sbx_call *call)
{
    return sbx_files_stat(f->s, "/d/f", NULL, &f->file, call);
}
static bool g_stat(fx *f)
{
    return f->file && strcmp(f->file->name, "f") == 0 && f->file->metadata.count == 1
        && strcmp(f->file->metadata.items[0].value, "A") == 0;
}
static int s_rename(fx *f, const sbx_call *call)
{
    return sbx_files_rename(f->s, "/a", "/d/f", NULL, &f->file, call);
}
static int s_make_dir(fx *f, const sbx_call *call)
{
    f->answer = false;
    return sbx_files_make_dir(f->s, "/d", NULL, &f->answer, call);
}
static bool g_answer(fx *f) { return f->answer; }
static int s_list_dir(fx *f, const sbx_call *call)
{
    f->n = 0;
    return sbx_files_list(f->s, "/d", NULL, count_file, f, call);
}
static bool g_list_dir(fx *f) { return f->n == 2; }
static int s_processes(fx *f, const sbx_call *call)
{
    f->n = 0;
    return sbx_command_list(f->s, count_process, f, call);
}
static bool g_processes(fx *f) { return f->n == 1; }
static int s_signal(fx *f, const sbx_call *call)
{
    f->answer = false;
    return sbx_command_kill(f->s, 5, &f->answer, call);
}
static int s_kill(fx *f, const sbx_call *call)
{
    f->answer = false;
    return sbx_sandbox_kill(f->s, &f->answer, call);
}

typedef struct scenario {
    const char *name;
    int (*start)(fx *f, const sbx_call *call);
    bool (*good)(fx *f);
    int reply[2];           /* that are cut; -1: none */
    bool unknown;           /* the sandbox's credentials are fetched first */
} scenario;

static const scenario scenarios[] = {
    { "create", s_create, g_create, { R_CREATE, -1 }, false },
    { "create with a made key", s_keyed, g_create, { R_CREATE, -1 }, false },
    { "run with capture", s_run, g_run, { R_START, -1 }, false },
    { "run after fetching access", s_run, g_run, { R_INFO, R_START }, true },
    { "list all pages", s_list, g_list, { R_PAGE1, R_PAGE2 }, false },
    { "list one page", s_query, g_query, { R_PAGE1, -1 }, false },
    { "get_info", s_info, g_info, { R_INFO, -1 }, false },
    { "read", s_read, g_read, { R_READ, -1 }, false },
    { "write multipart", s_multipart, g_write, { R_WRITE, -1 }, false },
    { "write raw", s_raw, g_write, { R_WRITE, -1 }, false },
    { "write chunked", s_chunked, g_write, { R_WRITE, -1 }, true },
    { "write many", s_many, g_many, { R_WRITE, -1 }, false },
    { "stat", s_stat, g_stat, { R_STAT, -1 }, false },
    { "rename", s_rename, g_stat, { R_MOVE, -1 }, false },
    { "make_dir", s_make_dir, g_answer, { R_MKDIR, -1 }, false },
    { "list directory", s_list_dir, g_list_dir, { R_LIST, -1 }, false },
    { "list processes", s_processes, g_processes, { R_PROCS, -1 }, false },
    { "kill a process", s_signal, g_answer, { R_SIGNAL, -1 }, false },
    { "kill", s_kill, g_answer, { R_DELETE, -1 }, false },
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* ---- ways of running -------------------------------------------------------------- */

enum { W_BLOCKING, W_POLLED, W_BYTES, W_WOULD_BLOCK, WAYS };
static const char *const way_names[WAYS] = { "blocking", "polled", "1-byte", "would-block" };
static const bool way_polls[WAYS] = { false, true, false, true };

static void fx_open(fx *f, const scenario *k, int way)
{
    sbx_config g;
    sbx_sandbox_access a;
    size_t i;
    memset(f, 0, sizeof *f);
    f->p = peer_new();
    f->p->limit = 300000;
    memcpy(f->turns, all_turns, sizeof all_turns);
    pt_envelope(&f->stream, 0, "{\"event\":{\"start\":{\"pid\":77}}}");
    pt_envelope(&f->stream, 0, "{\"event\":{\"data\":{\"stdout\":\"aGVsbG8g\"}}}");
    pt_envelope(&f->stream, 0, "{\"event\":{\"data\":{\"stderr\":\"b2g=\"}}}");
    pt_envelope(&f->stream, 0, "{\"event\":{\"data\":{\"stdout\":\"YWdhaW4=\"}}}");
    pt_envelope(&f->stream, 0, "{\"event\":{\"end\":{\"exitCode\":3,\"status\":\"exit status 3\"}}}");
    pt_envelope(&f->stream, 2, "{}");
    f->turns[R_START].body = f->stream.p;
    f->turns[R_START].body_len = f->stream.len;
    for (i = 0; i < R_COUNT; i++) f->turns[i].always = true;
    peer_script(f->p, f->turns, R_COUNT);
    f->p->send_max = f->p->recv_max = way == W_BYTES ? 1 : 0;
    f->p->would_block = way == W_WOULD_BLOCK;
    g = peer_config(f->p);
    CHECK_INT(sbx_open(&f->c, &g), SBX_OK);
    memset(&a, 0, sizeof a);
    a.access_token = "tok";
    a.daemon_version = "0.6.4";
    CHECK_INT(sbx_sandbox_attach(f->c, "box1", k->unknown ? NULL : &a, &f->s), SBX_OK);
}

static void fx_close(fx *f)
{
    sbx_sandbox_release(f->s);
    CHECK_INT(sbx_close(f->c), SBX_OK);
    CHECK_STR(f->p->complaint, "");
    CHECK_INT(f->p->heap.blocks, 0);
    CHECK(!f->p->heap.wrong_size);
    CHECK_INT(f->p->live, 0);
    pt_free(&f->stream);
    peer_free(f->p);
}

static void fx_drop(fx *f)
{
    sbx_sandbox_release(f->made);
    sbx_free(f->info);
    sbx_free(f->file);
    sbx_free(f->res.out);
    sbx_free(f->res.err);
    f->made = NULL;
    f->info = NULL;
    f->file = NULL;
    memset(&f->res, 0, sizeof f->res);
}

static int polls(fx *f)
{
    unsigned failed = 0;
    while (sbx_op_status(f->op) == SBX_PENDING && !f->p->stuck) {
        if (sbx_poll(f->c, 60000, NULL) != SBX_OK && ++failed > 40) sbx_op_cancel(f->op);
    }
    return sbx_op_status(f->op);
}

/* One run of a scenario; what must hold whatever happened is checked here. */
static int fx_run(fx *f, const scenario *k, int way)
{
    sbx_call call;
    int rc;
    memset(&call, 0, sizeof call);
    memset(&f->e, 0, sizeof f->e);
    f->made = (sbx_sandbox *)f; /* must be set by the call */
    f->info = (sbx_sandbox_info *)f;
    f->file = (sbx_file_info *)f;
    memset(&f->res, 0x55, sizeof f->res);
    if (k->start != s_create && k->start != s_keyed) f->made = NULL;
    if (k->start != s_info) f->info = NULL;
    if (k->good != g_write && k->good != g_stat) f->file = NULL;
    if (k->start != s_run) memset(&f->res, 0, sizeof f->res);
    call.error = &f->e;
    f->op = NULL;
    if (way_polls[way]) call.op = &f->op;
    rc = k->start(f, &call);
    if (way_polls[way]) CHECK((rc == SBX_PENDING) == (f->op != NULL));
    if (rc == SBX_PENDING) {
        rc = polls(f);
        sbx_op_release(f->op);
        f->op = NULL;
    }
    if (rc == SBX_OK) {
        CHECK(k->good(f));
    } else {
        CHECK(rc < 0 && strcmp(sbx_status_name(rc), "SBX_E_?") != 0);
        CHECK_INT(f->e.status, rc);
        CHECK(f->e.message[0] != 0);
        CHECK(!f->made && !f->info && !f->file && !f->res.out && !f->res.err);
        CHECK_INT(f->res.pid, 0);
    }
    fx_drop(f);
    return rc;
}

static bool is_in(int rc, const int *list)
{
    for (; *list; list++)
        if (*list == rc) return true;
    return rc == SBX_OK;
}

/* Without faults the same client does it again. */
static void fx_heal(fx *f, const scenario *k, int way)
{
    size_t i;
    memset(f->p->fail_at, 0, sizeof f->p->fail_at);
    f->p->heap.fail_at = 0;
    for (i = 0; i < R_COUNT; i++) f->turns[i].cut = 0;
    CHECK_INT(fx_run(f, k, way), SBX_OK);
}

/* ---- injections ------------------------------------------------------------------- */

enum { K_ALLOC = P_KINDS, KINDS };
static const char *const kind_names[KINDS] = { "open", "send", "recv", "wait", "entropy", "alloc" };
static const int allowed[KINDS][6] = {
    { SBX_E_CONNECT, SBX_E_UNREACHABLE, 0 },
    { SBX_E_NETWORK, SBX_E_UNREACHABLE, 0 },
    { SBX_E_NETWORK, SBX_E_UNREACHABLE, 0 },
    { SBX_E_NETWORK, SBX_E_CANCELLED, 0 },
    { SBX_E_ENTROPY, 0 },
    { SBX_E_NOMEM, 0 },
};

static void judge(unsigned long before)
{
    injections++;
    bad_injections += test_failures != before;
}

/* True: the fault was reached. */
static bool inject(const scenario *k, int way, int kind, unsigned long n, bool on)
{
    unsigned long before = test_failures, hit;
    char row[160];
    fx f;
    int rc;
    snprintf(row, sizeof row, "%s, %s, %s %lu%s", k->name, way_names[way], kind_names[kind], n,
        on ? " on" : "");
    test_row = row;
    fx_open(&f, k, way);
    if (kind == K_ALLOC) {
        f.p->heap.fail_at = f.p->heap.calls + n;
        f.p->heap.fail_on = on;
    } else {
        f.p->fail_at[kind] = f.p->calls[kind] + n;
        f.p->fail_on[kind] = on;
    }
    rc = fx_run(&f, k, way);
    hit = f.p->failed + f.p->heap.failed;
    if (!is_in(rc, allowed[kind])) {
        CHECK_STR(sbx_status_name(rc), "one of the allowed");
    }
    if (!hit) CHECK_INT(rc, SBX_OK);
    fx_heal(&f, k, way);
    fx_close(&f);
    if (hit) judge(before);
    test_row = NULL;
    return hit != 0;
}

static void inject_all(const scenario *k, int way)
{
    /* byte by byte most calls are alike: of the later ones a sample */
    const unsigned long many = whole || way != W_BYTES ? 100000 : 40 + seed % 7;
    int kind, on;
    unsigned long n;
    for (kind = 0; kind < KINDS; kind++)
        for (on = 0; on < 2; on++)
            for (n = 1; n < 100000 && test_failures <= 20; n += n < many ? 1 : 7)
                if (mine(n) && !inject(k, way, kind, n, on)) break;
}

/* The reply ends after n bytes: closed, and then reset. True: it was longer. */
static bool cut_at(const scenario *k, int way, int reply, size_t n, bool reset)
{
    static const int fine[] = { SBX_E_NETWORK, SBX_E_UNREACHABLE, 0 };
    unsigned long before = test_failures;
    char row[160];
    ptext whole = { 0 };
    bool longer;
    fx f;
    int rc;
    fx_open(&f, k, way);
    peer_build(&whole, &f.turns[reply]);
    longer = n < whole.len;
    pt_free(&whole);
    snprintf(row, sizeof row, "%s, %s, reply cut at %u%s", k->name, way_names[way], (unsigned)n,
        reset ? ", reset" : "");
    test_row = row;
    f.turns[reply].cut = n + 1;
    f.turns[reply].reset = reset;
    rc = fx_run(&f, k, way);
    if (!is_in(rc, fine)) CHECK_STR(sbx_status_name(rc), "one of the allowed");
    /* only a command whose end has come, and answers without content, are whole
       before their last byte */
    if (rc == SBX_OK && longer) CHECK(k->start == s_run);
    if ((k->start == s_create || k->start == s_keyed) && rc != SBX_OK)
        CHECK_INT(f.e.may_exist, SBX_YES);
    f.turns[reply].reset = false;
    fx_heal(&f, k, way);
    fx_close(&f);
    if (longer) judge(before);
    test_row = NULL;
    return longer;
}

static void cut_all(const scenario *k, int way)
{
    int i, reset;
    size_t n;
    for (i = 0; i < 2 && k->reply[i] >= 0; i++)
        for (reset = 0; reset < 2; reset++)
            for (n = 0; n < 100000 && test_failures <= 20; n++)
                if (mine(n) && !cut_at(k, way, k->reply[i], n, reset)) break;
}

TEST(scenarios_without_faults)
{
    int i, way;
    for (i = 0; i < SCENARIOS; i++)
        for (way = 0; way < WAYS; way++) {
            fx f;
            char row[80];
            snprintf(row, sizeof row, "%s, %s", scenarios[i].name, way_names[way]);
            test_row = row;
            fx_open(&f, &scenarios[i], way);
            CHECK_INT(fx_run(&f, &scenarios[i], way), SBX_OK);
            fx_heal(&f, &scenarios[i], way);
            fx_close(&f);
        }
    test_row = NULL;
}

TEST(opening)
{
    unsigned long n;
    int on;
    for (on = 0; on < 2 && shard == 0; on++)
        for (n = 1; n < 100; n++) {
            unsigned long before = test_failures;
            static const sbx_pair extra = { "X-A", "b" };
            peer *p = peer_new();
            sbx_config g = peer_config(p);
            sbx_error e;
            sbx_client *c = (sbx_client *)&g;
            int rc;
            bool hit;
            g.error = &e;
            g.headers.items = &extra;
            g.headers.count = 1;
            p->heap.fail_at = n;
            p->heap.fail_on = on;
            rc = sbx_open(&c, &g);
            hit = p->heap.failed != 0;
            if (rc != SBX_OK) {
                CHECK_INT(rc, SBX_E_NOMEM);
                CHECK_INT(e.status, SBX_E_NOMEM);
                CHECK(!c);
                c = NULL;
            }
            CHECK_INT(sbx_close(c), SBX_OK);
            CHECK_INT(p->heap.blocks, 0);
            peer_free(p);
            if (!hit) {
                CHECK_INT(rc, SBX_OK);
                break;
            }
            judge(before);
        }
}

static void run_way(int way)
{
    int i;
    for (i = 0; i < SCENARIOS && test_failures <= 20; i++) inject_all(&scenarios[i], way);
}

TEST(faults_blocking) { run_way(W_BLOCKING); }
TEST(faults_polled) { run_way(W_POLLED); }
TEST(faults_bytes) { run_way(W_BYTES); }
TEST(faults_would_block) { run_way(W_WOULD_BLOCK); }

TEST(cuts_at_every_byte)
{
    int i;
    for (i = 0; i < SCENARIOS && test_failures <= 20; i++) {
        cut_all(&scenarios[i], W_BLOCKING);
        cut_all(&scenarios[i], W_WOULD_BLOCK);
        if (whole) cut_all(&scenarios[i], W_POLLED);
        if (whole) cut_all(&scenarios[i], W_BYTES);
    }
}

TEST(summary)
{
    printf("fault unit: %lu injections, %lu failed\n", injections, bad_injections);
    CHECK(injections > 1000);
    CHECK_INT(bad_injections, 0);
}
