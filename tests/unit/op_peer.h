/* op_peer.h - a scripted peer in memory for tests of operations: a transport with
   a virtual clock, and an allocator that counts and fails on demand. Include it
   after the code under test. Nothing here sleeps; time moves only in wait().

   A script is a row of turns. When the head of a request is complete, the first
   turn that is free and fits is taken; its reply is released at once, after a
   delay, or in slices. Every request is kept, its body unframed and checked. */
#ifndef SBX_OP_PEER_H
#define SBX_OP_PEER_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEER_UNUSED __attribute__((unused))

/* A turn names only what matters in it. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

typedef struct ptext { char *p; size_t len, cap; } ptext;

static PEER_UNUSED void pt_add(ptext *t, const void *data, size_t n)
{
    if (t->len + n + 1 > t->cap) {
        t->cap = (t->len + n + 1) * 2;
        t->p = realloc(t->p, t->cap);
        if (!t->p) abort();
    }
    if (n) memcpy(t->p + t->len, data, n);
    t->len += n;
    t->p[t->len] = 0;
}

static PEER_UNUSED void pt_put(ptext *t, const char *s) { pt_add(t, s, strlen(s)); }

static PEER_UNUSED void pt_format(ptext *t, const char *form, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, form);
    vsnprintf(line, sizeof line, form, ap);
    va_end(ap);
    pt_put(t, line);
}

static PEER_UNUSED void pt_free(ptext *t)
{
    free(t->p);
    memset(t, 0, sizeof *t);
}

/* ---- the allocator ----------------------------------------------------------- */

typedef struct pheap {
    size_t blocks, bytes, peak;
    unsigned long calls;        /* that ask for memory */
    unsigned long fail_at;      /* 1: the next one ..., 0: none */
    bool fail_on;               /* and all after it */
    unsigned long failed;
    bool wrong_size;
} pheap;

typedef union pblock { size_t size; long double align; } pblock;

static PEER_UNUSED void *pheap_resize(void *ctx, void *ptr, size_t old, size_t size)
{
    pheap *h = ctx;
    pblock *b = ptr ? (pblock *)ptr - 1 : NULL, *n;
    if (b && b->size != old) h->wrong_size = true;
    if (!b && old) h->wrong_size = true;
    if (size == 0) {
        if (!b) return NULL;
        h->blocks--;
        h->bytes -= b->size;
        memset(ptr, 0xdd, b->size);
        free(b);
        return NULL;
    }
    h->calls++;
    if (h->fail_at && (h->calls == h->fail_at || (h->fail_on && h->calls > h->fail_at))) {
        h->failed++;
        return NULL;
    }
    n = malloc(sizeof *n + size);   /* always another place */
    if (!n) abort();
    n->size = size;
    memset(n + 1, 0xcc, size);
    if (b) {
        memcpy(n + 1, b + 1, b->size < size ? b->size : size);
        h->bytes -= b->size;
        h->blocks--;
        memset(ptr, 0xdd, b->size);
        free(b);
    }
    h->blocks++;
    h->bytes += size;
    if (h->bytes > h->peak) h->peak = h->bytes;
    return n + 1;
}

/* ---- the peer ---------------------------------------------------------------- */

typedef struct turn {
    const char *expect;     /* what the request line begins with, NULL: anything */
    int status;             /* 0: raw bytes, or silence */
    const char *headers;    /* whole lines */
    const char *body;
    size_t body_len;        /* 0: strlen(body) */
    const char *raw;        /* instead of the four above */
    size_t raw_len;
    size_t chunk;           /* > 0: body in chunks of so many bytes */
    bool to_close;          /* no framing: the close ends the body */
    bool early;             /* answered at the head, before the body */
    size_t early_body;      /* or after so many bytes of it */
    bool interim;           /* the next fitting turn answers the same request */
    bool shut;              /* the peer closes after the reply */
    bool reset;             /* an error instead */
    bool deaf;              /* takes nothing more of the request */
    bool always;            /* may be used any number of times */
    size_t cut;             /* > 0: only cut - 1 bytes of the reply, then close */
    uint32_t delay_ms;      /* before the first byte */
    size_t slice;           /* > 0: so many bytes ... */
    uint32_t slice_ms;      /* ... every so many ms */
    const char *lacks;      /* text that the head must not hold */
    const char *has;        /* text that the head must hold */
    int used;
} turn;

