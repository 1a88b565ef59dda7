/* sandboxd: process.Process: starting commands and streaming their output. */
#include "envd_e2b.h"
#include "fault.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define KEEPALIVE_S 90
#define EVENT_OVERHEAD 64       /* of an output event around its base64, and envelope */

/* ---- the event stream ---- */
typedef struct stream {
    req *r;
    sub *s;
    text pending;               /* rendered, not yet sent */
    size_t sent;
    bool finished;
    int fd;
    int64_t keepalive_ms, deadline, spoke_at;
} stream;

static void event(stream *st, const char *json)
{
    rpc_envelope(&st->pending, 0, json, strlen(json));
}

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
    rpc_envelope(&st->pending, 0, t.p, t.len);
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

/* Waits for news. False: the client left. */
static bool wait_for_news(stream *st)
{
    struct pollfd p[2] = { { st->s->event, POLLIN, 0 }, { st->fd, POLLRDHUP, 0 } };
    int64_t now = mono_ms(), until = st->spoke_at + st->keepalive_ms;
    uint64_t count;

    if (st->deadline && st->deadline < until)
        until = st->deadline;
    if (until > now && poll(p, 2, (int)(until - now)) > 0) {
        if (p[1].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
            return false;
        if (p[0].revents && read(st->s->event, &count, sizeof count) < 0)
            return true;
    }
    return true;
}

static void check_stream_clocks(stream *st)
{
    int64_t now = mono_ms();

    if (st->deadline && now >= st->deadline) {
        rpc_end_error(&st->pending, RPC_DEADLINE, "context deadline exceeded");
        st->finished = true;
    } else if (now - st->spoke_at >= st->keepalive_ms) {
        event(st, "{\"event\":{\"keepalive\":{}}}");
    }
}

static ssize_t send_pending(stream *st, char *buf, size_t max)
{
    size_t n = st->pending.len - st->sent;

    if (n > max)
        n = max;
    memcpy(buf, st->pending.p + st->sent, n);
    st->sent += n;
    if (st->sent == st->pending.len) {
        st->pending.len = 0;
        st->sent = 0;
    }
    st->spoke_at = mono_ms();
    return (ssize_t)n;
}

static ssize_t stream_more(stream *st, char *buf, size_t max)
{
    size_t used = 0, n, taken;
    sub_piece piece;

    for (;;) {
        if (st->pending.len)
            return send_pending(st, buf, max);
        if (st->finished)
            return MHD_CONTENT_READER_END_OF_STREAM;
        switch (sub_peek(st->s, &piece)) {
        case SUB_DATA:
            n = output_event(&piece, buf + used, max - used, &taken);
            if (n == 0 && used == 0)
                return MHD_CONTENT_READER_END_WITH_ERROR; /* no buffer to speak of */
            used += n;
            if (n > 0) {
                sub_take(st->s, taken);
                continue;
            }
            break;
        case SUB_WAIT:
            if (used > 0)
                break;
            if (!wait_for_news(st))
                return MHD_CONTENT_READER_END_WITH_ERROR;
            check_stream_clocks(st);
            continue;
        case SUB_END:
            end_event(st);
            rpc_envelope(&st->pending, 2, "{}", 2);
            st->finished = true;
            break;
        case SUB_DEADLINE:
            rpc_end_error(&st->pending, RPC_DEADLINE, "context deadline exceeded");
            st->finished = true;
            break;
        case SUB_LOST:
            if (used == 0)
                return MHD_CONTENT_READER_END_WITH_ERROR; /* cut: the sandbox is gone */
            break;
        }
        if (used > 0) {
            st->spoke_at = mono_ms();
            return (ssize_t)used;
        }
    }
}

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    stream *st = cls;
    ssize_t n;

    (void)pos;
    if (fault_ends(st->r))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = stream_more(st, buf, max);
    return n > 0 ? (ssize_t)fault_passes(st->r, buf, (size_t)n) : n;
}

static void stream_free(void *cls)
{
    stream *st = cls;

    sub_detach(st->s);
    text_free(&st->pending);
    free(st);
}

