/* sandboxd: the Connect protocol with its JSON codec: unary calls, and streams
   of envelopes (1 flag byte, 4 bytes of length, payload). */
#include "envd_e2b.h"
#include "fault.h"

#include <poll.h>

#define KEEPALIVE_S 90

static const struct { const char *name; unsigned http; } codes[] = {
    [RPC_INVALID] = { "invalid_argument", 400 }, [RPC_NOT_FOUND] = { "not_found", 404 },
    [RPC_EXISTS] = { "already_exists", 409 }, [RPC_UNIMPLEMENTED] = { "unimplemented", 501 },
    [RPC_INTERNAL] = { "internal", 500 }, [RPC_DEADLINE] = { "deadline_exceeded", 504 },
    [RPC_EXHAUSTED] = { "resource_exhausted", 429 },
    [RPC_PRECONDITION] = { "failed_precondition", 400 },
    [RPC_DENIED] = { "permission_denied", 403 },
    [RPC_UNAUTHENTICATED] = { "unauthenticated", 401 },
};

void rpc_envelope(text *out, int flags, const char *json, size_t len)
{
    unsigned char head[5] = { (unsigned char)flags, (unsigned char)(len >> 24),
                              (unsigned char)(len >> 16), (unsigned char)(len >> 8),
                              (unsigned char)len };

    text_add(out, head, sizeof head);
    text_add(out, json, len);
}

static void error_object(sbx_json_writer *w, rpc_code code, const char *message)
{
    sbx_json_begin_object(w);
    json_str(w, "code", codes[code].name);
    json_str(w, "message", message);
    sbx_json_end_object(w);
}

void rpc_end_error(text *out, rpc_code code, const char *message)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "error");
    error_object(&w, code, message);
    sbx_json_end_object(&w);
    rpc_envelope(out, 2, t.p, t.len);
    text_free(&t);
}

void rpc_error(req *r, rpc_code code, const char *fmt, ...)
{
    char message[1400];
    sbx_json_writer w;
    text t = { 0 };
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (r->rpc_stream) {
        rpc_end_error(&t, code, message);
        reply_text(r, 200, "application/connect+json", &t);
        return;
    }
    sbx_json_writer_init(&w, text_sink(&t));
    error_object(&w, code, message);
    reply_text(r, codes[code].http, "application/json", &t);
}

void rpc_reply(req *r, text *t)
{
    if (t->cut) {
        text_free(t);
        rpc_error(r, RPC_EXHAUSTED, "the answer is too large");
        return;
    }
    reply_text(r, 200, "application/json", t);
    if (r->response)
        add_header(r->response, "Accept-Encoding", "identity");
}

void rpc_empty(req *r)
{
    text t = { 0 };

    text_str(&t, "{}");
    rpc_reply(r, &t);
}

void rpc_errno(req *r, int err, const char *path)
{
    rpc_code code = err == -ENOENT ? RPC_NOT_FOUND : err == -ENOTDIR || err == -EINVAL ||
                    err == -ENAMETOOLONG || err == -ELOOP || err == -EISDIR || err == -ENOTEMPTY
                    ? RPC_INVALID : err == -EACCES || err == -EPERM || err == -EROFS
                    ? RPC_DENIED : err == -ENOSPC || err == -EDQUOT ? RPC_EXHAUSTED
                    : RPC_INTERNAL;

    rpc_error(r, code, "%s: %.1000s", strerror(-err), path);
}

int64_t rpc_envelope_length(req *r, const unsigned char head[5])
{
    if (head[0] & 1) {
        rpc_error(r, RPC_INTERNAL, "protocol error: sent compressed message without compression "
                  "support");
        return -1;
    }
    return (int64_t)head[1] << 24 | (int64_t)head[2] << 16 | (int64_t)head[3] << 8 | head[4];
}

/* A stream's request is exactly one envelope. */
static bool unwrap(req *r, const char **json, size_t *len)
{
    const unsigned char *p = (const unsigned char *)r->body.p;
    int64_t promised;
    size_t n;

    if (r->body.len < 5) {
        rpc_error(r, RPC_INVALID, "protocol error: incomplete envelope: the request has %zu bytes",
                  r->body.len);
        return false;
    }
    promised = rpc_envelope_length(r, p);
    if (promised < 0)
        return false;
    n = (size_t)promised;
    if (n > r->body.len - 5) {
        rpc_error(r, RPC_INVALID, "protocol error: promised %zu bytes in enveloped message, got "
                  "%zu bytes", n, r->body.len - 5);
        return false;
    }
    if (n < r->body.len - 5) {
        rpc_error(r, RPC_INVALID, "protocol error: %zu bytes behind the only message",
                  r->body.len - 5 - n);
        return false;
    }
    *json = r->body.p + 5;
    *len = n;
    return true;
}

bool rpc_body(req *r, jtree *t)
{
    const char *json = r->body.p ? r->body.p : "";
    size_t len = r->body.len;

    memset(t, 0, sizeof *t);
    if (r->rpc_stream && !unwrap(r, &json, &len))
        return false;
    if (len == 0) {
        json = "{}"; /* an empty message */
        len = 2;
    }
    if (!jtree_parse(t, json, len)) {
        rpc_error(r, RPC_INVALID, "unmarshal message: %s", t->error);
        return false;
    }
    if (t->root->type != J_OBJECT) {
        rpc_error(r, RPC_INVALID, "unmarshal message: an object is expected");
        return false;
    }
    return true;
}