typedef struct prequest {
    char *head;             /* request line and headers */
    ptext body;             /* unframed */
    bool whole, chunked, bad;
    size_t conn;
    size_t body_seen;       /* raw bytes behind the head */
    uint64_t at_ms;         /* when its head was complete */
} prequest;

typedef struct pconn {
    bool used, opened, closed, shut, reset, deaf;
    bool can_read, can_write;
    char host[256];
    uint16_t port;
    bool tls;
    uint64_t open_at;
    ptext in;               /* bytes of the present request */
    size_t head_len;        /* 0: not complete yet */
    size_t request;         /* index */
    turn *turn;
    bool answered;
    ptext out;
    size_t taken;
    uint64_t out_from;      /* when out begins to be readable */
    size_t out_base, slice; /* bytes readable at once; then slice every slice_ms */
    uint32_t slice_ms;
    size_t requests;
} pconn;

enum { P_CONNS = 256, P_REQUESTS = 512 };
enum { P_OPEN, P_SEND, P_RECV, P_WAIT, P_ENTROPY, P_KINDS };

typedef struct peer {
    uint64_t now;
    int64_t unix_ms;        /* at now 0 */
    turn *turns;
    size_t turn_count;
    size_t send_max, recv_max; /* bytes a call, 0: no limit */
    bool would_block;       /* each call only after a wait for it */
    uint32_t ragged;        /* not 0: seed of calls that take less than they could */
    bool no_wait;           /* wait() blocks a path that must not */
    size_t window;          /* > 0: bytes of a request taken, then "would block" */
    uint32_t open_ms;       /* how long open() takes */
    const int *opens;       /* results of open() in turn, ended by 1 */
    pconn conn[P_CONNS];
    size_t conns, live;
    prequest request[P_REQUESTS];
    size_t requests;
    unsigned long calls[P_KINDS];
    unsigned long fail_at[P_KINDS];
    bool fail_on[P_KINDS];
    unsigned long failed;
    unsigned long total, limit;
    uint64_t slept;
    bool stuck;
    bool no_entropy;
    char complaint[256];
    uint32_t random;
    pheap heap;
} peer;

static PEER_UNUSED void peer_complain(peer *p, const char *text)
{
    if (!p->complaint[0]) snprintf(p->complaint, sizeof p->complaint, "%s", text);
}

static bool peer_tired(peer *p)
{
    if (++p->total > p->limit && !p->stuck) {
        p->stuck = true;
        peer_complain(p, "the client spins");
    }
    return p->stuck;
}

/* Whether this call is the one to fail. */
static bool peer_fails(peer *p, int kind)
{
    unsigned long n = ++p->calls[kind], at = p->fail_at[kind];
    if (!at || !(n == at || (p->fail_on[kind] && n > at))) return false;
    p->failed++;
    return true;
}

/* How many of n bytes a ragged peer takes now; 0: it would block. */
static size_t peer_some(peer *p, size_t n)
{
    if (!p->ragged || !n) return n;
    p->ragged = p->ragged * 1664525u + 1013904223u;
    return (p->ragged >> 28) < 3 ? 0 : 1 + (p->ragged >> 8) % n % 40;
}

static PEER_UNUSED const char *head_value(const char *head, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name), len;
    const char *at = strstr(head, "\r\n");
    while (at && at[2]) {
        at += 2;
        if (strncasecmp(at, name, n) == 0 && at[n] == ':') {
            at += n + 1;
            while (*at == ' ') at++;
            len = strcspn(at, "\r\n");
            if (len >= cap) len = cap - 1;
            memcpy(out, at, len);
            out[len] = 0;
            return out;
        }
        at = strstr(at, "\r\n");
    }
    return NULL;
}

