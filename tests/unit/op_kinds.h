/* op_kinds.h - every kind of call as one table: how it is started, and a transcript
   of what came of it, so that ways of running can be compared. Include it after
   op_rig.h. */
#ifndef SBX_OP_KINDS_H
#define SBX_OP_KINDS_H

#define KINDS(X) \
    X(CREATE) X(CREATE_KEYED) X(CONNECT) X(INFO) X(LIST) X(SET_TIMEOUT) X(KILL) X(RUNNING) \
    X(COMMAND) X(CAPTURE) X(PROCESSES) X(SIGNAL) X(READ) X(WRITE) X(WRITE_SIZED) \
    X(WRITE_BYTES) X(WRITE_MANY) X(DIR) X(STAT) X(EXISTS) X(REMOVE) X(RENAME) X(MKDIR) \
    X(PROC) X(PULL) X(WATCH)

#define KIND_ENUM(name) K_##name,
enum { KINDS(KIND_ENUM) K_COUNT };
#define KIND_NAME(name) #name,
static const char *const kind_names[] = { KINDS(KIND_NAME) };

/* One call and all it needs. */
typedef struct slot {
    rig *r;
    int kind;
    sbx_sandbox *box;       /* whose call it is */
    sbx_op *op;
    sbx_error e;
    unsigned refuse;        /* sinks and sources answer AGAIN so many times */
    unsigned left;
    unsigned callbacks, done;
    int status;
    void (*hook)(struct slot *); /* called first in every callback */
    struct slot *other;     /* for the hook */
    int action;
    unsigned at;            /* the hook acts at this callback */
    ptext out[3];           /* stdout or file, stderr, items */
    well w[2];
    sbx_file_write files[2];
    sbx_sandbox *made;
    sbx_sandbox_info *info;
    sbx_file_info *file;
    sbx_command_result res;
    bool yes;
    int stage;              /* of a handle: its calls follow each other */
    sbx_proc *proc;
    sbx_watch *watch;
    sbx_proc_event piece;
    sbx_proc_part part;     /* the last one */
    bool killed;
} slot;

static int slot_stage(slot *s, const sbx_call *call);

/* Wakes what sleeps: the call, or the stream of its handle. */
static PEER_UNUSED void slot_wake(slot *s)
{
    if (s->op && s->op->asleep) sbx_op_wake(s->op);
    if (s->proc && s->proc->stream && s->proc->stream->asleep) sbx_proc_wake(s->proc);
}

static void slot_let_go(slot *s)
{
    sbx_proc_release(s->proc);
    sbx_watch_release(s->watch);
    s->proc = NULL;
    s->watch = NULL;
}

/* Who ends the call in a callback wants nothing more of its handle either. */
static void slot_called(slot *s)
{
    bool had = s->op != NULL;
    s->callbacks++;
    if (s->hook) s->hook(s);
    if (had && (!s->op || s->op->cancelled)) slot_let_go(s);
}

static int slot_put(slot *s, int id, const void *data, size_t len)
{
    slot_called(s);
    if (s->left) {
        s->left--;
        return SBX_E_AGAIN;
    }
    s->left = s->refuse;
    pt_add(&s->out[id], data, len);
    return SBX_OK;
}

static int slot_out(void *ctx, const void *data, size_t len) { return slot_put(ctx, 0, data, len); }
static int slot_err(void *ctx, const void *data, size_t len) { return slot_put(ctx, 1, data, len); }

static int slot_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    slot *s = ctx;
    slot_called(s);
    return well_get(&s->w[0], buf, cap, got);
}

static int slot_get_second(void *ctx, void *buf, size_t cap, size_t *got)
{
    slot *s = ctx;
    slot_called(s);
    return well_get(&s->w[1], buf, cap, got);
}

static int slot_rewind(void *ctx)
{
    slot *s = ctx;
    slot_called(s);
    return well_rewind(&s->w[0]);
}

static int slot_rewind_second(void *ctx)
{
    slot *s = ctx;
    slot_called(s);
    return well_rewind(&s->w[1]);
}

static int slot_sandbox(void *ctx, const sbx_sandbox_info *i)
{
    slot *s = ctx;
    slot_called(s);
    pt_format(&s->out[2], "%s;", i->id);
    return SBX_OK;
}

static int slot_process(void *ctx, const sbx_process_info *i)
{
    slot *s = ctx;
    slot_called(s);
    pt_format(&s->out[2], "%u %s;", (unsigned)i->pid, i->cmd);
    return SBX_OK;
}

static int slot_file(void *ctx, const sbx_file_info *i)
{
    slot *s = ctx;
    slot_called(s);
    pt_format(&s->out[2], "%s;", i->path);
    return SBX_OK;
}

static void slot_started(void *ctx, uint32_t pid)
{
    slot *s = ctx;
    slot_called(s);
    pt_format(&s->out[2], "pid %u;", (unsigned)pid);
}

