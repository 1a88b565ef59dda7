/* sandboxd: requests for servers inside a sandbox, passed on as E2B's edge does:
   head and body as they come, the answer as a stream; after 101 bytes both ways.
   The answer is read by the library's strict reader. One connection a request. */
#include "envd_e2b.h"
#include "port.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#define HEAD_MAX (64u << 10)
#define EARLY_MAX (16u << 20)   /* of an answer that comes before the body is sent */

typedef struct passage {
    req *r;
    int fd, port;               /* to the server */
    bool chunked, upgrade, broken;
    text early;                 /* came while the body was sent */
    size_t early_at;
    sbx_http_reader reader;
    char *line;
    struct { char *name, *value; } headers[SBX_MAX_HEADERS];
    size_t count;
    bool odd, got_head, ended;
    sbx_http_head head;
    char *out;                  /* where the body goes */
    size_t room, have;
    char in[16384];
    size_t in_at, in_len;
} passage;

/* ---- errors of the edge ---- */
void edge_error(req *r, unsigned status, const char *id, const char *message, int port)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_str(&w, "sandboxId", id);
    json_str(&w, "message", message);
    if (port > 0)
        json_num(&w, "port", port);
    json_num(&w, "code", status);
    sbx_json_end_object(&w);
    reply_text(r, status, "application/json; charset=utf-8", &t);
}

static void not_open(req *r, int port)
{
    if (port == 49999)
        edge_error(r, 501, r->b->id, "not implemented by this host: the code interpreter", port);
    else
        edge_error(r, 502, r->b->id, "The sandbox is running but port is not open", port);
}

bool port_token_ok(req *r, const box *b)
{
    const char *given = req_header(r, "e2b-traffic-access-token");

    if (!b->traffic_token[0] || (given && same_secret(given, b->traffic_token)))
        return true;
    edge_error(r, 403, b->id, given && *given ?
               "Sandbox is secured with traffic access token. Provided token in header "
               "'e2b-traffic-access-token' is invalid" :
               "Sandbox is secured with traffic access token. Token header "
               "'e2b-traffic-access-token' is missing", 0);
    return false;
}

/* ---- the way there ---- */

/* A server may answer before it has read all: what it says is kept meanwhile. */
static void send_bytes(passage *p, const char *data, size_t n)
{
    while (n > 0 && !p->broken) {
        struct pollfd poll_fd = { p->fd, POLLOUT, 0 };
        ssize_t k;

        if (p->early.len < EARLY_MAX)
            poll_fd.events |= POLLIN;
        if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
            p->broken = true;
        if ((poll_fd.revents & POLLIN) &&
            (k = recv(p->fd, p->in, sizeof p->in, MSG_DONTWAIT)) > 0)
            text_add(&p->early, p->in, (size_t)k);
        if (!(poll_fd.revents & (POLLOUT | POLLERR | POLLHUP)))
            continue;
        k = send(p->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k < 0 && errno != EAGAIN && errno != EINTR)
            p->broken = true; /* it may have answered all the same */
        if (k > 0) {
            data += k;
            n -= (size_t)k;
        }
    }
}

static bool hop_by_hop(const char *name)
{
    static const char *const names[] = { "Connection", "Keep-Alive", "Proxy-Connection", "TE",
        "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Host", "Accept-Encoding",
        "E2b-Sandbox-Id", "E2b-Sandbox-Port", "E2b-Traffic-Access-Token" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(name, names[i]))
            return true;
    return false;
}

static enum MHD_Result pass_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    if (!hop_by_hop(name)) {
        text_str(cls, name);
        text_str(cls, ": ");
        text_str(cls, value ? value : "");
        text_str(cls, "\r\n");
    }
    return MHD_YES;
}

/* The host a server is to see: the mask with its ${PORT}, or as it came. */
static void add_host(passage *p, text *t)
{
    const char *mask = p->r->b->mask_host, *mark = strstr(mask, "${PORT}");
    const char *host = req_header(p->r, "Host");

    if (mark)
        text_fmt(t, "Host: %.*s%d%s\r\n", (int)(mark - mask), mask, p->port, mark + 7);
    else
        text_fmt(t, "Host: %s\r\n", *mask ? mask : host ? host : "localhost");
}

