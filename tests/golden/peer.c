/* peer - the replaying peer: an sbx_net in memory. It reads requests, has each
   compared with the one that is due, and answers as recorded. Its clock moves
   only when the client waits and nothing has come. */
#include "golden.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const way_names[WAYS] = { "blocking", "polled", "1-byte", "would-block" };

enum { MANY_CALLS = 4000000, HOUR = 3600000 };

typedef struct piece { size_t end; struct piece *next; } piece; /* a chunk of the reply */

struct conn {
    conn *next;
    bool opened, closed, end;   /* end: nothing comes after out */
    bool can_read, can_write;   /* would-block: waited for since */
    bool reset, dead;           /* the end is a failure; it has come */
    text in, out;
    size_t wants;               /* of in: a request has at least so much; 0: its head is open */
    size_t taken, whole;        /* of out; its length before it was cut */
    piece *pieces, *last;       /* what of out may be read: all up to the next end */
    size_t released;
};

/* ---- requests ---------------------------------------------------------------- */
static const char *find_end(const text *t)
{
    const char *p = t->p, *end = p + t->len;
    while (t->len && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        if (end - p >= 3 && p > t->p && p[-1] == '\r' && p[1] == '\r' && p[2] == '\n') return p - 1;
        p++;
    }
    return NULL;
}

static const char *lower(const char *s)
{
    char *low = keep_text(s);
    size_t i;
    for (i = 0; low[i]; i++)
        if (low[i] >= 'A' && low[i] <= 'Z') low[i] = (char)(low[i] | 32);
    return low;
}

static char *line_end(char *s)
{
    return strstr(s, "\r\n");
}

/* A head without its empty line. NULL: malformed. */
static request *parse_head(const char *head, size_t len, report *r)
{
    request *q = keep(sizeof *q);
    header **tail = &q->headers;
    char *s = keep_bytes(head, len), *line = s, *end = line_end(s), *a, *b;
    if (strlen(s) != len) { complain(r, "request: NUL in the head"); return NULL; }
    if (end) *end = 0;
    a = strchr(line, ' ');
    b = a ? strchr(a + 1, ' ') : NULL;
    if (!b || strcmp(b, " HTTP/1.1")) {
        complain(r, "request: malformed first line: %s", line);
        return NULL;
    }
    *a = *b = 0;
    q->method = line;
    q->target = a + 1;
    while (end) {
        header *h = keep(sizeof *h);
        size_t i;
        line = end + 2;
        end = line_end(line);
        if (end) *end = 0;
        a = strchr(line, ':');
        if (!a || a == line || strpbrk(line, "\r\n") || strcspn(line, " \t") <
            (size_t)(a - line)) {
            complain(r, "request: malformed header line: %s", line);
            return NULL;
        }
        for (i = 0; line + i < a; i++)
            if (line[i] >= 'A' && line[i] <= 'Z') line[i] = (char)(line[i] | 32);
        *a++ = 0;
        while (*a == ' ' || *a == '\t') a++;
        h->name = line;
        h->value = a;
        *tail = h;
        tail = &h->next;
    }
    return q;
}

/* The body of a complete chunked request. 1: complete, 0: more is needed, -1: malformed. */
static int chunked_body(const char *p, const char *end, text *body, const char **after)
{
    for (;;) {
        const char *nl = p;
        char *stop;
        unsigned long n;
        while (nl + 1 < end && (nl[0] != '\r' || nl[1] != '\n')) nl++;
        if (nl + 1 >= end) return end - p > 20 ? -1 : 0;
        if (strspn(p, "0123456789abcdefABCDEF") != (size_t)(nl - p) || nl == p) return -1;
        n = strtoul(p, &stop, 16);
        if (n == 0) { /* no trailers are expected of a client */
            if (end - nl < 4) return 0;
            *after = nl + 4;
            return nl[2] == '\r' && nl[3] == '\n' ? 1 : -1;
        }
        p = nl + 2;
        if ((size_t)(end - p) < n + 2) return 0;
        text_add(body, p, n);
        if (p[n] != '\r' || p[n + 1] != '\n') return -1;
        p += n + 2;
    }
}

static const char *value_of(const request *q, const char *name)
{
    const header *h;
    for (h = q->headers; h; h = h->next)
        if (!strcmp(h->name, name)) return h->value;
    return NULL;
}