/* Unframes what has come of a chunked body. 1: whole, 0: more is needed, -1: bad. */
static int peer_chunks(const char *p, const char *end, ptext *body)
{
    body->len = 0;
    for (;;) {
        const char *nl = p;
        unsigned long n;
        while (nl + 1 < end && (nl[0] != '\r' || nl[1] != '\n')) nl++;
        if (nl + 1 >= end) return end - p > 20 ? -1 : 0;
        if (nl == p || strspn(p, "0123456789abcdefABCDEF") != (size_t)(nl - p)) return -1;
        n = strtoul(p, NULL, 16);
        p = nl + 2;
        if (n == 0) {
            if (end - p < 2) return 0;
            return end - p == 2 && memcmp(p, "\r\n", 2) == 0 ? 1 : -1;
        }
        if ((size_t)(end - p) < n + 2) return 0;
        pt_add(body, p, n);
        if (memcmp(p + n, "\r\n", 2) != 0) return -1;
        p += n + 2;
    }
}

static void peer_build(ptext *out, const turn *t)
{
    size_t len = t->body_len ? t->body_len : t->body ? strlen(t->body) : 0, at;
    if (!t->status) {
        pt_add(out, t->raw, t->raw_len ? t->raw_len : t->raw ? strlen(t->raw) : 0);
        return;
    }
    pt_format(out, "HTTP/1.1 %d Scripted\r\n", t->status);
    if (t->headers) pt_put(out, t->headers);
    if (t->chunk) {
        pt_put(out, "Transfer-Encoding: chunked\r\n\r\n");
        for (at = 0; at < len; at += t->chunk) {
            size_t n = len - at < t->chunk ? len - at : t->chunk;
            pt_format(out, "%x\r\n", (unsigned)n);
            pt_add(out, t->body + at, n);
            pt_put(out, "\r\n");
        }
        pt_put(out, "0\r\n\r\n");
        return;
    }
    if (!t->to_close && t->status != 204) pt_format(out, "Content-Length: %lu\r\n",
        (unsigned long)len);
    pt_put(out, "\r\n");
    pt_add(out, t->body, len);
}

static turn *peer_pick(peer *p, const char *head)
{
    size_t i;
    for (i = 0; i < p->turn_count; i++) {
        turn *t = &p->turns[i];
        if (t->used && !t->always) continue;
        if (t->expect && strncmp(head, t->expect, strlen(t->expect)) != 0) continue;
        if (t->has && !strstr(head, t->has)) continue;
        if (t->lacks && strstr(head, t->lacks)) continue;
        t->used++;
        return t;
    }
    return NULL;
}

static void peer_answer(peer *p, pconn *c)
{
    turn *t = c->turn;
    size_t before;
    if (c->taken == c->out.len) c->taken = c->out.len = 0;
    before = c->out.len;
    c->out_base = before;
    peer_build(&c->out, t);
    if (t->cut && c->out.len - before > t->cut - 1) c->out.len = before + t->cut - 1;
    if (t->cut || t->shut || t->to_close) c->shut = true;
    if (t->reset) c->reset = true;
    if (t->deaf) c->deaf = true;
    c->out_from = p->now + t->delay_ms;
    c->slice = t->slice;
    c->slice_ms = t->slice_ms;
    if (t->interim) {
        c->turn = peer_pick(p, p->request[c->request].head);
        if (!c->turn) peer_complain(p, "no turn behind an interim one");
        c->answered = !c->turn;
    } else {
        c->answered = true;
    }
}

