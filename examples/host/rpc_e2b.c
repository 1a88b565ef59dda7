/* sandboxd: the Connect protocol with its JSON codec: unary calls, and streams
   of envelopes (1 flag byte, 4 bytes of length, payload). */
#include "envd_e2b.h"

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

/* A stream's request is exactly one envelope. */
static bool unwrap(req *r, const char **json, size_t *len)
{
    const unsigned char *p = (const unsigned char *)r->body.p;
    size_t n;

    if (r->body.len < 5) {
        rpc_error(r, RPC_INVALID, "protocol error: incomplete envelope: the request has %zu bytes",
                  r->body.len);
        return false;
    }
    n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0] & 1) {
        rpc_error(r, RPC_INTERNAL, "protocol error: sent compressed message without compression "
                  "support");
        return false;
    }
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

/* ---- routing ---- */
static void run_filesystem(req *r)
{
    filesystem_call(r, r->segments[1]);
}

static void run_process(req *r)
{
    process_call(r, r->segments[1]);
}

static bool type_is(const char *have, const char *want)
{
    size_t n = strcspn(have ? have : "", "; ");

    return n == strlen(want) && !strncasecmp(have, want, n);
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
        r->h = &process;
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
    } else if (!type_is(type, want)) {
        reply_plain(r, 415, "unsupported media type");
        if (r->response)
            add_header(r->response, "Accept-Post", want);
    }
    r->rpc_stream = stream;
    return true;
}