/* Whether another call follows: made with the handle that came of the first. */
static bool slot_goes_on(slot *s)
{
    if (s->kind == K_PULL && s->stage == 1 && s->piece.part != SBX_PROC_END) {
        if (s->piece.part != s->part) pt_format(&s->out[2], "%d:", (int)s->piece.part);
        s->part = s->piece.part;
        pt_add(&s->out[2], s->piece.data, s->piece.len);
        return true;
    }
    s->stage++;
    return (s->proc || s->watch) && s->stage < (s->kind == K_PROC ? 4 : 3);
}

static void slot_done(void *user, sbx_op *op, int status)
{
    slot *s = user;
    if (s->op && status == SBX_OK && slot_goes_on(s)) {
        sbx_call k;
        slot_called(s);
        if (!s->op) return;
        memset(&k, 0, sizeof k);
        k.error = &s->e;
        k.done = slot_done;
        k.user = s;
        k.op = &s->op;
        sbx_op_release(op);
        CHECK_INT(slot_stage(s, &k), SBX_PENDING);
        return;
    }
    s->done++;
    s->status = status;
    slot_called(s);
}

static sbx_source slot_source(slot *s, int i, bool sized)
{
    sbx_source from;
    s->w[i].data = i ? "the second file" : "0123456789";
    s->w[i].len = strlen(s->w[i].data);
    s->w[i].piece = 4;
    s->w[i].refuse = s->w[i].left = s->refuse;
    from.get = i ? slot_get_second : slot_get;
    from.rewind = i ? slot_rewind_second : slot_rewind;
    from.ctx = s;
    from.size = sized ? (int64_t)s->w[i].len : -1;
    return from;
}

static int slot_command(slot *s, const sbx_call *call)
{
    sbx_command_options o;
    memset(&o, 0, sizeof o);
    if (s->kind == K_COMMAND) {
        o.out.put = slot_out;
        o.err.put = slot_err;
        o.out.ctx = o.err.ctx = o.started_ctx = s;
        o.started = slot_started;
    } else {
        o.capture_limit = 5;
    }
    return sbx_command_run(s->box, "x", &o, &s->res, call);
}

static int slot_write_many(slot *s, const sbx_call *call)
{
    s->files[0].path = "/a";
    s->files[0].from = slot_source(s, 0, true);
    s->files[1].path = "/b";
    s->files[1].from = slot_source(s, 1, true);
    return sbx_files_write_many(s->box, s->files, 2, NULL, slot_file, s, call);
}

static int slot_create(slot *s, const sbx_call *call)
{
    sbx_sandbox_options o;
    memset(&o, 0, sizeof o);
    if (s->kind == K_CREATE_KEYED) o.idempotency_key = "key-1";
    return sbx_sandbox_create(s->r->c, &o, &s->made, call);
}

static int slot_event(void *ctx, const sbx_watch_event *e)
{
    slot *s = ctx;
    slot_called(s);
    pt_format(&s->out[2], "%s;", e->name);
    return SBX_OK;
}

static int slot_begin(slot *s, const sbx_call *call)
{
    sbx_command_options o;
    sbx_watch_options w;
    memset(&o, 0, sizeof o);
    memset(&w, 0, sizeof w);
    w.mode = SBX_WATCH_ASK;
    w.interval_ms = SBX_NEVER;
    if (s->kind == K_WATCH)
        return sbx_files_watch(s->box, "/d", &w, slot_event, s, &s->watch, call);
    o.pull = s->kind == K_PULL ? SBX_YES : SBX_NO;
    o.out.put = slot_out;
    o.err.put = slot_err;
    o.out.ctx = o.err.ctx = o.started_ctx = s;
    o.started = slot_started;
    return sbx_command_start(s->box, "x", &o, &s->proc, call);
}

/* The next call of a kind that has several. */
static int slot_stage(slot *s, const sbx_call *call)
{
    if (s->stage == 0) return slot_begin(s, call);
    if (s->kind == K_WATCH)
        return s->stage == 1 ? sbx_watch_poll(s->watch, call) : sbx_watch_stop(s->watch, call);
    if (s->kind == K_PULL && s->stage == 1) return sbx_proc_next(s->proc, &s->piece, call);
    if (s->kind == K_PROC && s->stage == 1) return sbx_proc_write(s->proc, "in", 2, call);
    if (s->kind == K_PROC && s->stage == 2) return sbx_proc_kill(s->proc, &s->killed, call);
    return sbx_proc_wait(s->proc, &s->res, call);
}

static int slot_stages(slot *s, const sbx_call *call)
{
    int rc;
    if (call->op) return slot_stage(s, call);
    do rc = slot_stage(s, call);
    while (rc == SBX_OK && slot_goes_on(s));
    return rc;
}

