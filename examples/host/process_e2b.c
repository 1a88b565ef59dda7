/* sandboxd: process.Process: starting commands and streaming their output. */
#include "envd_e2b.h"

#include <signal.h>
#include <sys/wait.h>

#define EVENT_OVERHEAD 64       /* of an output event around its base64, and envelope */

/* ---- the event stream ---- */
typedef struct stream { rpc_stream base; sub *s; } stream;

static void end_event(stream *st)
{
    int status = st->s->p->status;
    char words[80];
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "event");
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "end");
    sbx_json_begin_object(&w);
    if (WIFEXITED(status)) {
        snprintf(words, sizeof words, "exit status %d", WEXITSTATUS(status));
        if (WEXITSTATUS(status))
            json_num(&w, "exitCode", WEXITSTATUS(status));
        sbx_json_key(&w, "exited");
        sbx_json_bool(&w, true);
    } else {
        const char *name = strsignal(WTERMSIG(status));
        size_t n = (size_t)snprintf(words, sizeof words, "signal: %s%s", name ? name : "unknown",
                                    WCOREDUMP(status) ? " (core dumped)" : "");

        /* Go's names are the same words in lower case */
        for (size_t i = 8; i < n && i < sizeof words; i++)
            if (words[i] >= 'A' && words[i] <= 'Z')
                words[i] = (char)(words[i] + 32);
        json_num(&w, "exitCode", -1);
    }
    json_str(&w, "status", words);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        json_str(&w, "error", words);
    sbx_json_end_object(&w);
    sbx_json_end_object(&w);
    sbx_json_end_object(&w);
    rpc_envelope(&st->base.pending, 0, t.p, t.len);
    text_free(&t);
}

/* As many bytes of the piece as fit, as one event straight into the reply. */
static size_t output_event(const sub_piece *p, char *buf, size_t cap, size_t *taken)
{
    static const char *const names[] = { "", "stdout", "stderr", "pty" };
    size_t raw, n;
    char *at;

    if (cap < EVENT_OVERHEAD + 64)
        return 0;
    raw = (cap - EVENT_OVERHEAD) / 4 * 3;
    if (raw > p->len)
        raw = p->len;
    at = buf + 5;
    at += snprintf(at, EVENT_OVERHEAD, "{\"event\":{\"data\":{\"%s\":\"", names[p->kind]);
    at += sbx_base64_encode(at, p->data, raw);
    memcpy(at, "\"}}}", 4);
    at += 4;
    n = (size_t)(at - buf) - 5;
    buf[0] = 0;
    buf[1] = (char)(n >> 24);
    buf[2] = (char)(n >> 16);
    buf[3] = (char)(n >> 8);
    buf[4] = (char)n;
    *taken = raw;
    return n + 5;
}

static ssize_t next_output(rpc_stream *base, char *buf, size_t max)
{
    stream *st = (stream *)base;
    size_t used = 0, n, taken;
    sub_piece piece;
    sub_state state;

    while ((state = sub_peek(st->s, &piece)) == SUB_DATA) {
        n = output_event(&piece, buf + used, max - used, &taken);
        if (n == 0)
            return used > 0 ? (ssize_t)used : STEP_CUT; /* no buffer to speak of */
        used += n;
        sub_take(st->s, taken);
    }
    if (used > 0)
        return (ssize_t)used;
    if (state == SUB_WAIT)
        return STEP_WAIT;
    if (state == SUB_LOST)
        return STEP_CUT; /* the sandbox is gone */
    if (state == SUB_DEADLINE)
        rpc_end_error(&base->pending, RPC_DEADLINE, "context deadline exceeded");
    else {
        end_event(st);
        rpc_envelope(&base->pending, 2, "{}", 2);
    }
    base->finished = true;
    return 0;
}

static void stream_done(rpc_stream *base)
{
    sub_detach(((stream *)base)->s);
}

/* Takes over the reader. life: of the stream, 0 none. */
static void reply_stream(req *r, sub *s, int64_t life_ms)
{
    stream *st = xalloc(sizeof *st);
    char first[80];

    st->s = s;
    st->base.step = next_output;
    st->base.done = stream_done;
    st->base.ping = "{\"event\":{\"keepalive\":{}}}";
    st->base.event = s->event;
    snprintf(first, sizeof first, "{\"event\":{\"start\":{\"pid\":%d}}}", s->p->pid);
    rpc_stream_reply(r, &st->base, first, life_ms);
}

/* ---- calls ---- */
static bool string_pairs(req *r, const jnode *map, pair_list *out)
{
    if (map && map->type != J_OBJECT) {
        rpc_error(r, RPC_INVALID, "'envs' must be an object of strings");
        return false;
    }
    for (const jnode *n = map ? map->first : NULL; n; n = n->next) {
        if (!jtext(n) || !n->key[0] || strchr(n->key, '=')) {
            rpc_error(r, RPC_INVALID, "'envs' must be an object of strings, names without '='");
            return false;
        }
        pairs_add(out, n->key, jtext(n));
    }
    return true;
}