/* One complete request at the front of t, or NULL. */
static request *take_request(text *t, size_t *wants, report *r, bool *bad)
{
    const char *head_end = find_end(t), *body, *end = t->p + t->len, *length, *te;
    request *q;
    text unchunked = {0};
    report quiet = {0};
    int done = 1;
    if (!head_end) return NULL;
    q = parse_head(t->p, (size_t)(head_end - t->p), &quiet);
    if (!q) {
        parse_head(t->p, (size_t)(head_end - t->p), r);
        *bad = true;
        return NULL;
    }
    body = head_end + 4;
    length = value_of(q, "content-length");
    te = value_of(q, "transfer-encoding");
    if (length && te) complain(r, "request: both content-length and transfer-encoding");
    *wants = 1;
    if (te) {
        q->chunked = true;
        done = strcmp(te, "chunked") ? -1 : chunked_body(body, end, &unchunked, &body);
        q->body = unchunked.p ? unchunked.p : "";
        q->body_len = unchunked.len;
    } else {
        size_t n = length ? (size_t)strtoul(length, NULL, 10) : 0;
        if (length && strspn(length, "0123456789") != strlen(length)) done = -1;
        else if ((size_t)(end - body) < n) done = 0;
        q->body = keep_bytes(body, done == 1 ? n : 0);
        q->body_len = n;
        *wants = (size_t)(body - t->p) + n;
        body += n;
    }
    if (done < 0) {
        complain(r, "request: malformed framing of the body");
        *bad = true;
    }
    if (done <= 0) return NULL;
    if (body < end) complain(r, "request: %u bytes more than the request has",
        (unsigned)(end - body));
    t->len = *wants = 0;
    return q;
}

/* ---- replies ----------------------------------------------------------------- */
static void release_to(conn *c, size_t end)
{
    piece *n = keep(sizeof *n);
    n->end = end;
    if (c->last) c->last->next = n;
    else c->pieces = n;
    c->last = n;
}

static bool is_stream(const exchange *x)
{
    static const char *const types[] = { "application/connect+json", "text/event-stream",
        "application/x-ndjson" };
    const node *n;
    size_t i;
    for (n = x->reply_headers ? x->reply_headers->first : NULL; n; n = n->next) {
        if (n->kind != D_TEXT || strcmp(lower(n->key), "content-type")) continue;
        for (i = 0; i < sizeof types / sizeof *types; i++)
            if (!strncmp(n->s, types[i], strlen(types[i]))) return true;
    }
    return false;
}

/* The length of the first message of a stream: an envelope, or up to a line end. */
static size_t message_len(const char *p, size_t len)
{
    const unsigned char *u = (const unsigned char *)p;
    const char *nl;
    size_t n;
    if (len >= 5 && u[0] <= 3 && u[1] == 0) {
        n = ((size_t)u[2] << 16 | (size_t)u[3] << 8 | u[4]) + 5;
        return n <= len ? n : len;
    }
    nl = memchr(p, '\n', len);
    return nl ? (size_t)(nl - p) + 1 : len;
}

/* A fault may let only the first bytes come. */
static void cut_answer(peer *p, conn *c)
{
    piece *n;
    size_t len = fault_cuts(p->fault, c->out.len, &c->reset);
    c->whole = c->out.len;
    if (len == c->out.len) return;
    c->out.len = len;
    c->end = true;
    for (n = c->pieces; n; n = n->next)
        if (n->end > len) n->end = len;
}

static void answer(peer *p, conn *c, const exchange *x, const request *q)
{
    const node *n;
    size_t len = x->reply_len;
    const char *body = recorded_now(p->rules, x->reply, &len);
    bool empty = x->status == 204 || x->status == 304 || x->status < 200;
    bool stream = !empty && (is_stream(x) || x->cut);
    c->out.len = c->taken = c->released = c->whole = 0;
    c->pieces = c->last = NULL;
    if (!x->status) { c->end = true; return; }
    text_format(&c->out, "HTTP/1.1 %d Recorded\r\n", x->status);
    for (n = x->reply_headers ? x->reply_headers->first : NULL; n; n = n->next) {
        const char *name = lower(n->key);
        size_t vlen = n->len;
        if (!strcmp(name, "content-length") || !strcmp(name, "transfer-encoding")) continue;
        if (!strcmp(name, "connection") && !strcmp(n->s, "close")) c->end = true;
        text_format(&c->out, "%s: %s\r\n", n->key, recorded_now(p->rules, n->s, &vlen));
    }
    if (stream) text_put(&c->out, "Transfer-Encoding: chunked\r\n\r\n");
    else if (empty) text_put(&c->out, "\r\n");
    else text_format(&c->out, "Content-Length: %u\r\n\r\n", (unsigned)len);
    if (!strcmp(q->method, "HEAD") || empty) len = 0;
    if (!stream) text_add(&c->out, body, len);
    while (stream && len) {
        size_t some = message_len(body, len);
        text_format(&c->out, "%x\r\n", (unsigned)some);
        text_add(&c->out, body, some);
        text_put(&c->out, "\r\n");
        release_to(c, c->out.len);
        body += some;
        len -= some;
    }
    if (stream && !x->cut) text_put(&c->out, "0\r\n\r\n");
    if (x->cut) c->end = true;
    release_to(c, c->out.len);
    cut_answer(p, c);
}