/* Starts it; blocking runs it to its end. */
static int slot_start(slot *s, bool blocking)
{
    sbx_call k, *call = &k;
    sbx_sink sink;
    memset(&k, 0, sizeof k);
    k.error = &s->e;
    k.done = slot_done;
    k.user = s;
    if (!blocking) k.op = &s->op;
    s->left = s->refuse;
    sink.put = slot_out;
    sink.ctx = s;
    switch (s->kind) {
    case K_CREATE: case K_CREATE_KEYED: return slot_create(s, call);
    case K_CONNECT: return sbx_sandbox_connect(s->box, 60, &s->yes, call);
    case K_INFO: return sbx_sandbox_get_info(s->box, &s->info, call);
    case K_LIST: return sbx_sandbox_list(s->r->c, NULL, NULL, slot_sandbox, s, call);
    case K_SET_TIMEOUT: return sbx_sandbox_set_timeout(s->box, 9, call);
    case K_KILL: return sbx_sandbox_kill(s->box, &s->yes, call);
    case K_RUNNING: return sbx_sandbox_is_running(s->box, &s->yes, call);
    case K_COMMAND: case K_CAPTURE: return slot_command(s, call);
    case K_PROCESSES: return sbx_command_list(s->box, slot_process, s, call);
    case K_SIGNAL: return sbx_command_kill(s->box, 5, &s->yes, call);
    case K_READ: return sbx_files_read(s->box, "/f", NULL, sink, call);
    case K_WRITE: case K_WRITE_SIZED:
        return sbx_files_write(s->box, "/f", slot_source(s, 0, s->kind == K_WRITE_SIZED), NULL,
            &s->file, call);
    case K_WRITE_BYTES: return sbx_files_write_bytes(s->box, "/f", "abc", 3, NULL, &s->file, call);
    case K_WRITE_MANY: return slot_write_many(s, call);
    case K_DIR: return sbx_files_list(s->box, "/d", NULL, slot_file, s, call);
    case K_STAT: return sbx_files_stat(s->box, "/d/f", NULL, &s->file, call);
    case K_EXISTS: return sbx_files_exists(s->box, "/d/f", NULL, &s->yes, call);
    case K_REMOVE: return sbx_files_remove(s->box, "/d/f", NULL, call);
    case K_PROC: case K_PULL: case K_WATCH: return slot_stages(s, call);
    case K_RENAME: return sbx_files_rename(s->box, "/d/e", "/d/f", NULL, &s->file, call);
    default: return sbx_files_make_dir(s->box, "/d", NULL, &s->yes, call);
    }
}

/* All that came of it, as one text. */
static void slot_tell(const slot *s, int status, ptext *t)
{
    t->len = 0;
    pt_format(t, "%s: %s yes %d made %s info %s file %s", kind_names[s->kind],
        sbx_status_name(status), s->yes, s->made ? sbx_sandbox_id(s->made) : "-",
        s->info ? s->info->id : "-", s->file ? s->file->path : "-");
    pt_format(t, " exit %d %u %s out '%s' %d err '%s' %d", (int)s->res.exit_code,
        (unsigned)s->res.pid, s->res.reason, s->res.out ? s->res.out : "", (int)s->res.out_cut,
        s->res.err ? s->res.err : "", (int)s->res.err_cut);
    pt_format(t, " sinks '%s' '%s' items '%s'", s->out[0].p ? s->out[0].p : "",
        s->out[1].p ? s->out[1].p : "", s->out[2].p ? s->out[2].p : "");
}

static bool slot_is_empty(const slot *s)
{
    static const sbx_command_result none;
    return !s->made && !s->info && !s->file && !s->yes && !memcmp(&s->res, &none, sizeof none);
}

static void slot_free(slot *s)
{
    int i;
    sbx_op_release(s->op);
    s->op = NULL;
    slot_let_go(s);
    sbx_sandbox_release(s->made);
    sbx_free(s->info);
    sbx_free(s->file);
    sbx_free(s->res.out);
    sbx_free(s->res.err);
    for (i = 0; i < 3; i++) pt_free(&s->out[i]);
}

/* ---- what the peer answers ---------------------------------------------------------- */

#define KIND_ENTRY "{\"entry\":{\"name\":\"f\",\"path\":\"/d/f\",\"type\":\"FILE_TYPE_FILE\"}}"
#define FREELY .always = true, .used = 1