static bool arguments(req *r, const jnode *list, proc_options *o)
{
    if (list && list->type != J_ARRAY) {
        rpc_error(r, RPC_INVALID, "'args' must be a list of strings");
        return false;
    }
    for (const jnode *n = list ? list->first : NULL; n; n = n->next)
        o->argc++;
    o->args = xalloc(sizeof *o->args * (o->argc + 1));
    o->argc = 0;
    for (const jnode *n = list ? list->first : NULL; n; n = n->next) {
        if (!jtext(n)) {
            rpc_error(r, RPC_INVALID, "'args' must be a list of strings without NUL");
            return false;
        }
        o->args[o->argc++] = n->str;
    }
    return true;
}

static void start_failed(req *r, int err, int stage, const proc_options *o, const char *cwd)
{
    if (err == -ENOKEY)
        rpc_error(r, RPC_UNAUTHENTICATED, "invalid username: '%s'", o->user);
    else if (err == -ENOTSUP && stage == SPAWN_AT_USER)
        rpc_error(r, RPC_UNIMPLEMENTED, "not implemented by this host: user '%s' on isolation "
                  "rung %d", o->user, conf.rung);
    else if (stage == SPAWN_AT_CWD && (err == -ENOENT || err == -ENOTDIR))
        rpc_error(r, RPC_INVALID, "cwd '%.1000s' does not exist", cwd);
    else if (stage == SPAWN_AT_CWD)
        rpc_error(r, RPC_INVALID, "cwd '%.1000s': %s", cwd, strerror(-err));
    else if (stage == SPAWN_AT_PTY)
        rpc_error(r, RPC_INTERNAL, "no terminal to be had in this sandbox: %s", strerror(-err));
    else if (stage == SPAWN_AT_EXEC)
        rpc_error(r, RPC_INVALID, "error starting process '%.500s': %s", o->cmd, strerror(-err));
    else
        rpc_error(r, err == -EAGAIN || err == -ENOMEM || err == -EMFILE ? RPC_EXHAUSTED
                  : RPC_INTERNAL, "cannot start a process: %s", strerror(-err));
}

/* {"size":{"cols":N,"rows":N}}; false after a reply. */
static bool terminal(req *r, const jnode *pty, proc_options *o)
{
    const jnode *size = jget(pty, "size", NULL);
    const jnode *cols = jget(size, "cols", NULL), *rows = jget(size, "rows", NULL);

    o->pty = pty != NULL;
    if ((pty && pty->type != J_OBJECT) || (size && size->type != J_OBJECT) ||
        (cols && (cols->type != J_INT || cols->num < 0 || cols->num > UINT16_MAX)) ||
        (rows && (rows->type != J_INT || rows->num < 0 || rows->num > UINT16_MAX))) {
        rpc_error(r, RPC_INVALID, "pty: size.cols and size.rows are numbers up to %u", UINT16_MAX);
        return false;
    }
    o->cols = cols ? (uint16_t)cols->num : 0;
    o->rows = rows ? (uint16_t)rows->num : 0;
    return true;
}

static void start(req *r, const jnode *body)
{
    const jnode *config = jget(body, "process", NULL), *in = jget(body, "stdin", NULL);
    const jnode *cwd = jget(config, "cwd", NULL), *tag = jget(body, "tag", NULL);
    pair_list envs = { 0 };
    proc_options o = { .envs = &envs };
    char user[64], where[FS_PATH + 512] = "";
    sub *reader;
    proc *p;
    int stage, result;

    o.cmd = jtext(jget(config, "cmd", NULL));
    o.cwd = cwd ? jtext(cwd) : NULL;
    o.tag = tag ? jtext(tag) : NULL;
    o.user = user;
    o.want_stdin = !in || in->num;
    o.life_ms = rpc_timeout(r);
    if (o.life_ms < 0 || !rpc_user(r, user, sizeof user))
        return;
    if (!o.cmd || !o.cmd[0] || (cwd && !o.cwd) || (tag && !o.tag) || (in && in->type != J_BOOL)) {
        rpc_error(r, RPC_INVALID, "invalid process: cmd, cwd and tag are strings, stdin a boolean");
        return;
    }
    if (!terminal(r, jget(body, "pty", NULL), &o))
        return;
    if (arguments(r, jget(config, "args", NULL), &o) &&
        string_pairs(r, jget(config, "envs", NULL), &envs)) {
        result = proc_start(r->b, &o, &p, &reader, &stage, where, sizeof where);
        if (result == 0) {
            reply_stream(r, reader, 0);
            proc_unref(p);
        } else if (!box_running(r->b)) {
            reply_gone(r, r->b->id);
        } else {
            start_failed(r, result, stage, &o, where);
        }
    }
    free(o.args);
    pairs_free(&envs);
}