bool rpc_user(req *r, char *out, size_t cap)
{
    const char *h = req_header(r, "Authorization");
    sbx_base64 state = { 0 };
    char plain[400], *colon;
    size_t n;

    out[0] = '\0';
    if (!h || strncmp(h, "Basic ", 6))
        return true;
    h += 6;
    if (strlen(h) > 400 || sbx_base64_decode(&state, h, strlen(h), plain, &n) != SBX_OK ||
        sbx_base64_end(&state) != SBX_OK) {
        rpc_error(r, RPC_UNAUTHENTICATED, "invalid Authorization header");
        return false;
    }
    plain[n] = '\0';
    colon = strchr(plain, ':');
    if (colon)
        *colon = '\0';
    snprintf(out, cap, "%s", plain);
    return true;
}

int64_t rpc_timeout(req *r)
{
    const char *h = req_header(r, "Connect-Timeout-Ms");
    int64_t ms = h ? req_number(h, 10) : 0;

    if (ms < 0) {
        rpc_error(r, RPC_INVALID, "protocol error: invalid Connect-Timeout-Ms header");
        return -1;
    }
    return ms;
}

/* ---- streamed answers ---- */

/* Waits for news. False: the client left. */
static bool wait_for_news(rpc_stream *st)
{
    struct pollfd p[2] = { { st->event, POLLIN, 0 }, { st->client, POLLRDHUP, 0 } };
    int64_t now = mono_ms(), until = st->spoke_at + st->keepalive_ms;
    uint64_t count;

    if (st->deadline && st->deadline < until)
        until = st->deadline;
    if (until > now && poll(p, 2, (int)(until - now)) > 0) {
        if (p[1].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
            return false;
        if (p[0].revents && read(st->event, &count, sizeof count) < 0)
            return true;
    }
    return true;
}

static ssize_t send_pending(rpc_stream *st, char *buf, size_t max)
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

static ssize_t stream_more(rpc_stream *st, char *buf, size_t max)
{
    for (;;) {
        ssize_t n;

        if (st->pending.len)
            return send_pending(st, buf, max);
        if (st->finished)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (st->deadline && mono_ms() >= st->deadline) {
            rpc_end_error(&st->pending, RPC_DEADLINE, "context deadline exceeded");
            st->finished = true;
            continue;
        }
        n = st->step(st, buf, max);
        if (n > 0) {
            st->spoke_at = mono_ms();
            return n;
        }
        if (n == STEP_CUT || (n == STEP_WAIT && !wait_for_news(st)))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (n == STEP_WAIT && mono_ms() - st->spoke_at >= st->keepalive_ms)
            rpc_envelope(&st->pending, 0, st->ping, strlen(st->ping));
    }
}

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    rpc_stream *st = cls;
    ssize_t n;

    (void)pos;
    if (fault_ends(st->r))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = stream_more(st, buf, max);
    return n > 0 ? (ssize_t)fault_passes(st->r, buf, (size_t)n) : n;
}

static void stream_free(void *cls)
{
    rpc_stream *st = cls;

    st->done(st);
    text_free(&st->pending);
    free(st);
}

void rpc_stream_reply(req *r, rpc_stream *st, const char *first, int64_t life_ms)
{
    const char *ping = req_header(r, "Keepalive-Ping-Interval");
    int64_t seconds = ping ? req_number(ping, 6) : KEEPALIVE_S;
    struct MHD_Response *m;

    st->r = r;
    st->client = req_fd(r);
    st->keepalive_ms = (seconds > 0 ? seconds : KEEPALIVE_S) * 1000;
    st->spoke_at = mono_ms();
    st->deadline = life_ms ? st->spoke_at + life_ms : 0;
    rpc_envelope(&st->pending, 0, first, strlen(first));
    m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, stream_read, st, stream_free);
    if (!m) {
        stream_free(st);
        return;
    }
    add_header(m, "Content-Type", "application/connect+json");
    add_header(m, "Connect-Accept-Encoding", "identity");
    reply(r, 200, m);
}

/* ---- routing ---- */
static void run_filesystem(req *r)
{
    filesystem_call(r, r->segments[1]);
}

static void run_process(req *r)
{
    process_call(r, r->segments[1]);
}

bool rpc_route(req *r)
{
    static const handler fs = { "POST", "", run_filesystem, NULL, NULL, false };
    static const handler process = { "POST", "", run_process, NULL, NULL, false };
    const char *type = req_header(r, "Content-Type"), *want;
    bool stream = false, known;

    if (r->segment_count != 2)
        return false;
    if (!strcmp(r->segments[0], "filesystem.Filesystem")) {
        known = filesystem_has(r->segments[1], &stream);
        r->h = &fs;
    } else if (!strcmp(r->segments[0], "process.Process")) {
        known = process_has(r->segments[1], &stream);
        r->h = strcmp(r->segments[1], "StreamInput") ? &process : &process_stream_input;
    } else {
        return false;
    }
    if (!known)
        return false;
    want = stream ? "application/connect+json" : "application/json";
    if (strcmp(r->method, "POST")) {
        reply_plain(r, 405, "method not allowed");
        if (r->response)
            add_header(r->response, "Allow", "POST");
    } else if (!req_type_is(type, want)) {
        reply_plain(r, 415, "unsupported media type");
        if (r->response)
            add_header(r->response, "Accept-Post", want);
    }
    r->rpc_stream = stream;
    return true;
}