static void check_sleep(peer *p, const exchange *x)
{
    double slept = (double)(p->now_ms - p->answered_ms) / 1000.0;
    if (x->slept_s < 0) return;
    if (slept < x->slept_s * 0.45 || slept > x->slept_s * 1.55 + 0.01)
        complain(p->report, "request %u: recorded a sleep of %.3f s before it, slept %.3f s",
            (unsigned)p->done, x->slept_s, slept);
}

/* Is this the request of x? If so its made values are taken over. */
static bool is_request(peer *p, const exchange *x, const request *q)
{
    report quiet = {0};
    made *before = p->rules->made;
    if (x) compare_request(p->rules, x, q, p->done, &quiet);
    if (x && !quiet.count) return true;
    p->rules->made = before;
    return false;
}

/* Something failed before: the client may send again what got no whole answer, and ask
   or undo what is not recorded. */
static const exchange *unplanned(peer *p, const request *q)
{
    static const exchange nothing = { .status = 204 };
    const exchange *x;
    const conn *last = p->last_conn;
    bool unfinished = last && (last->taken < last->whole || last->dead);
    if (unfinished && is_request(p, p->last, q)) return p->last;
    if (is_request(p, p->next, q)) return p->next;
    if (!p->fault->hits) return NULL;
    for (x = p->next; x; x = x->next) /* one was never sent whole */
        if (is_request(p, x, q)) return x;
    for (x = p->first; x; x = x->next) /* one of them gone wrong */
        if (!strcmp(x->method, q->method) && !strcmp(x->target, q->target)) return NULL;
    p->step_undone = true;
    return &nothing;
}

static bool is_weak(const request *q)
{
    const header *h;
    for (h = q->headers; h; h = h->next)
        if (strstr(h->value, "eeeeeeee")) return true;
    return false;
}

/* Our client may do more than the SDK did, if the case says so. */
static const exchange *beyond(const peer *p, const request *q)
{
    const node *n = p->rules->beyond;
    exchange *x;
    for (n = n ? n->first : NULL; n; n = n->next) {
        const char *method = dom_text(n, "method"), *target = dom_text(n, "target");
        const node *status = dom_has(n, "status");
        if (!method || strcmp(method, q->method) || !target || strcmp(target, q->target)) continue;
        x = keep(sizeof *x);
        x->status = status ? (int)status->i : 200;
        x->reply = dom_text(n, "body");
        x->reply_len = x->reply ? strlen(x->reply) : 0;
        return x;
    }
    return NULL;
}

static void on_request(peer *p, conn *c, const request *q)
{
    const exchange *x = p->fault ? unplanned(p, q) : p->next;
    if (!x) x = beyond(p, q);
    if (!x) x = p->next;
    p->done++;
    if (fault_has(p->fault, F_ENTROPY) && is_weak(q))
        complain(p->report, "what entropy() failed to fill was sent");
    if (!x) {
        complain(p->report, "request %u: %s %s is not in the recording", (unsigned)p->done,
            q->method, q->target);
        c->end = true;
        return;
    }
    if (x->method && (!p->fault || !p->fault->hits)) check_sleep(p, x);
    if (x == p->next) compare_request(p->rules, x, q, p->done, p->report);
    if (x->method && x != p->last) p->next = x->next;
    if (x->method) {
        p->last = x;
        p->last_conn = c;
    }
    if (x->method && x->status < 300) {
        if (strcmp(q->method, "DELETE")) p->step_made = true;
        else p->step_undone = true;
    }
    answer(p, c, x, q);
    p->answered_ms = p->now_ms;
}

/* ---- the transport ----------------------------------------------------------- */
/* Would block this time; waiting for it helps. */
static int not_yet(peer *p)
{
    p->activity++;
    return SBX_E_AGAIN;
}

static bool tired(peer *p)
{
    if (++p->calls > p->limit && !p->stuck) {
        p->stuck = true;
        complain(p->report, "the client spins: %lu calls of the transport", p->limit);
    }
    return p->stuck;
}