/* New bytes of a request have come. */
static void peer_look(peer *p, pconn *c)
{
    char value[64];
    const char *body;
    prequest *q;
    char *end;
    if (!c->in.p) return;
    if (!c->head_len) {
        end = strstr(c->in.p, "\r\n\r\n");
        if (!end) return;
        if (p->requests == P_REQUESTS) abort();
        c->head_len = (size_t)(end - c->in.p) + 4;
        c->request = p->requests;
        q = &p->request[p->requests++];
        q->head = calloc(1, c->head_len + 1);
        memcpy(q->head, c->in.p, c->head_len);
        q->conn = (size_t)(c - p->conn);
        q->at_ms = p->now;
        c->requests++;
        c->answered = false;
        c->turn = peer_pick(p, q->head);
        if (!c->turn) {
            char line[200];
            snprintf(line, sizeof line, "no turn for: %.150s", q->head);
            peer_complain(p, line);
            c->shut = true;
            return;
        }
    }
    q = &p->request[c->request];
    body = c->in.p + c->head_len;
    q->body_seen = c->in.len - c->head_len;
    if (head_value(q->head, "Transfer-Encoding", value, sizeof value)) {
        int rc = peer_chunks(body, c->in.p + c->in.len, &q->body);
        q->chunked = true;
        q->bad = rc < 0 || strcmp(value, "chunked") != 0
            || head_value(q->head, "Content-Length", value, sizeof value);
        q->whole = rc == 1;
    } else {
        size_t n = head_value(q->head, "Content-Length", value, sizeof value)
            ? (size_t)strtoul(value, NULL, 10) : 0;
        q->bad = q->body_seen > n;
        q->whole = q->body_seen >= n;
        if (q->whole) {
            q->body.len = 0;
            pt_add(&q->body, body, n);
        }
    }
    if (q->bad) peer_complain(p, "a request's framing is bad");
    if (!c->answered && c->turn && c->turn->early && q->body_seen >= c->turn->early_body)
        peer_answer(p, c);
    if (!q->whole) return;
    while (!c->answered && c->turn) peer_answer(p, c);
    c->in.len = 0;
    c->in.p[0] = 0;
    c->head_len = 0;
}

static size_t peer_readable(const peer *p, const pconn *c)
{
    size_t all = c->out.len, n;
    if (p->now < c->out_from) return c->out_base > c->taken ? c->out_base - c->taken : 0;
    if (!c->slice) return all - c->taken;
    n = c->slice_ms ? (size_t)((p->now - c->out_from) / c->slice_ms + 1) * c->slice : all;
    n += c->out_base;
    if (n > all) n = all;
    return n > c->taken ? n - c->taken : 0;
}

static bool peer_at_end(const peer *p, const pconn *c)
{
    return (c->shut || c->reset) && c->taken == c->out.len && p->now >= c->out_from;
}

static bool peer_writable(const peer *p, const pconn *c)
{
    if (c->deaf) return false;
    return !p->window || c->in.len < p->window;
}

static int peer_open(void *ctx, void **pc, const char *host, uint16_t port, bool tls)
{
    peer *p = ctx;
    pconn *c = *pc;
    if (peer_tired(p) || peer_fails(p, P_OPEN)) {
        if (c) {
            c->closed = true;
            p->live--;
        }
        *pc = NULL;
        return SBX_E_CONNECT;
    }
    if (!c) {
        if (p->opens && *p->opens != 1) {
            int rc = *p->opens++;
            if (rc != SBX_OK) return rc;
        }
        if (p->conns == P_CONNS) abort();
        c = &p->conn[p->conns++];
        c->used = true;
        p->live++;
        snprintf(c->host, sizeof c->host, "%s", host);
        c->port = port;
        c->tls = tls;
        c->open_at = p->now + p->open_ms;
        *pc = c;
    }
    if (p->now < c->open_at) return SBX_E_AGAIN;
    if (p->would_block && !c->can_write) return SBX_E_AGAIN;
    c->can_write = c->can_read = false;
    if (c->opened) peer_complain(p, "open() of an open connection");
    c->opened = true;
    return SBX_OK;
}