static const turn kind_turns[] = {
    { T_START, 200, .chunk = 50, FREELY },      /* its body is set by kinds_begin() */
    { "POST /v2/sandboxes ", 201, 0, CREATED, FREELY },
    { "POST /v2/sandboxes/", 201, 0, CREATED, .has = "/connect ", FREELY },
    { "GET /sandboxes/", 200, 0, "{\"sandboxID\":\"box1\",\"envdVersion\":\"0.6.4\","
        "\"envdAccessToken\":\"tok\"}", .chunk = 30, FREELY },
    { "GET /v2/sandboxes", 200, "X-Next-Token: two\r\n", "[{\"sandboxID\":\"a\"},"
        "{\"sandboxID\":\"b\"}]", .lacks = "nextToken", FREELY },
    { "GET /v2/sandboxes", 200, 0, "[{\"sandboxID\":\"c\"}]", .has = "nextToken=two", FREELY },
    { "POST /sandboxes/", 204, .has = "/timeout ", FREELY },
    { "DELETE /sandboxes/", 204, FREELY },
    { "GET /health ", 204, FREELY },
    { "POST /process.Process/List ", 200, 0, "{\"processes\":[{\"pid\":5,\"config\":"
        "{\"cmd\":\"sh\"}},{\"pid\":6,\"config\":{\"cmd\":\"ls\"}}]}", FREELY },
    { "POST /process.Process/SendSignal ", 200, 0, "{}", FREELY },
    { T_READ, 200, 0, "some content of a file", .chunk = 9, FREELY },
    { T_FILES, 200, 0, "[{\"name\":\"a\",\"path\":\"/a\",\"type\":\"file\"},"
        "{\"name\":\"b\",\"path\":\"/b\",\"type\":\"file\"}]", FREELY },
    { "POST /files ", 200, 0, "[{\"name\":\"a\",\"path\":\"/a\",\"type\":\"file\"},"
        "{\"name\":\"b\",\"path\":\"/b\",\"type\":\"file\"}]", FREELY },
    { "POST /filesystem.Filesystem/ListDir ", 200, 0, "{\"entries\":[{\"name\":\"f\",\"path\":"
        "\"/d/f\"},{\"name\":\"g\",\"path\":\"/d/g\"}]}", FREELY },
    { "POST /process.Process/SendInput ", 200, 0, "{}", FREELY },
    { "POST /filesystem.Filesystem/CreateWatcher ", 200, 0, "{\"watcherId\":\"w\"}", FREELY },
    { "POST /filesystem.Filesystem/GetWatcherEvents ", 200, 0, "{\"events\":[{\"name\":\"a\"},"
        "{\"name\":\"b\"}]}", FREELY },
    { "POST /filesystem.Filesystem/RemoveWatcher ", 200, 0, "{}", FREELY },
    { "POST /filesystem.Filesystem/Remove ", 200, 0, "{}", FREELY },
    { "POST /filesystem.Filesystem/", 200, 0, KIND_ENTRY, FREELY },
};
enum { KIND_TURNS = sizeof kind_turns / sizeof kind_turns[0], KIND_EXTRA = 2 };

/* A rig with a peer that answers every kind, after `extra` turns of the test. */
typedef struct kinds {
    rig r;
    turn turns[KIND_EXTRA + KIND_TURNS];
    ptext stream;
    sbx_sandbox *strange;   /* credentials are not known yet */
} kinds;

static PEER_UNUSED void kinds_begin(kinds *k, const turn *extra, size_t n)
{
    static const char *const outs[] = { "hello ", "an error", "world" };
    memset(k, 0, sizeof *k);
    if (n) memcpy(k->turns, extra, n * sizeof *extra);
    memcpy(k->turns + n, kind_turns, sizeof kind_turns);
    stream_of(&k->stream, outs, 3);
    k->turns[n].body = k->stream.p;
    k->turns[n].body_len = k->stream.len;
    rig_start(&k->r);
    peer_script(k->r.p, k->turns, n + KIND_TURNS);
}

static PEER_UNUSED void kinds_open(kinds *k)
{
    rig_open(&k->r);
    CHECK_INT(sbx_sandbox_attach(k->r.c, "box1", NULL, &k->strange), SBX_OK);
}

static PEER_UNUSED void kinds_end(kinds *k)
{
    sbx_sandbox_release(k->strange);
    rig_end(&k->r);
    pt_free(&k->stream);
}

static PEER_UNUSED void slot_init(slot *s, kinds *k, int kind, bool strange)
{
    memset(s, 0, sizeof *s);
    s->r = &k->r;
    s->kind = kind;
    s->box = strange ? k->strange : k->r.s;
}

/* The transcript of a kind that runs alone, blocking, on a perfect connection. */
static PEER_UNUSED const char *kind_alone(int kind)
{
    static ptext told[K_COUNT];
    if (!told[kind].p) {
        kinds k;
        slot s;
        int status;
        kinds_begin(&k, NULL, 0);
        kinds_open(&k);
        slot_init(&s, &k, kind, false);
        status = slot_start(&s, true);
        CHECK_INT(status, SBX_OK);
        slot_tell(&s, status, &told[kind]);
        slot_free(&s);
        kinds_end(&k);
    }
    return told[kind].p;
}

#endif