proc *process_selected(req *r, const jnode *body)
{
    const jnode *sel = jget(body, "process", NULL), *pid = jget(sel, "pid", NULL);
    const char *tag = jtext(jget(sel, "tag", NULL));
    proc *p;

    if (!tag && (!pid || pid->type != J_INT)) {
        rpc_error(r, RPC_INVALID, "process selector: pid or tag is needed");
        return NULL;
    }
    p = proc_find(r->b, pid ? pid->num : 0, tag);
    if (!p && tag)
        rpc_error(r, RPC_NOT_FOUND, "process with tag %.200s not found", tag);
    else if (!p)
        rpc_error(r, RPC_NOT_FOUND, "process with pid %lld not found", (long long)pid->num);
    return p;
}

static void connect_to(req *r, const jnode *body)
{
    int64_t ms = rpc_timeout(r);
    proc *p = ms < 0 ? NULL : process_selected(r, body);
    sub *s;

    if (!p)
        return;
    s = sub_attach(p);
    if (s)
        reply_stream(r, s, ms);
    else
        rpc_error(r, RPC_EXHAUSTED, "no descriptors left on this host");
    proc_unref(p);
}

static void list(req *r, const jnode *body)
{
    sbx_json_writer w;
    text t = { 0 };

    (void)body;
    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "processes");
    sbx_json_begin_array(&w);
    pthread_mutex_lock(&r->b->lock);
    for (const proc *p = r->b->procs; p; p = p->next) {
        if (p->pid <= 0 || p->ended)
            continue;
        sbx_json_begin_object(&w);
        sbx_json_key(&w, "config");
        sbx_json_begin_object(&w);
        json_str(&w, "cmd", p->cmd);
        sbx_json_key(&w, "args");
        sbx_json_begin_array(&w);
        for (size_t i = 0; i < p->argc; i++)
            json_str(&w, NULL, p->args[i]);
        sbx_json_end_array(&w);
        sbx_json_key(&w, "envs");
        sbx_json_begin_object(&w);
        for (size_t i = 0; i < p->envs.count; i++)
            json_str(&w, p->envs.keys[i], p->envs.values[i]);
        sbx_json_end_object(&w);
        if (p->cwd)
            json_str(&w, "cwd", p->cwd);
        sbx_json_end_object(&w);
        json_num(&w, "pid", p->pid);
        if (p->tag)
            json_str(&w, "tag", p->tag);
        sbx_json_end_object(&w);
    }
    pthread_mutex_unlock(&r->b->lock);
    sbx_json_end_array(&w);
    sbx_json_end_object(&w);
    rpc_reply(r, &t);
}

static void update(req *r, const jnode *body)
{
    const jnode *pty = jget(body, "pty", NULL);
    proc *p = process_selected(r, body);
    proc_options o = { 0 };
    int result;

    if (!p)
        return;
    if (terminal(r, pty, &o)) {
        result = pty ? proc_resize(p, o.cols, o.rows) : 0;
        if (result == -ENOTTY)
            rpc_error(r, RPC_INTERNAL, "error resizing tty: tty not assigned to process");
        else if (result != 0)
            rpc_error(r, RPC_INTERNAL, "error resizing tty: %s", strerror(-result));
        else
            rpc_empty(r);
    }
    proc_unref(p);
}

static void send_signal(req *r, const jnode *body)
{
    const jnode *sig = jget(body, "signal", NULL);
    proc *p = process_selected(r, body);
    int number = 0;

    if (!p)
        return;
    if (sig && sig->type == J_STRING)
        number = !strcmp(sig->str, "SIGNAL_SIGKILL") ? SIGKILL
                 : !strcmp(sig->str, "SIGNAL_SIGTERM") ? SIGTERM : 0;
    else if (sig && sig->type == J_INT)
        number = sig->num == SIGKILL ? SIGKILL : sig->num == SIGTERM ? SIGTERM : 0;
    if (!number)
        rpc_error(r, RPC_UNIMPLEMENTED, "invalid signal: SIGNAL_SIGKILL and SIGNAL_SIGTERM only");
    else if (proc_signal(p, number) != 0)
        rpc_error(r, RPC_NOT_FOUND, "process with pid %d not found", p->pid);
    else
        rpc_empty(r);
    proc_unref(p);
}

static const struct method {
    const char *name;
    bool stream;
    void (*run)(req *r, const jnode *body);
} methods[] = {
    { "List", false, list }, { "Start", true, start }, { "Connect", true, connect_to },
    { "SendInput", false, process_send_input }, { "CloseStdin", false, process_close_stdin },
    { "SendSignal", false, send_signal }, { "Update", false, update },
    { "StreamInput", true, NULL }, /* has a handler of its own, as its body is a stream */
};

static const struct method *find(const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (!strcmp(methods[i].name, name))
            return &methods[i];
    return NULL;
}

bool process_has(const char *name, bool *stream)
{
    const struct method *m = find(name);

    *stream = m && m->stream;
    return m != NULL;
}

void process_call(req *r, const char *name)
{
    const struct method *m = find(name);
    jtree t;

    if (rpc_body(r, &t))
        m->run(r, t.root);
    jtree_free(&t);
}