static void send_head(passage *p)
{
    const char *upgrade = req_header(p->r, "Upgrade"), *codings = req_header(p->r, "Accept-Encoding");
    text t = { 0 };

    text_str(&t, p->r->method);
    text_str(&t, " ");
    text_str(&t, p->r->target);
    text_str(&t, p->r->query);
    text_str(&t, " HTTP/1.1\r\n");
    add_host(p, &t);
    MHD_get_connection_values(p->r->c, MHD_HEADER_KIND, pass_header, &t);
    if (codings && strstr(codings, "gzip"))
        text_str(&t, "Accept-Encoding: gzip\r\n"); /* of others the reader knows nothing */
    if (p->chunked)
        text_str(&t, "Transfer-Encoding: chunked\r\n");
    if (p->upgrade)
        text_fmt(&t, "Connection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgrade);
    else
        text_str(&t, "Connection: close\r\n\r\n");
    send_bytes(p, t.p, t.len);
    text_free(&t);
}

static bool port_begin(req *r)
{
    passage *p = r->state;
    int on = 1;

    p->fd = port_connect(r->b, p->port);
    if (p->fd < 0) {
        not_open(r, p->port);
        return false;
    }
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    p->chunked = req_header(r, "Transfer-Encoding") != NULL;
    p->upgrade = req_header(r, "Upgrade") && req_header(r, "Connection") && !p->chunked;
    send_head(p);
    return true;
}

static void port_data(req *r, const char *data, size_t n)
{
    passage *p = r->state;
    char head[24];

    if (p->chunked)
        send_bytes(p, head, (size_t)snprintf(head, sizeof head, "%zx\r\n", n));
    send_bytes(p, data, n);
    if (p->chunked)
        send_bytes(p, "\r\n", 2);
}

/* ---- the way back ---- */
static int on_header(void *ctx, const char *name, const char *value, bool cut)
{
    passage *p = ctx;

    if (cut || p->count == SBX_MAX_HEADERS) {
        p->odd = true;
        return SBX_OK;
    }
    p->headers[p->count].name = xstrdup(name);
    p->headers[p->count++].value = xstrdup(value);
    return SBX_OK;
}

static int on_head(void *ctx, const sbx_http_head *head)
{
    passage *p = ctx;

    p->head = *head;
    p->got_head = true;
    return SBX_OK;
}

static int on_body(void *ctx, const char *data, size_t len, size_t *used)
{
    passage *p = ctx;
    size_t n = p->room - p->have;

    if (n > len)
        n = len;
    if (n > 0)
        memcpy(p->out + p->have, data, n);
    p->have += n;
    *used = n;
    return n == len ? SBX_OK : SBX_E_AGAIN;
}

/* Further bytes of the server into p->in; false at the end. The client's leaving
   ends it too. */
static bool receive(passage *p)
{
    struct pollfd fds[2] = { { p->fd, POLLIN, 0 }, { req_fd(p->r), POLLRDHUP, 0 } };
    ssize_t n;

    p->in_at = p->in_len = 0;
    if (p->early_at < p->early.len) {
        size_t k = p->early.len - p->early_at;

        p->in_len = k < sizeof p->in ? k : sizeof p->in;
        memcpy(p->in, p->early.p + p->early_at, p->in_len);
        p->early_at += p->in_len;
        return true;
    }
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    if (!(fds[0].revents) && fds[1].revents)
        return false;
    do
        n = recv(p->fd, p->in, sizeof p->in, 0);
    while (n < 0 && errno == EINTR);
    p->in_len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Feeds the reader until it has something. Negative: broken off. */
static int advance(passage *p)
{
    size_t used = 0;
    int status;

    if (p->in_at == p->in_len && !receive(p))
        return sbx_http_end(&p->reader) == SBX_OK ? SBX_OK : SBX_E_NETWORK;
    status = sbx_http_feed(&p->reader, p->in + p->in_at, p->in_len - p->in_at, &used);
    p->in_at += used;
    return status;
}

static ssize_t stream_body(void *cls, uint64_t pos, char *buf, size_t max)
{
    passage *p = cls;
    int status = SBX_PENDING;

    (void)pos;
    p->out = buf;
    p->room = max;
    p->have = 0;
    while (p->have == 0 && !p->ended) {
        status = advance(p);
        p->ended = status == SBX_OK;
        if (status < 0 && status != SBX_E_AGAIN)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    return p->have > 0 ? (ssize_t)p->have : MHD_CONTENT_READER_END_OF_STREAM;
}

static bool kept_back(const char *name)
{
    static const char *const names[] = { "connection", "keep-alive", "proxy-connection",
        "transfer-encoding", "content-length", "trailer", "te" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

static void add_headers(passage *p, struct MHD_Response *m)
{
    for (size_t i = 0; m && i < p->count; i++)
        if (!kept_back(p->headers[i].name))
            MHD_add_response_header(m, p->headers[i].name, p->headers[i].value);
}

/* ---- after 101 ---- */
typedef struct pump { int a, b; struct MHD_UpgradeResponseHandle *urh; box *box; } pump;

static int pumps;
static bool pumps_stop;

/* One piece from one to the other; false at the end. */
static bool shovel(int from, int to, char *buf, size_t cap)
{
    ssize_t n = recv(from, buf, cap, MSG_DONTWAIT), k;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    for (ssize_t at = 0; n > 0 && at < n; at += k > 0 ? k : 0) {
        struct pollfd p = { to, POLLOUT, 0 };

        if (__atomic_load_n(&pumps_stop, __ATOMIC_ACQUIRE))
            return false;
        if (poll(&p, 1, 200) == 0) {
            k = 0;
            continue;
        }
        k = send(to, buf + at, (size_t)(n - at), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k < 0 && errno != EAGAIN && errno != EINTR)
            return false;
    }
    return n > 0;
}

static void *pump_main(void *ptr)
{
    pump *u = ptr;
    char buf[16384];
    bool open = true;

    while (open && !__atomic_load_n(&pumps_stop, __ATOMIC_ACQUIRE)) {
        struct pollfd p[2] = { { u->a, POLLIN, 0 }, { u->b, POLLIN, 0 } };

        if (poll(p, 2, 200) <= 0)
            continue;
        if (p[0].revents)
            open = shovel(u->a, u->b, buf, sizeof buf);
        if (open && p[1].revents)
            open = shovel(u->b, u->a, buf, sizeof buf);
    }
    close(u->b);
    MHD_upgrade_action(u->urh, MHD_UPGRADE_ACTION_CLOSE);
    box_unref(u->box);
    free(u);
    __atomic_sub_fetch(&pumps, 1, __ATOMIC_ACQ_REL);
    return NULL;
}

/* What either side has said already goes first; the rest is for a thread, as the
   server library wants its own back. */
static void on_upgrade(void *cls, struct MHD_Connection *c, void *con_cls, const char *extra,
                       size_t extra_len, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh)
{
    passage *p = cls;
    pump *u = xalloc(sizeof *u);
    pthread_t thread;

    (void)c;
    (void)con_cls;
    *u = (pump){ sock, p->fd, urh, box_ref(p->r->b) };
    send_bytes(p, extra, extra_len);
    p->fd = -1;
    while (p->in_at < p->in_len) {
        struct pollfd w = { sock, POLLOUT, 0 };
        ssize_t n = poll(&w, 1, 10000) == 1 ? send(sock, p->in + p->in_at, p->in_len - p->in_at,
                                                   MSG_DONTWAIT | MSG_NOSIGNAL) : -1;

        if (n <= 0)
            break;
        p->in_at += (size_t)n;
    }
    __atomic_add_fetch(&pumps, 1, __ATOMIC_ACQ_REL);
    if (pthread_create(&thread, NULL, pump_main, u) == 0)
        pthread_detach(thread);
    else
        pump_main(u);
}

void ports_stop(void)
{
    __atomic_store_n(&pumps_stop, true, __ATOMIC_RELEASE);
    for (int tries = 0; __atomic_load_n(&pumps, __ATOMIC_ACQUIRE) > 0 && tries < 1000; tries++)
        usleep(10000);
}

/* ---- the answer ---- */

/* The reader passes 1xx over. An agreed upgrade is read as an answer without a body;
   what follows it is the other protocol's. */
static void read_upgrade_head(passage *p)
{
    text head = { .limit = HEAD_MAX };
    char *end = NULL;
    size_t used, head_len;

    while (!end && !head.cut && receive(p)) {
        text_add(&head, p->in, p->in_len);
        end = head.p ? strstr(head.p, "\r\n\r\n") : NULL;
    }
    p->in_len = 0;
    if (!end || head.len < 12 || strncmp(head.p + 8, " 101", 4)) {
        p->upgrade = false;
        text_add(&head, p->early.p ? p->early.p + p->early_at : "", p->early.len - p->early_at);
        text_free(&p->early);
        p->early = head; /* an answer like any other, from its start */
        p->early_at = 0;
        return;
    }
    head_len = (size_t)(end + 4 - head.p);
    memcpy(head.p + 8, " 204", 4);
    p->odd |= sbx_http_feed(&p->reader, head.p, head_len, &used) != SBX_OK;
    if (head.len - head_len > sizeof p->in)
        p->odd = true;
    else
        memcpy(p->in, head.p + head_len, p->in_len = head.len - head_len);
    text_free(&head);
}

/* To a HEAD: what the body would have, which the reader does not tell. */
static void length_of_nothing(passage *p)
{
    p->head.length = -1;
    for (size_t i = 0; i < p->count; i++)
        if (!strcmp(p->headers[i].name, "content-length"))
            p->head.length = req_number(p->headers[i].value, 18);
}

static void answer(passage *p)
{
    bool empty = p->head.status == 204 || p->head.status == 304;
    struct MHD_Response *m;

    if (!strcmp(p->r->method, "HEAD"))
        length_of_nothing(p);
    if (p->upgrade)
        m = MHD_create_response_for_upgrade(on_upgrade, p);
    else if (empty)
        m = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    else
        m = MHD_create_response_from_callback(p->head.length >= 0 ? (uint64_t)p->head.length
                                              : MHD_SIZE_UNKNOWN, 32768, stream_body, p, NULL);
    add_headers(p, m);
    reply(p->r, p->upgrade ? 101 : (unsigned)p->head.status, m);
}

static void port_run(req *r)
{
    static const sbx_http_events events = { on_header, on_head, on_body };
    passage *p = r->state;
    int status = SBX_PENDING;

    if (p->chunked)
        send_bytes(p, "0\r\n\r\n", 5);
    p->line = xalloc(HEAD_MAX);
    sbx_http_init(&p->reader, p->line, HEAD_MAX, !strcmp(r->method, "HEAD"), &events, p);
    if (p->upgrade)
        read_upgrade_head(p);
    while (!p->got_head && status != SBX_OK && (status >= 0 || status == SBX_E_AGAIN))
        status = advance(p); /* no room yet for a body: it waits in p->in */
    p->ended = status == SBX_OK;
    if (p->got_head && !p->odd)
        answer(p);
    else
        not_open(r, p->port);
}

static void port_free(req *r)
{
    passage *p = r->state;

    for (size_t i = 0; i < p->count; i++) {
        free(p->headers[i].name);
        free(p->headers[i].value);
    }
    if (p->fd >= 0)
        close(p->fd);
    text_free(&p->early);
    free(p->line);
    free(p);
    r->state = NULL;
}

void port_route(req *r, int port)
{
    static const handler passing = { "*", "", port_run, port_begin, port_data, true };
    passage *p;

    if (!port_token_ok(r, r->b))
        return;
    p = xalloc(sizeof *p);
    p->r = r;
    p->fd = -1;
    p->port = port;
    r->state = p;
    r->state_free = port_free;
    r->h = &passing;
}