static int peer_send(void *ctx, void *pc, const void *buf, size_t len, size_t *sent)
{
    peer *p = ctx;
    pconn *c = pc;
    size_t n = len;
    if (!c->opened || c->closed) peer_complain(p, "send() on a closed connection");
    if (!len) peer_complain(p, "send() of nothing");
    if (peer_tired(p)) return SBX_E_NETWORK;
    if (peer_fails(p, P_SEND)) {
        c->reset = true; /* nothing comes back either */
        return SBX_E_NETWORK;
    }
    if ((c->shut || c->reset) && p->now >= c->out_from && !c->deaf) return SBX_E_NETWORK;
    if (!peer_writable(p, c)) return SBX_E_AGAIN;
    if (p->would_block && !c->can_write) return SBX_E_AGAIN;
    c->can_write = false;
    if (p->send_max && n > p->send_max) n = p->send_max;
    if (p->window && n > p->window - c->in.len) n = p->window - c->in.len;
    n = peer_some(p, n);
    if (!n) return SBX_E_AGAIN;
    pt_add(&c->in, buf, n);
    *sent = n;
    peer_look(p, c);
    return SBX_OK;
}

static int peer_recv(void *ctx, void *pc, void *buf, size_t cap, size_t *got)
{
    peer *p = ctx;
    pconn *c = pc;
    size_t n;
    *got = 0;
    if (!c->opened || c->closed) peer_complain(p, "recv() on a closed connection");
    if (!cap) peer_complain(p, "recv() into nothing");
    if (peer_tired(p) || peer_fails(p, P_RECV)) return SBX_E_NETWORK;
    n = peer_readable(p, c);
    if (!n && !peer_at_end(p, c)) return SBX_E_AGAIN;
    if (p->would_block && !c->can_read) return SBX_E_AGAIN;
    c->can_read = false;
    if (!n) return c->reset ? SBX_E_NETWORK : SBX_OK;
    if (n > cap) n = cap;
    if (p->recv_max && n > p->recv_max) n = p->recv_max;
    n = peer_some(p, n);
    if (!n) return SBX_E_AGAIN;
    memcpy(buf, c->out.p + c->taken, n);
    c->taken += n;
    *got = n;
    return SBX_OK;
}

static void peer_close(void *ctx, void *pc)
{
    peer *p = ctx;
    pconn *c = pc;
    if (c->closed) peer_complain(p, "close() twice");
    c->closed = true;
    p->live--;
}

/* When something of what is waited for happens by itself; UINT64_MAX: never. */
static uint64_t peer_next(const peer *p, const pconn *c, int want)
{
    uint64_t at = UINT64_MAX;
    if (!c->opened) return c->open_at > p->now ? c->open_at : p->now;
    if ((want & SBX_WANT_WRITE) && peer_writable(p, c)) return p->now;
    if (want & SBX_WANT_READ) {
        if (peer_readable(p, c) || peer_at_end(p, c)) return p->now;
        if (p->now < c->out_from) at = c->out_from;
        else if (c->slice_ms && c->taken < c->out.len)
            at = p->now + c->slice_ms - (p->now - c->out_from) % c->slice_ms;
    }
    return at;
}

/* Moves the clock to what happens first, as wait() or a loop of the user's would. */
static int peer_sleep(peer *p, sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    uint64_t first = UINT64_MAX, until = p->now + timeout_ms;
    size_t i;
    for (i = 0; i < n; i++) {
        pconn *c = waits[i].conn;
        uint64_t at;
        if (!c) continue;
        if (c->closed) peer_complain(p, "wait() for a closed connection");
        if (!waits[i].want) peer_complain(p, "wait() for nothing");
        at = peer_next(p, c, waits[i].want);
        if (at < first) first = at;
    }
    if (timeout_ms >= 0x7fffffffu && first == UINT64_MAX) {
        peer_complain(p, "the client waits for ever");
        p->stuck = true;
        return SBX_E_NETWORK;
    }
    if (first > until) first = until;
    if (first > p->now) {
        p->slept += first - p->now;
        p->now = first;
    }
    for (i = 0; i < n; i++) {
        pconn *c = waits[i].conn;
        if (!c || peer_next(p, c, waits[i].want) > p->now) continue;
        waits[i].ready = 1;
        if (waits[i].want & SBX_WANT_WRITE) c->can_write = true;
        if (waits[i].want & SBX_WANT_READ) c->can_read = true;
    }
    return SBX_OK;
}

