/* sandboxd: the glue to libmicrohttpd. One thread a connection; handlers may
   block. Which service a request is for is decided by its host and headers, as
   the provider's edge does. */
#include "envd_e2b.h"
#include "fault.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sys/socket.h>
#if __has_include(<gnutls/gnutls.h>) /* then it is linked, too: Makefile */
#include <gnutls/gnutls.h>
#define HOST_GNUTLS
#endif

#define CONNECTION_MEMORY (160u << 10)
#define CONNECTION_IDLE_S 640
#define CONNECTION_LIMIT 4000
#define KEEP_READING (8u << 20)         /* of a body whose answer is known */
#define THROW_AWAY_MAX (4ull << 30)

static struct MHD_Daemon *server;

/* ---- request ---- */
const char *req_header(req *r, const char *name)
{
    return MHD_lookup_connection_value(r->c, MHD_HEADER_KIND, name);
}

const char *req_query(req *r, const char *name, bool *bad)
{
    const char *value = NULL;
    size_t len = 0;

    if (MHD_lookup_connection_value_n(r->c, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
                                      &len) != MHD_YES)
        return NULL;
    if (!value)
        return "";
    if (strlen(value) != len)
        *bad = true;
    return value;
}

bool req_type_is(const char *have, const char *want)
{
    size_t n = strcspn(have ? have : "", "; ");

    return n == strlen(want) && !strncasecmp(have, want, n);
}

int64_t req_number(const char *s, int max_digits)
{
    int64_t v = 0;
    int n = 0;

    for (; s && s[n]; n++) {
        if (s[n] < '0' || s[n] > '9' || n >= max_digits)
            return -1;
        v = v * 10 + (s[n] - '0');
    }
    return n > 0 ? v : -1;
}

int req_fd(req *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->c, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info ? (int)info->connect_fd : -1;
}

void req_idle(req *r, int64_t ms)
{
    MHD_set_connection_option(r->c, MHD_CONNECTION_OPTION_TIMEOUT,
                              ms > 0 ? (unsigned)((ms + 999) / 1000) : CONNECTION_IDLE_S);
}

/* False: a segment cannot be decoded. */
static bool split_path(req *r)
{
    const char *at = r->target;

    while (*at == '/') {
        size_t n = strcspn(at + 1, "/");

        at++;
        if (r->segment_count == MAX_SEGMENTS)
            return false;
        if (n == 0 && at[n] == '\0')
            break; /* one trailing slash */
        r->segments[r->segment_count] = xalloc(n + 1);
        memcpy(r->segments[r->segment_count], at, n);
        if (!percent_decode(r->segments[r->segment_count++]))
            return false;
        at += n;
    }
    return *at == '\0' || *at == '/';
}

bool route_fits(const req *r, const char *pattern)
{
    size_t i = 0;

    for (; *pattern == '/'; i++) {
        size_t n = strcspn(pattern + 1, "/");

        pattern++;
        if (i >= r->segment_count)
            return false;
        if (!(n == 1 && pattern[0] == '*') &&
            (strlen(r->segments[i]) != n || memcmp(pattern, r->segments[i], n)))
            return false;
        pattern += n;
    }
    return i == r->segment_count;
}

int route_in(req *r, const handler *table, size_t n)
{
    int result = 0;

    for (size_t i = 0; i < n; i++) {
        if (!route_fits(r, table[i].pattern))
            continue;
        result = -1;
        if (!strcmp(table[i].method, "*") || !strcmp(table[i].method, r->method)) {
            r->h = &table[i];
            return 1;
        }
    }
    return result;
}

/* ---- replies ---- */
void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

void reply(req *r, unsigned status, struct MHD_Response *response)
{
    if (!response)
        return;
    if (r->replied) {
        MHD_destroy_response(response);
        return;
    }
    r->replied = true;
    r->status = status;
    r->response = response;
}

void reply_text(req *r, unsigned status, const char *type, text *t)
{
    struct MHD_Response *m;

    m = MHD_create_response_from_buffer(t->len, t->p ? t->p : "",
                                        t->p ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    memset(t, 0, sizeof *t);
    if (m && type)
        add_header(m, "Content-Type", type);
    reply(r, status, m);
}

void reply_plain(req *r, unsigned status, const char *words)
{
    text t = { 0 };

    text_str(&t, words);
    reply_text(r, status, "text/plain; charset=utf-8", &t);
}

void reply_empty(req *r, unsigned status)
{
    text t = { 0 };

    reply_text(r, status, NULL, &t);
}

void reply_error_code(req *r, unsigned status, const char *error_code, const char *message)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_num(&w, "code", status);
    if (error_code)
        json_str(&w, "error_code", error_code);
    json_str(&w, "message", message);
    sbx_json_end_object(&w);
    text_add(&t, "\n", 1);
    reply_text(r, status, "application/json; charset=utf-8", &t);
}