/* Takes over the reader. deadline: of the stream, 0 none. */
static void reply_stream(req *r, sub *s, int64_t deadline)
{
    const char *ping = req_header(r, "Keepalive-Ping-Interval");
    int64_t seconds = ping ? req_number(ping, 6) : KEEPALIVE_S;
    stream *st = xalloc(sizeof *st);
    struct MHD_Response *m;
    char start[80];

    st->r = r;
    st->s = s;
    st->fd = req_fd(r);
    st->keepalive_ms = (seconds > 0 ? seconds : KEEPALIVE_S) * 1000;
    st->deadline = deadline;
    st->spoke_at = mono_ms();
    snprintf(start, sizeof start, "{\"event\":{\"start\":{\"pid\":%d}}}", s->p->pid);
    event(st, start);
    m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, stream_read, st, stream_free);
    if (!m) {
        stream_free(st);
        return;
    }
    add_header(m, "Content-Type", "application/connect+json");
    add_header(m, "Connect-Accept-Encoding", "identity");
    reply(r, 200, m);
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
    else if (stage == SPAWN_AT_EXEC)
        rpc_error(r, RPC_INVALID, "error starting process '%.500s': %s", o->cmd, strerror(-err));
    else
        rpc_error(r, err == -EAGAIN || err == -ENOMEM || err == -EMFILE ? RPC_EXHAUSTED
                  : RPC_INTERNAL, "cannot start a process: %s", strerror(-err));
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
    if (jget(body, "pty", NULL)) {
        rpc_error(r, RPC_UNIMPLEMENTED, "not implemented by this host: PTY");
        return;
    }
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

/* The process a message selects; NULL after a reply. */
static proc *selected(req *r, const jnode *body)
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
    proc *p = ms < 0 ? NULL : selected(r, body);
    sub *s;

    if (!p)
        return;
    s = sub_attach(p);
    if (s)
        reply_stream(r, s, ms ? mono_ms() + ms : 0);
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

static void send_input(req *r, const jnode *body)
{
    const jnode *input = jget(body, "input", NULL), *data = jget(input, "stdin", NULL);
    sbx_base64 state = { 0 };
    unsigned char *raw;
    size_t n = 0;
    proc *p;
    int result;

    p = selected(r, body);
    if (!p)
        return;
    if (jget(input, "pty", NULL)) {
        rpc_error(r, RPC_INTERNAL, "error writing to tty: the process has none");
    } else if (!data || data->type != J_STRING) {
        rpc_error(r, RPC_INVALID, "input: stdin or pty is needed");
    } else {
        raw = xalloc(data->len / 4 * 3 + 4);
        if (sbx_base64_decode(&state, data->str, data->len, raw, &n) != SBX_OK ||
            sbx_base64_end(&state) != SBX_OK) {
            rpc_error(r, RPC_INVALID, "unmarshal message: stdin is not base64");
        } else if (!p->has_in) {
            rpc_error(r, RPC_INTERNAL, "error writing to stdin: stdin not enabled or closed");
        } else if ((result = proc_input(p, raw, n, req_fd(r))) != 0) {
            rpc_error(r, RPC_INTERNAL, "error writing to stdin: %s",
                      result == -EBADF ? "stdin not enabled or closed" : strerror(-result));
        } else {
            rpc_empty(r);
        }
        free(raw);
    }
    proc_unref(p);
}

static void close_stdin(req *r, const jnode *body)
{
    proc *p = selected(r, body);

    if (!p)
        return;
    if (!p->has_in || proc_close_input(p) != 0)
        rpc_error(r, RPC_INTERNAL, "error closing stdin: stdin not enabled or closed");
    else
        rpc_empty(r);
    proc_unref(p);
}

static void send_signal(req *r, const jnode *body)
{
    const jnode *sig = jget(body, "signal", NULL);
    proc *p = selected(r, body);
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
    void (*run)(req *r, const jnode *body); /* NULL: not offered */
} methods[] = {
    { "List", false, list }, { "Start", true, start }, { "Connect", true, connect_to },
    { "SendInput", false, send_input }, { "CloseStdin", false, close_stdin },
    { "SendSignal", false, send_signal }, { "Update", false, NULL }, { "StreamInput", true, NULL },
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

    if (!m->run) {
        rpc_error(r, RPC_UNIMPLEMENTED, "not implemented by this host: process.Process/%s", name);
        return;
    }
    if (rpc_body(r, &t))
        m->run(r, t.root);
    jtree_free(&t);
}