/* Bytes that may be read now. A held stream gives a chunk at a time. */
static size_t readable(peer *p, conn *c)
{
    while (c->pieces) {
        bool hold = p->hold_at && c->pieces->next && c->taken < c->out.len;
        if (hold && (c->taken < c->released || p->events(p->ctx) >= p->hold_at)) break;
        c->released = c->pieces->end;
        c->pieces = c->pieces->next;
        if (hold) break;
    }
    return c->released - c->taken;
}

static void peer_close(void *ctx, void *pc)
{
    peer *p = ctx;
    conn *c = pc;
    if (c->closed) complain(p->report, "transport: close() twice");
    if (!c->closed && p->open) p->open--;
    c->closed = true;
}

static int peer_open(void *ctx, void **pc, const char *host, uint16_t port, bool tls)
{
    peer *p = ctx;
    conn *c = *pc;
    const fault *f;
    (void)host;
    (void)port;
    (void)tls;
    if (tired(p)) {
        *pc = NULL;
        return SBX_E_CONNECT;
    }
    f = fault_strikes(p->fault, F_OPEN);
    if (f) {
        if (c) peer_close(p, c);
        *pc = NULL;
        return f->at % 2 ? SBX_E_CONNECT : SBX_E_DNS;
    }
    if (!c) {
        c = keep(sizeof *c);
        c->next = p->conns;
        p->conns = c;
        p->open++;
        *pc = c;
        p->activity++;
        if (p->way == WOULD_BLOCK) return SBX_E_AGAIN;
    }
    if (p->way == WOULD_BLOCK && !c->can_read && !c->can_write) return not_yet(p);
    if (c->opened) complain(p->report, "transport: open() of an open connection");
    c->opened = true;
    p->activity++;
    c->can_read = c->can_write = false;
    return SBX_OK;
}

static bool usable(peer *p, conn *c, const char *what)
{
    if (c->opened && !c->closed) return !c->dead;
    complain(p->report, "transport: %s() on a connection that is not open", what);
    return false;
}

static int peer_send(void *ctx, void *pc, const void *buf, size_t len, size_t *sent)
{
    peer *p = ctx;
    conn *c = pc;
    request *q;
    bool bad = false;
    if (tired(p) || !usable(p, c, "send")) return SBX_E_NETWORK;
    if (!len) complain(p->report, "transport: send() of nothing");
    p->step_sends++;
    if (fault_strikes(p->fault, F_SEND)) {
        c->dead = true;
        return SBX_E_NETWORK;
    }
    if (p->way == WOULD_BLOCK && !c->can_write) return not_yet(p);
    c->can_write = false;
    if (c->end && c->taken >= c->out.len) return SBX_E_NETWORK;
    *sent = p->way == BYTES ? 1 : len;
    text_add(&c->in, buf, *sent);
    p->activity++;
    if (p->way == BYTES && (c->wants ? c->in.len < c->wants : *(const char *)buf != '\n'))
        return SBX_OK;
    q = take_request(&c->in, &c->wants, p->report, &bad);
    if (bad) c->end = true;
    if (q) on_request(p, c, q);
    return SBX_OK;
}

static int peer_recv(void *ctx, void *pc, void *buf, size_t cap, size_t *got)
{
    peer *p = ctx;
    conn *c = pc;
    size_t n;
    *got = 0;
    if (tired(p) || !usable(p, c, "recv")) return SBX_E_NETWORK;
    if (!cap) complain(p->report, "transport: recv() into nothing");
    n = readable(p, c);
    if (fault_strikes(p->fault, F_RECV) || (c->reset && c->taken >= c->out.len)) {
        c->dead = true;
        return SBX_E_NETWORK;
    }
    if (!n && !(c->end && c->taken >= c->out.len)) return SBX_E_AGAIN;
    if (p->way == WOULD_BLOCK && !c->can_read) return not_yet(p);
    c->can_read = false;
    p->activity++;
    if (n > cap) n = cap;
    if (n && p->way == BYTES) n = 1;
    if (n) memcpy(buf, c->out.p + c->taken, n);
    c->taken += n;
    *got = n;
    return SBX_OK;
}

static bool has_input(peer *p, conn *c)
{
    return readable(p, c) || c->dead || (c->end && c->taken >= c->out.len);
}