static int peer_wait(void *ctx, sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    peer *p = ctx;
    if (p->no_wait) peer_complain(p, "wait() where nothing may block");
    if (peer_tired(p) || peer_fails(p, P_WAIT)) return SBX_E_NETWORK;
    return peer_sleep(p, waits, n, timeout_ms);
}

static uint64_t peer_now(void *ctx)
{
    peer *p = ctx;
    peer_tired(p);
    return p->now;
}

static int64_t peer_unix(void *ctx)
{
    peer *p = ctx;
    return p->unix_ms + (int64_t)p->now;
}

static int peer_entropy(void *ctx, void *buf, size_t len)
{
    peer *p = ctx;
    unsigned char *b = buf;
    if (peer_fails(p, P_ENTROPY) || p->no_entropy) return SBX_E_ENTROPY;
    while (len--) {
        p->random = p->random * 1664525u + 1013904223u;
        *b++ = (unsigned char)(p->random >> 24);
    }
    return SBX_OK;
}

static PEER_UNUSED void peer_script(peer *p, turn *turns, size_t count)
{
    p->turns = turns;
    p->turn_count = count;
}

#define SCRIPT(p, turns) peer_script(p, turns, sizeof(turns) / sizeof((turns)[0]))

static PEER_UNUSED peer *peer_new(void)
{
    peer *p = calloc(1, sizeof *p);
    if (!p) abort();
    p->now = 1000000;
    p->unix_ms = 1735689600000; /* 2025-01-01 00:00:00 at now 0 */
    p->random = 7;
    p->limit = 3000000;
    return p;
}

static PEER_UNUSED sbx_net peer_net(peer *p)
{
    sbx_net net;
    memset(&net, 0, sizeof net);
    net.open = peer_open;
    net.send = peer_send;
    net.recv = peer_recv;
    net.close = peer_close;
    net.wait = peer_wait;
    net.now_ms = peer_now;
    net.unix_ms = peer_unix;
    net.entropy = peer_entropy;
    net.ctx = p;
    net.flags = SBX_NET_TLS_INSIDE | SBX_NET_READY;
    return net;
}

static PEER_UNUSED sbx_config peer_config(peer *p)
{
    sbx_config g;
    memset(&g, 0, sizeof g);
    g.provider = &sbx_e2b;
    g.environment = SBX_NO;
    g.api_key = "e2b_key";
    g.api_url = "http://api.test:3000";
    g.sandbox_url = "http://box.test:4000";
    g.net = peer_net(p);
    g.alloc.resize = pheap_resize;
    g.alloc.ctx = &p->heap;
    return g;
}

/* Forgets requests and finished connections: the pool's must not be in use. */
static PEER_UNUSED void peer_forget_requests(peer *p)
{
    size_t i;
    for (i = 0; i < p->requests; i++) {
        free(p->request[i].head);
        pt_free(&p->request[i].body);
    }
    memset(p->request, 0, sizeof p->request[0] * p->requests);
    p->requests = 0;
}

static PEER_UNUSED void peer_free(peer *p)
{
    size_t i;
    peer_forget_requests(p);
    for (i = 0; i < p->conns; i++) {
        pt_free(&p->conn[i].in);
        pt_free(&p->conn[i].out);
    }
    free(p);
}

/* One message of a Connect stream. */
static PEER_UNUSED void pt_envelope(ptext *t, unsigned flags, const char *json)
{
    size_t n = strlen(json);
    unsigned char head[5];
    head[0] = (unsigned char)flags;
    head[1] = (unsigned char)(n >> 24);
    head[2] = (unsigned char)(n >> 16);
    head[3] = (unsigned char)(n >> 8);
    head[4] = (unsigned char)n;
    pt_add(t, head, 5);
    pt_add(t, json, n);
}

#endif