void reply_error(req *r, unsigned status, const char *fmt, ...)
{
    char message[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    reply_error_code(r, status, NULL, message);
}

/* ---- which service ---- */

/* The host without its port; "" if there is none or it is too long. */
static void host_name(req *r, char *out, size_t cap)
{
    const char *host = req_header(r, "Host");
    size_t n;

    out[0] = '\0';
    if (!host)
        return;
    if (host[0] == '[')
        n = strcspn(host, "]") + 1;
    else
        n = strcspn(host, ":");
    if (n >= cap || n > strlen(host))
        return;
    memcpy(out, host, n);
    out[n] = '\0';
}

static bool address_like(const char *host)
{
    struct in_addr a;

    return host[0] == '[' || !strcmp(host, "localhost") || !strncmp(host, "sandbox.", 8) ||
           inet_pton(AF_INET, host, &a) == 1;
}

/* PORT-ID as the left-most label of a name. */
static bool label_route(const char *host, char *port, char *id, size_t cap)
{
    size_t digits = strspn(host, "0123456789"), n;

    if (digits == 0 || digits > 5 || host[digits] != '-' || !strchr(host, '.'))
        return false;
    n = strcspn(host + digits + 1, "-.");
    if (n >= cap)
        n = cap - 1;
    memcpy(port, host, digits);
    port[digits] = '\0';
    memcpy(id, host + digits + 1, n);
    id[n] = '\0';
    return true;
}

struct framing { int lengths, codings, hosts; bool odd; };

static enum MHD_Result count_framing(void *cls, enum MHD_ValueKind kind, const char *key,
                                     const char *value)
{
    struct framing *f = cls;

    (void)kind;
    f->lengths += !strcasecmp(key, "Content-Length");
    f->hosts += !strcasecmp(key, "Host");
    if (!strcasecmp(key, "Transfer-Encoding")) {
        f->codings++;
        f->odd |= !value || strcasecmp(value, "chunked");
    }
    return MHD_YES;
}

/* libmicrohttpd 0.9.75 lets pass what another server could read otherwise. What
   it still accepts, and what is left to it: bare line feeds, folded header lines,
   blanks before a colon or twice in the request line, NUL in a header's value,
   chunk extensions. */
static bool one_framing(req *r)
{
    struct framing f = { 0, 0, 0, false };

    MHD_get_connection_values(r->c, MHD_HEADER_KIND, count_framing, &f);
    if (f.lengths + f.codings <= 1 && f.hosts <= 1 && !f.odd)
        return true;
    if (f.odd)
        reply_error(r, 501, "of transfer codings only chunked is known");
    else if (f.hosts > 1)
        reply_error(r, 400, "more than one Host");
    else
        reply_error(r, 400, "more than one of Content-Length and Transfer-Encoding");
    if (r->response)
        add_header(r->response, "Connection", "close");
    return false;
}

static void route(req *r)
{
    const char *id = req_header(r, "E2b-Sandbox-Id"), *port = req_header(r, "E2b-Sandbox-Port");
    char host[256], label_port[8], label_id[64];

    if (!one_framing(r))
        return;
    if (!split_path(r)) {
        reply_error(r, 400, "the path cannot be read");
        return;
    }
    host_name(r, host, sizeof host);
    if (!address_like(host) && label_route(host, label_port, label_id, sizeof label_id)) {
        envd_route(r, label_id, label_port);
    } else if (id || port) {
        if (id && port)
            envd_route(r, id, port);
        else
            reply_plain(r, 400, "missing header");
    } else if (!files_signed_route(r)) {
        control_route(r);
    }
}

/* ---- libmicrohttpd's callbacks ---- */
static void *on_uri(void *unused, const char *uri, struct MHD_Connection *c)
{
    req *r = xalloc(sizeof *r);
    size_t n = strcspn(uri, "?");

    (void)unused;
    r->c = c;
    r->at_ms = mono_ms();
    r->target = xalloc(n + 1);
    memcpy(r->target, uri, n);
    r->query = xstrdup(uri + n);
    r->body.limit = BODY_MAX;
    return r;
}

static void on_completed(void *unused, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
    req *r = *state;

    (void)unused;
    (void)c;
    if (!r)
        return;
    *state = NULL;
    if (r->started) {
        log_at(1, "%-6s %s %u %dms%s%s%s", r->method, r->target, r->sent ? r->status : 0,
               (int)(mono_ms() - r->at_ms), r->box_id[0] ? " " : "", r->box_id,
               why == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" :
               why == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED ? " (client silent)" :
               " (cut)");
    }
    if (r->state_free)
        r->state_free(r);
    if (r->response)
        MHD_destroy_response(r->response);
    if (r->b)
        box_unref(r->b);
    for (size_t i = 0; i < r->segment_count; i++)
        free(r->segments[i]);
    text_free(&r->body);
    free(r->target);
    free(r->query);
    free(r);
}

static enum MHD_Result send_reply(req *r)
{
    enum MHD_Result result;

    if (!r->response)
        reply_error(r, 500, "out of memory");
    if (!r->response || fault_drops(r))
        return MHD_NO;
    r->sent = true;
    result = MHD_queue_response(r->c, r->status, r->response);
    MHD_destroy_response(r->response);
    r->response = NULL;
    return result;
}

/* An early answer goes out before the body only where reading it makes no sense. */
static bool answer_at_once(req *r)
{
    const char *length = req_header(r, "Content-Length");

    const char *coding = req_header(r, "Transfer-Encoding");

    return req_header(r, "Expect") || (coding && strcasecmp(coding, "chunked")) ||
           (length && strtoull(length, NULL, 10) > KEEP_READING);
}

/* A client with little memory asks for short records (max_fragment_length); GnuTLS agrees
   and, in 3.7 at least, forgets that for what it sends when the handshake is over. */
static void keep_records_short(struct MHD_Connection *c)
{
#ifdef HOST_GNUTLS
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    size_t size = info ? gnutls_record_get_max_size(info->tls_session) : 0;

    if (size > 0 && size < 16384)
        gnutls_record_set_max_size(info->tls_session, size);
#else
    (void)c;
#endif
}

static enum MHD_Result on_access(void *unused, struct MHD_Connection *c, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *size, void **state)
{
    req *r = *state;

    (void)unused;
    (void)url;
    (void)version;
    if (!r)
        return MHD_NO;
    if (!r->started) {
        r->started = true;
        keep_records_short(c);
        snprintf(r->method, sizeof r->method, "%s", method);
        route(r);
        fault_before(r);
        if (!r->replied && r->h && r->h->begin)
            r->h->begin(r);
        return r->replied && answer_at_once(r) ? send_reply(r) : MHD_YES;
    }
    if (r->sent)
        return MHD_YES;
    if (*size > 0) {
        if (r->replied) {
            r->thrown_away += *size;
            if (r->thrown_away > THROW_AWAY_MAX)
                return MHD_NO;
        } else if (r->h && r->h->data) {
            r->h->data(r, data, *size);
        } else {
            text_add(&r->body, data, *size);
            if (r->body.cut)
                reply_error(r, 413, "the body is larger than %u bytes", BODY_MAX);
        }
        *size = 0;
        return MHD_YES;
    }
    if (!r->replied && r->h)
        r->h->run(r);
    if (!r->replied)
        reply_error(r, 500, "no answer");
    return send_reply(r);
}


static void on_log(void *unused, const char *fmt, va_list ap)
{
    char line[512];
    size_t n;

    (void)unused;
    vsnprintf(line, sizeof line, fmt, ap);
    n = strlen(line);
    while (n > 0 && line[n - 1] == '\n')
        line[--n] = '\0';
    log_at(2, "http: %s", line);
}

bool http_start(int listen_fd, const char *cert, const char *key)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG | MHD_ALLOW_UPGRADE | (cert ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key },
        { MHD_OPTION_END, 0, NULL } };
    struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

    server = MHD_start_daemon(flags, 0, NULL, NULL, on_access, NULL,
                              MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                              MHD_OPTION_LISTEN_SOCKET, listen_fd,
                              MHD_OPTION_STRICT_FOR_CLIENT, 1,
                              MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                              MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTION_LIMIT,
                              MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_IDLE_S,
                              MHD_OPTION_THREAD_STACK_SIZE, (size_t)(512u << 10),
                              MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
                              MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                              MHD_OPTION_ARRAY, cert ? tls : none, MHD_OPTION_END);
    return server != NULL;
}

void http_stop(void)
{
    ports_stop();
    if (server)
        MHD_stop_daemon(server);
    server = NULL;
}