static int peer_wait(void *ctx, sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    peer *p = ctx;
    size_t i;
    bool ready = false;
    if (tired(p) || fault_strikes(p->fault, F_WAIT)) return SBX_E_NETWORK;
    if (fault_strikes(p->fault, F_EARLY)) return SBX_OK;
    for (i = 0; i < n; i++) {
        conn *c = waits[i].conn;
        if (c->closed) complain(p->report, "transport: wait() for a closed connection");
        if (!waits[i].want) complain(p->report, "transport: wait() for nothing");
        if (waits[i].want & SBX_WANT_WRITE) ready = c->can_write = true;
        if ((waits[i].want & SBX_WANT_READ) && (!c->opened || has_input(p, c)))
            ready = c->can_read = true;
    }
    if (ready) return SBX_OK;
    if (timeout_ms >= 0x7fffffffu) {
        complain(p->report, "the client waits for ever");
        p->stuck = true;
        return SBX_E_NETWORK;
    }
    p->now_ms += timeout_ms;
    return SBX_OK;
}

static uint64_t peer_now(void *ctx)
{
    peer *p = ctx;
    const fault *ahead, *back, *f;
    uint64_t hour;
    tired(p);
    ahead = fault_strikes(p->fault, F_AHEAD);
    back = fault_strikes(p->fault, F_BACK);
    f = back ? back : ahead;
    if (!f) return p->now_ms;
    hour = back ? (uint64_t)-HOUR : HOUR;
    if (!f->on) return p->now_ms + hour;
    if (f->hits == 1) { /* for good, and no other clock */
        p->now_ms += hour;
        p->start_ms += hour;
        p->unix_ms -= (int64_t)hour;
    }
    return p->now_ms;
}

static int64_t peer_unix(void *ctx)
{
    peer *p = ctx;
    const fault *f = fault_strikes(p->fault, F_UNIX);
    return f ? f->at % 2 ? 0 : -1 : p->unix_ms + (int64_t)p->now_ms;
}

static int peer_entropy(void *ctx, void *buf, size_t len)
{
    peer *p = ctx;
    unsigned char *b = buf;
    if (fault_strikes(p->fault, F_ENTROPY)) {
        memset(buf, 0xEE, len); /* seen again if it is used */
        return SBX_E_ENTROPY;
    }
    while (len--) {
        p->random = p->random * 1664525u + 1013904223u;
        *b++ = (unsigned char)(p->random >> 24);
    }
    return SBX_OK;
}

void peer_start(peer *p, way w, const exchange *first, int64_t unix_ms, rules *k, report *r)
{
    memset(p, 0, sizeof *p);
    p->way = w;
    p->first = p->next = first;
    p->unix_ms = unix_ms;
    p->rules = k;
    p->report = r;
    p->random = 1;
    p->limit = MANY_CALLS;
}

sbx_net peer_net(peer *p)
{
    sbx_net net = {0};
    net.open = peer_open;
    net.send = peer_send;
    net.recv = peer_recv;
    net.close = peer_close;
    net.wait = peer_wait;
    net.now_ms = peer_now;
    net.unix_ms = peer_unix;
    net.entropy = peer_entropy;
    net.ctx = p;
    net.flags = SBX_NET_TLS_INSIDE;
    return net;
}

void peer_again(peer *p)
{
    conn *c;
    for (c = p->conns; c; c = c->next) {
        if (c->in.len && !c->closed)
            complain(p->report, "half a request is left on a connection: %.60s", c->in.p);
        c->in.len = c->wants = 0;
    }
    p->fault = NULL;
    p->next = p->first;
    p->last = NULL;
    p->last_conn = NULL;
    p->done = 0;
    p->rules->made = NULL;
    p->unix_ms -= (int64_t)(p->now_ms - p->start_ms);
    p->start_ms = p->answered_ms = p->now_ms;
    p->calls = 0;
}

void peer_ready(peer *p)
{
    conn *c;
    for (c = p->conns; c; c = c->next) c->can_read = c->can_write = true;
}

bool peer_has_news(peer *p)
{
    conn *c;
    for (c = p->conns; c; c = c->next)
        if (!c->closed && readable(p, c)) return true;
    return false;
}

void peer_end(peer *p)
{
    const exchange *x;
    conn *c;
    size_t number = p->done;
    for (c = p->conns; c; c = c->next)
        if (c->in.len)
            complain(p->report, "an unfinished request was sent: %.60s", c->in.p);
    for (x = p->next; x; x = x->next)
        complain(p->report, "request %u: %s %s was not sent", (unsigned)++number, x->method,
            x->target);
    if (p->open)
        complain(p->report, "%u connections were left open", (unsigned)p->open);
}
